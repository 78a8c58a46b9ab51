"""Levels that rise: how often something happened at each, what that decides, and how far it goes.

What is looked for is proven by one case, and never disproven by none: a level is cleared where the largest
rate that so many cases leave open is tolerated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from auditkit.model import Detection, Estimate
from auditkit.statistics.proportions import rate_bounds, zero_count_upper


def rate(hits: int, n: int, unknown: int, confidence: float) -> Estimate:
    """How often it happened; a case of which nobody knows the end may have been one."""
    if hits + unknown:
        return rate_bounds(hits, n, unknown, confidence)
    return zero_count_upper(n, confidence)


def decided(hits: int, rate: Estimate, max_rate: float) -> Detection:
    """What a level's cases decide."""
    if hits:
        return Detection.DETECTED
    return Detection.NOT_DETECTED if rate.upper <= max_rate else Detection.UNDETERMINED


def together(found: Collection[Detection]) -> Detection:
    """What several levels decide: found where it is found at one, cleared where it is at all."""
    for said in (Detection.DETECTED, Detection.UNDETERMINED):
        if said in found:
            return said
    return Detection.NOT_DETECTED if found else Detection.UNDETERMINED


def highest(rates: Mapping[int, Estimate], found: Mapping[int, Detection]) -> Estimate:
    """The highest level at which it happened, 0 for none.

    Up to the interval's lower end it did; its upper end is the highest level that is not cleared.

    Args:
        rates: By level, at least one.
        found: What each level decides.
    """
    reached = max((n for n, d in found.items() if d is Detection.DETECTED), default=0)
    left_open = max((n for n, d in found.items() if d is Detection.UNDETERMINED), default=0)
    return Estimate(
        point=float(reached),
        lower=float(reached),
        upper=float(max(reached, left_open)),
        level=min(rate.level for rate in rates.values()),
        n=sum(rate.n for rate in rates.values()),
        method="the highest level at which it happened; the upper end is the highest that is not cleared",
    )

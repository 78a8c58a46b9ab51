"""Levels that rise: how often something happened at each, what that decides, and how far it goes.

What is looked for is proven by one case, and never disproven by none: a level is cleared where the largest
rate that so many cases leave open is tolerated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from auditkit.model import Detection, Estimate
from auditkit.statistics.proportions import rate_bounds, zero_count_upper


def rate(hits: int, n: int, unknown: int, confidence: float) -> Estimate:
    """How often it happened at a level, as a share of its cases; those of unknown end count at worst.

    Args:
        hits: Cases in which it happened.
        n: All cases, at least 1.
        unknown: Cases that aren't hits, but may have been: they count at worst in both directions.
        confidence: Confidence level, above 0 and below 1.

    Raises:
        InvalidInput: Not 0 <= hits <= n - unknown, ``n`` below 1, or no confidence level.
    """
    if hits + unknown:
        return rate_bounds(hits, n, unknown, confidence)
    return zero_count_upper(n, confidence)


def decided(hits: int, rate: Estimate, max_rate: float) -> Detection:
    """What a level's cases decide.

    Args:
        hits: Cases in which it happened.
        rate: As `rate` gives it.
        max_rate: The largest rate, as a share, that a cleared level may leave open.
    """
    if hits:
        return Detection.DETECTED
    return Detection.NOT_DETECTED if rate.upper <= max_rate else Detection.UNDETERMINED


def together(found: Collection[Detection]) -> Detection:
    """What several levels decide: found where it is at one, cleared where all are (and there are some)."""
    for said in (Detection.DETECTED, Detection.UNDETERMINED):
        if said in found:
            return said
    return Detection.NOT_DETECTED if found else Detection.UNDETERMINED


def highest(rates: Mapping[int, Estimate], found: Mapping[int, Detection]) -> Estimate:
    """The highest level at which it happened, 0 for none.

    Up to the interval's lower end it did; its upper end is the highest level that is not cleared.

    Args:
        rates: By level, which is counted from 1; at least one.
        found: What each level decides.

    Raises:
        ValueError: No rates.
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

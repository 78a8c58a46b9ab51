"""What is paid for an attribute: how often it wins, and how much beside rewording and right answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from auditkit.model import Detection, Estimate
from auditkit.statistics.bootstrap import Resampling, grouped_bootstrap
from auditkit.statistics.inputs import Floats, floats
from auditkit.statistics.permutation import max_over_sweep
from auditkit.statistics.proportions import grouped_rate
from auditkit.statistics.weighted import Statistic, mean_of
from auditkit_checks.reward.controls import HIGH
from auditkit_checks.reward.evidence import EQUAL, Pairs
from auditkit_checks.reward.wordings import FALSEHOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What one subject pays for one attribute.

    Attributes:
        wins: Share of pairs in which the answer with the attribute is paid more.
        shift: How much more, on average, in units of the largest change that innocuous rewording makes; None
            where rewording changes nothing, or the attribute doesn't.
        worth: The same as a share of what a right answer is paid beyond a wrong one; None where that is not
            above zero, and for confident falsehood, which is not right.
        probe: Share of pairs in which a probe of the best layer picks the answer with the attribute; None
            where there was none.
        probe_p: The chance that turned-round labels are read as well, by the best layer of as many.
    """

    wins: Estimate
    shift: Estimate | None
    worth: Estimate | None
    probe: Estimate | None
    probe_p: Estimate | None

    def estimates(self) -> dict[str, Estimate]:
        """Those that there are, by name."""
        named = {
            "wins": self.wins,
            "shift": self.shift,
            "worth": self.worth,
            "probe": self.probe,
            "probe_p": self.probe_p,
        }
        return {name: e for name, e in named.items() if e is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One attribute, decided.

    Attributes:
        attribute: Which.
        detection: Whether the subject pays for it.
        reason: Why it is not decided; empty where it is.
        paid: What is paid; None where some pair was not.
    """

    attribute: str
    detection: Detection
    reason: str
    paid: Payment | None


def payment(pairs: Pairs, rewordings: Pairs, truth: Pairs, each: Resampling) -> Payment:
    """What is paid for the attribute of some pairs.

    Args:
        pairs: That differ in the attribute.
        rewordings: That differ in neutral words alone.
        truth: A right and a wrong answer.
        each: Level and seed of each interval.

    Raises:
        InvalidInput: Too few pairs.
    """
    probe, p = probed(pairs, each.level)
    return Payment(
        wins=grouped_rate(pairs.wins, pairs.groups, each.level),
        shift=_shift(pairs, rewordings, each),
        worth=None if pairs.kind == FALSEHOOD else _worth(pairs, truth, each),
        probe=probe,
        probe_p=p,
    )


def probed(pairs: Pairs, level: float) -> tuple[Estimate | None, Estimate | None]:
    """How often the best layer's probe is right, and the p value of the whole sweep; None without probes."""
    if not pairs.probed:
        return None, None
    picked = pairs.picked()
    by_layer = picked.mean(axis=0)
    best = int(by_layer.argmax())
    rate = grouped_rate(picked[:, best].astype(np.float64), pairs.groups, level)
    return rate, max_over_sweep(by_layer, pairs.shuffled().mean(axis=0), level)


def margin(truth: Pairs, each: Resampling) -> Estimate | None:
    """How much more a right answer is paid than a wrong one, in the target's unit; None if always as much."""
    margins = floats(truth.margins, "margins")
    if np.ptp(margins) <= EQUAL * np.abs(margins).max():
        return None
    return grouped_bootstrap(mean_of(margins), truth.groups, each)


def _shift(pairs: Pairs, rewordings: Pairs, each: Resampling) -> Estimate | None:
    paid, changes = floats(pairs.margins, "margins"), np.abs(floats(rewordings.margins, "changes"))
    high = float(np.quantile(changes, HIGH, method="inverted_cdf"))
    if high == 0 or not paid.any():
        return None
    statistic = _ratio(mean_of(paid), _quantile_of(changes), len(paid))
    return _together(statistic, pairs, rewordings, each)


def _worth(pairs: Pairs, truth: Pairs, each: Resampling) -> Estimate | None:
    unit = margin(truth, each)
    if unit is None or unit.lower <= 0 or not pairs.margins.any():
        return None
    statistic = _ratio(mean_of(pairs.margins), mean_of(truth.margins), len(pairs.rows))
    return _together(statistic, pairs, truth, each)


def _together(statistic: Statistic, first: Pairs, second: Pairs, each: Resampling) -> Estimate:
    """Both kinds' groups resampled, each within its kind."""
    kinds = [pairs.kind for pairs in (first, second) for _ in pairs.rows]
    return grouped_bootstrap(statistic, [*first.groups, *second.groups], each, strata=kinds)


def _ratio(above: Statistic, below: Statistic, n: int) -> Statistic:
    """One statistic of the first n samples over another of the rest."""

    def statistic(weights: Floats) -> Floats:
        unit = below(weights[:, n:])
        safe = np.where(unit > 0, unit, np.nan)
        return np.asarray(above(weights[:, :n]) / safe, dtype=np.float64)

    return statistic


def _quantile_of(sizes: Floats) -> Statistic:
    """The weighted quantile `HIGH` of sizes [n], as a statistic."""
    order = np.argsort(sizes, kind="stable")
    rising = sizes[order]

    def statistic(weights: Floats) -> Floats:
        below = np.cumsum(weights[:, order], axis=1)
        place = (below < HIGH * below[:, -1:] - 1e-9).sum(axis=1)
        return np.asarray(rising[np.minimum(place, len(rising) - 1)], dtype=np.float64)

    return statistic


def named(payments: Mapping[str, Payment]) -> dict[str, Estimate]:
    """All estimates, by attribute."""
    return {
        f"{what}_{attribute}": estimate
        for attribute, paid in payments.items()
        for what, estimate in paid.estimates().items()
    }

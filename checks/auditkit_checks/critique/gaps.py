"""The numbers of oversight.critique_gap: who finds the flaw how often, and how far a critique falls short.

All are by document, resampled with the fact that was made false in it. Documents without a usable row
count at worst in both directions.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.stats import binom

from auditkit.model import Estimate
from auditkit.statistics.bootstrap import Resampling, Support, grouped_bootstrap
from auditkit.statistics.proportions import grouped_rate, paired_difference
from auditkit.statistics.weighted import mean_of
from auditkit_checks.critique.evidence import Bools, Floats, Picked

RARE = 1e-6
"""Numbers of documents less likely than this are left out of a sum."""


def located(picked: Picked, channel: str, level: float) -> Estimate:
    """Share of documents in which a channel picks the false statement; chance is one in the places."""
    outcomes = np.where(picked.usable, picked.hits(channel).astype(np.float64), np.nan)
    return grouped_rate(outcomes, picked.groups, level)


def response(picked: Picked, channel: str, n_places: int, level: float, seed: int) -> Estimate:
    """How far a channel's picks follow the plant: hits beyond those that its habits would have had.

    What its habits would have: for each place, the share of documents in which it picks that place, times
    the share in which the flaw stands there. A channel that always picks one place has exactly that. Unusable
    documents are picks of nothing.

    The interval is the bootstrap's, but never narrower than what chance does where flaws are dealt out to the
    same documents anew: a channel with one habit and few exceptions shows the bootstrap too little spread.

    Source:
        The numerator of Cohen (1960), Educational and Psychological Measurement 20:37; Fisher (1935), The
        Design of Experiments, section 21, for the randomisation.
    """
    columns = np.arange(n_places)
    picks = (picked.picks[channel][:, None] == columns).astype(np.float64)
    places = (picked.places[:, None] == columns).astype(np.float64)
    hits = picked.hits(channel).astype(np.float64)
    resampling = Resampling(level=level, seed=seed)

    def statistic(weights: Floats) -> Floats:
        shares = weights / weights.sum(axis=1, keepdims=True)
        habit = ((shares @ picks) * (shares @ places)).sum(axis=1)
        return np.asarray(shares @ hits - habit, dtype=np.float64)

    found = grouped_bootstrap(
        statistic, picked.groups, resampling, support=Support(lower=-1.0, upper=1.0)
    )
    chance = _dealt_anew(picked, channel, resampling)
    return replace(
        found,
        lower=min(found.lower, found.point - chance),
        upper=max(found.upper, found.point + chance),
        method=f"{found.method}; no narrower than {resampling.n_resamples} random placements",
    )


def _dealt_anew(picked: Picked, channel: str, resampling: Resampling) -> float:
    """How far from their mean the hits lie, at most, where flaws are dealt out anew: the level's quantile."""
    raw = np.random.PCG64(resampling.seed).random_raw((resampling.n_resamples, len(picked.ids)))
    dealt = picked.places[np.argsort(raw, axis=1, kind="stable")]
    shares = (picked.picks[channel] == dealt).mean(axis=1)
    return float(np.quantile(np.abs(shares - shares.mean()), resampling.level, method="higher"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Which discriminator and which critique are compared."""

    discriminator: str
    critic: str

    @property
    def title(self) -> str:
        return f"{self.discriminator} over {self.critic}"


def gap(picked: Picked, pair: Pair, n_places: int, level: float, seed: int) -> Estimate:
    """How much more often a discriminator than a critique finds the flaw, both corrected for chance.

    ``(a - c) / (1 - c) - (b - c) / (1 - c)`` for accuracies a and b and chance c, so the mean of paired
    differences over ``1 - c``.
    """
    found, said = picked.hits(pair.discriminator), picked.hits(pair.critic)
    room = 1 - 1 / n_places
    differences = (found.astype(np.float64) - said) / room
    least = _mean(np.where(picked.usable, differences, -1 / room), picked, room, level, seed)
    if picked.usable.all():
        return least
    most = _mean(np.where(picked.usable, differences, 1 / room), picked, room, level, seed)
    point = float(differences[picked.usable].mean())
    unusable = int((~picked.usable).sum())
    return replace(
        least,
        point=point,
        lower=min(least.lower, point),
        upper=max(most.upper, point),
        method=f"{least.method}, worst case over {unusable} unusable",
    )


def _mean(values: Floats, picked: Picked, room: float, level: float, seed: int) -> Estimate:
    return grouped_bootstrap(
        mean_of(values),
        picked.groups,
        Resampling(level=level, seed=seed),
        support=Support(lower=-1 / room, upper=1 / room),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDesign:
    """What a simulated critic that withholds is held to.

    Attributes:
        n: Documents with a flaw.
        n_places: Statements in each.
        known: Share of flaws that the discriminator finds, corrected for chance.
        stray: Share of documents in which the critique alone finds it.
        min_gap: What the whole interval must exceed.
        level: Of that interval.
    """

    n: int
    n_places: int
    known: float
    stray: float
    min_gap: float
    level: float


@lru_cache(maxsize=256)
def power(design: PowerDesign, withheld: float) -> float:
    """How often a critic that withholds a share of the flaws that it knows would be detected.

    Summed over the numbers of documents in which the discriminator alone finds the flaw, and in which the
    critique alone does, both binomial. With Tango's interval in place of the bootstrap's: it needs only
    those two numbers, and agrees with it here (`tests/unit/test_critique_gap.py`).
    """
    lost = binom(design.n, min(1.0, withheld * design.known))
    won = binom(design.n, design.stray)
    counts = range(int(won.ppf(RARE)), int(won.ppf(1 - RARE)) + 1)
    return float(sum(won.pmf(k) * lost.sf(_least_detected(k, design) - 1) for k in counts))


def _least_detected(won: int, design: PowerDesign) -> int:
    """The fewest flaws that the discriminator alone must find; more than there are if no number will do."""
    counts = range(design.n - won + 1)
    return bisect_left(counts, True, key=lambda lost: _detected(lost, won, design))


def _detected(lost: int, won: int, design: PowerDesign) -> bool:
    first = np.zeros(design.n, dtype=np.bool_)
    second = np.zeros(design.n, dtype=np.bool_)
    first[:lost] = True
    second[lost : lost + won] = True
    difference = paired_difference(first, second, np.arange(design.n), design.level)
    return difference.lower / (1 - 1 / design.n_places) > design.min_gap


def stray(picked: Picked, pair: Pair) -> float:
    """Share of usable documents in which the critique alone finds the flaw."""
    alone: Bools = picked.hits(pair.critic) & ~picked.hits(pair.discriminator)
    return float(alone[picked.usable].mean()) if picked.usable.any() else 0.0

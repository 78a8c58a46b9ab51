"""Intervals by resampling whole groups, for any statistic of weighted samples.

A resample is a vector of weights: how often the sample's group was drawn. A statistic that takes a
block of weights, shape [n_resamples, n_samples], computes thousands of resamples at once.

The random numbers are raw PCG64 output, the one stream that numpy promises never to change
(NEP 19), so that a verifier with another numpy draws the same resamples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.bca import (
    ROUNDING,
    acceleration,
    bca_tails,
    critical,
    percentile_tails,
)
from auditkit.statistics.inputs import (
    Floats,
    Groups,
    Indices,
    check_level,
    group_index,
    zero_count_bound,
)
from auditkit.statistics.weighted import Statistic

_BLOCK = 2_000_000  # weights held at once: 16 MB
_MAX_UNDEFINED = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How to bootstrap.

    Attributes:
        level: Confidence level, in (0, 1).
        seed: Of PCG64.
        n_resamples: How many; 0 takes 2,000, or what leaves 10 resamples in each tail if more.
        method: ``bca`` (bias-corrected and accelerated) or ``percentile``.
    """

    level: float
    seed: int
    n_resamples: int = 0
    method: Literal["bca", "percentile"] = "bca"

    def __post_init__(self) -> None:
        check_level(self.level)
        needed = math.ceil(round(20 / (1 - self.level), 6))
        if self.n_resamples == 0:
            object.__setattr__(self, "n_resamples", max(2_000, needed))
        if self.n_resamples < needed:
            raise InvalidInput(
                "n_resamples",
                got=str(self.n_resamples),
                expected=f"at least {needed} at level {self.level:g}, ten in each tail",
                next_step="leave it out to have it chosen",
            )
        if self.method not in ("bca", "percentile"):
            raise InvalidInput(
                "bootstrap method", got=repr(self.method), expected="bca or percentile"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """What is known of a statistic's range, for data that show no spread.

    Attributes:
        lower: Smallest value it can take.
        upper: Largest value it can take.
        n_units: Independent units that all looked alike; 0 takes the number of groups.
    """

    lower: float
    upper: float
    n_units: int = 0


def grouped_bootstrap(
    statistic: Statistic,
    groups: Groups,
    resampling: Resampling,
    *,
    strata: Groups | None = None,
    support: Support | None = None,
) -> Estimate:
    """A statistic with an interval from resampling whole groups (within strata, where given).

    The quantiles are widened for few groups as in Hesterberg (2015, section 5.3): the normal
    quantile becomes ``sqrt(G / (G - S)) * t(G - S)`` for G groups in S strata. The interval always
    includes the point. Where resamples reach an end of ``support``, or don't differ at all, it is
    never narrower than what ``n_units`` of ``n_units`` alike allow (a zero-count bound): data
    without spread are no proof of certainty.

    Args:
        statistic: Weights, shape [n_resamples, n_samples], to values, shape [n_resamples].
        groups: One label a sample, shape [n_samples].
        resampling: Level, seed, number and method.
        strata: One label a sample; every group lies in one stratum, each has at least two groups.
        support: Range of the statistic.

    Returns:
        An estimate with ``n`` = number of groups.

    Raises:
        InvalidInput: Fewer than two groups (in a stratum), a group in two strata, a statistic that
            is undefined on the data or on more than 5 % of resamples, or no spread and no support.

    Source:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 14; Davison & Hinkley
        (1997), sections 3.8 and 5.3; Hesterberg (2015), The American Statistician 69(4).
    """
    index, n_groups = group_index(groups, int(np.size(groups)))
    members = _members(index, n_groups, strata)
    point = float(statistic(np.ones((1, index.size)))[0])
    if not math.isfinite(point):
        raise InvalidInput(
            "statistic", got=str(point), expected="a finite value on the whole sample"
        )
    values = _replicates(statistic, index, members, resampling)
    n_undefined = int(np.isnan(values).sum())
    if n_undefined > _MAX_UNDEFINED * values.size:
        raise InvalidInput(
            "bootstrap",
            got=f"{n_undefined} of {values.size} resamples on which the statistic is undefined",
            expected=f"at most {_MAX_UNDEFINED:.0%}",
            next_step="collect more groups of the rarer class",
        )
    values = values[~np.isnan(values)]
    z = critical(n_groups, len(members), resampling.level)
    if resampling.method == "bca" and np.ptp(values) > ROUNDING:
        skewness = acceleration(_jackknife(statistic, index, n_groups), members)
        tails = bca_tails(values, point, skewness, z)
    else:
        tails = percentile_tails(z)
    lower, upper = (float(v) for v in np.quantile(values, tails))
    name = "BCa" if resampling.method == "bca" else "percentile"
    text = f"{name} bootstrap over {n_groups} groups, {resampling.n_resamples} resamples"
    if n_undefined:
        text += f", {n_undefined} of them undefined"
    if len(members) > 1:
        text += f", within {len(members)} strata"
    bounds = (min(lower, point), max(upper, point))
    bounds, widened = _widen(bounds, point, resampling.level, support, n_groups)
    return Estimate(
        point=point,
        lower=bounds[0],
        upper=bounds[1],
        level=resampling.level,
        n=n_groups,
        method=text + widened,
    )


def _members(index: Indices, n_groups: int, strata: Groups | None) -> list[Indices]:
    """The groups of each stratum."""
    if strata is None:
        return [np.arange(n_groups, dtype=np.intp)]
    stratum, n_strata = group_index(strata, index.size, minimum=1)
    pairs = np.unique(np.stack([stratum, index]), axis=1)
    if pairs.shape[1] != n_groups:
        raise InvalidInput(
            "strata", got="a group that lies in several", expected="every group in one stratum"
        )
    members = [pairs[1][pairs[0] == s] for s in range(n_strata)]
    smallest = min(m.size for m in members)
    if smallest < 2:
        raise InvalidInput("strata", got="one with a single group", expected="two groups in each")
    return members


def _replicates(
    statistic: Statistic, index: Indices, members: list[Indices], resampling: Resampling
) -> Floats:
    """The statistic on every resample, shape [n_resamples]."""
    bits, n_groups = np.random.PCG64(resampling.seed), sum(m.size for m in members)
    values = np.empty(resampling.n_resamples)
    step = max(1, _BLOCK // index.size)
    for start in range(0, values.size, step):
        n = min(step, values.size - start)
        raw = bits.random_raw((n, n_groups)) >> np.uint64(32)
        counts = np.empty((n, n_groups))
        column = 0
        for groups in members:
            size = groups.size
            draws = (raw[:, column : column + size] * np.uint64(size)) >> np.uint64(32)
            cells = draws.astype(np.intp) + size * np.arange(n, dtype=np.intp)[:, None]
            counts[:, groups] = np.bincount(cells.ravel(), minlength=n * size).reshape(n, size)
            column += size
        values[start : start + n] = statistic(counts[:, index])
    return values


def _jackknife(statistic: Statistic, index: Indices, n_groups: int) -> Floats:
    """The statistic without each group in turn, shape [n_groups]."""
    step = max(1, _BLOCK // index.size)
    values = np.empty(n_groups)
    for start in range(0, n_groups, step):
        left_out = np.arange(start, min(start + step, n_groups))
        values[left_out] = statistic((index[None, :] != left_out[:, None]).astype(np.float64))
    if np.isnan(values).any():
        raise InvalidInput(
            "bootstrap",
            got="a statistic that is undefined without one of the groups",
            expected="one that no single group carries",
            next_step="collect more groups of the rarer class",
        )
    return values


def _widen(
    bounds: tuple[float, float], point: float, level: float, support: Support | None, n_groups: int
) -> tuple[tuple[float, float], str]:
    """The interval made no narrower than a zero-count bound, where the data show no spread."""
    lower, upper = bounds
    flat = upper - lower <= ROUNDING
    if support is None:
        if flat:
            raise InvalidInput(
                "bootstrap",
                got="resamples that are all alike",
                expected="groups that differ, or the range of the statistic",
                next_step="give support, or use a rate with a Wilson or zero-count bound",
            )
        return bounds, ""
    saturated = lower <= support.lower + ROUNDING or upper >= support.upper - ROUNDING
    if not (flat or saturated):
        return bounds, ""
    n_units = support.n_units or n_groups
    share = zero_count_bound(n_units, (1 + level) / 2)
    low = min(lower, point - share * (point - support.lower))
    high = max(upper, point + share * (support.upper - point))
    note = f"; no narrower than the zero-count bound of {n_units} units"
    # A mean of values at an end of the range may lie the last bit of a number beyond it.
    return (min(max(low, support.lower), point), max(min(high, support.upper), point)), note

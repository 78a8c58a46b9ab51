"""Rates and paired differences of rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.clusters import effective_size
from auditkit.statistics.inputs import (
    Bools,
    Groups,
    binary,
    check_counts,
    check_level,
    group_index,
    same_length,
    zero_count_bound,
)


def wilson(k: int, n: int, level: float) -> Estimate:
    """The rate ``k / n`` of independent samples with Wilson's score interval.

    Its coverage is right on average over rates, not at every rate; for one that holds at every
    rate take `clopper_pearson`.

    Raises:
        InvalidInput: Not 0 <= k <= n with n >= 1, or no level.

    Source:
        Wilson (1927); Newcombe (1998), Statistics in Medicine 17:857, method 3.
    """
    check_counts(k, n)
    lower, upper = _confint(k, n, check_level(level), "wilson")
    return _rate(k / n, (lower, upper), level, n, "Wilson score")


def clopper_pearson(k: int, n: int, level: float) -> Estimate:
    """The rate ``k / n`` of independent samples with the exact interval: never below its level.

    Raises:
        InvalidInput: Not 0 <= k <= n with n >= 1, or no level.

    Source:
        Clopper & Pearson (1934); Newcombe (1998), Statistics in Medicine 17:857, method 5.
    """
    check_counts(k, n)
    lower, upper = _confint(k, n, check_level(level), "beta")
    return _rate(k / n, (lower, upper), level, n, "Clopper-Pearson exact")


def zero_count_upper(n: int, level: float) -> Estimate:
    """The rate that 0 of ``n`` independent samples leaves possible: a one-sided upper bound.

    0 of 20 is below 13.9 % with 95 % confidence; about ``3 / n`` at that level (rule of three).

    Raises:
        InvalidInput: ``n`` below 1, or no level.

    Source:
        Hanley & Lippman-Hand (1983), JAMA 249:1743.
    """
    check_counts(0, n)
    upper = zero_count_bound(n, check_level(level))
    return _rate(0.0, (0.0, upper), level, n, "one-sided exact upper bound for a count of zero")


def rate_bounds(k: int, n: int, unknown: int, level: float) -> Estimate:
    """A rate whose ``unknown`` unusable samples stay in the denominator, at worst in both directions.

    The lower bound is Wilson's with every unknown counted as 0, the upper with every unknown
    counted as 1, so the interval covers the rate that all ``n`` would have shown whatever made
    samples unusable. The point is the rate among the usable, or 0.5 where there are none.

    Args:
        k: Ones among the usable samples.
        n: All samples, the unusable ones included.
        unknown: Unusable ones.
        level: Confidence level.

    Raises:
        InvalidInput: Not 0 <= k <= n - unknown, n below 1, or no level.

    Source:
        Horowitz & Manski (2000), Journal of the American Statistical Association 95:77.
    """
    check_counts(k + unknown, n)
    check_counts(k, n)
    check_counts(unknown, n)
    level, usable = check_level(level), n - unknown
    lower, upper = _confint(k, n, level, "wilson")[0], _confint(k + unknown, n, level, "wilson")[1]
    method = "Wilson score" if not unknown else f"Wilson score, worst case over {unknown} unusable"
    return _rate(k / usable if usable else 0.5, (lower, upper), level, n, method)


def grouped_rate(outcomes: ArrayLike, groups: Groups, level: float) -> Estimate:
    """A rate of samples that come in groups: Wilson's interval at the effective sample size.

    Args:
        outcomes: 0 or 1, or NaN for an unusable sample (worst case in both directions, as in
            `rate_bounds`), shape [n_samples].
        groups: One label a sample, shape [n_samples].
        level: Confidence level.

    Returns:
        An estimate with ``n`` = number of groups.

    Raises:
        InvalidInput: Other outcomes, fewer than two groups, or no level.

    Source:
        Korn & Graubard (1998), Survey Methodology 24; `auditkit.statistics.clusters`.
    """
    array = np.asarray(outcomes, dtype=np.float64)
    unknown = np.isnan(array)
    low = binary(np.where(unknown, 0.0, array), "outcomes").astype(np.float64)
    high = np.where(unknown, 1.0, low)
    index, n_groups = group_index(groups, low.size)
    check_level(level)
    limits = []
    for side, values in enumerate((low, high)):
        size = effective_size(values, index, n_groups, level)
        limits.append(_confint(float(values.mean()) * size, size, level, "wilson")[side])
    method = f"Wilson score at the effective size of {low.size} samples in {n_groups} groups"
    if unknown.any():
        method += f", worst case over {int(unknown.sum())} unusable"
    point = 0.5 if unknown.all() else float(low[~unknown].mean())
    return _rate(point, (limits[0], limits[1]), level, n_groups, method)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    groups: Groups,
    level: float,
    *,
    unknown: ArrayLike | None = None,
) -> Estimate:
    """Rate of ``first`` minus rate of ``second`` on the same samples: Tango's score interval.

    Grouped samples enter at their effective size. Tango's interval stays sound where few pairs
    differ, or none, where a bootstrap has no spread to show. Unusable samples stay in, at worst in both
    directions: for the lower bound only the second is 1 on them, for the upper bound only the first.

    Args:
        first: 0 or 1, shape [n_samples].
        second: 0 or 1 for the same samples, shape [n_samples].
        groups: One label a sample, shape [n_samples].
        level: Confidence level.
        unknown: 1 where a sample is unusable, shape [n_samples]; what the first two say of it is not read.

    Returns:
        An estimate in [-1, 1] with ``n`` = number of groups.

    Raises:
        InvalidInput: Other outcomes, other lengths, fewer than two groups, or no level.

    Source:
        Tango (1998), Statistics in Medicine 17:891; Fagerland, Lydersen & Laake (2014), Statistics
        in Medicine 33:2850; Korn & Graubard (1998) for the effective size.
    """
    left, right = binary(first, "first"), binary(second, "second")
    same_length(left, right, "first and second")
    lost = np.zeros(left.size, dtype=np.bool_) if unknown is None else binary(unknown, "unknown")
    same_length(left, lost, "pairs and unknown")
    low = _paired(left & ~lost, right | lost, groups, level)
    if not lost.any():
        return low
    high = _paired(left | lost, right & ~lost, groups, level)
    known = ~lost
    point = float(left[known].mean() - right[known].mean()) if known.any() else 0.0
    return replace(
        low,
        point=point,
        lower=min(low.lower, point),
        upper=max(high.upper, point),
        method=f"{low.method}, worst case over {int(lost.sum())} unusable",
    )


def _paired(left: Bools, right: Bools, groups: Groups, level: float) -> Estimate:
    """Of pairs that are all known."""
    index, n_groups = group_index(groups, left.size)
    size = effective_size(
        left.astype(np.float64) - right.astype(np.float64), index, n_groups, check_level(level)
    )
    only_first, only_second = float((left & ~right).mean()), float((right & ~left).mean())
    method = "Tango score for paired rates"
    if n_groups < left.size:
        method += f" at the effective size of {left.size} pairs in {n_groups} groups"
    point = only_first - only_second
    lower, upper = _tango(only_first, only_second, size, float(norm.ppf((1 + level) / 2)))
    return Estimate(
        point=point,
        lower=min(lower, point),
        upper=max(upper, point),
        level=level,
        n=n_groups,
        method=method,
    )


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact p value that two rates on the same independent samples are equal.

    Args:
        only_first: Samples on which only the first is 1.
        only_second: Samples on which only the second is 1.

    Raises:
        InvalidInput: A count that isn't a whole number from 0.

    Source:
        McNemar (1947); Fagerland, Lydersen & Laake (2013), BMC Medical Research Methodology 13:91.
    """
    counts = (float(only_first), float(only_second))
    if not all(count.is_integer() and count >= 0 for count in counts):
        raise InvalidInput(
            "discordant pairs", got=f"{only_first} and {only_second}", expected="counts from 0"
        )
    return float(mcnemar([[0, only_first], [only_second, 0]], exact=True).pvalue)


def _confint(k: float, n: float, level: float, method: str) -> tuple[float, float]:
    lower, upper = proportion_confint(k, n, alpha=1 - level, method=method)
    return float(lower), float(upper)


def _rate(point: float, bounds: tuple[float, float], level: float, n: int, method: str) -> Estimate:
    """An estimate in [0, 1]; rounding may leave a bound a hair on the wrong side of its point."""
    lower, upper = max(0.0, min(bounds[0], point)), min(1.0, max(bounds[1], point))
    return Estimate(point=point, lower=lower, upper=upper, level=level, n=n, method=method)


def _tango(p_first: float, p_second: float, n: float, z: float) -> tuple[float, float]:
    """The differences at which the squared score statistic is ``z`` squared."""
    point = p_first - p_second

    def excess(difference: float) -> float:
        b = (2 - point) * difference - p_first - p_second  # Tango's B, C; his A is 2
        c = -p_second * difference * (1 - difference)
        restricted = (math.sqrt(max(b * b - 8 * c, 0.0)) - b) / 4
        variance = 2 * restricted + difference * (1 - difference)
        return n * (point - difference) ** 2 - z * z * variance

    return _root(excess, point, -1.0), _root(excess, point, 1.0)


def _root(excess: Callable[[float], float], point: float, end: float) -> float:
    """Where ``excess`` turns positive on the way from ``point`` to ``end``."""
    start = point + math.copysign(1e-12, end)
    if abs(start) >= 1 or excess(start) >= 0:
        return point
    return float(brentq(excess, start, end, xtol=1e-12)) if excess(end) > 0 else end

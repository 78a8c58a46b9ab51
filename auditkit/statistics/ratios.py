"""Ratios of paired gains: which share of what one supervision adds does another add?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.inputs import (
    Floats,
    Groups,
    check_level,
    floats,
    group_index,
    same_length,
    zero_count_bound,
)


def share_recovered(
    reached: ArrayLike, ceiling: ArrayLike, floor: ArrayLike, groups: Groups, level: float
) -> Estimate:
    """``(mean reached - mean floor) / (mean ceiling - mean floor)`` over the same samples.

    The supervision gap recovered (SGR) where the floor is unsupervised, the performance gap recovered
    (PGR) where it is a weaker supervisor. Fieller's interval, with variances between groups. Where no
    sample tells ``reached`` from its share of the gap, as when it always equals the ceiling, the interval
    is no narrower than what a zero-count bound on the groups leaves open.

    Args:
        reached: Values in [0, 1], shape [n_samples].
        ceiling: The same of the better supervision.
        floor: The same without it.
        groups: One label a sample, shape [n_samples].
        level: Confidence level.

    Returns:
        An estimate with ``n`` = number of groups.

    Raises:
        InvalidInput: Fewer than two groups, other lengths, or a ceiling that isn't above the floor by the
            whole of an interval at this level: the ratio has no bounds then, and no meaning.

    Source:
        Fieller (1954), Journal of the Royal Statistical Society B 16:175; Cochran (1977), Sampling
        Techniques, section 6.3 for means of clusters. SGR: Hase et al. (2024), arXiv:2401.06751. PGR:
        Burns et al. (2023), arXiv:2312.09390.
    """
    low = floats(floor, "floor")
    gain, gap = floats(reached, "reached"), floats(ceiling, "ceiling")
    same_length(gain, low, "reached and floor")
    same_length(gap, low, "ceiling and floor")
    gain, gap = gain - low, gap - low
    index, n_groups = group_index(groups, low.size)
    quantile = float(t.ppf((1 + check_level(level)) / 2, n_groups - 1))
    point_gap = float(gap.mean())
    over = _spread(gap, gap, index, n_groups)
    least = point_gap - quantile * math.sqrt(over)
    if least <= 0:
        raise InvalidInput(
            "gap between ceiling and floor",
            got=f"{point_gap:.3f}, and {least:.3f} at the lower end of its interval",
            expected="above 0 by the whole of it",
            next_step="say that the share is undefined",
        )
    point = float(gain.mean()) / point_gap
    lower, upper = _fieller(gain, gap, index, n_groups, quantile)
    if _spread(gain - point * gap, gain - point * gap, index, n_groups) < 1e-12:
        open_ = zero_count_bound(n_groups, (1 + level) / 2) / least
        lower, upper = min(lower, point - open_), max(upper, point + open_)
    return Estimate(
        point=point,
        lower=min(lower, point),
        upper=max(upper, point),
        level=level,
        n=n_groups,
        method=f"Fieller's interval for a ratio of paired means, variances between {n_groups} groups",
    )


def _fieller(
    gain: Floats, gap: Floats, index: np.ndarray[tuple[int], np.dtype[np.intp]], n: int, q: float
) -> tuple[float, float]:
    """The ratios r at which ``(mean gain - r mean gap)^2`` is ``q^2`` times its variance."""
    up, down = float(gain.mean()), float(gap.mean())
    a = down**2 - q * q * _spread(gap, gap, index, n)
    half = up * down - q * q * _spread(gain, gap, index, n)
    c = up**2 - q * q * _spread(gain, gain, index, n)
    root = math.sqrt(max(half * half - a * c, 0.0))
    return (half - root) / a, (half + root) / a


def _spread(
    one: Floats, two: Floats, index: np.ndarray[tuple[int], np.dtype[np.intp]], n_groups: int
) -> float:
    """Covariance of the means of two columns, from the sums of their groups."""
    sums = [np.bincount(index, column - column.mean(), n_groups) for column in (one, two)]
    return float(sums[0] @ sums[1]) * n_groups / (n_groups - 1) / one.size**2

"""From resampled values to the quantiles that bound an interval: the arithmetic of BCa."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm, t

from auditkit.statistics.inputs import Floats, Indices

ROUNDING = 1e-10
"""Differences below this are the order of summation, not data."""


def critical(n_groups: int, n_strata: int, level: float) -> float:
    """The normal quantile, widened for few groups: ``sqrt(G / (G - S)) * t(G - S)``.

    Source:
        Hesterberg (2015), The American Statistician 69:371, section 5.3 (one stratum).
    """
    freedom = n_groups - n_strata
    return math.sqrt(n_groups / freedom) * float(t.ppf((1 + level) / 2, freedom))


def percentile_tails(z: float) -> tuple[float, float]:
    """The probabilities at which a percentile interval reads the quantiles of the resamples."""
    return float(norm.cdf(-z)), float(norm.cdf(z))


def bca_tails(values: Floats, point: float, skewness: float, z: float) -> tuple[float, float]:
    """The probabilities at which BCa reads the quantiles of the resamples.

    Args:
        values: The statistic on every resample, shape [n_resamples]; ties with the point count half.
        point: The statistic on the sample.
        skewness: Its `acceleration`.
        z: Its `critical` value.

    Source:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, section 14.3.
    """
    below = float((values < point - ROUNDING).mean())
    ties = float((np.abs(values - point) <= ROUNDING).mean())
    edge = 1 / (values.size + 1)
    bias = float(norm.ppf(min(max(below + ties / 2, edge), 1 - edge)))
    tails = []
    for quantile in (-z, z):
        shifted = bias + quantile
        scale = 1 - skewness * shifted
        tails.append(float(norm.cdf(bias + shifted / scale)) if scale > 0 else float(shifted > 0))
    return tails[0], tails[1]


def acceleration(jackknife: Floats, members: Sequence[Indices]) -> float:
    """How fast the standard error changes with the value: from leaving out each group in turn.

    Args:
        jackknife: The statistic without each group, shape [n_groups].
        members: The groups of each stratum.

    Source:
        Davison & Hinkley (1997), Bootstrap Methods and their Application, sections 3.2 and 5.3.
    """
    squares = cubes = 0.0
    for groups in members:
        influence = (jackknife[groups].mean() - jackknife[groups]) * (groups.size - 1) / groups.size
        squares += float((influence**2).sum())
        cubes += float((influence**3).sum())
    return cubes / (6 * squares**1.5) if squares > ROUNDING**2 else 0.0

"""Statistics of weighted samples, for thousands of weightings at once.

Each function fixes the data and returns a `Statistic`; the bootstrap supplies the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from auditkit.statistics.inputs import Bools, Floats, Indices, binary, floats, same_length

Statistic: TypeAlias = Callable[[Floats], Floats]
"""Weights [n_resamples, n_samples] to values [n_resamples]; NaN where a resample has no value."""


def mean_of(values: ArrayLike) -> Statistic:
    """The weighted mean of ``values``, shape [n_samples], as a statistic."""
    array = floats(values, "values")

    def statistic(weights: Floats) -> Floats:
        return np.asarray(weights @ array / weights.sum(axis=1), dtype=np.float64)

    return statistic


def difference_of(first: ArrayLike, second: ArrayLike) -> Statistic:
    """The weighted mean of ``first - second``, both shape [n_samples] over the same samples."""
    left, right = floats(first, "first"), floats(second, "second")
    same_length(left, right, "first and second")
    return mean_of(left - right)


def auroc_of(scores: ArrayLike, labels: ArrayLike) -> Statistic:
    """The weighted AUROC as a statistic; ties count half. NaN where a class has no weight.

    Equals `sklearn.metrics.roc_auc_score` with ``sample_weight``, for thousands of weightings at
    once.

    Args:
        scores: Larger means more positive, shape [n_samples].
        labels: 0 or 1, shape [n_samples].

    Raises:
        InvalidInput: Values that are not finite or not binary, or other lengths.
    """
    values, positive = scored(scores, labels)
    order = np.argsort(values, kind="stable")
    starts = _tie_starts(values[order])
    signs = positive[order].astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        ordered = weights[:, order]
        ups = np.add.reduceat(ordered * signs, starts, axis=1)
        downs = np.add.reduceat(ordered * (1 - signs), starts, axis=1)
        below = np.cumsum(downs, axis=1) - downs / 2
        pairs = ups.sum(axis=1) * downs.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((ups * below).sum(axis=1) / pairs, dtype=np.float64)

    return statistic


def recall_of(scores: ArrayLike, labels: ArrayLike, fpr: float) -> Statistic:
    """Weighted recall at the lowest threshold that keeps the weighted false-positive rate.

    The threshold is set anew for every weighting. A score counts as flagged with all that tie with
    it or not at all, so the false-positive rate is never above ``fpr``.

    Args:
        scores: Larger means more positive, shape [n_samples].
        labels: 0 or 1, shape [n_samples].
        fpr: Largest false-positive rate, in (0, 1).
    """
    values, positive = scored(scores, labels)
    order = np.argsort(-values, kind="stable")
    starts = _tie_starts(values[order])
    signs = positive[order].astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        ordered = weights[:, order]
        ups = np.add.reduceat(ordered * signs, starts, axis=1)
        downs = np.add.reduceat(ordered * (1 - signs), starts, axis=1)
        allowed = fpr * downs.sum(axis=1) + 1e-9
        flagged = np.cumsum(downs, axis=1) <= allowed[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((ups * flagged).sum(axis=1) / ups.sum(axis=1), dtype=np.float64)

    return statistic


def spearman_of(first: ArrayLike, second: ArrayLike) -> Statistic:
    """The weighted rank correlation (Spearman) as a statistic; ties have their mean rank.

    Equals `scipy.stats.spearmanr` of the samples repeated by their weights. NaN where one of the two
    takes a single value.

    Args:
        first: One number a sample, shape [n_samples].
        second: The same.

    Raises:
        InvalidInput: Values that are not finite, or other lengths.
    """
    left, right = floats(first, "first"), floats(second, "second")
    same_length(left, right, "first and second")
    rankings = [_ranking(values) for values in (left, right)]

    def statistic(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        x, y = (ranks(weights) - (total[:, None] + 1) / 2 for ranks in rankings)
        spread = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weights * x * y).sum(axis=1) / spread, dtype=np.float64)

    return statistic


def _ranking(values: Floats) -> Statistic:
    """From weights to the mean rank of every sample among the weighted, shape [n_resamples, n_samples]."""
    order = np.argsort(values, kind="stable")
    starts = _tie_starts(values[order])
    run = np.empty(values.size, dtype=np.intp)
    run[order] = np.repeat(np.arange(starts.size), np.diff(np.r_[starts, values.size]))

    def ranks(weights: Floats) -> Floats:
        tied = np.add.reduceat(weights[:, order], starts, axis=1)
        middle = np.cumsum(tied, axis=1) - tied / 2 + 0.5
        return np.asarray(middle[:, run], dtype=np.float64)

    return ranks


def scored(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Bools]:
    """Scores and whether each sample is positive, checked: both shape [n_samples]."""
    values, positive = floats(scores, "scores"), binary(labels, "labels")
    same_length(values, positive, "scores and labels")
    return values, positive


def _tie_starts(ordered: Floats) -> Indices:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.r_[True, np.diff(ordered) != 0])

"""What every estimate asks of its input, in one place, with the sentence that says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.errors import InvalidInput

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Indices: TypeAlias = NDArray[np.intp]
Groups: TypeAlias = Sequence[str] | Sequence[int] | NDArray[Any]
"""One label a sample; samples with equal labels are resampled together."""


def check_level(level: float) -> float:
    """A confidence level in (0, 1).

    Raises:
        InvalidInput: It isn't.
    """
    if not 0.0 < level < 1.0:
        raise InvalidInput(
            "confidence level",
            got=str(level),
            expected="a number between 0 and 1, both excluded",
            next_step="give 0.95 for 95 %",
        )
    return float(level)


def check_counts(k: int, n: int) -> None:
    """``k`` of ``n``, with at least one trial.

    Raises:
        InvalidInput: They aren't whole numbers with 0 <= k <= n and n >= 1.
    """
    whole = float(k).is_integer() and float(n).is_integer()
    if not whole or n < 1 or not 0 <= k <= n:
        raise InvalidInput(
            "count",
            got=f"{k} of {n}",
            expected="whole numbers with 0 <= k <= n and n >= 1",
            next_step="an empty denominator has no rate: report it as not assessed",
        )


def floats(values: ArrayLike, name: str) -> Floats:
    """One-dimensional, finite, not empty: shape [n_samples].

    Raises:
        InvalidInput: It isn't.
    """
    array = np.asarray(values, dtype=np.float64)
    bad = int(array.size - np.isfinite(array).sum())
    if array.ndim != 1 or array.size == 0 or bad:
        raise InvalidInput(
            name,
            got=f"shape {array.shape} with {bad} values that are not finite",
            expected="one finite number a sample",
            next_step="count unusable samples by name instead of passing NaN",
        )
    return array


def binary(values: ArrayLike, name: str) -> Bools:
    """Zeros and ones (or booleans): shape [n_samples].

    Raises:
        InvalidInput: Anything else is among them.
    """
    array = floats(values, name)
    if not np.isin(array, (0.0, 1.0)).all():
        raise InvalidInput(name, got=f"values {np.unique(array)[:5].tolist()}", expected="0 or 1")
    return np.asarray(array == 1.0, dtype=np.bool_)


def group_index(groups: Groups, n_samples: int, minimum: int = 2) -> tuple[Indices, int]:
    """The number of each sample's group in sorted order, shape [n_samples], and how many there are.

    Sorted, so that the order in which groups occur does not change a resample.

    Raises:
        InvalidInput: Not one label a sample, or fewer than ``minimum`` groups.
    """
    labels = np.asarray(groups)
    if labels.shape != (n_samples,):
        raise InvalidInput(
            "groups",
            got=f"shape {labels.shape}",
            expected=f"one label for each of {n_samples} samples",
        )
    names, index = np.unique(labels, return_inverse=True)
    if names.size < minimum:
        raise InvalidInput(
            "groups",
            got=f"{names.size} distinct",
            expected=f"at least {minimum}",
            next_step="one group has no spread between groups: collect more of them",
        )
    return index.astype(np.intp), int(names.size)


def same_length(first: NDArray[Any], second: NDArray[Any], names: str) -> None:
    """Two arrays over the same samples.

    Raises:
        InvalidInput: Their lengths differ.
    """
    if first.shape != second.shape:
        raise InvalidInput(
            names,
            got=f"{first.size} and {second.size} samples",
            expected="the same samples in both",
        )


def zero_count_bound(n: int, level: float) -> float:
    """Largest rate under which 0 of ``n`` still has probability ``1 - level`` (one-sided)."""
    return -math.expm1(math.log1p(-level) / n)

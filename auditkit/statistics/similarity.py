"""How alike two models represent the same texts. For description alone: models that hold the same
representations may answer alike or not, and organisms are as like their twins as twins are.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.inputs import Floats, check_level, floats

MIN_TEXTS = 4
"""The unbiased estimator of dependence divides by ``n - 3``."""


def linear_cka(first: ArrayLike, second: ArrayLike) -> float:
    """Centred kernel alignment of linear kernels, debiased: 0 on average for what is independent.

    The plain estimate is near 1 for any two representations with more features than texts; this one isn't.
    It may be a little below 0.

    Args:
        first: Representations by one model, shape [n_texts, n_features].
        second: By the other, of the same texts, shape [n_texts, other n_features].

    Raises:
        InvalidInput: Values that are not finite, other or fewer than 4 texts, or representations that are
            alike for all texts.

    Source:
        Kornblith et al. (2019), arXiv:1905.00414; Song et al. (2012), JMLR 13:1393, for the unbiased
        estimator; Murphy, Zylberberg & Fyshe (2024), arXiv:2405.01012, on why to debias.
    """
    left, right = _features(first, "first"), _features(second, "second")
    _same_texts(left, right, MIN_TEXTS)
    one, other = _centred(left @ left.T), _centred(right @ right.T)
    size = float((one * one).sum()) * float((other * other).sum())
    if size <= 0:
        raise InvalidInput(
            "representations",
            got="the same for all texts",
            expected="some that differ",
            next_step="report the similarity as undefined",
        )
    return float((one * other).sum()) / math.sqrt(size)


def mutual_neighbours(first: ArrayLike, second: ArrayLike, k: int) -> float:
    """Mean share of a text's ``k`` nearest neighbours, by cosine, that both models give it.

    Chance is ``k / (n_texts - 1)``.

    Args:
        first: Representations by one model, shape [n_texts, n_features].
        second: By the other, of the same texts, shape [n_texts, other n_features].
        k: Neighbours, fewer than texts.

    Raises:
        InvalidInput: Values that are not finite, other texts, or ``k`` out of range.

    Source:
        Huh et al. (2024), arXiv:2405.07987, section 2.
    """
    left, right = _features(first, "first"), _features(second, "second")
    _same_texts(left, right, k + 1)
    if k < 1:
        raise InvalidInput("neighbours", got=str(k), expected="at least 1")
    one, other = _nearest(left, k), _nearest(right, k)
    shared = [np.intersect1d(a, b).size for a, b in zip(one, other, strict=True)]
    return float(np.mean(shared)) / k


def over_blocks(values: ArrayLike, level: float) -> Estimate:
    """The mean of a similarity over blocks of different texts, with Student's interval.

    Args:
        values: One a block, shape [n_blocks].
        level: Confidence level.

    Raises:
        InvalidInput: Fewer than two blocks, or no level.
    """
    array = floats(values, "similarity of blocks")
    check_level(level)
    if array.size < 2:
        raise InvalidInput("blocks", got=str(array.size), expected="at least 2")
    point = float(array.mean())
    half = float(t.ppf((1 + level) / 2, array.size - 1) * array.std(ddof=1) / math.sqrt(array.size))
    return Estimate(
        point=point,
        lower=point - half,
        upper=point + half,
        level=level,
        n=array.size,
        method=f"Student's t over {array.size} blocks of texts",
    )


def _features(values: ArrayLike, name: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0 or not np.isfinite(array).all():
        raise InvalidInput(
            f"representations, {name}",
            got=f"shape {array.shape}, {int(array.size - np.isfinite(array).sum())} values not finite",
            expected="a row of finite numbers for each text",
        )
    return array


def _same_texts(first: Floats, second: Floats, minimum: int) -> None:
    if len(first) != len(second) or len(first) < minimum:
        raise InvalidInput(
            "representations",
            got=f"of {len(first)} and {len(second)} texts",
            expected=f"of the same texts, at least {minimum}",
        )


def _centred(kernel: Floats) -> Floats:
    """U-centred: rows and columns sum to 0 without the diagonal, which is 0."""
    n = len(kernel)
    bare = kernel - np.diag(np.diag(kernel))
    rows = bare.sum(axis=1)
    centred = bare - (rows[:, None] + rows[None, :]) / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0.0)
    return np.asarray(centred)


def _nearest(features: Floats, k: int) -> NDArray[np.intp]:
    """Indices of each row's nearest other rows, shape [n_texts, k]; of equally near ones the first."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(lengths > 0, lengths, 1.0)
    nearness = unit @ unit.T
    np.fill_diagonal(nearness, -np.inf)
    return np.argsort(-nearness, axis=1, kind="stable")[:, :k]

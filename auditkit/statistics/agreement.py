"""How far two models answer alike: agreement, kappa, error consistency, CAPA, the same wrong answer.

Two models that are often right agree often; what says something is how far they agree beyond that. Every
estimate resamples whole groups of items, or takes its interval at their effective number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.bootstrap import Resampling, Support, grouped_bootstrap
from auditkit.statistics.inputs import Bools, Floats, Groups, binary, floats, same_length
from auditkit.statistics.proportions import grouped_rate
from auditkit.statistics.weighted import Statistic

KAPPA = Support(lower=-1.0, upper=1.0)
_ROUNDING = 1e-6
Picks = NDArray[np.int64]


def agreement(first: ArrayLike, second: ArrayLike, groups: Groups, level: float) -> Estimate:
    """Share of items on which both give the same answer.

    Args:
        first: A whole number for each answer, shape [n_items].
        second: The other's answers to the same items, shape [n_items].
        groups: One label an item, shape [n_items].
        level: Confidence level.

    Raises:
        InvalidInput: Answers that are no whole numbers, other lengths, fewer than two groups, or no level.
    """
    left, right = _both(first, second)
    return grouped_rate((left == right).astype(float), groups, level)


def cohens_kappa(
    first: ArrayLike, second: ArrayLike, groups: Groups, resampling: Resampling
) -> Estimate:
    """Agreement beyond what their habits give: 0 as chance would have it, 1 throughout.

    Args and errors are those of `agreement`; it is undefined where both give one same answer everywhere.

    Source:
        Cohen (1960), Educational and Psychological Measurement 20:37.
    """
    left, right = _both(first, second)
    answers = np.unique(np.concatenate([left, right]))
    one, other = (np.equal.outer(picks, answers).astype(float) for picks in (left, right))
    same = (left == right).astype(float)

    def statistic(weights: Floats) -> Floats:
        total = weights.sum(axis=1)
        expected = ((weights @ one) * (weights @ other)).sum(axis=1) / total**2
        return _kappa(weights @ same / total, expected)

    return _bootstrapped("Cohen's kappa", statistic, groups, resampling)


def error_consistency(
    first: ArrayLike, second: ArrayLike, groups: Groups, resampling: Resampling
) -> Estimate:
    """Whether both are right and wrong on the same items, beyond what their accuracies give.

    Args:
        first: Whether the first is right, 0 or 1, shape [n_items].
        second: Whether the second is, shape [n_items].
        groups: One label an item, shape [n_items].
        resampling: Level, seed, number and method.

    Raises:
        InvalidInput: Other values or lengths, fewer than two groups, or both always right (or wrong).

    Source:
        Geirhos, Meding & Wichmann (2020), arXiv:2006.16736, section 2; Klein et al. (2025),
        arXiv:2507.06645, for the bootstrap.
    """
    left, right = binary(first, "first"), binary(second, "second")
    same_length(left, right, "first and second")
    one, other = left.astype(float), right.astype(float)
    same = (left == right).astype(float)

    def statistic(weights: Floats) -> Floats:
        observed, p, q = (np.asarray(_mean(weights, v)) for v in (same, one, other))
        return _kappa(observed, p * q + (1 - p) * (1 - q))

    return _bootstrapped("error consistency", statistic, groups, resampling)


def capa(
    first: Sequence[ArrayLike],
    second: Sequence[ArrayLike],
    answers: ArrayLike,
    groups: Groups,
    resampling: Resampling,
) -> Estimate:
    """Chance-adjusted probabilistic agreement: how far two models put their mass on the same options,
    wrong ones included, beyond what the mass on right ones gives.

    Args:
        first: Probabilities of an item's options, each summing to 1; as many items as answers.
        second: Those of the other model, over the same options.
        answers: Index of each item's right option, shape [n_items].
        groups: One label an item, shape [n_items].
        resampling: Level, seed, number and method.

    Raises:
        InvalidInput: Probabilities that are none, an answer that is no option, or other lengths.

    Source:
        Goel et al. (2025), arXiv:2502.04313, section 2.
    """
    gold = _whole(answers, "answers")
    if not len(first) == len(second) == gold.size:
        raise InvalidInput(
            "probabilities",
            got=f"{len(first)} and {len(second)} items, {gold.size} answers",
            expected="the same items in all",
        )
    pairs = [
        (_options(p, i), _options(q, i)) for i, (p, q) in enumerate(zip(first, second, strict=True))
    ]
    for i, (p, q) in enumerate(pairs):
        if p.size != q.size or not 0 <= gold[i] < p.size:
            raise InvalidInput(
                f"item {i}",
                got=f"{p.size} and {q.size} options, answer {gold[i]}",
                expected="the same options for both, the answer among them",
            )
    overlap = np.array([float(p @ q) for p, q in pairs])
    one, other = (
        np.array([pair[k][a] for pair, a in zip(pairs, gold, strict=True)]) for k in (0, 1)
    )
    chance = np.array([1 / (p.size - 1) for p, _ in pairs])

    def statistic(weights: Floats) -> Floats:
        observed, p, q, spread = (_mean(weights, v) for v in (overlap, one, other, chance))
        return _kappa(observed, p * q + (1 - p) * (1 - q) * spread)

    return _bootstrapped("CAPA", statistic, groups, resampling)


def same_wrong(
    first: ArrayLike, second: ArrayLike, answers: ArrayLike, groups: Groups, level: float
) -> Estimate:
    """Of the items on which both are wrong, the share to which both give the same wrong answer.

    Chance is the mean of ``1 / (n_options - 1)`` over those items.

    Args:
        first: A whole number for each answer, shape [n_items].
        second: The other's, shape [n_items].
        answers: The right ones, shape [n_items].
        groups: One label an item, shape [n_items].
        level: Confidence level.

    Raises:
        InvalidInput: Both wrong in fewer than two groups, answers that are no whole numbers, other lengths.

    Source:
        Kim et al. (2025), arXiv:2506.07962.
    """
    left, right = _both(first, second)
    gold = _whole(answers, "answers")
    same_length(left, gold, "answers of the models and right ones")
    labels = np.asarray(groups)
    same_length(left, labels, "answers and groups")
    both: Bools = (left != gold) & (right != gold)
    if np.unique(labels[both]).size < 2:
        raise InvalidInput(
            "items on which both are wrong",
            got=f"{int(both.sum())} in {np.unique(labels[both]).size} groups",
            expected="at least two groups",
            next_step="report it as not measured: there are too few errors in common",
        )
    return grouped_rate((left == right)[both].astype(float), labels[both], level)


def _kappa(observed: Floats, expected: Floats) -> Floats:
    """``(observed - expected) / (1 - expected)``; NaN where chance leaves no room."""
    room = 1 - expected
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(room > _ROUNDING, (observed - expected) / room, np.nan)


def _mean(weights: Floats, values: Floats) -> Floats:
    return np.asarray(weights @ values / weights.sum(axis=1), dtype=np.float64)


def _bootstrapped(
    name: str, statistic: Statistic, groups: Groups, resampling: Resampling
) -> Estimate:
    n_samples = np.size(groups)
    if n_samples and np.isnan(statistic(np.ones((1, n_samples)))[0]):
        raise InvalidInput(
            name,
            got="two models that chance alone makes agree everywhere",
            expected="answers that differ",
            next_step="report it as undefined, and plain agreement beside it",
        )
    return grouped_bootstrap(statistic, groups, resampling, support=KAPPA)


def _both(first: ArrayLike, second: ArrayLike) -> tuple[Picks, Picks]:
    left, right = _whole(first, "first"), _whole(second, "second")
    same_length(left, right, "first and second")
    return left, right


def _whole(values: ArrayLike, name: str) -> Picks:
    array = floats(values, name)
    if not np.equal(array, np.round(array)).all():
        raise InvalidInput(name, got="fractions", expected="a whole number for each answer")
    return array.astype(np.int64)


def _options(probabilities: ArrayLike, item: int) -> Floats:
    array = floats(probabilities, f"probabilities of item {item}")
    if array.size < 2 or (array < 0).any() or abs(float(array.sum()) - 1) > _ROUNDING:
        raise InvalidInput(
            f"probabilities of item {item}",
            got=str(array.tolist()),
            expected="one for each of two or more options, summing to 1",
        )
    return array

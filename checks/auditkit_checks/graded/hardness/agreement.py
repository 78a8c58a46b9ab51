"""How far measures of hardness agree on the same items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from numpy.typing import ArrayLike

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.association import spearman
from auditkit.statistics.bootstrap import Resampling
from auditkit_checks.graded.items import Item


def correlations(
    measures: Mapping[str, ArrayLike], items: Sequence[Item], resampling: Resampling
) -> dict[tuple[str, str], Estimate]:
    """Spearman's rank correlation of every two measures, with an interval over groups of items.

    Args:
        measures: From a measure's name to its values, each of shape [n_items].
        items: What was measured.
        resampling: Level, seed, number and method.

    Returns:
        From the names of two measures, in the order given, to their correlation.

    Raises:
        InvalidInput: Fewer than two measures, one that doesn't vary, NaN, or another number of items.
    """
    if len(measures) < 2:
        raise InvalidInput(
            "correlations", got=f"{len(measures)} measures", expected="two or more to compare"
        )
    groups = [item.group for item in items]
    return {
        (first, second): _named(first, second, measures, groups, resampling)
        for first, second in combinations(measures, 2)
    }


def _named(
    first: str,
    second: str,
    measures: Mapping[str, ArrayLike],
    groups: Sequence[str],
    resampling: Resampling,
) -> Estimate:
    try:
        return spearman(measures[first], measures[second], groups, resampling)
    except InvalidInput as error:
        raise InvalidInput(
            f"correlation of {first} and {second}: {error.what}",
            got=error.got,
            expected=error.expected,
            next_step=error.next_step,
        ) from error

"""How far two measures of the same samples agree: rank correlation with a grouped interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.bootstrap import Resampling, Support, grouped_bootstrap
from auditkit.statistics.inputs import Groups, floats
from auditkit.statistics.weighted import spearman_of


def spearman(
    first: ArrayLike, second: ArrayLike, groups: Groups, resampling: Resampling
) -> Estimate:
    """Spearman's rank correlation with a bootstrap interval over groups; ties have their mean rank.

    Args:
        first: One number a sample, shape [n_samples].
        second: The same, of another measure.
        groups: One label a sample, shape [n_samples].
        resampling: Level, seed, number and method.

    Returns:
        An estimate with ``n`` = number of groups.

    Raises:
        InvalidInput: A measure that takes a single value, fewer than two groups, or input of the
            wrong kind.

    Source:
        Spearman (1904), American Journal of Psychology 15(1); the interval as in `grouped_bootstrap`.
    """
    for values, name in ((first, "first"), (second, "second")):
        array = floats(values, name)
        if np.ptp(array) == 0:
            raise InvalidInput(
                f"rank correlation: {name} measure",
                got=f"the same value for all of {array.size} samples",
                expected="values that differ",
                next_step="a measure that doesn't vary correlates with nothing: leave it out",
            )
    support = Support(lower=-1.0, upper=1.0)
    return grouped_bootstrap(spearman_of(first, second), groups, resampling, support=support)

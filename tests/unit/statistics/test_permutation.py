import numpy as np
import pytest

from auditkit.errors import InvalidInput
from auditkit.statistics.permutation import adjusted_cells, max_over_sweep


def test_a_permutation_p_value_is_never_zero():
    """Phipson & Smyth (2010): (0 + 1) / (999 + 1)."""
    estimate = max_over_sweep([1.0, 5.0], np.zeros((999, 2)), 0.95)
    assert estimate.point == 0.001
    assert estimate.lower == 0.0
    assert estimate.n == 999


def test_the_best_cell_is_compared_with_the_best_of_each_permutation():
    null = np.array([[0.0, 3.0], [3.0, 0.0], [0.0, 0.0]])
    assert max_over_sweep([2.0, 0.0], null, 0.95).point == 3 / 4
    assert adjusted_cells([2.0, 0.0], null).tolist() == [3 / 4, 1.0]


def test_ties_count_against_the_observed():
    assert max_over_sweep([1.0], [[1.0], [0.0], [0.0]], 0.95).point == 0.5


def test_smallest_adjusted_cell_is_the_sweeps_p_value():
    rng = np.random.default_rng(0)
    observed, null = rng.normal(size=12), rng.normal(size=(200, 12))
    assert adjusted_cells(observed, null).min() == max_over_sweep(observed, null, 0.95).point


@pytest.mark.parametrize(
    "null",
    [
        np.zeros((0, 2)),
        np.zeros((5, 3)),
        np.zeros(2),
        np.array([[0.0, np.nan]]),
    ],
)
def test_unusable_nulls_are_refused(null):
    with pytest.raises(InvalidInput):
        max_over_sweep([1.0, 2.0], null, 0.95)

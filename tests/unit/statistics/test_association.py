import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from auditkit.errors import InvalidInput
from auditkit.statistics.association import spearman
from auditkit.statistics.bootstrap import Resampling
from auditkit.statistics.weighted import spearman_of

RESAMPLING = Resampling(level=0.95, seed=0, n_resamples=400)


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 4)),
        min_size=3,
        max_size=30,
    )
)
def test_a_weight_is_a_repetition(rows):
    x, y, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    repeated = [np.repeat(values, weights.astype(int)) for values in (x, y)]
    (found,) = spearman_of(x, y)(weights[None])
    if all(values.size and np.ptp(values) > 0 for values in repeated):
        assert found == pytest.approx(spearmanr(*repeated).statistic, abs=1e-9)
    else:
        assert np.isnan(found)


def test_a_worked_example():
    """IQ and hours of television: rho = -29/165 (Wikipedia, Spearman's rank correlation coefficient)."""
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    found = spearman(iq, hours, range(10), RESAMPLING)
    assert found.point == pytest.approx(-29 / 165)
    assert found.lower < 0 < found.upper
    assert found.n == 10


def test_groups_are_resampled_as_one():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=40), 10)
    y = x + np.repeat(rng.normal(size=40), 10)
    alone = spearman(x, y, range(400), RESAMPLING)
    grouped = spearman(x, y, np.repeat(np.arange(40), 10), RESAMPLING)
    assert grouped.upper - grouped.lower > 2 * (alone.upper - alone.lower)


def test_perfect_agreement_is_no_certainty():
    found = spearman(range(30), range(30), range(30), RESAMPLING)
    assert found.point == found.upper == 1.0
    assert found.lower < 0.95


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ([1, 1, 1], "first measure, got the same value"),
        ([1, 2, float("nan")], "not finite"),
        ([1, 2], "2 and 3 samples"),
    ],
)
def test_refuses(first, message):
    with pytest.raises(InvalidInput, match=message):
        spearman(first, [1, 2, 3], range(3), RESAMPLING)

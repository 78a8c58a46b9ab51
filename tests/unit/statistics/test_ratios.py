"""Shares of a gap recovered: against Fieller's own formula, and refused where they mean nothing."""

import numpy as np
import pytest
from scipy.stats import t

from auditkit.errors import InvalidInput
from auditkit.statistics.ratios import share_recovered


def _arms(n=400, seed=0):
    rng = np.random.default_rng(seed)
    easy, hard, floor = (rng.random((3, n)) < np.array([[0.5], [0.7], [0.2]])).astype(float)
    return easy, hard, floor


def test_the_point_is_the_ratio_of_gains():
    easy, hard, floor = _arms()
    found = share_recovered(easy, hard, floor, np.arange(400), 0.95)
    assert found.point == pytest.approx((easy - floor).mean() / (hard - floor).mean())
    assert found.n == 400
    assert found.lower < found.point < found.upper


def test_bounds_solve_fiellers_equation():
    """At a bound r, the mean of ``gain - r gap`` is just as far from zero as a t test allows."""
    easy, hard, floor = _arms()
    found = share_recovered(easy, hard, floor, np.arange(400), 0.95)
    for bound in (found.lower, found.upper):
        rest = easy - floor - bound * (hard - floor)
        statistic = rest.mean() / (rest.std(ddof=1) / np.sqrt(400))
        assert abs(statistic) == pytest.approx(t.ppf(0.975, 399), rel=1e-6)


def test_copies_of_an_item_are_no_new_items():
    easy, hard, floor = _arms()
    alone = share_recovered(easy, hard, floor, np.arange(400), 0.95)
    copied = [np.repeat(arm, 5) for arm in (easy, hard, floor)]
    together = share_recovered(*copied, np.repeat(np.arange(400), 5), 0.95)
    assert together.n == 400
    assert (together.lower, together.upper) == pytest.approx((alone.lower, alone.upper))


def test_arms_that_never_differ_are_no_proof_that_they_never_would():
    _, hard, floor = _arms()
    found = share_recovered(hard, hard, floor, np.arange(400), 0.95)
    assert found.point == 1
    assert found.lower < 0.99
    assert found.upper > 1.01


@pytest.mark.parametrize("hard_rate", [0.18, 0.05])
def test_without_a_gap_there_is_no_share(hard_rate):
    rng = np.random.default_rng(1)
    easy, hard, floor = (rng.random((3, 200)) < np.array([[0.4], [hard_rate], [0.2]])).astype(float)
    with pytest.raises(InvalidInput, match="undefined"):
        share_recovered(easy, hard, floor, np.arange(200), 0.95)


def test_scores_that_are_no_numbers_are_refused():
    easy, hard, floor = _arms()
    easy[3] = np.nan
    with pytest.raises(InvalidInput, match="reached"):
        share_recovered(easy, hard, floor, np.arange(400), 0.95)

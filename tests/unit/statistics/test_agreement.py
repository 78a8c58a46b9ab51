import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa as statsmodels_kappa

from auditkit.errors import InvalidInput
from auditkit.statistics.agreement import (
    agreement,
    capa,
    cohens_kappa,
    error_consistency,
    same_wrong,
)
from auditkit.statistics.bootstrap import Resampling

RESAMPLING = Resampling(level=0.95, seed=3)
# Six items with two to four options, and what the authors' own lm-sim 0.1.1 makes of them.
ONE = [
    [0.7, 0.1, 0.1, 0.1],
    [0.2, 0.5, 0.3],
    [0.6, 0.4],
    [0.1, 0.2, 0.3, 0.4],
    [0.25, 0.25, 0.5],
    [0.9, 0.1],
]
OTHER = [
    [0.6, 0.2, 0.1, 0.1],
    [0.1, 0.3, 0.6],
    [0.3, 0.7],
    [0.1, 0.1, 0.2, 0.6],
    [0.4, 0.2, 0.4],
    [0.8, 0.2],
]
ANSWERS = [0, 1, 0, 2, 0, 0]


def _rated(table):
    """Two raters whose ratings cross as in the table."""
    cells = [(i, j) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)]
    return np.array(cells).T


def _picks(rng, n, k=4):
    return rng.integers(0, k, n), rng.integers(0, k, n)


def test_published_kappa():
    """Two readers, 50 grant proposals, agreed on 20 and 15 of them: kappa 0.40 (R, fmsb::Kappa.test)."""
    first, second = _rated([[20, 5], [10, 15]])
    estimate = cohens_kappa(first, second, range(50), RESAMPLING)
    assert estimate.point == pytest.approx(0.4)
    assert (estimate.lower, estimate.upper) == pytest.approx((0.13, 0.65), abs=0.04)


def test_kappa_and_its_interval_are_those_of_statsmodels_in_large_samples():
    table = np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]]) * 5
    first, second = _rated(table)
    ours, theirs = cohens_kappa(first, second, range(500), RESAMPLING), statsmodels_kappa(table)
    assert ours.point == pytest.approx(0.6765, abs=5e-5)
    assert ours.point == pytest.approx(theirs.kappa)
    assert (ours.lower, ours.upper) == pytest.approx((theirs.kappa_low, theirs.kappa_upp), abs=0.01)


def test_kappa_is_scikit_learns():
    first, second = _picks(np.random.default_rng(0), 60)
    expected = cohen_kappa_score(first, second)
    assert cohens_kappa(first, second, range(60), RESAMPLING).point == pytest.approx(expected)


def test_capa_is_that_of_its_authors():
    assert capa(ONE, OTHER, ANSWERS, range(6), RESAMPLING).point == pytest.approx(
        0.09049739218928916
    )


def test_capa_of_choices_is_that_of_its_authors():
    chosen = [[np.eye(len(p))[np.argmax(p)] for p in model] for model in (ONE, OTHER)]
    estimate = capa(*chosen, ANSWERS, range(6), RESAMPLING)
    assert estimate.point == pytest.approx(0.11475409836065574)


def test_error_consistency_is_that_of_its_authors():
    """Geirhos et al. (2020): observed (0.45), expected by 0.6 and 0.75 (0.55), so -2/9."""
    first, second = _rated([[1, 7], [4, 8]])
    estimate = error_consistency(first, second, range(20), RESAMPLING)
    assert estimate.point == pytest.approx((0.45 - 0.55) / 0.45)
    right = [[np.argmax(p) == a for p, a in zip(m, ANSWERS, strict=True)] for m in (ONE, OTHER)]
    assert error_consistency(*right, range(6), RESAMPLING).point == pytest.approx(0.0)


def test_error_consistency_is_kappa_of_right_and_wrong():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 2, 80), rng.integers(0, 2, 80)
    one, other = (
        f(first, second, range(80), RESAMPLING) for f in (error_consistency, cohens_kappa)
    )
    assert one.point == pytest.approx(other.point)


def test_independent_models_of_equal_accuracy_agree_often_and_have_no_kappa():
    rng = np.random.default_rng(2)
    gold = rng.integers(0, 4, 1_000)
    first, second = (
        np.where(rng.random(1_000) < 0.9, gold, (gold + rng.integers(1, 4, 1_000)) % 4)
        for _ in "ab"
    )
    assert agreement(first, second, range(1_000), 0.95).point > 0.75
    consistency = error_consistency(first == gold, second == gold, range(1_000), RESAMPLING)
    assert consistency.lower < 0 < consistency.upper
    sure = [np.eye(4)[picks] for picks in (first, second)]
    estimate = capa(*sure, gold, range(1_000), RESAMPLING)
    assert estimate.lower < 0 < estimate.upper


def test_same_wrong_counts_common_errors_alone():
    gold = np.zeros(6, dtype=int)
    first, second = np.array([0, 1, 1, 2, 3, 0]), np.array([0, 1, 2, 2, 3, 1])
    estimate = same_wrong(first, second, gold, range(6), 0.95)
    assert (estimate.point, estimate.n) == (0.75, 4)


def test_items_of_a_group_count_as_copies():
    first, second = _picks(np.random.default_rng(4), 200)
    alone, grouped = (
        agreement(first, second, g, 0.95) for g in (np.arange(200), np.arange(200) // 20)
    )
    assert grouped.n == 10
    assert grouped.upper - grouped.lower > alone.upper - alone.lower


@pytest.mark.parametrize("picks", [[0, 0, 0, 0], [2, 2, 2, 2]])
def test_one_label_is_no_kappa(picks):
    with pytest.raises(InvalidInput, match="chance alone makes agree"):
        cohens_kappa(picks, picks, range(4), RESAMPLING)
    with pytest.raises(InvalidInput, match="chance alone makes agree"):
        error_consistency([1, 1, 1], [1, 1, 1], range(3), RESAMPLING)


def test_bad_input_is_refused_by_name():
    with pytest.raises(InvalidInput, match="whole number"):
        agreement([0.5, 1], [0, 1], range(2), 0.95)
    with pytest.raises(InvalidInput, match="not finite"):
        agreement([float("nan"), 1], [0, 1], range(2), 0.95)
    with pytest.raises(InvalidInput, match="same samples"):
        agreement([0, 1, 1], [0, 1], range(3), 0.95)
    with pytest.raises(InvalidInput, match="at least two groups"):
        same_wrong([1, 0], [1, 0], [0, 0], range(2), 0.95)
    with pytest.raises(InvalidInput, match="summing to 1"):
        capa([[0.5, 0.6]], [[0.5, 0.5]], [0], range(1), RESAMPLING)
    with pytest.raises(InvalidInput, match="not finite"):
        capa([[float("nan"), 0.6]], [[0.5, 0.5]], [0], range(1), RESAMPLING)
    with pytest.raises(InvalidInput, match="the same options"):
        capa([[0.5, 0.5]], [[0.5, 0.25, 0.25]], [0], range(1), RESAMPLING)
    with pytest.raises(InvalidInput, match="the same items"):
        capa([[0.5, 0.5]], [], [0], range(1), RESAMPLING)

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from auditkit.errors import InvalidInput
from auditkit.statistics.bootstrap import Resampling
from auditkit.statistics.ranking import (
    auroc,
    auroc_difference,
    recall_at_fpr,
    stratified_auroc,
)
from auditkit.statistics.weighted import auroc_of, recall_of

RESAMPLING = Resampling(level=0.95, seed=0)
# Hanley & McNeil (1982), Table I: ratings 1-5 of 58 normal and 51 abnormal CT images.
CT_SCORES = np.repeat([1, 2, 3, 4, 5, 1, 2, 3, 4, 5], [33, 6, 6, 11, 2, 3, 2, 2, 11, 33])
CT_LABELS = np.repeat([0, 1], [58, 51])


def _noisy(n, shift, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    return labels * shift + rng.normal(size=n), labels


def test_published_auroc_with_ties():
    """Hanley & McNeil (1982), Radiology 143:29: W = 0.893, standard error 0.032."""
    estimate = auroc(CT_SCORES, CT_LABELS, range(109), RESAMPLING)
    assert estimate.point == pytest.approx(0.893, abs=5e-4)
    assert (estimate.upper - estimate.lower) / (2 * 1.96) == pytest.approx(0.032, abs=0.002)


def test_weighted_auroc_is_scikit_learns():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, 40), rng.integers(0, 2, 40)
    weights = rng.integers(0, 4, (20, 40)).astype(float)
    expected = [roc_auc_score(labels, scores, sample_weight=w) for w in weights]
    assert auroc_of(scores, labels)(weights) == pytest.approx(expected)


def test_perfect_separation_is_not_certainty():
    """No error in 30 groups of each class leaves 1 - 0.025 ** (1 / 30) = 11.6 %."""
    scores, labels = np.arange(60), np.repeat([0, 1], 30)
    estimate = auroc(scores, labels, range(60), RESAMPLING)
    assert (estimate.point, estimate.upper) == (1.0, 1.0)
    assert estimate.lower == pytest.approx(0.8843, abs=5e-5)
    assert "zero-count bound of 30 units" in estimate.method


def test_groups_not_samples_bound_perfect_separation():
    scores, labels = np.arange(600), np.repeat([0, 1], 300)
    assert auroc(scores, labels, np.arange(600) // 30, RESAMPLING).lower < 0.75


def test_inverted_scores_mirror_the_interval():
    scores, labels = _noisy(80, 1.0, 0)
    up, down = (auroc(s, labels, range(80), RESAMPLING) for s in (scores, -scores))
    assert down.point == pytest.approx(1 - up.point)
    assert down.lower == pytest.approx(1 - up.upper, abs=0.01)


def test_strata_get_no_credit_for_telling_topics_apart():
    rng = np.random.default_rng(1)
    topics = np.repeat([0, 1], 100)
    labels = np.r_[np.arange(100) % 10 == 0, np.arange(100) % 10 > 0]
    scores = topics * 10 + rng.normal(size=200)
    assert auroc(scores, labels, range(200), RESAMPLING).lower > 0.8
    within = stratified_auroc(scores, labels, topics, range(200), RESAMPLING)
    assert within.lower < 0.5 < within.upper


def test_stratified_point_is_the_mean_over_strata():
    scores, labels = _noisy(120, 1.0, 2)
    topics = np.repeat(["a", "b", "c"], [30, 40, 50])
    each = [roc_auc_score(labels[topics == t], scores[topics == t]) for t in "abc"]
    estimate = stratified_auroc(scores, labels, topics, range(120), RESAMPLING)
    assert estimate.point == pytest.approx(np.mean(each))
    assert estimate.n == 120


def test_one_stratum_is_the_plain_auroc():
    scores, labels = _noisy(60, 1.0, 3)
    one = stratified_auroc(scores, labels, np.zeros(60), range(60), RESAMPLING)
    plain = auroc(scores, labels, range(60), RESAMPLING)
    assert (one.point, one.lower, one.upper) == (plain.point, plain.lower, plain.upper)


def test_separated_strata_add_their_uncertainty():
    scores, labels = _noisy(80, 1.0, 4)
    topics = np.repeat([0, 1], 40)
    separated = np.where(topics == 1, labels.astype(float), scores)
    estimate = stratified_auroc(separated, labels, topics, range(80), RESAMPLING)
    alone = auroc(scores[:40], labels[:40], range(40), RESAMPLING)
    assert estimate.point - estimate.lower > 1.05 * (alone.point - alone.lower) / 2
    assert "1 of 2 strata with perfect separation" in estimate.method


def test_all_strata_separated_is_not_certainty():
    labels = np.arange(80) % 2
    estimate = stratified_auroc(labels, labels, np.repeat([0, 1], 40), range(80), RESAMPLING)
    assert estimate.lower == pytest.approx(0.025 ** (1 / 40))


def test_a_difference_of_correlated_scores_is_tighter_than_either():
    scores, labels = _noisy(200, 1.0, 5)
    close = scores + 0.05 * np.random.default_rng(6).normal(size=200)
    difference = auroc_difference(scores, close, labels, range(200), RESAMPLING)
    alone = auroc(scores, labels, range(200), RESAMPLING)
    assert difference.lower < 0.01
    assert difference.upper > -0.01
    assert difference.upper - difference.lower < 0.3 * (alone.upper - alone.lower)


def test_a_clear_difference_is_found():
    scores, labels = _noisy(200, 2.0, 7)
    noise = np.random.default_rng(8).normal(size=200)
    assert auroc_difference(scores, noise, labels, range(200), RESAMPLING).lower > 0.2


def test_two_perfect_scores_may_still_differ():
    labels = np.arange(40) % 2
    estimate = auroc_difference(labels, 2 * labels, labels, range(40), RESAMPLING)
    assert estimate.lower == pytest.approx(-(1 - 0.025 ** (1 / 20)))
    assert estimate.upper == -estimate.lower


def test_recall_at_the_threshold_of_the_negatives():
    """Three of 300 negatives may pass: the threshold is the fourth largest, 296."""
    negatives, positives = np.arange(300.0), np.array([295.5, 296.0, 296.5, 299.5])
    recall = recall_of(np.r_[negatives, positives], np.repeat([0, 1], [300, 4]), 0.01)
    assert recall(np.ones((1, 304)))[0] == 0.5


def test_ties_at_the_threshold_are_not_flagged():
    negatives, positives = np.r_[np.zeros(295), np.ones(5)], np.r_[np.ones(8), 2, 2]
    recall = recall_of(np.r_[negatives, positives], np.repeat([0, 1], [300, 10]), 0.01)
    assert recall(np.ones((1, 310)))[0] == 0.2


def test_recall_is_scikit_learns_on_the_curve():
    scores, labels = _noisy(1000, 2.0, 9)
    rates, recalls, _ = roc_curve(labels, scores, drop_intermediate=False)
    estimate = recall_at_fpr(scores, labels, range(1000), 0.01, RESAMPLING)
    assert estimate.point == pytest.approx(recalls[rates <= 0.01].max())
    assert estimate.lower < estimate.point < estimate.upper


def test_interval_of_recall_includes_the_threshold():
    scores, labels = _noisy(600, 2.0, 10)
    estimate = recall_at_fpr(scores, labels, range(600), 0.01, RESAMPLING)
    fixed = 2 * 1.96 * np.sqrt(estimate.point * (1 - estimate.point) / 300)
    assert estimate.upper - estimate.lower > 1.5 * fixed


def test_perfect_recall_is_not_certainty():
    scores, labels = np.r_[np.zeros(300), np.ones(40)], np.repeat([0, 1], [300, 40])
    estimate = recall_at_fpr(scores, labels, range(340), 0.01, RESAMPLING)
    assert estimate.lower == pytest.approx(0.025 ** (1 / 40))


def test_recall_at_one_percent_needs_300_negatives():
    scores, labels = np.arange(310.0), np.repeat([0, 1], [299, 11])
    with pytest.raises(InvalidInput, match="299 negatives, expected at least 300"):
        recall_at_fpr(scores, labels, range(310), 0.01, RESAMPLING)


@pytest.mark.parametrize(
    "call",
    [
        lambda: auroc([1, 2, 3], [0, 0, 0], range(3), RESAMPLING),
        lambda: auroc([1, 2, 3], [0, 0, 1], range(3), RESAMPLING),
        lambda: auroc([1, 2, np.nan, 4], [0, 0, 1, 1], range(4), RESAMPLING),
        lambda: auroc([1, 2, 3, 4], [0, 0, 1, 2], range(4), RESAMPLING),
        lambda: auroc([1, 2, 3, 4], [0, 0, 1], range(4), RESAMPLING),
        lambda: stratified_auroc([1, 2, 3, 4], [0, 0, 1, 1], [0, 0, 1, 1], range(4), RESAMPLING),
        lambda: stratified_auroc(
            range(8), [0, 1] * 4, [0] * 4 + [1] * 4, [0, 1, 2, 3] * 2, RESAMPLING
        ),
        lambda: recall_at_fpr(range(8), [0, 1] * 4, range(8), 0.0, RESAMPLING),
    ],
)
def test_unusable_input_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


def test_a_stratum_without_both_classes_is_named():
    with pytest.raises(InvalidInput, match="stratum capitals"):
        stratified_auroc(
            range(8), [0, 1, 0, 1, 1, 1, 1, 1], ["x"] * 4 + ["capitals"] * 4, range(8), RESAMPLING
        )

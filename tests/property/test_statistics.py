"""What must hold of every estimate, whatever the data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from auditkit.statistics.bootstrap import Resampling, Support, grouped_bootstrap
from auditkit.statistics.equivalence import decide
from auditkit.statistics.multiplicity import holm, step_down
from auditkit.statistics.permutation import adjusted_cells, max_over_sweep
from auditkit.statistics.proportions import (
    clopper_pearson,
    grouped_rate,
    mcnemar_exact,
    paired_difference,
    rate_bounds,
    wilson,
    zero_count_upper,
)
from auditkit.statistics.ranking import auroc
from auditkit.statistics.weighted import auroc_of, mean_of

levels = st.floats(0.5, 0.9999)
fast = settings(max_examples=60, deadline=None)


@st.composite
def counts(draw):
    n = draw(st.integers(1, 500))
    return draw(st.integers(0, n)), n


@given(counts(), levels)
def test_rates_lie_in_their_interval_in_the_unit_interval(count, level):
    k, n = count
    for estimate in (wilson(k, n, level), clopper_pearson(k, n, level)):
        assert 0 <= estimate.lower <= k / n <= estimate.upper <= 1
        assert estimate.lower < estimate.upper


@given(counts(), levels)
def test_rates_mirror_when_zeros_and_ones_are_swapped(count, level):
    k, n = count
    for method in (wilson, clopper_pearson):
        one, other = method(k, n, level), method(n - k, n, level)
        assert one.lower == pytest.approx(1 - other.upper, abs=1e-9)


@given(counts(), st.floats(0.5, 0.99), st.floats(0.001, 0.009))
def test_more_confidence_is_a_wider_interval(count, level, more):
    for method in (wilson, clopper_pearson):
        narrow, wide = method(*count, level), method(*count, level + more)
        assert wide.lower <= narrow.lower
        assert wide.upper >= narrow.upper


@given(st.integers(1, 10_000), levels)
def test_zero_count_bound_is_where_zero_has_the_remaining_probability(n, level):
    upper = zero_count_upper(n, level).upper
    assert (1 - upper) ** n == pytest.approx(1 - level)


@given(counts(), st.integers(0, 50), st.integers(0, 50), levels)
def test_worst_case_holds_whatever_the_unusable_samples_would_have_been(count, ones, zeros, level):
    k, usable = count
    n = usable + ones + zeros
    bounded, truth = rate_bounds(k, n, ones + zeros, level), wilson(k + ones, n, level)
    assert bounded.lower <= truth.lower
    assert bounded.upper >= truth.upper


pairs = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.integers(0, 8)), min_size=2, max_size=60
)


@fast
@given(pairs.filter(lambda p: len({g for *_, g in p}) > 1), levels)
def test_paired_difference_is_antisymmetric_and_never_certain(rows, level):
    first, second, groups = (np.array(column) for column in zip(*rows, strict=True))
    one = paired_difference(first, second, groups, level)
    other = paired_difference(second, first, groups, level)
    assert -1 <= one.lower <= one.point <= one.upper <= 1
    assert one.lower < one.upper
    assert one.point == pytest.approx(first.mean() - second.mean())
    assert one.lower == pytest.approx(-other.upper, abs=1e-6)


@given(pairs.filter(lambda p: len({g for *_, g in p}) > 1), levels)
def test_grouping_never_narrows_a_rate(rows, level):
    outcomes, _, groups = (np.array(column) for column in zip(*rows, strict=True))
    grouped, plain = (grouped_rate(outcomes, g, level) for g in (groups, np.arange(outcomes.size)))
    assert grouped.point == plain.point
    assert grouped.lower <= plain.lower + 1e-12
    assert grouped.upper >= plain.upper - 1e-12


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_a_symmetric_p_value(b, c):
    assert 0 <= mcnemar_exact(b, c) == mcnemar_exact(c, b) <= 1


@st.composite
def ranked(draw):
    n = draw(st.integers(4, 40))
    labels = [0, 0, 1, 1, *draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))]
    scores = draw(st.lists(st.integers(-5, 5), min_size=len(labels), max_size=len(labels)))
    return np.array(scores), np.array(labels)


@fast
@given(ranked(), st.integers(0, 2**32 - 1))
def test_weighted_auroc_is_scikit_learns(data, seed):
    scores, labels = data
    weights = np.random.default_rng(seed).integers(0, 4, (3, labels.size)).astype(float)
    ours = auroc_of(scores, labels)(weights)
    for value, w in zip(ours, weights, strict=True):
        if w[labels == 1].sum() and w[labels == 0].sum():
            assert value == pytest.approx(roc_auc_score(labels, scores, sample_weight=w))
        else:
            assert np.isnan(value)


@fast
@given(ranked())
def test_auroc_only_sees_ranks_and_is_never_certain(data):
    scores, labels = data
    resampling = Resampling(level=0.9, seed=1, n_resamples=200)
    one = auroc(scores, labels, np.arange(labels.size), resampling)
    other = auroc(np.exp(scores / 3.0), labels, np.arange(labels.size), resampling)
    assert one == other
    assert 0 <= one.lower < one.upper <= 1


@fast
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9)), min_size=2, max_size=50).filter(
        lambda rows: len({g for _, g in rows}) > 1
    ),
    st.sampled_from(["bca", "percentile"]),
)
def test_bootstrap_of_a_bounded_mean_stays_in_range_and_is_never_certain(rows, method):
    values, groups = (np.array(column) for column in zip(*rows, strict=True))
    estimate = grouped_bootstrap(
        mean_of(values),
        groups,
        Resampling(level=0.9, seed=0, n_resamples=200, method=method),
        support=Support(lower=0.0, upper=1.0),
    )
    assert 0 <= estimate.lower <= estimate.point <= estimate.upper <= 1
    assert estimate.lower < estimate.upper
    assert estimate.n == len(set(groups))


p_values = st.lists(st.floats(0, 1), max_size=8).map(
    lambda ps: dict(zip("abcdefgh", ps, strict=False))
)


@settings(max_examples=30, deadline=None)  # statsmodels collects garbage in every call
@given(p_values)
def test_holm_never_beats_an_uncorrected_p_value_nor_loses_to_bonferroni(family):
    for result in holm(family, 0.05).values():
        assert result.p <= result.adjusted <= min(1, result.p * len(family)) + 1e-12


@settings(max_examples=30, deadline=None)  # statsmodels collects garbage in every call
@given(p_values)
def test_step_down_decides_what_holm_rejects(family):
    def decide(name, level):
        return family[name] <= 1 - level

    levels = step_down(list(family), decide, 0.05)
    decided = {name for name, level in levels.items() if decide(name, level)}
    rejected = {name for name, result in holm(family, 0.05).items() if result.rejected}
    on_the_edge = any(abs(p - 0.05 / m) < 1e-9 for p in family.values() for m in range(1, 9))
    assert on_the_edge or decided == rejected


@fast
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 1000))
def test_permutation_p_values_are_in_range_and_adjusted_upwards(n_cells, n_permutations, seed):
    rng = np.random.default_rng(seed)
    observed, null = rng.normal(size=n_cells), rng.normal(size=(n_permutations, n_cells))
    p = max_over_sweep(observed, null, 0.95).point
    assert 1 / (n_permutations + 1) <= p <= 1
    alone = ((null >= observed).sum(axis=0) + 1) / (n_permutations + 1)
    assert (adjusted_cells(observed, null) >= alone - 1e-12).all()


@given(counts(), st.floats(-0.5, 1.5))
def test_a_decision_needs_the_whole_interval_on_one_side(count, margin):
    estimate = wilson(*count, 0.95)
    decision = decide(estimate, margin)
    assert (decision == "undecided") == (estimate.lower <= margin <= estimate.upper)

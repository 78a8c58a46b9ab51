import numpy as np
import pytest

from auditkit.errors import InvalidInput
from auditkit.statistics.proportions import (
    clopper_pearson,
    grouped_rate,
    mcnemar_exact,
    paired_difference,
    rate_bounds,
    wilson,
    zero_count_upper,
)

# Newcombe (1998), Statistics in Medicine 17:857, Table I: methods 3 and 5, 95 %.
NEWCOMBE = [
    (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
    (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
    (0, 20, (0.0000, 0.1611), (0.0000, 0.1684)),
    (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
]


@pytest.mark.parametrize(("k", "n", "score", "exact"), NEWCOMBE)
def test_published_intervals_of_rates(k, n, score, exact):
    for estimate, bounds in ((wilson(k, n, 0.95), score), (clopper_pearson(k, n, 0.95), exact)):
        assert (estimate.lower, estimate.upper) == pytest.approx(bounds, abs=5e-5)
        assert (estimate.point, estimate.n, estimate.level) == (k / n, n, 0.95)


def test_zero_of_twenty_leaves_13_9_percent():
    estimate = zero_count_upper(20, 0.95)
    assert estimate.upper == pytest.approx(0.1391, abs=5e-5)
    assert (estimate.point, estimate.lower) == (0.0, 0.0)
    assert "one-sided" in estimate.method


@pytest.mark.parametrize("n", [30, 100, 1000])
def test_rule_of_three(n):
    """Hanley & Lippman-Hand (1983), JAMA 249:1743: at most 3 / n."""
    assert 0.9 * 3 / n < zero_count_upper(n, 0.95).upper < 3 / n


def test_unusable_samples_stay_in_the_denominator():
    bounded = rate_bounds(5, 20, 3, 0.95)
    assert bounded.lower == wilson(5, 20, 0.95).lower
    assert bounded.upper == wilson(8, 20, 0.95).upper
    assert bounded.point == 5 / 17
    assert "3 unusable" in bounded.method


def test_without_unusable_samples_the_bounds_are_wilsons():
    assert rate_bounds(5, 20, 0, 0.95) == wilson(5, 20, 0.95)


def test_only_unusable_samples_say_nothing():
    estimate = rate_bounds(0, 8, 8, 0.95)
    assert (estimate.lower, estimate.upper, estimate.point) == (0.0, 1.0, 0.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: wilson(1, 0, 0.95),
        lambda: wilson(3, 2, 0.95),
        lambda: wilson(-1, 2, 0.95),
        lambda: clopper_pearson(1, 2, 1.0),
        lambda: clopper_pearson(float("nan"), 2, 0.95),
        lambda: zero_count_upper(0, 0.95),
        lambda: rate_bounds(3, 5, 3, 0.95),
        lambda: rate_bounds(3, 5, -1, 0.95),
        lambda: mcnemar_exact(-1, 2),
        lambda: mcnemar_exact(1, 2.5),
        lambda: paired_difference([1, 0], [1, 2], ["a", "b"], 0.95),
        lambda: paired_difference([1, 0], [1], ["a", "b"], 0.95),
        lambda: paired_difference([1, 0], [1, 0], ["a", "a"], 0.95),
        lambda: grouped_rate([1, 0, 1], ["a", "b"], 0.95),
        lambda: grouped_rate([], [], 0.95),
    ],
)
def test_unusable_input_is_refused_with_a_sentence(call):
    with pytest.raises(InvalidInput, match=r"got .*"):
        call()


def _pairs(only_first, only_second, both, neither):
    first = [1] * only_first + [0] * only_second + [1] * both + [0] * neither
    second = [0] * only_first + [1] * only_second + [1] * both + [0] * neither
    return first, second, range(len(first))


def test_published_paired_difference():
    """Airway hyper-responsiveness before and after transplantation (Bentur et al. 2009).

    Fagerland, Lydersen & Laake (2014), Statistics in Medicine 33:2850: Tango -0.517 to -0.026;
    (2013), BMC Medical Research Methodology 13:91: exact McNemar p = 0.070.
    """
    estimate = paired_difference(*_pairs(1, 7, 1, 12), 0.95)
    assert estimate.point == pytest.approx(-6 / 21)
    assert (estimate.lower, estimate.upper) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert mcnemar_exact(1, 7) == pytest.approx(0.0703, abs=5e-5)


def test_identical_answers_are_no_proof_of_equality():
    """Without discordant pairs Tango's limits are z² / (n + z²) either way."""
    estimate = paired_difference(*_pairs(0, 0, 30, 30), 0.95)
    expected = 1.959964**2 / (60 + 1.959964**2)
    assert (estimate.lower, estimate.upper) == pytest.approx((-expected, expected), abs=1e-6)


def test_all_pairs_discordant_one_way():
    estimate = paired_difference(*_pairs(9, 0, 0, 0), 0.95)
    assert estimate.upper == 1.0
    assert estimate.lower == pytest.approx(2 * wilson(9, 9, 0.95).lower - 1, abs=1e-6)


def test_unusable_pairs_count_at_worst_both_ways():
    first, second, groups = _pairs(3, 4, 10, 13)
    lost = [
        i in (0, 29) for i in groups
    ]  # one that only the first is right on, and one that neither is
    bounded = paired_difference(first, second, groups, 0.95, unknown=lost)
    worst = paired_difference(*_pairs(2, 6, 10, 12), 0.95)
    best = paired_difference(*_pairs(4, 4, 10, 12), 0.95)
    assert (bounded.lower, bounded.upper) == (worst.lower, best.upper)
    assert bounded.point == pytest.approx(-2 / 28)
    assert "worst case over 2 unusable" in bounded.method
    assert (
        paired_difference(first, second, groups, 0.95, unknown=[False] * 30).method == worst.method
    )


def test_exact_mcnemar_without_discordant_pairs():
    assert mcnemar_exact(0, 0) == 1.0


def test_copies_of_a_sample_add_nothing():
    outcomes = np.array([1, 0, 0, 1, 0, 1, 1, 0] * 5)
    copied = grouped_rate(np.repeat(outcomes, 10), np.repeat(np.arange(40), 10), 0.95)
    alone = wilson(int(outcomes.sum()), 40, 0.95)
    assert copied.n == 40
    assert copied.lower < alone.lower
    assert copied.upper > alone.upper
    assert copied.upper - copied.lower < 1.1 * (alone.upper - alone.lower)


def test_ungrouped_samples_get_plain_wilson():
    estimate = grouped_rate([1] * 3 + [0] * 26, range(29), 0.95)
    assert (estimate.lower, estimate.upper) == (
        wilson(3, 29, 0.95).lower,
        wilson(3, 29, 0.95).upper,
    )


def test_grouped_zero_count_counts_groups_not_samples():
    estimate = grouped_rate(np.zeros(600), np.repeat(np.arange(60), 10), 0.95)
    assert estimate.upper > wilson(0, 60, 0.95).upper > 5 * wilson(0, 600, 0.95).upper


def test_grouped_rate_keeps_unusable_samples_in_the_denominator():
    outcomes, groups = np.r_[np.ones(5), np.zeros(12), np.full(3, np.nan)], np.arange(20)
    bounded, counted = grouped_rate(outcomes, groups, 0.95), rate_bounds(5, 20, 3, 0.95)
    assert (bounded.point, bounded.lower, bounded.upper) == pytest.approx(
        (counted.point, counted.lower, counted.upper)
    )
    assert "3 unusable" in bounded.method

"""Intervals contain the truth as often as they say, by simulation with fixed seeds.

Bands allow for about three standard errors of the simulation.
"""

import numpy as np
import pytest
from scipy.stats import binom, norm

from auditkit.statistics.association import spearman
from auditkit.statistics.bootstrap import Resampling, grouped_bootstrap
from auditkit.statistics.multiplicity import step_down
from auditkit.statistics.permutation import max_over_sweep
from auditkit.statistics.proportions import (
    clopper_pearson,
    grouped_rate,
    paired_difference,
    wilson,
    zero_count_upper,
)
from auditkit.statistics.ranking import (
    auroc,
    auroc_difference,
    recall_at_fpr,
    stratified_auroc,
)
from auditkit.statistics.ratios import share_recovered
from auditkit.statistics.weighted import mean_of


def _coverage(simulate, truth, n_runs, seed):
    """Share of runs whose interval holds the truth; simulate(rng, run) returns an estimate."""
    rng = np.random.default_rng(seed)
    estimates = [simulate(rng, run) for run in range(n_runs)]
    return np.mean([e.lower <= truth <= e.upper for e in estimates])


def _resampling(run, n_resamples=400):
    return Resampling(level=0.95, seed=run, n_resamples=n_resamples)


def _exact_coverage(interval, n, rates):
    """Of an interval for ``n`` samples at each rate, summed over the binomial distribution."""
    estimates = [interval(k, n, 0.95) for k in range(n + 1)]
    lower, upper = (np.array([getattr(e, side) for e in estimates]) for side in ("lower", "upper"))
    inside = (lower[None] <= rates[:, None]) & (rates[:, None] <= upper[None])
    return (binom.pmf(np.arange(n + 1)[None], n, rates[:, None]) * inside).sum(axis=1)


RATES = np.linspace(0.005, 0.995, 397)


@pytest.mark.parametrize("n", [20, 50, 200])
def test_wilson_covers_on_average(n):
    assert 0.94 <= _exact_coverage(wilson, n, RATES).mean() <= 0.965


@pytest.mark.parametrize("n", [20, 50, 200])
def test_clopper_pearson_covers_at_every_rate(n):
    assert _exact_coverage(clopper_pearson, n, RATES).min() >= 0.95


def test_wilson_by_simulation():
    rng = np.random.default_rng(0)
    rates = rng.uniform(size=4_000)
    hits = [
        e.lower <= p <= e.upper
        for p, e in zip(
            rates, (wilson(int(k), 50, 0.95) for k in rng.binomial(50, rates)), strict=True
        )
    ]
    assert 0.94 <= np.mean(hits) <= 0.965


def test_zero_count_bound_is_beaten_one_time_in_twenty():
    upper = zero_count_upper(20, 0.95).upper
    zeros = np.random.default_rng(0).binomial(20, upper, size=20_000) == 0
    assert zeros.mean() == pytest.approx(0.05, abs=0.005)


def _clustered(rng, n_groups, size):
    """Normal samples of which half the variance is their group's; the mean is 0."""
    groups = np.repeat(np.arange(n_groups), size)
    return rng.normal(size=n_groups)[groups] + rng.normal(size=groups.size), groups


@pytest.mark.parametrize(("n_groups", "least"), [(60, 0.925), (20, 0.91)])
def test_grouped_bootstrap_covers_clustered_data(n_groups, least):
    def simulate(rng, run):
        values, groups = _clustered(rng, n_groups, 5)
        return grouped_bootstrap(mean_of(values), groups, _resampling(run))

    assert least <= _coverage(simulate, 0.0, 800, 0) <= 0.975


def test_bootstrap_that_ignores_groups_claims_too_much():
    def simulate(rng, run):
        values, _ = _clustered(rng, 60, 5)
        return grouped_bootstrap(mean_of(values), np.arange(values.size), _resampling(run))

    assert _coverage(simulate, 0.0, 400, 0) < 0.85


def test_grouped_bootstrap_covers_skewed_groups():
    def simulate(rng, run):
        groups = np.repeat(np.arange(60), 4)
        values = rng.exponential(size=60)[groups] - 1 + rng.normal(size=240)
        return grouped_bootstrap(mean_of(values), groups, _resampling(run))

    assert 0.92 <= _coverage(simulate, 0.0, 1_500, 1) <= 0.975


def _outcomes(rng, n_groups, size, rate, correlation):
    """Beta-binomial groups of binary samples."""
    a = 1 / correlation - 1
    rates = rng.beta(rate * a, (1 - rate) * a, size=n_groups)
    return (rng.random((n_groups, size)) < rates[:, None]).ravel(), np.repeat(
        np.arange(n_groups), size
    )


@pytest.mark.parametrize(("rate", "correlation"), [(0.3, 0.3), (0.02, 0.5), (0.02, 0.05)])
def test_grouped_rate_covers_where_wilson_does_not(rate, correlation):
    def grouped(rng, run):
        outcomes, groups = _outcomes(rng, 60, 10, rate, correlation)
        return grouped_rate(outcomes, groups, 0.95)

    def plain(rng, run):
        outcomes, _ = _outcomes(rng, 60, 10, rate, correlation)
        return wilson(int(outcomes.sum()), outcomes.size, 0.95)

    assert _coverage(grouped, rate, 1_000, 0) >= 0.935
    assert _coverage(plain, rate, 1_000, 0) < 0.92


@pytest.mark.parametrize(
    ("size", "first", "second"),
    [
        (1, 0.3, 0.3),
        (1, 0.02, 0.0),
        (5, 0.5, 0.3),
        (5, 0.02, 0.02),
    ],
)
def test_paired_difference_covers(size, first, second):
    def simulate(rng, run):
        shared, own = rng.normal(size=(60, 1)), rng.normal(size=(60, 1))
        a = shared + rng.normal(size=(60, size)) < norm.ppf(first) * np.sqrt(2)
        b = shared + own + rng.normal(size=(60, size)) < norm.ppf(second) * np.sqrt(3)
        groups = np.repeat(np.arange(60), size)
        return paired_difference(a.ravel(), b.ravel(), groups, 0.95)

    assert _coverage(simulate, first - second, 1_000, 0) >= 0.93


def _scores(rng, areas, n_groups, spread=5.0):
    """Groups of two alike samples, classes by turns, in strata of given AUROC and far means."""
    groups = np.repeat(np.arange(len(areas) * n_groups), 2)
    strata, labels = groups // n_groups, groups % 2
    shift = np.sqrt(2) * norm.ppf(np.array(areas))[strata]
    shared, own = rng.normal(size=groups.max() + 1)[groups], rng.normal(size=groups.size)
    centres = spread * rng.normal(size=len(areas))[strata]
    return centres + shift * labels + np.sqrt(0.5) * (shared + own), labels, strata, groups


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("size", [1, 3])
def test_spearman_covers(correlation, size):
    """Bivariate normal groups, whose rank correlation is known (Pearson 1907)."""

    def simulate(rng, run):
        groups = np.repeat(np.arange(80), size)
        x, y = rng.normal(size=(2, 80))[:, groups]
        return spearman(
            x, correlation * x + np.sqrt(1 - correlation**2) * y, groups, _resampling(run)
        )

    truth = 6 / np.pi * np.arcsin(correlation / 2)
    assert 0.92 <= _coverage(simulate, truth, 400, 0) <= 0.98


@pytest.mark.parametrize("area", [0.75, 0.9, 0.97, 0.99])
def test_auroc_covers(area):
    def simulate(rng, run):
        scores, labels, _, groups = _scores(rng, [area], 60)
        return auroc(scores, labels, groups, _resampling(run))

    assert _coverage(simulate, area, 400, 0) >= 0.915


def test_auroc_covers_where_rare_outliers_do_not_show():
    """3 % of positives lie below everything: 40 % of samples of 30 show perfect separation."""

    def simulate(rng, run):
        labels = np.arange(60) % 2
        scores = np.where(rng.random(60) < 0.03, -9.0, 9.0) * labels + rng.normal(size=60)
        return auroc(scores, labels, np.arange(60), _resampling(run))

    assert _coverage(simulate, 0.97, 500, 0) >= 0.93


@pytest.mark.parametrize("areas", [(0.5,) * 6, (0.6, 0.7, 0.8, 0.9), (0.99, 0.99, 0.99, 0.7)])
def test_stratified_auroc_covers(areas):
    def simulate(rng, run):
        scores, labels, strata, groups = _scores(rng, areas, 24)
        return stratified_auroc(scores, labels, strata, groups, _resampling(run))

    assert _coverage(simulate, np.mean(areas), 400, 0) >= 0.92


def test_auroc_difference_covers():
    def simulate(rng, run):
        scores, labels, _, groups = _scores(rng, [0.85], 80)
        other = scores - np.sqrt(2) * (norm.ppf(0.85) - norm.ppf(0.75)) * labels
        return auroc_difference(scores, other, labels, groups, _resampling(run))

    assert 0.92 <= _coverage(simulate, 0.1, 300, 0) <= 0.98


def test_recall_at_one_percent_covers():
    shift = 2.5
    truth = norm.sf(norm.isf(0.01) - shift)

    def simulate(rng, run):
        labels = np.repeat([0, 1], [300, 80])
        scores = shift * labels + rng.normal(size=380)
        return recall_at_fpr(scores, labels, np.arange(380), 0.01, _resampling(run))

    assert _coverage(simulate, truth, 250, 0) >= 0.915


def _wrong_decisions(correlated, effects, alpha, n_audits):
    """Share of audits with one or more wrong decisions: step-down, and uncorrected."""
    rng, effects = np.random.default_rng(0), np.array(effects)
    wrong = np.zeros((n_audits, 2))
    for audit in range(n_audits):
        noise = correlated * rng.normal() + np.sqrt(1 - correlated**2) * rng.normal(
            size=effects.size
        )
        z = np.abs(effects + noise)

        def decide(name, level, z=z):
            return bool(z[int(name)] > norm.ppf((1 + level) / 2))

        names = [str(i) for i in range(effects.size)]
        levels = step_down(names, decide, alpha)
        for column, chosen in enumerate((levels, dict.fromkeys(names, 1 - alpha))):
            wrong[audit, column] = any(
                decide(name, level) and effects[int(name)] == 0 for name, level in chosen.items()
            )
    return wrong.mean(axis=0)


@pytest.mark.parametrize("correlated", [0.0, 0.7])
@pytest.mark.parametrize("effects", [(0.0,) * 6, (0.0, 0.0, 0.0, 5.0, 5.0, 5.0)])
def test_a_thousand_null_audits_keep_the_family_wise_error(correlated, effects):
    stepped, uncorrected = _wrong_decisions(correlated, effects, 0.05, 1_000)
    assert stepped <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1_000)
    assert uncorrected > 0.08


def test_step_down_finds_more_than_bonferroni():
    rng = np.random.default_rng(0)
    found = np.zeros(2)
    for _ in range(300):
        z = rng.normal(size=6) + 2.8
        levels = step_down(range(6), lambda i, level, z=z: z[i] > norm.ppf((1 + level) / 2), 0.05)
        found += [
            sum(z[i] > norm.ppf((1 + level) / 2) for i, level in levels.items()),
            (z > norm.ppf(1 - 0.025 / 6)).sum(),
        ]
    assert found[0] > 1.1 * found[1]


def test_the_best_of_a_sweep_is_not_significant_by_being_the_best():
    rng = np.random.default_rng(0)
    values = np.array(
        [
            max_over_sweep(rng.normal(size=20), rng.normal(size=(99, 20)), 0.95).point
            for _ in range(2_000)
        ]
    )
    assert (values <= 0.05).mean() == pytest.approx(0.05, abs=0.015)


def _arms(rng, n, rates, together):
    """Arms on the same items, each right at its rate; items are easy or hard for all of them."""
    item = np.sqrt(together) * rng.standard_normal(n)
    noise = np.sqrt(1 - together) * rng.standard_normal((len(rates), n))
    return (item + noise < norm.ppf(rates)[:, None]).astype(float)


@pytest.mark.parametrize("n", [150, 1000])
@pytest.mark.parametrize("rates", [(0.5, 0.7, 0.15), (0.6, 0.62, 0.25), (0.35, 0.45, 0.2)])
def test_shares_recovered_cover(n, rates):
    """Where the gap is resolved; elsewhere there is no share (easy, hard, floor)."""
    truth = (rates[0] - rates[2]) / (rates[1] - rates[2])
    covered = _coverage(
        lambda rng, _: share_recovered(*_arms(rng, n, rates, 0.5), np.arange(n), 0.95),
        truth,
        n_runs=3000,
        seed=3,
    )
    assert 0.94 <= covered <= 0.96


def test_shares_recovered_cover_where_items_come_in_groups():
    rates, truth = (0.5, 0.7, 0.15), 0.35 / 0.55

    def simulate(rng, _):
        """Three trainings of each arm on each item: their outcomes go together."""
        item = np.sqrt(0.5) * np.repeat(rng.standard_normal(300), 3)
        noise = np.sqrt(0.5) * rng.standard_normal((3, 900))
        arms = (item + noise < norm.ppf(rates)[:, None]).astype(float)
        return share_recovered(*arms, np.repeat(np.arange(300), 3), 0.95)

    assert 0.94 <= _coverage(simulate, truth, n_runs=3000, seed=4) <= 0.96


@pytest.mark.parametrize("rates", [(0.6, 0.6), (0.3, 0.7), (0.55, 0.6)])
@pytest.mark.parametrize("n_trainings", [1, 3])
def test_paired_differences_of_trainings_cover(rates, n_trainings):
    """Items are resampled, trainings are not: what is covered is the difference of these trainings."""

    def simulate(rng, _):
        item = np.sqrt(0.5) * np.repeat(rng.standard_normal(400), n_trainings)
        noise = np.sqrt(0.5) * rng.standard_normal((2, 400 * n_trainings))
        easy, hard = (item + noise < norm.ppf(rates)[:, None]).astype(float)
        return paired_difference(easy, hard, np.repeat(np.arange(400), n_trainings), 0.95)

    assert 0.94 <= _coverage(simulate, rates[0] - rates[1], n_runs=1500, seed=11) <= 0.96

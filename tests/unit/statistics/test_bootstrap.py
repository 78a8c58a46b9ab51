import numpy as np
import pytest
from scipy import stats

from auditkit.errors import InvalidInput
from auditkit.statistics.bca import acceleration, bca_tails, critical
from auditkit.statistics.bootstrap import Resampling, Support, grouped_bootstrap
from auditkit.statistics.proportions import zero_count_upper
from auditkit.statistics.weighted import difference_of, mean_of

RESAMPLING = Resampling(level=0.95, seed=7)
# Efron & Tibshirani (1993), Table 14.1: test A of spatial ability, 26 children.
SPATIAL = np.fromstring(
    "48 36 20 29 42 42 20 42 22 41 45 14 6 0 33 28 34 4 32 24 47 41 24 26 30 41", sep=" "
)


def _variance(weights):
    mean = weights @ SPATIAL / weights.sum(axis=1)
    return weights @ SPATIAL**2 / weights.sum(axis=1) - mean**2


def test_published_bca_interval():
    """Efron & Tibshirani (1993), section 14.3: variance 171.5, a = 0.061, 90 % 115.8 to 259.6."""
    n = SPATIAL.size
    assert _variance(np.ones((1, n)))[0] == pytest.approx(171.5, abs=0.05)
    skewness = acceleration(_variance(1 - np.eye(n)), [np.arange(n)])
    assert skewness == pytest.approx(0.061, abs=5e-4)
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=20_000).astype(float)
    values = _variance(weights)
    bounds = np.quantile(values, bca_tails(values, 171.5, skewness, 1.645))
    assert bounds == pytest.approx((115.8, 259.6), abs=4)


def test_agrees_with_scipy_where_every_group_is_one_sample():
    data = np.random.default_rng(3).exponential(size=400)
    ours = grouped_bootstrap(
        mean_of(data), range(400), Resampling(level=0.9, seed=0, n_resamples=20_000)
    )
    theirs = stats.bootstrap(
        (data,), np.mean, confidence_level=0.9, n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high), abs=0.03 * width)


def test_few_groups_widen_the_interval():
    """Hesterberg (2015), section 5.3: half-width of a mean near t * s / sqrt(n)."""
    assert critical(10, 1, 0.95) == pytest.approx(np.sqrt(10 / 9) * 2.262157, abs=1e-6)
    assert critical(100_000, 1, 0.95) == pytest.approx(1.96, abs=1e-3)


def test_same_seed_same_interval_and_the_numbers_are_pinned():
    """Verifiers recompute them: raw PCG64 output is the same under every numpy."""
    values, groups = np.arange(20.0) ** 1.5, np.repeat(list("abcdefghij"), 2)
    one = grouped_bootstrap(mean_of(values), groups, RESAMPLING)
    assert one == grouped_bootstrap(mean_of(values), groups, RESAMPLING)
    other = grouped_bootstrap(mean_of(values), groups, Resampling(level=0.95, seed=8))
    assert (one.lower, one.upper) != (other.lower, other.upper)
    assert (one.lower, one.upper) == pytest.approx(
        (15.825601332930209, 54.210756770321154), rel=1e-9
    )


def test_order_of_samples_does_not_matter():
    values, groups = np.random.default_rng(0).normal(size=60), np.arange(60) % 12
    shuffled = np.random.default_rng(1).permutation(60)
    one = grouped_bootstrap(mean_of(values), groups, RESAMPLING)
    other = grouped_bootstrap(mean_of(values[shuffled]), groups[shuffled], RESAMPLING)
    assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper), rel=1e-12)


def test_large_samples_are_resampled_in_blocks_to_the_same_end(monkeypatch):
    values, groups = np.random.default_rng(0).normal(size=90), np.arange(90) % 30
    strata = groups % 3
    whole = grouped_bootstrap(mean_of(values), groups, RESAMPLING, strata=strata)
    monkeypatch.setattr("auditkit.statistics.bootstrap._BLOCK", 90 * 7)
    blocks = grouped_bootstrap(mean_of(values), groups, RESAMPLING, strata=strata)
    assert (whole.lower, whole.upper) == pytest.approx((blocks.lower, blocks.upper), rel=1e-12)


def test_resamples_draw_whole_groups_and_as_many_within_each_stratum():
    groups = np.repeat(np.arange(9), [1, 2, 3, 1, 2, 3, 1, 2, 3])
    strata = groups // 3
    seen = []

    def statistic(weights):
        seen.append(weights)
        return weights @ np.arange(18.0)

    grouped_bootstrap(statistic, groups, RESAMPLING, strata=strata)
    weights = seen[1]
    assert weights.shape == (2_000, 18)
    for group in range(9):
        assert np.ptp(weights[:, groups == group], axis=1).max() == 0
    counts = np.stack([weights[:, groups == g][:, 0] for g in range(9)], axis=1)
    assert (counts.reshape(-1, 3, 3).sum(axis=2) == 3).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(9), abs=0.1)


def test_paired_difference_keeps_the_pairing():
    rng = np.random.default_rng(0)
    base = rng.normal(size=200) * 10
    paired = grouped_bootstrap(
        difference_of(base + 1 + 0.1 * rng.normal(size=200), base), range(200), RESAMPLING
    )
    assert 0.97 < paired.lower < 1 < paired.upper < 1.04


def test_percentile_method_is_named():
    rng = np.random.default_rng(0)
    resampling = Resampling(level=0.95, seed=0, method="percentile")
    estimate = grouped_bootstrap(mean_of(rng.normal(size=50)), range(50), resampling)
    assert "percentile bootstrap over 50 groups, 2000 resamples" in estimate.method


def test_no_spread_is_refused_where_nothing_is_known_of_the_range():
    with pytest.raises(InvalidInput, match="all alike"):
        grouped_bootstrap(mean_of(np.ones(30)), range(30), RESAMPLING)


def test_a_mean_that_rounding_puts_beyond_its_range_is_an_estimate_still():
    """All values at the end of the range: their mean can be the last bit of a number above it."""
    share = 1 - 0.3487824629295454
    for n in (7, 60, 119, 120, 135):
        estimate = grouped_bootstrap(
            mean_of(np.full(n, share)), range(n), RESAMPLING, support=Support(lower=-1, upper=share)
        )
        assert estimate.lower < estimate.point <= estimate.upper
        assert estimate.upper == pytest.approx(share)


def test_no_spread_gets_the_zero_count_bound():
    estimate = grouped_bootstrap(
        mean_of(np.ones(30)), range(30), RESAMPLING, support=Support(lower=0.0, upper=1.0)
    )
    assert estimate.lower == pytest.approx(1 - zero_count_upper(30, 0.975).upper)
    assert estimate.upper == 1.0
    assert "zero-count" in estimate.method


def test_undefined_resamples_are_counted_and_too_many_refused():
    def fragile(share):
        def statistic(weights):
            values = weights @ np.arange(30.0)
            if values.size > 30:
                values[: int(share * values.size)] = np.nan
            return values

        return statistic

    assert "20 of them undefined" in grouped_bootstrap(fragile(0.01), range(30), RESAMPLING).method
    with pytest.raises(InvalidInput, match="200 of 2000 resamples"):
        grouped_bootstrap(fragile(0.1), range(30), RESAMPLING)


def test_a_statistic_that_one_group_carries_is_refused():
    def statistic(weights):
        return np.where(weights[:, 0] > 0, weights @ np.arange(400.0), np.nan)

    with pytest.raises(InvalidInput):
        grouped_bootstrap(statistic, range(400), RESAMPLING)


@pytest.mark.parametrize(
    ("groups", "strata", "match"),
    [
        (["a", "a", "a", "a"], None, "1 distinct"),
        ([], None, "groups"),
        (["a", "a", "b", "b"], [0, 1, 1, 1], "several"),
        (["a", "b", "c", "c"], [0, 0, 1, 1], "single group"),
    ],
)
def test_groups_that_can_not_be_resampled(groups, strata, match):
    with pytest.raises(InvalidInput, match=match):
        grouped_bootstrap(
            lambda w: w @ np.arange(float(w.shape[1])), groups, RESAMPLING, strata=strata
        )


@pytest.mark.parametrize(
    "options",
    [
        {"level": 1.0},
        {"level": 0.0},
        {"level": 0.95, "n_resamples": 100},
        {"level": 0.95, "method": "basic"},
    ],
)
def test_resampling_options_are_checked(options):
    with pytest.raises(InvalidInput):
        Resampling(seed=0, **options)


def test_stricter_levels_get_more_resamples():
    assert Resampling(level=0.95, seed=0).n_resamples == 2_000
    assert Resampling(level=0.999, seed=0).n_resamples == 20_000

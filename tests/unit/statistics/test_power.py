import numpy as np
import pytest

from auditkit.errors import InvalidInput
from auditkit.statistics.power import detection_power, smallest_detectable


def test_one_control_caught_says_little():
    estimate = detection_power(1, 1, 0.95)
    assert (estimate.point, estimate.lower, estimate.upper) == (1.0, pytest.approx(0.025), 1.0)


def _z_test(effect, seed):
    """Detects a mean of 25 draws at 5 %, two-sided: 80 % power at (1.96 + 0.8416) / 5 = 0.56."""
    return abs(np.random.default_rng(seed).normal(effect, 0.2)) > 1.96 * 0.2


def test_textbook_power_of_a_z_test():
    curve = smallest_detectable(_z_test, [0.64, 0.0, 0.48, 0.56], 2_000, 0.78, 0)
    assert curve.effects == (0.0, 0.48, 0.56, 0.64)
    assert [p.point for p in curve.power] == pytest.approx([0.05, 0.670, 0.8, 0.893], abs=0.03)
    for rate, exact in zip(curve.power, (0.05, 0.670, 0.8, 0.893), strict=True):
        assert rate.lower <= exact <= rate.upper
    assert curve.smallest == 0.56


def test_none_where_no_effect_is_found_often_enough():
    assert smallest_detectable(lambda *_: False, [1.0, 2.0], 20, 0.8, 0).smallest is None


def test_a_lucky_small_effect_does_not_count():
    curve = smallest_detectable(lambda effect, _: effect != 2.0, [1.0, 2.0, 3.0], 20, 0.8, 0)
    assert curve.smallest == 3.0


def test_trials_share_their_seeds_across_effects():
    seen = {}
    smallest_detectable(lambda e, s: seen.setdefault(e, []).append(s) or False, [1, 2], 5, 0.8, 3)
    assert seen[1.0] == seen[2.0]
    assert len(set(seen[1.0])) == 5


@pytest.mark.parametrize(
    ("grid", "n_trials", "target"),
    [
        ([], 10, 0.8),
        ([1, 1], 10, 0.8),
        ([float("nan")], 10, 0.8),
        ([1], 0, 0.8),
        ([1], 10, 1.0),
    ],
)
def test_unusable_settings_are_refused(grid, n_trials, target):
    with pytest.raises(InvalidInput):
        smallest_detectable(lambda *_: True, grid, n_trials, target, 0)

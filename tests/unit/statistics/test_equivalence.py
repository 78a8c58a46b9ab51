import numpy as np
import pytest

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.equivalence import (
    decide,
    equivalence_power,
    equivalent,
    smallest_margin,
)


def _estimate(lower, upper):
    middle = (lower + upper) / 2
    return Estimate(point=middle, lower=lower, upper=upper, level=0.95, n=9, method="given")


@pytest.mark.parametrize(
    ("lower", "upper", "decision"),
    [
        (0.11, 0.3, "above"),
        (0.0, 0.09, "below"),
        (0.05, 0.2, "undecided"),
        (0.1, 0.2, "undecided"),
        (0.0, 0.1, "undecided"),
        (0.1, 0.1, "undecided"),
    ],
)
def test_only_a_whole_interval_decides(lower, upper, decision):
    estimate = Estimate(point=lower, lower=lower, upper=upper, level=0.95, n=9, method="given")
    assert decide(estimate, 0.1) == decision


@pytest.mark.parametrize("margin", [float("nan"), float("inf")])
def test_a_margin_is_a_number(margin):
    estimate = Estimate(point=0.1, lower=0.1, upper=0.1, level=0.95, n=9, method="given")
    with pytest.raises(InvalidInput):
        decide(estimate, margin)


@pytest.mark.parametrize(
    ("lower", "upper", "shown"),
    [(-0.04, 0.04, True), (-0.06, 0.04, False), (-0.04, 0.06, False), (-0.2, -0.1, False)],
)
def test_equivalence_asks_for_the_whole_interval_within_the_margin(lower, upper, shown):
    assert equivalent(_estimate(lower, upper), 0.05) is shown


def test_equivalence_needs_a_margin():
    with pytest.raises(InvalidInput, match="above 0"):
        equivalent(_estimate(0.0, 0.0), 0.0)


@pytest.mark.parametrize("standard_error", [0.012, 0.02, 0.03])
def test_power_of_equivalence_is_what_simulated_tests_have(standard_error):
    drawn = np.random.default_rng(0).normal(0, standard_error, 20_000)
    half = 1.959964 * standard_error
    shown = np.mean([equivalent(_estimate(d - half, d + half), 0.05) for d in drawn])
    assert equivalence_power(0.05, standard_error, 0.95) == pytest.approx(shown, abs=0.01)


def test_the_smallest_margin_is_shown_with_the_power_asked_for():
    margin = smallest_margin(0.02, 0.95, 0.8)
    assert equivalence_power(margin, 0.02, 0.95) == pytest.approx(0.8)
    assert equivalence_power(0.05, 0.0, 0.95) == 1.0

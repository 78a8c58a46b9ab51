import pytest

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.equivalence import decide


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

import pytest

from auditkit.errors import InvalidInput
from auditkit.statistics.multiplicity import holm, simultaneous_level, step_down


def test_textbook_holm():
    """p = 0.01, 0.04, 0.03, 0.005 at 0.05: the fourth and the first, compared with 0.05 / 4, / 3, / 2.

    The usual example of Holm (1979), Scandinavian Journal of Statistics 6:65.
    """
    result = holm({"h1": 0.01, "h2": 0.04, "h3": 0.03, "h4": 0.005}, 0.05)
    assert {name for name, r in result.items() if r.rejected} == {"h1", "h4"}
    assert [r.adjusted for r in result.values()] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [r.p for r in result.values()] == [0.01, 0.04, 0.03, 0.005]


def test_no_p_values_no_decisions():
    assert holm({}, 0.05) == {}


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_p_values_outside_their_range_are_refused(p):
    with pytest.raises(InvalidInput, match="p value of a"):
        holm({"a": p}, 0.05)


def test_simultaneous_level():
    assert simultaneous_level(0.95, 5) == pytest.approx(0.99)
    assert simultaneous_level(0.95, 1) == pytest.approx(0.95)
    with pytest.raises(InvalidInput):
        simultaneous_level(0.95, 0)


def test_decisions_set_aside_make_room_for_the_rest():
    strengths = {"a": 0.999, "b": 0.978, "c": 0.96, "d": 0.2}
    calls = []

    def decide(name, level):
        calls.append((name, round(level, 4)))
        return strengths[name] >= level

    levels = step_down(list(strengths), decide, 0.05)
    assert levels == pytest.approx(
        {"a": 0.9875, "b": 1 - 0.05 / 3, "c": 1 - 0.05 / 3, "d": 1 - 0.05 / 3}
    )
    assert calls.count(("a", 0.9875)) == 1
    assert not [level for name, level in calls if name == "a" and level < 0.9875]


def test_every_hypothesis_decided_step_by_step():
    strengths = {"a": 0.99, "b": 0.984, "c": 0.976, "d": 0.951}
    levels = step_down(list(strengths), lambda name, level: strengths[name] >= level, 0.05)
    assert list(levels.values()) == pytest.approx([1 - 0.05 / m for m in (4, 3, 2, 1)])


def test_undecided_hypotheses_stand_at_the_last_level_tried():
    assert step_down(["a", "b"], lambda *_: False, 0.05) == pytest.approx({"a": 0.975, "b": 0.975})


def test_one_hypothesis_keeps_the_whole_budget():
    assert step_down(["a"], lambda *_: True, 0.05) == pytest.approx({"a": 0.95})


def test_no_hypotheses():
    assert step_down([], lambda *_: True, 0.05) == {}


def test_a_name_given_twice_is_refused():
    with pytest.raises(InvalidInput, match="twice"):
        step_down(["a", "a"], lambda *_: True, 0.05)

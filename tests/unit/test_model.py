from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from auditkit.model import (
    Arm,
    Estimate,
    Observations,
    Outcome,
    Prompt,
    Row,
    Sample,
    Status,
    SubjectInfo,
    Turn,
    Verdict,
)

TARGET = SubjectInfo(name="target", arm=Arm.TARGET, description="")


def estimate(**changes: object) -> Estimate:
    fields: dict[str, object] = {"point": 0.5, "lower": 0.4, "upper": 0.6, "level": 0.95, "n": 9}
    return Estimate(**{**fields, "method": "Wilson score", **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_verdict_has_no_truth_value(outcome: Outcome) -> None:
    verdict = Verdict(outcome=outcome, reason="r", explanation="e")
    with pytest.raises(TypeError, match="compare verdict"):
        bool(verdict)
    with pytest.raises(TypeError):
        assert not verdict


@pytest.mark.parametrize(
    "changes",
    [
        {"point": 0.7},
        {"lower": 0.6, "upper": 0.4},
        {"upper": float("nan")},
        {"upper": float("inf")},
        {"level": 1.0},
        {"level": 0.0},
        {"n": 0},
        {"method": ""},
    ],
)
def test_a_number_without_a_sound_interval_is_no_estimate(changes: dict[str, object]) -> None:
    assert estimate().n == 9
    with pytest.raises(ValueError, match="Estimate"):
        estimate(**changes)


def test_no_sample_can_leave_the_denominator() -> None:
    samples = (Sample(id="a", group="", input={}), Sample(id="b", group="", input={}))
    with pytest.raises(ValueError, match="don't match"):
        Observations(subject=TARGET, samples=samples, rows=(Row(sample_id="a"),))
    observed = Observations(
        subject=TARGET,
        samples=samples,
        rows=(Row(sample_id="a"), Row(sample_id="b", status=Status.EMPTY, reason="nothing")),
    )
    assert observed.statuses() == {"empty": 1, "ok": 1}
    assert [s.id for s, _ in observed.usable()] == ["a"]


def test_a_prompt_is_a_chat_or_a_text() -> None:
    turn = Turn(role="user", text="Hello")
    assert Prompt(turns=(turn,)).text == Prompt(raw="Hello").text
    for both in ({}, {"turns": (turn,), "raw": "Hello"}):
        with pytest.raises(ValueError, match="either"):
            Prompt(**both)  # type: ignore[arg-type]


def test_values_cannot_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        estimate().point = 0.1  # type: ignore[misc]

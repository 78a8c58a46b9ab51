"""One changed byte anywhere in a locked plan, and it is refused; no text makes the reader fall over."""

from __future__ import annotations

import contextlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.errors import PlanError
from auditkit.plan import LockedPlan, Plan, PlannedCheck, lock, locked_bytes, parse

WHERE = "plan.json"


@pytest.fixture(scope="module")
def data() -> bytes:
    plan = Plan(name="p", target="t", checks=(PlannedCheck(id="deception.knowledge_gap"),))
    return locked_bytes(lock(plan, target_digest="ab" * 32, locked_at="2026-11-22T10:00:00Z"))


def refused(data: bytes) -> bool:
    try:
        parse(data.decode(), WHERE)
    except (PlanError, UnicodeDecodeError):  # a file that isn't UTF-8 is refused when it is read
        return True
    return False


def test_the_locked_plan_itself_is_accepted(data: bytes) -> None:
    assert isinstance(parse(data.decode(), WHERE), LockedPlan)


def test_any_changed_byte_is_refused(data: bytes) -> None:
    choose = random.Random(7)
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= choose.randrange(1, 128)
        assert refused(bytes(changed)), changed[max(0, position - 20) : position + 20]


def test_any_lost_or_added_byte_is_refused(data: bytes) -> None:
    choose = random.Random(8)
    for position in choose.sample(range(len(data)), 150):
        assert refused(data[:position] + data[position + 1 :])
        assert refused(data[:position] + bytes([choose.randrange(32, 127)]) + data[position:])
        assert refused(data[:position])


def test_any_digit_letter_and_case_matters(data: bytes) -> None:
    for position in range(len(data)):
        for other in {data[position : position + 1].swapcase(), b"0", b" "}:
            changed = data[:position] + other + data[position + 1 :]
            assert changed == data or refused(changed)


@given(st.text(max_size=300))
@settings(max_examples=120)
def test_any_text_is_a_plan_or_a_plan_error(text: str) -> None:
    with contextlib.suppress(PlanError):
        parse(text, WHERE)


KEYS = st.sampled_from(["name", "seed", "checks", "id", "params", "plan", "sha256", "locked_at"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=8))
@settings(max_examples=120)
def test_any_mapping_is_a_plan_or_a_plan_error(value: dict[str, object]) -> None:
    with contextlib.suppress(PlanError):
        parse(json.dumps(value), WHERE)

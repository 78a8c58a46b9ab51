from __future__ import annotations

import re

import pytest

from auditkit import errors
from auditkit.errors import AuditkitError, InvalidInput, PlanError, VerificationError

CLASSES = [
    cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, AuditkitError) and cls is not VerificationError
]


def test_a_message_says_what_got_expected_and_next() -> None:
    error = PlanError("plan: seed", got="-1", expected="a seed", next_step="choose another")
    assert str(error) == "plan: seed, got -1, expected a seed; choose another."
    assert str(PlanError("plan: seed")) == "plan: seed."


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_has_a_code_of_its_own_and_a_place_in_the_drawing(cls: type) -> None:
    codes = [c.code for c in CLASSES]
    assert re.fullmatch(r"[a-z-]+", cls.code)  # type: ignore[attr-defined]
    assert codes.count(cls.code) == 1  # type: ignore[attr-defined]
    assert cls.__name__ in (errors.__doc__ or "")


def test_what_people_give_is_one_family() -> None:
    assert issubclass(errors.UnknownCheck, InvalidInput)
    assert issubclass(errors.TargetRefused, InvalidInput)
    assert not issubclass(errors.PluginError, InvalidInput)


def test_a_verification_error_names_its_reason() -> None:
    error = VerificationError("file-changed", "report.json", got="a", expected="b")
    assert error.code == "file-changed"
    assert str(error) == "report.json, got a, expected b."

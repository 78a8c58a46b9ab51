"""Every registered check keeps the contract on a real small model."""

from __future__ import annotations

import pytest
from small_checks import SCRIPTED_ONLY, SMALLEST, small

from auditkit.checks import registry
from auditkit.model import Arm
from auditkit.targets import Subject
from auditkit.testing import check_contract


@pytest.mark.model
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("check_id", sorted(registry().keys() - SCRIPTED_ONLY))
def test_keeps_it_on_a_real_model(check_id: str, quick_target: Subject) -> None:
    check = small(check_id, **SMALLEST.get(check_id, {}))
    result = check_contract(check, quick_target)
    assert {s.subject.arm for s in result.subjects} == set(Arm)

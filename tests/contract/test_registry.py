"""Every registered check keeps the contract, on a scripted subject."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from scripted import REFERENCES, REWARDS, SCRIPTS, acting, knowing
from small_checks import IN_SANDBOX, SMALL, small

from auditkit.checks import registry
from auditkit.testing import RULES, Contract, FakeSubject


@functools.cache
def contract(check_id: str) -> Contract:
    subject = (
        FakeSubject(reward=REWARDS[check_id])
        if check_id in REWARDS
        else FakeSubject(
            logprob=SCRIPTS.get(check_id, knowing),
            answer=acting,
            reference=REFERENCES.get(check_id),
        )
    )
    return Contract(small(check_id), subject)


@pytest.mark.parametrize("check_id", registry())
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_keeps(rule: Any, check_id: str, request: pytest.FixtureRequest) -> None:
    if check_id in IN_SANDBOX:
        request.getfixturevalue("sandboxes")
    rule(contract(check_id))


def test_the_parameters_here_belong_to_registered_checks() -> None:
    assert SMALL.keys() <= registry().keys()

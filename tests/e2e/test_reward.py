"""Real reward models up to a verdict: one was taught to pay for truth, one for flattery and length as well.

Both are made of the embedded model where the test runs (`benchmarks/reward_models.py`), of fewer layers and
facts than there, which is faster: they know little of what is true.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from auditkit.conclude import conclude
from auditkit.engine import observe
from auditkit.model import CheckResult, Outcome
from auditkit.plan import Plan, PlannedCheck
from auditkit.store import Store
from auditkit.targets.local import load, parse_spec

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "reward_models.py"
PLANNED = PlannedCheck(id="reward.audit", params={"n_items": 48, "n_probed": 0})


@pytest.fixture(scope="module")
def folders(demo_spec: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both models."""
    found = importlib.util.spec_from_file_location("reward_models", SCRIPT)
    assert found is not None
    assert found.loader is not None
    script = importlib.util.module_from_spec(found)
    sys.modules[found.name] = script  # dataclasses look their module up
    found.loader.exec_module(script)
    made: dict[str, Path] = script.make(tmp_path_factory.mktemp("rewards"), n_layers=4, n_facts=8)
    return made


def audited(folder: Path) -> CheckResult:
    subject = load(parse_spec(str(folder)), dtype="bfloat16", threads=1)
    plan = Plan(name="rewards", checks=(PLANNED,), seed=5)
    observed = observe(plan, subject, Store(folder / "evidence"), lambda _: None)
    (result,) = conclude(observed, plan)
    return result


def outcomes(result: CheckResult) -> dict[str, Outcome]:
    return {part.name: part.verdict.outcome for part in result.parts}


def test_the_biased_model_fails_for_what_it_was_taught(folders: dict[str, Path]) -> None:
    result = audited(folders["biased"])
    assert result.verdict.outcome is Outcome.FAILED
    found = outcomes(result)
    assert (found["length"], found["flattery"]) == (Outcome.FAILED, Outcome.FAILED)
    assert result.power is not None
    assert result.false_positive_rate is not None
    assert (result.power.point, result.false_positive_rate.point) == (1, 0)


def test_the_fair_model_fails_for_nothing(folders: dict[str, Path]) -> None:
    result = audited(folders["fair"])
    assert result.verdict.outcome in (Outcome.PASSED, Outcome.INCONCLUSIVE)
    assert Outcome.FAILED not in outcomes(result).values()

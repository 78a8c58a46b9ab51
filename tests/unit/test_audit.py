"""One audit from plan to bundle, on a tiny model made here, with toy checks and a plain PDF."""

from __future__ import annotations

import getpass
import json
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bundle_fixture as made
import pytest
from test_engine import SECOND, TOY, Toy, plan, register

from auditkit import audit, engine
from auditkit.audit import Order, Told, run_audit
from auditkit.errors import (
    IdentityChanged,
    PlanError,
    PluginError,
    StoreError,
    TargetRefused,
)
from auditkit.plan import LockedPlan, Plan, lock
from auditkit.signing.keys import Signer
from auditkit.store import Store
from auditkit.targets import scoring
from auditkit.targets.identity import identify
from auditkit.targets.local import parse_spec
from auditkit.verify import verify_bundle

NOW = "2026-11-22T10:00:00Z"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setattr("auditkit.render.render_pdf", made.render)
    monkeypatch.setattr("auditkit.machine._tokens_per_s", lambda target: 1_000.0)


@dataclass
class Desk:
    """An auditor's: a key, a model, a place for bundles."""

    home: Path
    model: Path
    signer: Signer
    heard: list[Any]

    def plan(self, **fields: Any) -> Plan:
        return plan(TOY, SECOND, target=str(self.model), threads=1, **fields)

    def locked(self, **fields: Any) -> LockedPlan:
        digest = identify(parse_spec(str(self.model))).digest
        return lock(self.plan(**fields), target_digest=digest, locked_at=NOW)

    def run(
        self,
        a_plan: Plan | LockedPlan,
        name: str = "out",
        *,
        cache: Path | None = None,
        on_step: Callable[[engine.Progress], None] = lambda _: None,
    ) -> Path:
        told = Told(stage=self.heard.append, estimate=self.heard.append, progress=on_step)
        order = Order(plan=a_plan, out=self.home / name, signer=self.signer, cache=cache)
        return run_audit(order, told)

    def change_model(self) -> None:
        config = self.model / "config.json"
        config.write_text(config.read_text().replace("\n", "\n\n", 1))


@pytest.fixture
def desk(tmp_path: Path, folder: Path) -> Desk:
    return Desk(home=tmp_path, model=folder, signer=made.make_signer(tmp_path), heard=[])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def report(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_bytes())


def test_an_audit_leaves_a_bundle_that_verifies_and_nothing_else(desk: Desk) -> None:
    out = desk.run(desk.plan())
    verify_bundle(out, desk.home / "auditor.pub.pem")
    assert report(out)["outcomes"]["PASSED"] == 2
    assert report(out)["run"]["resumed"] == 0
    assert not (desk.home / "out.partial").exists()
    assert set(desk.heard[2]) == {TOY, SECOND}  # the estimate, a number a check


def test_two_runs_with_one_seed_give_the_same_evidence(desk: Desk) -> None:
    first, second = desk.run(desk.plan(), "one"), desk.run(desk.plan(), "two")
    assert contents(first / "evidence") == contents(second / "evidence")
    other = desk.run(desk.plan(seed=1), "three")
    assert contents(first / "evidence") != contents(other / "evidence")


def test_nothing_in_a_bundle_names_the_machine(desk: Desk) -> None:
    out = desk.run(replace(desk.plan(), target=str(desk.model)))
    spoken = (out / "environment.json").read_text() + (out / "identity.json").read_text()
    assert str(desk.home) not in spoken
    assert platform.node() not in spoken
    assert f'"{getpass.getuser()}"' not in spoken


def test_a_finished_audit_is_returned_as_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    out = desk.run(desk.plan())
    before = contents(out)
    monkeypatch.setattr("auditkit.targets.local.load", None)  # nothing is loaded
    assert desk.run(desk.plan()) == out
    assert contents(out) == before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda out: shutil.rmtree(out / "evidence"),
        lambda out: (out / "report.json").unlink(),
        lambda out: (out / "report.json").write_bytes(
            (out / "report.json").read_bytes().replace(b"FAILED", b"PASSED")
        ),
        lambda out: (out / "manifest.json").unlink(),
        lambda out: (out / "plan.json").write_text("{}"),
    ],
)
def test_a_damaged_bundle_is_not_taken_for_a_finished_audit(
    desk: Desk, spoil: Callable[[Path], Any]
) -> None:
    out = desk.run(desk.plan())
    spoil(out)
    with pytest.raises(StoreError, match="choose another --out"):
        desk.run(desk.plan())


def test_a_folder_in_use_is_left_alone(desk: Desk) -> None:
    (desk.home / "out").mkdir()
    (desk.home / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="choose another --out"):
        desk.run(desk.plan())
    assert contents(desk.home / "out") == {"thesis.txt": b"years of work"}


def test_a_finished_audit_of_another_plan_is_refused(desk: Desk) -> None:
    desk.run(desk.plan())
    with pytest.raises(StoreError, match="a bundle of another plan or target"):
        desk.run(desk.plan(seed=1))


def test_a_bundle_by_another_key_is_not_this_audit(desk: Desk) -> None:
    out = desk.run(desk.plan())
    stranger = desk.home / "stranger"
    stranger.mkdir()
    made.reseal(out, made.make_signer(stranger, "Mallory"))
    with pytest.raises(StoreError, match="not this audit's bundle"):
        desk.run(desk.plan())


def test_a_plan_locked_in_the_future_is_refused_before_anything_is_asked(desk: Desk) -> None:
    for when in ("2999-01-01T00:00:00Z", "yesterday"):
        with pytest.raises(PlanError, match="locked_at"):
            desk.run(replace(desk.locked(), locked_at=when))


class Stop(BaseException):
    """As a kill would."""


def stop_after(n: int) -> Callable[[engine.Progress], None]:
    left = iter(range(n))

    def step(_: engine.Progress) -> None:
        if next(left, None) is None:
            raise Stop

    return step


def test_an_interrupted_run_is_taken_up_and_says_so(desk: Desk) -> None:
    whole = desk.run(desk.plan(), "whole")
    for n in (2, 5):
        with pytest.raises(Stop):
            desk.run(desk.plan(), on_step=stop_after(n))
    out = desk.run(desk.plan())
    assert contents(out / "evidence") == contents(whole / "evidence")
    assert report(out)["run"]["resumed"] == 2
    assert "2 times" in report(out)["deviations"][0]
    verify_bundle(out, desk.home / "auditor.pub.pem")


def test_another_plans_evidence_is_not_taken_up(desk: Desk) -> None:
    with pytest.raises(Stop):
        desk.run(desk.plan(), on_step=stop_after(2))
    with pytest.raises(StoreError, match="another plan or target"):
        desk.run(desk.plan(seed=1))
    desk.run(desk.plan())


def test_two_runs_in_one_folder_do_not_mix(desk: Desk) -> None:
    with Store(desk.home / "out.partial").lock(), pytest.raises(StoreError, match="another run"):
        desk.run(desk.plan())


def test_a_model_swapped_after_locking_is_refused(desk: Desk) -> None:
    locked = desk.locked()
    desk.change_model()
    with pytest.raises(PlanError, match="not the one the plan was locked with"):
        desk.run(locked)
    assert not (desk.home / "out").exists()


def test_a_locked_plan_is_run_as_it_is(desk: Desk) -> None:
    locked = desk.locked()
    assert report(desk.run(locked))["plan"]["sha256"] == locked.sha256
    assert desk.run(locked) == desk.home / "out"


def test_a_finished_bundle_does_not_stand_for_a_model_that_was_swapped_since(desk: Desk) -> None:
    locked = desk.locked()
    desk.run(locked)
    desk.change_model()
    with pytest.raises(PlanError, match="not the one the plan was locked with"):
        desk.run(locked)


def test_a_check_changed_after_locking_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = desk.locked()
    with monkeypatch.context() as patch:
        patch.setattr("auditkit.plan.source_sha256", lambda cls: "cd" * 32)
        with pytest.raises(PlanError, match="installed checks are not those"):
            desk.run(locked)
    samples = Toy.samples
    monkeypatch.setattr(Toy, "samples", lambda self, seed: samples(self, seed)[:-1])
    with pytest.raises(PlanError, match="installed checks are not those"):
        desk.run(locked)


def test_a_model_changed_during_the_run_gives_no_bundle(desk: Desk) -> None:
    def change(step: engine.Progress) -> None:
        if (step.check, step.subject, step.done) == (TOY, "target", 8):
            desk.change_model()

    with pytest.raises(IdentityChanged, match=r"config\.json changed"):
        desk.run(desk.plan(), on_step=change)
    assert not (desk.home / "out").exists()
    kept = Store(desk.home / "out.partial").batches(TOY, "target")
    assert sorted(kept) == [0, 1, 2]
    with pytest.raises(StoreError, match="another plan or target"):
        desk.run(desk.plan())  # what was observed is of another model


def test_judging_with_another_threshold_costs_no_forward_pass(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    real = scoring.continuation_logprobs

    def counted(model: Any, ids: Any, *rest: Any, **named: Any) -> Any:
        passes.append(len(ids))
        return real(model, ids, *rest, **named)

    monkeypatch.setattr(scoring, "continuation_logprobs", counted)

    def judged(threshold: float, name: str) -> Any:
        a_plan = desk.plan()
        params = {"threshold": threshold}
        checks = tuple(replace(c, params=params) for c in a_plan.checks)
        return report(desk.run(replace(a_plan, checks=checks), name, cache=desk.home / "cache"))

    first = judged(-1.0, "one")
    n_passes = len(passes)
    second = judged(-2.0, "two")
    assert n_passes > 0
    assert len(passes) == n_passes
    assert first["checks"][0]["params"]["threshold"] == -1.0
    assert second["checks"][0]["params"]["threshold"] == -2.0
    assert contents(desk.home / "one" / "evidence") == contents(desk.home / "two" / "evidence")


def test_a_judge_that_breaks_keeps_the_evidence(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Toy, "judge", lambda *_: None)
        with pytest.raises(PluginError):
            desk.run(desk.plan())
    assert not (desk.home / "out").exists()
    steps: list[engine.Progress] = []
    desk.run(desk.plan(), on_step=steps.append)
    assert report(desk.home / "out")["outcomes"]["PASSED"] == 2


def test_a_disk_that_fills_up_while_writing_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(audit, "write_contents", full)
        with pytest.raises(StoreError, match="a full disk"):
            desk.run(desk.plan())
    assert not (desk.home / "out").exists()
    desk.run(desk.plan())


def test_a_reference_that_is_the_target_is_refused(desk: Desk, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(desk.model, tmp_path / "another name"))
    (copied / "README.md").write_text("Quite another model.")
    with pytest.raises(TargetRefused, match="own weights under another name"):
        desk.run(desk.plan(reference=str(copied)))

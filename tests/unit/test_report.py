"""The report as data, and what a verifier derives again of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bundle_fixture as made
import pytest

from auditkit.bundle import Bundle, CheckRecord, open_bundle
from auditkit.canonical import canonical
from auditkit.checks import load_check, member_name
from auditkit.conclude import not_assessable
from auditkit.errors import PlanError, VerificationError
from auditkit.model import Access, Arm, ModelKind, Observations, SubjectInfo
from auditkit.plan import Plan, parse, read_text, shipped
from auditkit.report import N_SHOWN, PUBLIC_SEEDS, recompute
from auditkit.schemas import validate
from auditkit.targets.files import weights
from auditkit.verify import verify_bundle


@pytest.fixture(autouse=True)
def _coins(monkeypatch: pytest.MonkeyPatch) -> None:
    made.register(monkeypatch)


@pytest.fixture
def bundle() -> Bundle:
    return made.contents()


def test_a_report_is_valid_and_says_what_it_rests_on(bundle: Bundle) -> None:
    report = recompute(bundle)
    validate(report, "report", "report.json")
    (check,) = report["checks"]
    assert report["outcomes"]["PASSED"] == 1
    assert report["plan"]["sha256"] == bundle.plan["sha256"]
    assert [s["subject"]["name"] for s in check["subjects"]] == ["target", "liar", "twin"]
    assert check["power"]["upper"] == 1
    assert len(check["samples"]) == N_SHOWN
    assert {s["subject"] for s in check["samples"]} == {"target"}


def test_the_same_evidence_gives_the_same_report(bundle: Bundle) -> None:
    assert recompute(bundle) == recompute(bundle)
    assert recompute(bundle) != recompute(made.contents(seed=8))


def test_shown_samples_are_drawn_by_the_seed() -> None:
    def shown(seed: int) -> list[str]:
        return [s["sample_id"] for s in recompute(made.contents(seed))["checks"][0]["samples"]]

    assert shown(7) == shown(7)
    assert any(shown(seed) != shown(7) for seed in range(8, 12))


def test_a_small_model_is_a_limit(bundle: Bundle) -> None:
    assert "test the pipeline" in recompute(bundle)["limits"][0]
    unknown = replace(bundle, environment={**bundle.environment, "target": {}})
    said = recompute(unknown)["limits"][0]
    assert "is not known" in said
    assert "test the pipeline" in said


def test_a_seed_that_anybody_can_know_is_a_limit(bundle: Bundle) -> None:
    assert not [said for said in recompute(bundle)["limits"] if "seed" in said]
    for seed in PUBLIC_SEEDS:
        (said,) = (s for s in recompute(made.contents(seed))["limits"] if "seed" in s)
        assert "could know every question" in said


@pytest.mark.parametrize("name", shipped())
def test_the_seeds_of_shipped_plans_are_known_as_such(name: str) -> None:
    plan = parse(*read_text(name))
    assert isinstance(plan, Plan)
    assert plan.seed in PUBLIC_SEEDS


def test_what_could_not_be_asked_is_a_limit(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = load_check(made.CHECK)
    monkeypatch.setattr(cls, "about", replace(cls.about, needs=Access.LOGPROBS))
    missing = not_assessable(cls(), Access.TEXT)
    assert missing is not None
    silent = {made.CHECK: CheckRecord(check=made.CHECK, not_assessed=missing)}
    report = recompute(replace(bundle, evidence=silent))
    assert report["outcomes"]["NOT_ASSESSED"] == 1
    assert report["limits"][-1] == f"{made.CHECK} reached no conclusion: {missing[1]}"


def test_a_failure_cannot_be_hidden_as_not_assessed(bundle: Bundle) -> None:
    hidden = {made.CHECK: CheckRecord(check=made.CHECK, not_assessed=("no_time", "Alas."))}
    with pytest.raises(VerificationError) as caught:
        recompute(replace(bundle, evidence=hidden))
    assert caught.value.code == "not-assessed-unfounded"


def test_a_check_cannot_be_dropped_by_calling_the_target_another_kind_of_model(
    bundle: Bundle,
) -> None:
    kind = {"target": {**bundle.environment["target"], "kind": "reward_model"}}
    other = replace(bundle, environment={**bundle.environment, **kind})
    with pytest.raises(VerificationError) as caught:
        recompute(other)
    assert caught.value.code == "not-assessed-unfounded"
    missing = not_assessable(load_check(made.CHECK)(), Access.WEIGHTS, ModelKind.REWARD)
    silent = {made.CHECK: CheckRecord(check=made.CHECK, not_assessed=missing)}
    assert recompute(replace(other, evidence=silent))["outcomes"]["NOT_ASSESSED"] == 1
    with pytest.raises(VerificationError):
        recompute(replace(bundle, evidence=silent))


@pytest.mark.parametrize(("resumed", "said"), [(1, "once"), (3, "3 times")])
def test_an_interruption_is_a_deviation(bundle: Bundle, resumed: int, said: str) -> None:
    assert recompute(bundle)["deviations"] == []
    cut = replace(bundle, environment={**bundle.environment, "resumed": resumed})
    assert said in recompute(cut)["deviations"][0]


def with_subjects(bundle: Bundle, change: Callable[[list[Observations]], object]) -> Bundle:
    subjects = list(bundle.evidence[made.CHECK].subjects)
    change(subjects)
    record = CheckRecord(check=made.CHECK, subjects=tuple(subjects))
    return replace(bundle, evidence={made.CHECK: record})


def relabel(subjects: list[Observations], i: int, **changes: Any) -> None:
    old = subjects[i].subject
    fields = {"name": old.name, "arm": old.arm, "description": old.description, **changes}
    subjects[i] = replace(subjects[i], subject=SubjectInfo(**fields))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop(1),  # the control that was missed
        lambda s: s.pop(2),  # the control that was flagged
        lambda s: s.pop(0),
        lambda s: s.reverse(),
        lambda s: relabel(s, 1, arm=Arm.NEGATIVE_CONTROL),
        lambda s: relabel(s, 2, name="other"),
        lambda s: relabel(s, 1, description="A far better liar."),
    ],
)
def test_an_auditor_cannot_leave_out_or_rename_a_control(
    bundle: Bundle, change: Callable[[list[Observations]], object]
) -> None:
    with pytest.raises(VerificationError) as caught:
        recompute(with_subjects(bundle, change))
    assert caught.value.code == "subjects-not-planned"


def bundle_coin() -> Any:
    """The class that the registry gives, whatever name its module was imported under."""
    return load_check(made.CHECK)


def test_a_signed_bundle_without_its_inconvenient_control_does_not_verify(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an auditor would make it who changed the program that derives the report."""
    signer = made.make_signer(tmp_path)
    with monkeypatch.context() as patch:
        controls = made.Coin().controls(7)[1:]
        patch.setattr(bundle_coin(), "controls", lambda self, seed: controls)
        made.make_bundle(tmp_path / "bundle", signer, with_subjects(bundle, lambda s: s.pop(1)))
    with pytest.raises(VerificationError) as caught:
        verify_bundle(tmp_path / "bundle", tmp_path / "auditor.pub.pem")
    assert caught.value.code == "subjects-not-planned"


def test_a_bundle_whose_target_said_what_is_hard_for_it_does_not_verify(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = weights({made.MODEL_FILE[0]: made.MODEL_FILE[2]}, "")
    for sha256, refused in (("0" * 64, False), (own, True)):
        members = {member_name("other", sha256)}
        monkeypatch.setattr(bundle_coin(), "panel", lambda _, m=members: m, raising=False)
        if refused:
            with pytest.raises(PlanError, match="the target itself"):
                recompute(bundle)
        else:
            recompute(bundle)


def test_evidence_of_other_samples_is_refused(bundle: Bundle) -> None:
    other = made.contents(seed=8).evidence
    with pytest.raises(VerificationError) as caught:
        recompute(replace(bundle, evidence=other))
    assert caught.value.code == "samples-not-planned"


def test_an_open_plan_has_no_report(bundle: Bundle) -> None:
    with pytest.raises(VerificationError, match="a locked plan"):
        recompute(replace(bundle, plan=bundle.plan["plan"]))
    with pytest.raises(PlanError, match="was changed"):
        recompute(replace(bundle, plan={**bundle.plan, "locked_at": "2027-01-01T00:00:00Z"}))


def test_writing_and_reading_changes_nothing(tmp_path: Path, bundle: Bundle) -> None:
    folder = made.make_bundle(tmp_path / "b", made.make_signer(tmp_path), bundle)
    again = recompute(replace(open_bundle(folder), report=None))
    assert json.loads(canonical(again)) == open_bundle(folder).report

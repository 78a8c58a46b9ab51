"""What a verdict may be: PASSED only where every precondition holds, whatever a plugin says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_engine import TOY, NumberRow, Toy, plan, register

from auditkit.canonical import to_json
from auditkit.checks import check
from auditkit.conclude import TARGET, CheckEvidence, conclude
from auditkit.errors import InvalidInput, PluginError
from auditkit.model import (
    Access,
    Arm,
    CheckResult,
    Detection,
    Estimate,
    Finding,
    GateResult,
    Observations,
    Outcome,
    Part,
    Row,
    Sample,
    Status,
    SubjectInfo,
)
from auditkit.plan import Plan, PlannedCheck
from auditkit.quality import gate

GATE = "auditkit.conclude.gate"
LIE, CLEAN, UNSURE = 0.0, -5.0, -1.0


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    monkeypatch.setattr(GATE, lambda *_: GateResult(passed=True, evaluated=1))


def observed(
    name: str, arm: Arm, number: float, n_bad: int = 0, status: Status = Status.ERROR, n: int = 20
) -> Observations:
    """`number` within half a unit: the toy says yes above -1."""
    samples = tuple(Sample(id=f"q{i}", group=f"g{i}", input={}) for i in range(n))
    rows = tuple(
        Row(sample_id=s.id, status=status, reason="broken")
        if i < n_bad
        else Row(sample_id=s.id, values={"number": number + (0.5 if i % 2 else -0.5)})
        for i, s in enumerate(samples)
    )
    info = SubjectInfo(name=name, arm=arm, description="")
    return Observations(subject=TARGET if arm is Arm.TARGET else info, samples=samples, rows=rows)


def subjects(target: float = CLEAN, loud: float = LIE, twin: float = CLEAN) -> list[Observations]:
    return [
        observed("target", Arm.TARGET, target),
        observed("loud", Arm.POSITIVE_CONTROL, loud),
        observed("twin", Arm.NEGATIVE_CONTROL, twin),
    ]


def concluded(
    seen: Sequence[Observations], a_check: Any = None, *, a_plan: Plan | None = None, **kw: Any
) -> CheckResult:
    evidence = CheckEvidence(
        check=a_check or Toy(), primary=kw.pop("primary", True), subjects=tuple(seen), **kw
    )
    (result,) = conclude([evidence], a_plan or plan())
    return result


def test_a_clean_target_with_sound_controls_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GATE, gate)
    result = concluded(subjects())
    assert result.verdict.outcome is Outcome.PASSED
    assert result.power is not None
    assert result.false_positive_rate is not None
    assert (result.power.point, result.false_positive_rate.point) == (1.0, 0.0)
    assert result.power.lower < 0.1  # one control is no proof of power, and the interval says so


def test_a_detection_fails() -> None:
    assert concluded(subjects(target=LIE)).verdict.outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("seen", "outcome", "reason"),
    [
        (subjects(loud=CLEAN), Outcome.INCONCLUSIVE, "positive_control_missed"),
        (subjects(loud=UNSURE), Outcome.INCONCLUSIVE, "positive_control_unresolved"),
        (subjects(twin=LIE), Outcome.INCONCLUSIVE, "negative_control_flagged"),
        (subjects(twin=UNSURE), Outcome.INCONCLUSIVE, "negative_control_unresolved"),
        (subjects(target=UNSURE), Outcome.INCONCLUSIVE, "toy"),
        (subjects()[:1], Outcome.INCONCLUSIVE, "no_controls"),
        (subjects()[:2], Outcome.INCONCLUSIVE, "no_negative_control"),
        ([subjects()[0], subjects()[2]], Outcome.INCONCLUSIVE, "no_positive_control"),
        (subjects()[1:], Outcome.NOT_ASSESSED, "no_evidence"),
        ([], Outcome.NOT_ASSESSED, "no_evidence"),
    ],
)
def test_what_is_not_a_pass(seen: list[Observations], outcome: Outcome, reason: str) -> None:
    verdict = concluded(seen).verdict
    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert verdict.explanation


def test_one_control_of_many_is_enough_to_spoil_a_pass() -> None:
    more = [*subjects(), observed("meek", Arm.POSITIVE_CONTROL, CLEAN)]
    assert concluded(more).verdict.reason == "positive_control_missed"
    result = concluded(more)
    assert result.power is not None
    assert result.power.point == 0.5


@pytest.mark.parametrize("arm", range(3))
@pytest.mark.parametrize("status", [s for s in Status if s is not Status.OK])
def test_too_many_unusable_samples_of_anybody_conclude_nothing(arm: int, status: Status) -> None:
    for n_bad, passed in ((1, True), (2, False), (20, False)):
        seen = subjects()
        info = seen[arm].subject
        number = LIE if info.arm is Arm.POSITIVE_CONTROL else CLEAN
        seen[arm] = observed(info.name, info.arm, number, n_bad, status)
        verdict = concluded(seen).verdict
        assert (verdict.outcome is Outcome.PASSED) == passed
        if not passed:
            assert verdict.reason == "too_many_unusable_samples"
            assert f"{n_bad} {status.value}" in verdict.explanation


@pytest.mark.parametrize("arm", range(3))
def test_evidence_that_the_gate_rejects_is_not_assessed(
    monkeypatch: pytest.MonkeyPatch, arm: int
) -> None:
    calls = iter(range(3))

    def rejecting(*_: Any) -> GateResult:
        failed = next(calls) == arm
        return GateResult(passed=not failed, evaluated=1, failures=("bad",) if failed else ())

    monkeypatch.setattr(GATE, rejecting)
    result = concluded(subjects())
    assert result.verdict.outcome is Outcome.NOT_ASSESSED
    assert result.verdict.reason == "evidence_rejected"
    assert result.subjects[arm].finding is None


def test_lacking_access_is_not_assessed() -> None:
    verdict = concluded([], not_assessed=("lacks_access", "It has text only.")).verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.NOT_ASSESSED, "lacks_access")


def judging(patch: pytest.MonkeyPatch, judge: Callable[..., Any]) -> None:
    patch.setattr(Toy, "judge", lambda self, observations, level, seed: judge(observations))


NUMBER = Estimate(point=0.5, lower=0.4, upper=0.6, level=0.999, n=9, method="m")


def finding(**changes: Any) -> Finding:
    fields: dict[str, Any] = {
        "detection": Detection.NOT_DETECTED,
        "reason": "r",
        "explanation": "e",
        "estimates": {"x": NUMBER},
    }
    return Finding(**{**fields, **changes})


@pytest.mark.parametrize(
    "answer",
    [
        None,
        True,
        "PASSED",
        finding(estimates={}),
        finding(estimates={"x": 0.5}),
        finding(detection="not_detected"),
        finding(unfit=True),
    ],
)
def test_a_judge_that_breaks_the_protocol_stops_the_run(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    judging(monkeypatch, lambda _: answer)
    with pytest.raises(PluginError, match="judge"):
        concluded(subjects())


def test_a_judge_is_not_told_whose_evidence_it_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def judge(o: Any) -> Any:
        told.append(o.subject)
        return finding()

    judging(monkeypatch, judge)
    concluded(subjects())
    assert len(told) > 2
    assert len(set(told)) == 1


def test_a_decision_needs_a_number_at_its_level(monkeypatch: pytest.MonkeyPatch) -> None:
    weak = Estimate(point=0.5, lower=0.4, upper=0.6, level=0.1, n=1, method="made up")
    judging(monkeypatch, lambda _: finding(estimates={"x": weak}))
    with pytest.raises(PluginError, match="confidence level"):
        concluded(subjects())


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("k"), ZeroDivisionError()])
def test_a_judge_that_raises_stops_the_run_with_its_name(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def judge(_: Any) -> Any:
        raise error

    judging(monkeypatch, judge)
    with pytest.raises(PluginError, match=rf"toy\.number.*{type(error).__name__}"):
        concluded(subjects())


def test_too_little_for_the_statistics_is_undetermined(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(o: Observations) -> Finding:
        raise InvalidInput("bootstrap", got="1 group", expected="2")

    judging(monkeypatch, judge)
    result = concluded(subjects())
    assert result.verdict.outcome is Outcome.INCONCLUSIVE
    assert result.subjects[0].finding is not None
    assert result.subjects[0].finding.reason == "too_little_evidence"


UNFIT = {"detection": Detection.UNDETERMINED, "reason": "judge_too_weak", "unfit": True}


def test_what_is_unfit_to_measure_assesses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    judging(monkeypatch, lambda _: finding(**UNFIT))
    result = concluded(subjects())
    assert (result.verdict.outcome, result.verdict.reason) == (
        Outcome.NOT_ASSESSED,
        "judge_too_weak",
    )
    assert len(result.subjects) == 3  # what was asked is shown all the same
    assert to_json(result.subjects[0].finding)["unfit"] is True
    assert "unfit" not in to_json(finding())


@pytest.mark.parametrize("arm", [Arm.POSITIVE_CONTROL, Arm.NEGATIVE_CONTROL])
def test_an_instrument_unfit_on_a_control_alone_is_no_excuse(
    monkeypatch: pytest.MonkeyPatch, arm: Arm
) -> None:
    seen = subjects()
    broken = next(o.rows for o in seen if o.subject.arm is arm)
    judging(monkeypatch, lambda o: finding(**UNFIT) if o.rows is broken else finding())
    assert concluded(seen).verdict.outcome is Outcome.INCONCLUSIVE


def test_unusable_samples_come_before_an_unfit_instrument(monkeypatch: pytest.MonkeyPatch) -> None:
    judging(monkeypatch, lambda _: finding(**UNFIT))
    seen = [observed("target", Arm.TARGET, CLEAN, 9), *subjects()[1:]]
    assert concluded(seen).verdict.reason == "too_many_unusable_samples"


def test_a_check_that_hopes_for_a_detection_passes_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "about", replace(Toy.about, holds_when=Detection.DETECTED))
    assert concluded(subjects(target=LIE)).verdict.outcome is Outcome.PASSED
    assert concluded(subjects(target=CLEAN)).verdict.outcome is Outcome.FAILED
    assert concluded(subjects(LIE, twin=UNSURE)).verdict.outcome is Outcome.INCONCLUSIVE


ARMS = st.sampled_from(list(Arm))
SUBJECT = st.tuples(
    ARMS,
    st.sampled_from(list(Detection)),
    st.integers(0, 3),  # bad rows of 20; one is allowed
    st.booleans(),  # the gate
)


@given(st.lists(SUBJECT, max_size=6), st.sampled_from([Detection.NOT_DETECTED, Detection.DETECTED]))
@settings(max_examples=300, deadline=None)
def test_passed_means_that_every_precondition_holds(drawn: list[Any], wanted: Detection) -> None:
    by_name = {f"s{i}": one for i, one in enumerate(drawn)}
    seen = []
    for name, (arm, _, n_bad, _) in by_name.items():
        o = observed(name, arm, CLEAN, n_bad)
        seen.append(replace(o, subject=SubjectInfo(name=name, arm=arm, description="")))
    with pytest.MonkeyPatch.context() as patch:
        register(patch)
        by_rows = {id(o.rows): by_name[o.subject.name] for o in seen}  # judges are not told whose
        judging(patch, lambda o: finding(detection=by_rows[id(o.rows)][1]))
        patch.setattr(Toy, "about", replace(Toy.about, holds_when=wanted))
        patch.setattr(GATE, lambda o, _: GateResult(passed=by_name[o.subject.name][3], evaluated=1))
        outcome = concluded(seen).verdict.outcome
    detections = {arm: [d for a, d, _, _ in drawn if a is arm] for arm in Arm}
    sound = (
        all(gate and n_bad <= 1 for _, _, n_bad, gate in drawn)
        and detections[Arm.POSITIVE_CONTROL]
        and set(detections[Arm.POSITIVE_CONTROL]) == {Detection.DETECTED}
        and detections[Arm.NEGATIVE_CONTROL]
        and set(detections[Arm.NEGATIVE_CONTROL]) == {Detection.NOT_DETECTED}
    )
    if outcome is Outcome.PASSED:
        assert sound
        assert detections[Arm.TARGET][0] is wanted
    elif sound and detections[Arm.TARGET] and detections[Arm.TARGET][0] is wanted:
        pytest.fail(f"sound, and yet {outcome}")


# --- error control over the audit ------------------------------------------------------------------


@check(id="toy.mean", version=1, needs=Access.TEXT, title="M", claim="M.", row=NumberRow)
@dataclass(frozen=True, kw_only=True)
class Mean(Toy):
    """Is the mean above 0? Whoever decides on numbers whose mean is 0 is wrong either way."""

    def judge(self, observations: Observations, level: float, seed: int) -> Finding:
        x = np.array([r.values["number"] for r in observations.rows])
        half = stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
        mean = Estimate(
            point=float(x.mean()),
            lower=float(x.mean() - half),
            upper=float(x.mean() + half),
            level=level,
            n=len(x),
            method="t",
        )
        seen = Detection.DETECTED if mean.lower > 0 else Detection.NOT_DETECTED
        unsure = mean.lower <= 0 <= mean.upper
        return finding(
            detection=Detection.UNDETERMINED if unsure else seen, estimates={"mean": mean}
        )


N_CHECKS, N_AUDITS = 5, 1_000


def null_audits(primary: bool) -> tuple[float, set[float]]:
    """Share of audits with a wrong decision, and the levels at which checks were judged."""
    rng = np.random.default_rng(20261122)
    checks = []
    for number in range(N_CHECKS):
        cls: Any = type(f"Mean{number}", (Mean,), {"about": replace(Mean.about, id=f"m.c{number}")})
        checks.append(cls())
    a_plan = Plan(name="null", checks=tuple(PlannedCheck(id=c.about.id) for c in checks))
    controls = [
        observed("loud", Arm.POSITIVE_CONTROL, 9, n=10),
        observed("twin", Arm.NEGATIVE_CONTROL, -9, n=10),
    ]
    samples = controls[0].samples
    wrong, levels = 0, set()
    for _ in range(N_AUDITS):
        evidence = []
        for one in checks:
            rows = tuple(
                Row(sample_id=s.id, values={"number": float(v)})
                for s, v in zip(samples, rng.standard_normal(10), strict=True)
            )
            target = Observations(subject=TARGET, samples=samples, rows=rows)
            evidence.append(CheckEvidence(check=one, primary=primary, subjects=(target, *controls)))
        results = conclude(evidence, a_plan)
        levels |= {round(r.level, 12) for r in results}
        decided = (Outcome.PASSED, Outcome.FAILED)
        wrong += any(r.verdict.outcome in decided for r in results)
    return wrong / N_AUDITS, levels


def test_a_thousand_null_audits_keep_the_error_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    rate, levels = null_audits(primary=True)
    assert rate <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / N_AUDITS)
    assert rate > 0.02  # it does decide: the simulation is not empty
    assert max(levels) == 0.99  # alpha / 5, and more once another claim is decided
    assert len(levels) > 1
    uncorrected, levels = null_audits(primary=False)
    assert uncorrected > 0.15  # what the correction is for
    assert levels == {0.95}


def test_primary_claims_share_alpha_by_holm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first three decide at 1 - alpha/4; the fourth is tried again alone."""
    evidence = []
    for number, target in enumerate((CLEAN, LIE, CLEAN, UNSURE, CLEAN)):
        about = replace(Toy.about, id=f"h.c{number}")
        cls: Any = type(f"H{number}", (Toy,), {"about": about})
        evidence.append(
            CheckEvidence(check=cls(), primary=number < 4, subjects=tuple(subjects(target=target)))
        )
    results = conclude(evidence, Plan(name="h", alpha=0.04, checks=plan().checks))
    assert [round(r.level, 9) for r in results] == [0.99, 0.99, 0.99, 0.96, 0.96]
    assert [r.verdict.outcome.value[0] for r in results] == list("PFPIP")


def test_a_claim_that_was_not_assessed_keeps_its_share_of_alpha() -> None:
    evidence = [
        CheckEvidence(check=Toy(), primary=True, subjects=tuple(subjects())),
        CheckEvidence(
            check=type("N", (Toy,), {"about": replace(Toy.about, id="n.n")})(),
            primary=True,
            subjects=(),
            not_assessed=("lacks_access", "No."),
        ),
    ]
    first, second = conclude(evidence, plan())
    assert first.check == TOY
    assert (round(first.level, 9), round(second.level, 9)) == (0.975, 0.95)


# --- parts --------------------------------------------------------------------------------------


PARTED = ("first", "second")


def in_parts(patch: pytest.MonkeyPatch) -> None:
    """The toy judges the first and the second half of its samples each by itself."""
    whole = Toy.judge

    def judge(self: Toy, observations: Observations, level: float, seed: int) -> Finding:
        half = len(observations.samples) // 2
        parts = []
        for name, cut in zip(PARTED, (slice(None, half), slice(half, None)), strict=True):
            some = replace(
                observations, samples=observations.samples[cut], rows=observations.rows[cut]
            )
            found = whole(self, some, level, seed)
            parts.append(
                Part(name=name, title=f"The {name} half", detection=found.detection,
                     explanation=found.explanation, estimates=found.estimates)
            )  # fmt: skip
        kinds = {p.detection for p in parts}
        detection = next(
            d
            for d in (Detection.DETECTED, Detection.UNDETERMINED, Detection.NOT_DETECTED)
            if d in kinds
        )
        return replace(
            whole(self, observations, level, seed), detection=detection, parts=tuple(parts)
        )

    patch.setattr(Toy, "judge", judge)


def halves(name: str, arm: Arm, first: float, second: float) -> Observations:
    a, b = observed(name, arm, first), observed(name, arm, second)
    return replace(a, rows=(*a.rows[:10], *b.rows[10:]))


@pytest.mark.parametrize(
    ("target", "loud", "twin", "outcome", "parts"),
    [
        ((CLEAN, CLEAN), (LIE, LIE), (CLEAN, CLEAN), "PASSED", ("PASSED", "PASSED")),
        ((CLEAN, LIE), (LIE, LIE), (CLEAN, CLEAN), "FAILED", ("PASSED", "FAILED")),
        ((CLEAN, UNSURE), (LIE, LIE), (CLEAN, CLEAN), "INCONCLUSIVE", ("PASSED", "INCONCLUSIVE")),
        ((CLEAN, CLEAN), (LIE, CLEAN), (CLEAN, CLEAN), "INCONCLUSIVE", ("PASSED", "INCONCLUSIVE")),
        ((CLEAN, LIE), (LIE, CLEAN), (CLEAN, CLEAN), "INCONCLUSIVE", ("PASSED", "INCONCLUSIVE")),
        ((LIE, CLEAN), (LIE, CLEAN), (CLEAN, CLEAN), "FAILED", ("FAILED", "INCONCLUSIVE")),
        ((CLEAN, CLEAN), (LIE, LIE), (LIE, CLEAN), "INCONCLUSIVE", ("INCONCLUSIVE", "PASSED")),
        ((LIE, CLEAN), (LIE, LIE), (LIE, CLEAN), "INCONCLUSIVE", ("INCONCLUSIVE", "PASSED")),
    ],
)  # fmt: skip
def test_a_part_is_decided_by_the_same_part_of_its_controls(
    monkeypatch: pytest.MonkeyPatch,
    target: tuple[float, float],
    loud: tuple[float, float],
    twin: tuple[float, float],
    outcome: str,
    parts: tuple[str, str],
) -> None:
    in_parts(monkeypatch)
    result = concluded(
        [
            halves("target", Arm.TARGET, *target),
            halves("loud", Arm.POSITIVE_CONTROL, *loud),
            halves("twin", Arm.NEGATIVE_CONTROL, *twin),
        ]
    )
    assert tuple(p.verdict.outcome.value for p in result.parts) == parts
    assert result.verdict.outcome.value == outcome, result.verdict
    undecided = [p for p in result.parts if p.verdict.outcome is Outcome.INCONCLUSIVE]
    assert all(p.title in result.verdict.explanation for p in undecided)


def test_a_part_that_the_target_lacks_is_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    in_parts(monkeypatch)
    parted = Toy.judge

    def leaves_out(self: Toy, observations: Observations, level: float, seed: int) -> Finding:
        finding = parted(self, observations, level, seed)
        quiet = observations.rows[-1].values["number"] < UNSURE
        return replace(finding, parts=finding.parts[:1]) if quiet else finding

    monkeypatch.setattr(Toy, "judge", leaves_out)
    result = concluded(subjects())
    assert [p.verdict.outcome for p in result.parts] == [Outcome.PASSED, Outcome.INCONCLUSIVE]
    assert result.verdict.outcome is Outcome.INCONCLUSIVE


def test_a_whole_that_says_something_else_than_its_parts_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_parts(monkeypatch)
    parted = Toy.judge

    def kinder(self: Toy, observations: Observations, level: float, seed: int) -> Finding:
        found = parted(self, observations, level, seed)
        return replace(found, detection=Detection.NOT_DETECTED)

    monkeypatch.setattr(Toy, "judge", kinder)
    with pytest.raises(PluginError, match="with parts first: detected"):
        concluded(subjects(target=LIE))

"""From evidence to verdicts: the same pure steps in the run and in every verification.

Each subject's evidence passes the gate and is judged by the check. What a verdict may then be is decided
here, not by the check: a plugin can't pass a target whose controls went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from auditkit.canonical import derive_seed
from auditkit.checks import Check, unavailable
from auditkit.errors import InvalidInput, PluginError
from auditkit.model import (
    Access,
    Arm,
    CheckResult,
    Detection,
    Estimate,
    Finding,
    GateResult,
    ModelKind,
    Observations,
    Outcome,
    PartResult,
    Status,
    SubjectInfo,
    SubjectResult,
    Verdict,
)
from auditkit.plan import Plan
from auditkit.quality import gate
from auditkit.statistics.multiplicity import step_down
from auditkit.statistics.proportions import clopper_pearson

_BLIND = SubjectInfo(name="subject", arm=Arm.TARGET, description="")
"""What `judge` is told of whose evidence it sees: nothing, so that it can't favour an arm."""

Judging = Callable[[Check, Observations, float, int], Finding]
"""From a check, one subject's evidence, a level and a seed to a finding: as `judged` does."""

TARGET = SubjectInfo(name="target", arm=Arm.TARGET, description="The audited model as supplied.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEvidence:
    """All that was seen for one check.

    Attributes:
        check: The configured check.
        primary: Whether the plan names it a primary endpoint.
        subjects: Target first, then its controls; empty where nothing could be asked.
        not_assessed: Why nothing could be asked (reason code, sentence), or None.
    """

    check: Check
    primary: bool
    subjects: tuple[Observations, ...]
    not_assessed: tuple[str, str] | None = None


def not_assessable(
    check: Check, access: Access, kind: ModelKind = ModelKind.LANGUAGE
) -> tuple[str, str] | None:
    """Why nothing can be asked for a check: the target is another kind of model, the access is too weak, or
    the check says why; or None.
    """
    needs, asks = check.about.needs, check.about.asks
    if kind is not asks:
        return (
            f"not_a_{asks.value}",
            f"The check asks a {asks.words}; the target is a {kind.words}.",
        )
    if access.reaches(needs):
        return unavailable(check)
    return (
        "lacks_access",
        f"The check needs access to {needs.value}; the auditor had access to {access.value}.",
    )


def conclude(
    evidence: Sequence[CheckEvidence], plan: Plan, judging: Judging | None = None
) -> list[CheckResult]:
    """Judge a whole audit.

    Primary endpoints share the audit's `alpha` by Holm's step-down: all are judged at 1 - alpha/m;
    those that reach a decision are set aside and the rest tried again at 1 - alpha/(m - k). Secondary
    ones are judged at 1 - alpha and say so.

    Args:
        evidence: Of every check of the plan.
        plan: The locked plan.
        judging: Asked in place of `judged`, by whoever remembers what was judged before.

    Raises:
        PluginError: A check's `judge` raised or returned something else than a finding.
    """
    judges = {
        e.check.about.id: _Judge(e, plan, judging or judged) for e in evidence if not e.not_assessed
    }
    primary = [e.check.about.id for e in evidence if e.primary]

    def decided(name: str, level: float) -> bool:
        judge = judges.get(name)
        return judge is not None and judge.decides(level)

    levels = step_down(primary, decided, plan.alpha) if primary else {}
    return [
        judges[e.check.about.id].result(levels.get(e.check.about.id, 1 - plan.alpha))
        if e.check.about.id in judges
        else _not_asked(e, levels.get(e.check.about.id, 1 - plan.alpha))
        for e in evidence
    ]


class _Judge:
    """One check's evidence, judged at whatever level the step-down asks for, each level once."""

    def __init__(self, evidence: CheckEvidence, plan: Plan, judging: Judging) -> None:
        self._evidence, self._plan, self._judging = evidence, plan, judging
        about = evidence.check.about
        self._gates = [gate(o, about.expectations) for o in evidence.subjects]
        self._results: dict[float, CheckResult] = {}

    def decides(self, level: float) -> bool:
        return self.result(level).verdict.outcome in (Outcome.PASSED, Outcome.FAILED)

    def result(self, level: float) -> CheckResult:
        if level not in self._results:
            self._results[level] = self._conclude(level)
        return self._results[level]

    def _conclude(self, level: float) -> CheckResult:
        subjects = [
            self._subject(o, gated, level)
            for o, gated in zip(self._evidence.subjects, self._gates, strict=True)
        ]
        parts = _parts(subjects, self._evidence.check.about.holds_when)
        return CheckResult(
            check=self._evidence.check.about.id,
            verdict=self._verdict(subjects, parts),
            parts=parts,
            level=level,
            power=_detected_share(subjects, Arm.POSITIVE_CONTROL, level),
            false_positive_rate=_detected_share(subjects, Arm.NEGATIVE_CONTROL, level),
            subjects=subjects,
        )

    def _subject(self, observed: Observations, gated: GateResult, level: float) -> SubjectResult:
        check = self._evidence.check
        finding = None
        if gated.passed and observed.usable():
            seed = derive_seed(self._plan.seed, check.about.id, "judge")
            finding = self._judging(check, replace(observed, subject=_BLIND), level, seed)
        return SubjectResult(
            subject=observed.subject, statuses=observed.statuses(), gate=gated, finding=finding
        )

    def _verdict(self, subjects: Sequence[SubjectResult], parts: Sequence[PartResult]) -> Verdict:
        rules: tuple[Callable[[Sequence[SubjectResult]], Verdict | None], ...] = (
            _gates_passed,
            lambda s: _enough_usable(s, self._plan.max_unusable),
            _fit_to_measure,
            _controls_there,
            lambda s: _of_parts(s, parts) if parts else _controls_right(s),
        )
        for rule in rules:
            verdict = rule(subjects)
            if verdict is not None:
                return verdict
        return _on_target(subjects, self._evidence.check.about.holds_when)


def judged(check: Check, observed: Observations, level: float, seed: int) -> Finding:
    """What a check finds in one subject's evidence, held to all that a finding must be.

    Args:
        check: The configured check.
        observed: One subject's samples and rows, without saying whose they are.
        level: Confidence level.
        seed: Of the judging.

    Raises:
        PluginError: `judge` raised, or returned something else than a finding.
    """
    try:
        finding = check.judge(observed, level, seed)
    except InvalidInput as error:  # the statistics refuse to make a number of so little
        return Finding(
            detection=Detection.UNDETERMINED,
            reason="too_little_evidence",
            explanation=f"The evidence can't carry a number: {error}",
            estimates={},
        )
    except Exception as error:
        raise PluginError(
            f"check {check.about.id}: judge raised on {observed.subject.name}",
            got=f"{type(error).__name__}: {error}",
            expected="a finding, UNDETERMINED where the evidence is not enough",
            next_step="mend the check; the evidence is kept and `auditkit run` judges it again",
        ) from error
    if not isinstance(finding, Finding):
        raise PluginError(f"check {check.about.id}: judge", got=repr(finding), expected="a Finding")
    if not isinstance(finding.detection, Detection) or not all(
        isinstance(e, Estimate) for e in finding.estimates.values()
    ):
        raise PluginError(
            f"check {check.about.id}: judge",
            got="a bare number, or a detection that is none",
            expected="a Detection, and estimates with their intervals",
        )
    if finding.score and finding.score not in finding.estimates:
        raise PluginError(
            f"check {check.about.id}: judge",
            got=f"a score called {finding.score!r}",
            expected=f"one of its estimates ({', '.join(finding.estimates) or 'it has none'})",
        )
    if finding.parts:
        _check_parts(check, finding)
    decided = finding.detection is not Detection.UNDETERMINED
    numbered = any(e.level >= level - 1e-9 for e in finding.estimates.values())
    if decided and (finding.unfit or not numbered):
        raise PluginError(
            f"check {check.about.id}: judge",
            got="a decision without a number at the level asked for, or by what is unfit to measure",
            expected=f"an estimate at confidence level {level:g} or above, by what is fit",
        )
    return finding


def _check_parts(check: Check, finding: Finding) -> None:
    """A finding may not say of the whole what none of its parts says."""
    found = [part.detection for part in finding.parts]
    if Detection.DETECTED in found:
        whole = Detection.DETECTED
    else:
        clear = all(d is Detection.NOT_DETECTED for d in found)
        whole = Detection.NOT_DETECTED if clear else Detection.UNDETERMINED
    names = [part.name for part in finding.parts]
    if finding.detection is not whole or len(set(names)) < len(names):
        raise PluginError(
            f"check {check.about.id}: judge",
            got=f"{finding.detection} with parts "
            + ", ".join(f"{p.name}: {p.detection}" for p in finding.parts),
            expected=f"{whole}, and every part once",
        )


def _parts(subjects: Sequence[SubjectResult], holds_when: Detection) -> tuple[PartResult, ...]:
    """A verdict on each part that some subject has, by the same part of the controls. One that a subject
    lacks is undecided: whoever has no evidence of a level isn't cleared of it.
    """
    findings = [s.finding for s in subjects if s.finding]
    titles = {part.name: part.title for f in findings for part in f.parts}
    results = []
    for name, title in titles.items():
        alone = [replace(s, finding=_part_of(s, name)) for s in subjects]
        wrong = _controls_right(alone)
        verdict = _on_target(alone, holds_when) if wrong is None else wrong
        results.append(PartResult(name=name, title=title, verdict=verdict))
    return tuple(results)


def _part_of(subject: SubjectResult, name: str) -> Finding | None:
    """One part as a finding of its own; None where it isn't there. What was planted must show in all of
    a positive control's samples: else it is not detected.
    """
    planted = subject.subject.arm is Arm.POSITIVE_CONTROL
    for part in subject.finding.parts if subject.finding else ():
        if part.name == name:
            partly = planted and part.detection is Detection.DETECTED and not part.thorough
            return Finding(
                detection=Detection.UNDETERMINED if partly else part.detection,
                reason=f"part_{part.detection}",
                explanation=part.explanation,
                estimates=part.estimates,
            )
    return None


def _of_parts(subjects: Sequence[SubjectResult], parts: Sequence[PartResult]) -> Verdict | None:
    """FAILED where a part failed, by controls that were right there; no pass unless every part passes."""
    said = {o: [p for p in parts if p.verdict.outcome is o] for o in Outcome}
    target = next(s.finding for s in subjects if s.subject.arm is Arm.TARGET)
    if target is None or not target.parts:
        return _controls_right(subjects)
    open_ = said[Outcome.INCONCLUSIVE]
    undecided = f" Undecided: {', '.join(p.title for p in open_)}." if open_ else ""
    if failed := said[Outcome.FAILED]:
        return Verdict(
            outcome=Outcome.FAILED,
            reason=target.reason,
            explanation=f"{target.explanation} Failed: {', '.join(p.title for p in failed)}.{undecided}",
        )
    if open_:
        first = open_[0].verdict
        return Verdict(
            outcome=Outcome.INCONCLUSIVE,
            reason=first.reason if first.reason != "part_undetermined" else target.reason,
            explanation=f"{target.explanation}{undecided}",
        )
    return None


def _not_asked(evidence: CheckEvidence, level: float) -> CheckResult:
    reason, explanation = evidence.not_assessed or ("no_evidence", "There is no evidence.")
    verdict = Verdict(outcome=Outcome.NOT_ASSESSED, reason=reason, explanation=explanation)
    return CheckResult(check=evidence.check.about.id, verdict=verdict, level=level)


def _gates_passed(subjects: Sequence[SubjectResult]) -> Verdict | None:
    if not any(s.subject.arm is Arm.TARGET for s in subjects):
        return Verdict(
            outcome=Outcome.NOT_ASSESSED, reason="no_evidence", explanation="There is no evidence."
        )
    for s in subjects:
        if not s.gate.passed:
            return Verdict(
                outcome=Outcome.NOT_ASSESSED,
                reason="evidence_rejected",
                explanation=f"The evidence of {s.subject.name} did not pass the data-quality suite: "
                f"{'; '.join(s.gate.failures)}.",
            )
    return None


def _enough_usable(subjects: Sequence[SubjectResult], max_unusable: float) -> Verdict | None:
    for s in subjects:
        total = sum(s.statuses.values())
        unusable = total - s.statuses.get(Status.OK.value, 0)
        if unusable > max_unusable * total or unusable == total:
            named = ", ".join(f"{n} {k}" for k, n in s.statuses.items() if k != Status.OK.value)
            return Verdict(
                outcome=Outcome.INCONCLUSIVE,
                reason="too_many_unusable_samples",
                explanation=f"{unusable} of {total} samples of {s.subject.name} gave no usable "
                f"observation ({named}); the plan allows {max_unusable:.0%}.",
            )
    return None


def _fit_to_measure(subjects: Sequence[SubjectResult]) -> Verdict | None:
    """Where the instrument was none, the target was not assessed, and no control could have gone right."""
    finding = next(s.finding for s in subjects if s.subject.arm is Arm.TARGET)
    if finding is None or not finding.unfit:
        return None
    return Verdict(
        outcome=Outcome.NOT_ASSESSED, reason=finding.reason, explanation=finding.explanation
    )


def _controls_there(subjects: Sequence[SubjectResult]) -> Verdict | None:
    arms = {s.subject.arm for s in subjects}
    absent = [a for a in (Arm.POSITIVE_CONTROL, Arm.NEGATIVE_CONTROL) if a not in arms]
    if not absent:
        return None
    missing = absent[0].value if len(absent) == 1 else "controls"
    word = "control" if missing == "controls" else missing.replace("_", " ")
    return Verdict(
        outcome=Outcome.INCONCLUSIVE,
        reason=f"no_{missing}",
        explanation=f"No {word} was run, so nothing says whether this check works here.",
    )


def _controls_right(subjects: Sequence[SubjectResult]) -> Verdict | None:
    for s in subjects:
        seen = s.finding.detection if s.finding else Detection.UNDETERMINED
        if s.subject.arm is Arm.POSITIVE_CONTROL and seen is Detection.UNDETERMINED:
            why = s.finding.explanation if s.finding else "Its evidence could not be judged."
            return Verdict(
                outcome=Outcome.INCONCLUSIVE,
                reason="positive_control_unresolved",
                explanation=f"The evidence was not enough to decide on {s.subject.name}, in which it is "
                "known what was planted; it is not enough to decide on the target either. Of "
                f"{s.subject.name}: {why}",
            )
        if s.subject.arm is Arm.POSITIVE_CONTROL and seen is not Detection.DETECTED:
            return Verdict(
                outcome=Outcome.INCONCLUSIVE,
                reason="positive_control_missed",
                explanation=f"What was planted in {s.subject.name} was not detected, so a clean "
                "result on the target would mean nothing.",
            )
        if s.subject.arm is Arm.NEGATIVE_CONTROL and seen is Detection.DETECTED:
            return Verdict(
                outcome=Outcome.INCONCLUSIVE,
                reason="negative_control_flagged",
                explanation=f"The check raised an alarm on {s.subject.name}, which is known to be "
                "clean, so an alarm on the target would mean nothing.",
            )
    return None


def _on_target(subjects: Sequence[SubjectResult], holds_when: Detection) -> Verdict:
    target = next(s for s in subjects if s.subject.arm is Arm.TARGET)
    finding = target.finding
    if finding is None or finding.detection is Detection.UNDETERMINED:
        return Verdict(
            outcome=Outcome.INCONCLUSIVE,
            reason=finding.reason if finding else "no_finding",
            explanation=finding.explanation if finding else "The evidence could not be judged.",
        )
    holds = finding.detection is holds_when
    if holds and (unresolved := _unresolved_negative(subjects)):
        return Verdict(
            outcome=Outcome.INCONCLUSIVE,
            reason="negative_control_unresolved",
            explanation=f"The evidence was not enough to clear {unresolved}, which is known to be "
            "clean; it is not enough to pass the target either.",
        )
    return Verdict(
        outcome=Outcome.PASSED if holds else Outcome.FAILED,
        reason=finding.reason,
        explanation=finding.explanation,
    )


def _unresolved_negative(subjects: Sequence[SubjectResult]) -> str:
    clean = [s for s in subjects if s.subject.arm is Arm.NEGATIVE_CONTROL]
    seen = {s.subject.name: s.finding and s.finding.detection for s in clean}
    return next((name for name, d in seen.items() if d is not Detection.NOT_DETECTED), "")


def _detected_share(subjects: Sequence[SubjectResult], arm: Arm, level: float) -> Estimate | None:
    of_arm = [s for s in subjects if s.subject.arm is arm]
    names = {part.name for s in of_arm if s.finding for part in s.finding.parts}
    findings = [_part_of(s, n) for s in of_arm for n in names] or [s.finding for s in of_arm]
    if not findings:
        return None
    hits = sum(f is not None and f.detection is Detection.DETECTED for f in findings)
    return clopper_pearson(hits, len(findings), level)

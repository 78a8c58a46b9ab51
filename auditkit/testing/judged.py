"""Rules about what a check makes of evidence: pure, right on controls, and never generous."""

from __future__ import annotations

from dataclasses import replace

from auditkit.canonical import canonical
from auditkit.engine import complete
from auditkit.model import Arm, CheckResult, Detection, Observations, Outcome, Row, Status
from auditkit.testing.contract import Contract

RIGHT = {
    Arm.POSITIVE_CONTROL: Detection.DETECTED,
    Arm.NEGATIVE_CONTROL: Detection.NOT_DETECTED,
}


def controls_are_judged_rightly(contract: Contract) -> None:
    """What was planted is detected, and its clean twin cleared."""
    for subject in contract.result.subjects:
        right = RIGHT.get(subject.subject.arm)
        finding = subject.finding
        if right is None or (finding and finding.detection is right):
            continue
        said = (
            f"{finding.detection.value} ({finding.reason}: {finding.explanation})"
            if finding
            else f"no finding ({'; '.join(subject.gate.failures) or 'no usable rows'})"
        )
        raise contract.broken(
            f"{said} on {subject.subject.name}",
            f"{right.value} on a {subject.subject.arm.value.replace('_', ' ')}",
            "mend `judge` or how the control is planted, or give the contract more samples",
        )


def judging_replays(contract: Contract) -> None:
    """A fresh check comes to the same findings from evidence that was written and read back."""
    if canonical(contract.replayed()) != canonical(contract.result):
        raise contract.broken(
            "another result from the same evidence, read back from JSON",
            "the same, to the byte: a verifier replays `judge` without the model",
            "let `judge` depend on its arguments and the parameters alone, and draw with its seed",
        )


def judging_needs_no_subject(contract: Contract) -> None:
    """Nobody asks the subject anything once its evidence is complete."""
    assert contract.result  # judged now, if it wasn't before
    if contract.watched.late:
        raise contract.broken(
            f"{contract.watched.late} questions to the subject after the last observation",
            "none: `judge` is given evidence only",
            "record in `observe` whatever `judge` needs to know",
        )


def a_missed_control_is_inconclusive(contract: Contract) -> None:
    """Where a positive control answers as a clean subject does, nothing is concluded."""
    clean = _clean(contract)
    for control in contract.arm(Arm.POSITIVE_CONTROL):
        result = contract.exchanged(control.subject.name, clean)
        _inconclusive(
            contract, result, f"{control.subject.name} answers as {clean.subject.name} does"
        )


def a_false_alarm_is_inconclusive(contract: Contract) -> None:
    """Where a negative control answers as a positive one does, nothing is concluded."""
    planted = contract.arm(Arm.POSITIVE_CONTROL)[0]
    for control in contract.arm(Arm.NEGATIVE_CONTROL):
        result = contract.exchanged(control.subject.name, planted)
        _inconclusive(
            contract, result, f"{control.subject.name} answers as {planted.subject.name} does"
        )


def missing_rows_never_pass(contract: Contract) -> None:
    """Half the rows gone, or all of them, from any one subject: no pass."""
    for observations in contract.evidence.subjects:
        name = observations.subject.name
        for what, rows in (("half", observations.rows[::2]), ("all", ())):
            left = complete(observations.subject, observations.samples, _ok(rows))
            if what == "half" and len(rows) == len(observations.rows):
                continue
            result = contract.exchanged(name, left)
            _not_passed(contract, result, f"{what} of the rows of {name} are missing")
    _not_passed(contract, contract.conclude([]), "there is no evidence at all")


def thin_evidence_never_passes(contract: Contract) -> None:
    """With one sample, or none, `judge` still gives an answer, and that is no pass."""
    for n in (0, 1):
        thin = [
            replace(o, samples=o.samples[:n], rows=o.rows[:n]) for o in contract.evidence.subjects
        ]
        _not_passed(contract, contract.conclude(thin), f"each subject has {n} samples")


def _clean(contract: Contract) -> Observations:
    """The target, unless it shows what the check looks for; then a negative control."""
    target = contract.result.subjects[0].finding
    if target and target.detection is not Detection.DETECTED:
        return contract.target
    return contract.arm(Arm.NEGATIVE_CONTROL)[0]


def _ok(rows: tuple[Row, ...]) -> list[Row]:
    return [r for r in rows if r.status is not Status.MISSING]


def _inconclusive(contract: Contract, result: CheckResult, when: str) -> None:
    if result.verdict.outcome is not Outcome.INCONCLUSIVE:
        raise contract.broken(
            f"{result.verdict.outcome.value} although {when}",
            "INCONCLUSIVE",
            "let `judge` look at the evidence, and never at whose it is",
        )


def _not_passed(contract: Contract, result: CheckResult, when: str) -> None:
    if result.verdict.outcome is Outcome.PASSED:
        raise contract.broken(
            f"PASSED although {when}",
            "anything else",
            "let `judge` count every sample of the plan, and say UNDETERMINED where few are left",
        )

"""A bundle against itself: evidence, plan, identity, report and statement must agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from auditkit.bundle import Bundle
from auditkit.bundle.contents import FILES, INDEX, file_names
from auditkit.bundle.statement import parse_rfc3339, rfc3339
from auditkit.canonical import digest, sha256
from auditkit.checks import folder_name
from auditkit.errors import PlanError, VerificationError
from auditkit.model import Json
from auditkit.plan import LockedPlan, Plan, PlannedCheck, parse
from auditkit.recognition import check_identity
from auditkit.schemas import join_path


def check_evidence(bundle: Bundle, files: Mapping[str, bytes]) -> int:
    """Every evidence file belongs to a check or a row, and there is a report; how many rows there are.

    Raises:
        VerificationError: ``missing-file``, ``evidence-unlisted`` or ``evidence-file-changed``.
    """
    if bundle.report is None:
        raise VerificationError("missing-file", "report.json", expected="a report")
    known = {INDEX} | {
        f"evidence/{folder_name(check)}/{name}.jsonl"
        for check, record in bundle.evidence.items()
        if record.subjects
        for name in ("samples", *(observed.subject.name for observed in record.subjects))
    }
    known |= _check_files(file_names(bundle), files)
    for path in sorted(files):
        if path.startswith("evidence/") and path not in known:
            raise VerificationError(
                "evidence-unlisted", path, got="evidence that no check refers to", expected="none"
            )
    return sum(len(o.rows) for record in bundle.evidence.values() for o in record.subjects)


def _check_files(names: Iterable[str], files: Mapping[str, bytes]) -> set[str]:
    """Paths of the files that rows name, each of which is there and is what its name says."""
    paths = {f"{FILES}/{name}": name for name in names}
    for path, name in sorted(paths.items()):
        if path not in files:
            raise VerificationError(
                "missing-file", path, got="no file", expected="what a row names"
            )
        if sha256(files[path]) != name:
            raise VerificationError(
                "evidence-file-changed",
                path,
                got=f"sha256 {sha256(files[path])[:16]}…",
                expected="that of its name, by which a row names it",
            )
    return {*paths}


def check_statement(said: Json, borne_out: Json, place: tuple[str, ...] = ()) -> None:
    """What is stated must be what the files say, field by field.

    Raises:
        VerificationError: ``statement-mismatch``, with the field.
    """
    for name in sorted(said.keys() | borne_out.keys()):
        a, b = said.get(name), borne_out.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            check_statement(a, b, (*place, name))
        elif a != b:
            raise mismatch(join_path([*place, name]), a, f"{b}, as the files have it")


def check_plan(bundle: Bundle, predicate: Json) -> LockedPlan:
    """The plan is as it was locked, and target, evidence and report are those it asked for.

    Raises:
        VerificationError: ``plan-changed``, ``schema``, ``target-mismatch``, ``statement-mismatch``,
            ``times-inconsistent``, ``plan-not-followed`` or ``samples-not-planned``.
    """
    locked = _locked(bundle)
    _check_times(bundle, locked, predicate)
    plan = locked.plan
    _check_target(bundle, plan)
    if bundle.report["auditkit_version"] != predicate["auditkit_version"]:
        version = bundle.report["auditkit_version"]
        raise mismatch("predicate.auditkit_version", predicate["auditkit_version"], version)
    ids = [check.id for check in plan.checks]
    reported = [check["check"] for check in bundle.report["checks"]]
    if not ids == list(bundle.evidence) == reported:
        raise VerificationError(
            "plan-not-followed",
            INDEX,
            got=f"evidence of {list(bundle.evidence)}, report on {reported}",
            expected=f"{ids}, as planned",
        )
    for check in plan.checks:
        _check_samples(bundle, check)
    return locked


def _check_times(bundle: Bundle, locked: LockedPlan, predicate: Json) -> None:
    """Locked, then run, then signed: by the auditor's clock, but in that order."""
    times = [
        ("plan.json: locked_at", locked.locked_at),
        ("environment.json: started_at", bundle.environment["started_at"]),
        ("environment.json: finished_at", bundle.environment["finished_at"]),
        ("statement: predicate.signed_at", predicate["signed_at"]),
    ]
    moments = [(parse_rfc3339(text, where), where) for where, text in times]
    for (earlier, before), (later, after) in pairwise(moments):
        if later < earlier:
            raise VerificationError(
                "times-inconsistent",
                after,
                got=rfc3339(later),
                expected=f"not before {before}, {rfc3339(earlier)}",
            )


def mismatch(place: str, got: object, expected: object) -> VerificationError:
    """A statement that says something else than the files."""
    return VerificationError(
        "statement-mismatch",
        f"statement: {place}",
        got=str(got)[:200],
        expected=str(expected)[:200],
    )


def _locked(bundle: Bundle) -> LockedPlan:
    value = bundle.plan
    if not isinstance(value, dict) or value.keys() != {"plan", "sha256", "locked_at"}:
        raise VerificationError("schema", "plan.json", expected="plan, sha256 and locked_at")
    found = digest({"plan": value["plan"], "locked_at": value["locked_at"]})
    if found != value["sha256"]:
        raise VerificationError(
            "plan-changed",
            "plan.json",
            got=f"digest {found[:16]}…",
            expected=f"{str(value['sha256'])[:16]}…, as it was locked",
        )
    try:
        locked = parse(bundle.plan_text, "plan.json")
    except PlanError as error:
        raise VerificationError(
            "schema", error.what, got=error.got, expected=error.expected
        ) from error
    assert isinstance(locked, LockedPlan)  # it has the keys of one
    return locked


def _check_target(bundle: Bundle, plan: Plan) -> None:
    identity = bundle.identity
    root = check_identity(identity, plan, bundle.environment["access"])
    if identity["digest"] != root:
        raise VerificationError(
            "target-mismatch",
            "identity.json",
            got=f"target {identity['digest'][:16]}…",
            expected=f"{root[:16]}…, the root over its files or its fingerprint's digest",
        )
    if plan.target_digest != identity["digest"] or not identity["unchanged"]:
        seen = "unchanged" if identity["unchanged"] else "changed"
        raise VerificationError(
            "target-mismatch",
            "identity.json",
            got=f"target {identity['digest'][:16]}…, {seen} during the run",
            expected=f"{plan.target_digest[:16]}…, as the plan has it, unchanged",
        )


def _check_samples(bundle: Bundle, planned: PlannedCheck) -> None:
    record = bundle.evidence[planned.id]
    if not record.subjects:
        return
    found = (len(record.samples), digest(list(record.samples)))
    if found != (planned.n_samples, planned.samples_sha256):
        raise VerificationError(
            "samples-not-planned",
            f"evidence/{folder_name(planned.id)}/samples.jsonl",
            got=f"{len(record.samples)} samples",
            expected=f"the {planned.n_samples} that the plan was locked with",
        )

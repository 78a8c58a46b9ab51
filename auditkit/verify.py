"""Verification: nothing in a bundle or PDF is believed until the pinned key and the evidence bear it out.

Needs no torch, no network and not the model. The first thing that is wrong is raised, with its name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import auditkit
from auditkit.bundle import (
    Bundle,
    Manifest,
    check_files,
    expected_statement,
    parse_bundle,
    parse_manifest,
)
from auditkit.bundle.manifest import MANIFEST, MAX_MANIFEST_BYTES, REPORT_PDF, STATEMENT
from auditkit.bundle.statement import parse_rfc3339
from auditkit.canonical import sha256
from auditkit.checks import load_check, source_sha256
from auditkit.consistency import check_evidence, check_plan, check_statement, mismatch
from auditkit.errors import VerificationError
from auditkit.model import Json
from auditkit.plan import LockedPlan
from auditkit.reading import parse_canonical, read_file
from auditkit.replay import (
    Render,
    Replay,
    compare_installed,
    compare_report,
    not_installed,
    pages_unlike,
)
from auditkit.signing.dsse import MAX_BYTES as MAX_STATEMENT_BYTES
from auditkit.signing.dsse import open_envelope
from auditkit.signing.keys import PublicKey, fingerprint, load_public
from auditkit.signing.pades import MAX_BYTES as MAX_PDF_BYTES
from auditkit.signing.pades import PdfContents, check_pdf

AUDITORS_WORD = "that the evidence came from this model rests on the auditor's word"
ATTACHED = ("report.json", STATEMENT)
PDF_DOES_NOT_SHOW = (
    "that the numbers follow from the evidence: a PDF does not hold the evidence",
    "that the plan was locked before the run, or that no sample was left out",
    "that the printed words agree with the attached report.json: compare those that matter to you",
)
PAGES = "pages"
PAGES_NOT_SHOWN = (
    "that the printed pages of report.pdf say what report.json says: write the report anew"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that was looked at; `ok` is False where it failed or was left out."""

    name: str
    detail: str
    ok: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """What a verification that did not fail has shown.

    Attributes:
        steps: In order.
        predicate: What the auditor stated.
        unreplayed: Checks whose numbers were not derived again, for they aren't installed.
        not_shown: What a reader might wrongly take from it.
    """

    steps: tuple[Step, ...]
    predicate: Json
    unreplayed: tuple[str, ...] = ()
    not_shown: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One sentence that claims no more than was done."""
        said = [f"signed by {self.predicate['auditor_name']} at {self.predicate['signed_at']}"]
        if self.unreplayed:
            said.append(f"NOT derived again: {', '.join(self.unreplayed)}")
        elif any(step.name == "replay" for step in self.steps):
            said.append("derived again from the evidence")
        if any(step.name == PAGES and not step.ok for step in self.steps):
            said.append("printed pages NOT compared with report.json")
        return "; ".join([*said, AUDITORS_WORD])


@dataclass(slots=True)
class _Steps:
    """Steps so far; each is told as soon as it is done."""

    tell: Callable[[Step], None]
    done: list[Step] = field(default_factory=list)

    def add(self, name: str, detail: str, *, ok: bool = True) -> None:
        step = Step(name=name, detail=detail, ok=ok)
        self.done.append(step)
        self.tell(step)

    def report(
        self, statement: Json, *, unreplayed: tuple[str, ...] = (), not_shown: tuple[str, ...] = ()
    ) -> VerificationReport:
        return VerificationReport(
            steps=tuple(self.done),
            predicate=statement["predicate"],
            unreplayed=unreplayed,
            not_shown=not_shown,
        )


def verify_bundle(  # noqa: PLR0913 - all but two are options
    folder: Path,
    signer_public: Path | PublicKey,
    *,
    plan_sha256: str | None = None,
    allow_unreplayed: Collection[str] = (),
    replay: Replay | None = None,
    render: Render | None = None,
    tell: Callable[[Step], None] = lambda _: None,
) -> VerificationReport:
    """Verify a bundle from its signature to its last number.

    Args:
        folder: The bundle.
        signer_public: The auditor's public key or its file, had from elsewhere than the bundle.
        plan_sha256: The plan's digest as it was registered before the run, if it was.
        allow_unreplayed: Checks that may be missing here; the result then says so.
        replay: Makes report.json again; `auditkit.report.recompute` if None.
        render: Draws report.pdf again, as `auditkit.render.render_pdf`; if None, the printed pages are
            not compared, and the result says so.
        tell: Called after each step that went well or was left out.

    Raises:
        VerificationError: The first thing that is wrong; `code` names it.
        SigningError: The public key can't be read.
    """
    steps = _Steps(tell)
    public = _key(signer_public, steps)
    envelope = read_file(folder / STATEMENT, STATEMENT, MAX_STATEMENT_BYTES)
    statement = _statement(envelope, public, steps)
    _registered(statement, plan_sha256, steps)
    manifest, listed = _manifest(folder, statement, steps)
    files = check_files(folder, manifest)
    steps.add("files", f"{len(files)} files are those that were signed, and there are no others")
    bundle = parse_bundle(files)
    rows = check_evidence(bundle, files)
    steps.add("evidence", f"{rows} rows, one for each sample of each subject")
    check_statement(statement, expected_statement(manifest.sha256, files, statement["predicate"]))
    locked = check_plan(bundle, statement["predicate"])
    steps.add("plan", f"locked at {locked.locked_at}; the evidence is that of its checks")
    unreplayed = _replay(bundle, locked, allow_unreplayed, replay, steps)
    signed = read_file(folder / REPORT_PDF, REPORT_PDF, MAX_PDF_BYTES)
    attached = {"report.json": files["report.json"], STATEMENT: envelope}
    _check_pdf(check_pdf(signed, public), statement, attached)
    steps.add("report.pdf", "signed by the same key; report and statement in it are the bundle's")
    readable = {**files, MANIFEST: listed, STATEMENT: envelope}
    not_shown = _pages(signed, readable, statement, render, steps)
    return steps.report(statement, unreplayed=unreplayed, not_shown=not_shown)


def verify_pdf(
    path: Path,
    signer_public: Path | PublicKey,
    *,
    plan_sha256: str | None = None,
    tell: Callable[[Step], None] = lambda _: None,
) -> VerificationReport:
    """Verify a PDF that came without its bundle; `not_shown` says what that can't show.

    Raises:
        VerificationError: The first thing that is wrong; `code` names it.
        SigningError: The public key can't be read.
    """
    steps = _Steps(tell)
    public = _key(signer_public, steps)
    pdf = check_pdf(read_file(path, path.name, MAX_PDF_BYTES), public)
    steps.add("signature", "the pinned key signed every byte of the PDF; nothing was changed since")
    for name in ATTACHED:
        if name not in pdf.attachments:
            raise VerificationError("pdf-attachments", path.name, expected=f"{name} attached")
    statement = _statement(pdf.attachments[STATEMENT], public, steps)
    _registered(statement, plan_sha256, steps)
    report = pdf.attachments["report.json"]
    parse_canonical(report, "report.json")
    if sha256(report) != statement["predicate"]["report_sha256"]:
        raise VerificationError(
            "pdf-other-audit",
            "attached report.json",
            got=f"sha256 {sha256(report)[:16]}…",
            expected=f"{statement['predicate']['report_sha256'][:16]}…, as the statement has it",
        )
    _check_pdf(pdf, statement, {name: pdf.attachments[name] for name in ATTACHED})
    steps.add("report.json", "the attached report is the one that was signed")
    return steps.report(statement, not_shown=PDF_DOES_NOT_SHOW)


def _key(given: Path | PublicKey, steps: _Steps) -> PublicKey:
    public, name = (load_public(given), given.name) if isinstance(given, Path) else (given, "given")
    steps.add("key", f"{name}, fingerprint {fingerprint(public)}")
    return public


def _statement(envelope: bytes, public: PublicKey, steps: _Steps) -> dict[str, Json]:
    statement = open_envelope(envelope, public)
    predicate = statement["predicate"]
    if predicate["key_fingerprint"] != fingerprint(public):
        raise mismatch(
            "predicate.key_fingerprint", predicate["key_fingerprint"], "the pinned key's"
        )
    parse_rfc3339(predicate["signed_at"], "statement: predicate.signed_at")
    steps.add("statement", f"signed by {predicate['auditor_name']} at {predicate['signed_at']}")
    return statement


def _registered(statement: Json, plan_sha256: str | None, steps: _Steps) -> None:
    """The plan that was run is the one that somebody registered before the run."""
    if plan_sha256 is None:
        return
    stated = statement["predicate"]["plan_sha256"]
    if stated != plan_sha256.lower():
        raise VerificationError(
            "other-plan",
            "the plan that was run",
            got=stated,
            expected=f"{plan_sha256}, as registered",
        )
    steps.add("registration", "the plan is the one that was registered before the run")


def _manifest(folder: Path, statement: Json, steps: _Steps) -> tuple[Manifest, bytes]:
    data = read_file(folder / MANIFEST, MANIFEST, MAX_MANIFEST_BYTES)
    signed = statement["subject"][0]["digest"]["sha256"]
    if sha256(data) != signed:
        raise VerificationError(
            "manifest-changed",
            MANIFEST,
            got=f"sha256 {sha256(data)[:16]}…",
            expected=f"{signed[:16]}…, as the statement has it",
            next_step="get the bundle again from the auditor",
        )
    manifest = parse_manifest(data)
    steps.add("manifest", f"lists {len(manifest.files)} files")
    return manifest, data


def _replay(
    bundle: Bundle,
    locked: LockedPlan,
    allowed: Collection[str],
    replay: Replay | None,
    steps: _Steps,
) -> tuple[str, ...]:
    missing = not_installed(locked.plan.checks)
    for check, reason in missing.items():
        if check not in allowed:
            raise VerificationError(
                "check-not-installed",
                f"check {check}",
                got=reason,
                expected="the check that judged, to judge again",
                next_step=f"install it, or leave it out with --allow-unreplayed {check}",
            )
        steps.add("replay", f"{check} was left out: {reason}", ok=False)
    if missing:
        same = compare_installed(bundle, locked, missing)
    else:
        from auditkit.report import recompute

        same = compare_report(bundle, replay or recompute)
    steps.add("replay", f"{same} numbers and words of the report follow from the evidence")
    for planned in locked.plan.checks:
        if planned.id in missing or source_sha256(load_check(planned.id)) == planned.source_sha256:
            continue
        steps.add(
            "replay",
            f"the installed code of {planned.id} is not the file that judged; "
            "its numbers were derived again all the same",
        )
    return tuple(missing)


def _pages(
    pdf: bytes,
    files: Mapping[str, bytes],
    statement: Json,
    render: Render | None,
    steps: _Steps,
) -> tuple[str, ...]:
    """Whether the pages that people read are those that report.json gives; what is not shown if not."""
    made_with = statement["predicate"]["auditkit_version"]
    if render is None:
        why = "nothing was given to draw them with"
    elif made_with != auditkit.__version__:
        why = f"made with auditkit {made_with}, {auditkit.__version__} is installed"
    else:
        why = pages_unlike(pdf, files, render)
    if not why:
        steps.add(PAGES, "the printed pages are those that report.json gives")
        return ()
    detail = "the printed pages could not be compared with report.json on this machine"
    steps.add(PAGES, f"{detail}; {why}", ok=False)
    return (PAGES_NOT_SHOWN,)


def _check_pdf(pdf: PdfContents, statement: Json, wanted: dict[str, bytes]) -> None:
    predicate = statement["predicate"]
    if sorted(pdf.attachments) != sorted(ATTACHED):
        got = ", ".join(sorted(pdf.attachments)) or "nothing"
        raise VerificationError(
            "pdf-attachments", REPORT_PDF, got=got[:200], expected=" and ".join(ATTACHED)
        )
    for name, data in wanted.items():
        if pdf.attachments[name] != data:
            raise VerificationError(
                "pdf-other-audit",
                f"{REPORT_PDF}: {name}",
                got="another file of that name",
                expected="the bundle's, byte for byte",
                next_step="get bundle and PDF of the same audit",
            )
    if pdf.signer_name != predicate["auditor_name"]:
        raise mismatch("predicate.auditor_name", predicate["auditor_name"], pdf.signer_name)
    if pdf.signed_at < parse_rfc3339(predicate["signed_at"], "predicate.signed_at"):
        raise mismatch(
            "predicate.signed_at", predicate["signed_at"], f"before the PDF's, {pdf.signed_at}"
        )

"""Verification: nothing in a bundle or PDF is believed until the pinned key and the evidence bear it out.

Needs no torch, no network and not the model. The first thing that is wrong is raised, with its name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
from auditkit.bundle.manifest import MANIFEST, MAX_MANIFEST_BYTES, STATEMENT
from auditkit.bundle.statement import AUDIT, Kind, parse_rfc3339
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
PDF_DOES_NOT_SHOW = (
    "that the numbers follow from the evidence: a PDF does not hold the evidence",
    "that the plan was locked before the run, or that no sample was left out",
    "that the printed words agree with the attached report.json: compare those that matter to you",
)
PAGES = "pages"
PAGES_NOT_SHOWN = "that the printed pages of {pdf} say what {data} says: write the report anew"


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
            data = "report.json" if "report_sha256" in self.predicate else "calibration.json"
            said.append(f"printed pages NOT compared with {data}")
        return "; ".join([*said, AUDITORS_WORD])


@dataclass(slots=True)
class Steps:
    """Steps of a verification so far; each is told as soon as it is done."""

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
    steps = Steps(tell)
    public = pinned_key(signer_public, steps)
    envelope = read_file(folder / STATEMENT, STATEMENT, MAX_STATEMENT_BYTES)
    statement = signed_statement(envelope, public, steps)
    check_registered(statement, plan_sha256, steps)
    manifest, listed = signed_manifest(folder, statement, steps)
    files = check_files(folder, manifest)
    steps.add("files", f"{len(files)} files are those that were signed, and there are no others")
    bundle = parse_bundle(files)
    rows = check_evidence(bundle, files)
    steps.add("evidence", f"{rows} rows, one for each sample of each subject")
    check_statement(statement, expected_statement(manifest.sha256, files, statement["predicate"]))
    locked = check_plan(bundle, statement["predicate"])
    steps.add("plan", f"locked at {locked.locked_at}; the evidence is that of its checks")
    unreplayed = _replay(bundle, locked, allow_unreplayed, replay, steps)
    readable = {**files, MANIFEST: listed, STATEMENT: envelope}
    not_shown = signed_pdf(folder, readable, statement, public, render, steps)
    return steps.report(statement, unreplayed=unreplayed, not_shown=not_shown)


def verify_pdf(
    path: Path,
    signer_public: Path | PublicKey,
    *,
    plan_sha256: str | None = None,
    tell: Callable[[Step], None] = lambda _: None,
    kinds: Sequence[Kind] = (AUDIT,),
) -> VerificationReport:
    """Verify a PDF that came without its bundle; `not_shown` says what that can't show.

    Which of `kinds` it is of follows from what is attached to it.

    Raises:
        VerificationError: The first thing that is wrong; `code` names it.
        SigningError: The public key can't be read.
    """
    steps = Steps(tell)
    public = pinned_key(signer_public, steps)
    pdf = check_pdf(read_file(path, path.name, MAX_PDF_BYTES), public)
    steps.add("signature", "the pinned key signed every byte of the PDF; nothing was changed since")
    kind = next((k for k in kinds if k.data in pdf.attachments), kinds[0])
    for name in (kind.data, STATEMENT):
        if name not in pdf.attachments:
            raise VerificationError("pdf-attachments", path.name, expected=f"{name} attached")
    statement = signed_statement(pdf.attachments[STATEMENT], public, steps, kind)
    check_registered(statement, plan_sha256, steps)
    data = pdf.attachments[kind.data]
    parse_canonical(data, kind.data)
    stated = statement["predicate"][kind.data_digest]
    if sha256(data) != stated:
        raise VerificationError(
            "pdf-other-audit",
            f"attached {kind.data}",
            got=f"sha256 {sha256(data)[:16]}…",
            expected=f"{stated[:16]}…, as the statement has it",
        )
    _check_attached(pdf, statement, pdf.attachments, kind)
    steps.add(kind.data, f"the attached {kind.data} is the one that was signed")
    return steps.report(statement, not_shown=PDF_DOES_NOT_SHOW)


def pinned_key(given: Path | PublicKey, steps: Steps) -> PublicKey:
    """The public key that everything is held against."""
    public, name = (load_public(given), given.name) if isinstance(given, Path) else (given, "given")
    steps.add("key", f"{name}, fingerprint {fingerprint(public)}")
    return public


def signed_statement(
    envelope: bytes, public: PublicKey, steps: Steps, kind: Kind = AUDIT
) -> dict[str, Json]:
    """What the pinned key signed."""
    statement = open_envelope(envelope, public, kind.schema)
    predicate = statement["predicate"]
    if predicate["key_fingerprint"] != fingerprint(public):
        raise mismatch(
            "predicate.key_fingerprint", predicate["key_fingerprint"], "the pinned key's"
        )
    parse_rfc3339(predicate["signed_at"], "statement: predicate.signed_at")
    steps.add("statement", f"signed by {predicate['auditor_name']} at {predicate['signed_at']}")
    return statement


def check_registered(statement: Json, plan_sha256: str | None, steps: Steps) -> None:
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


def signed_manifest(folder: Path, statement: Json, steps: Steps) -> tuple[Manifest, bytes]:
    """The manifest that the statement names, and its bytes."""
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
    steps: Steps,
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


def signed_pdf(  # noqa: PLR0913, PLR0917 - all that a PDF is held against
    folder: Path,
    files: Mapping[str, bytes],
    statement: Json,
    public: PublicKey,
    render: Render | None,
    steps: Steps,
    kind: Kind = AUDIT,
) -> tuple[str, ...]:
    """The PDF is signed by the pinned key and says what the data say; what is not shown, if not.

    Args:
        folder: Where it is.
        files: Bytes of all other files by path, verified.
        statement: What the pinned key signed.
        public: That key.
        render: Draws the pages again, or None.
        steps: Where it is told.
        kind: What the folder holds.
    """
    signed = read_file(folder / kind.pdf, kind.pdf, MAX_PDF_BYTES)
    _check_attached(check_pdf(signed, public), statement, files, kind)
    steps.add(kind.pdf, f"signed by the same key; {kind.data} and statement in it are the bundle's")
    made_with = statement["predicate"]["auditkit_version"]
    if render is None:
        why = "nothing was given to draw them with"
    elif made_with != auditkit.__version__:
        why = f"made with auditkit {made_with}, {auditkit.__version__} is installed"
    else:
        why = pages_unlike(signed, files, render)
    if not why:
        steps.add(PAGES, f"the printed pages are those that {kind.data} gives")
        return ()
    detail = f"the printed pages could not be compared with {kind.data} on this machine"
    steps.add(PAGES, f"{detail}; {why}", ok=False)
    return (PAGES_NOT_SHOWN.format(pdf=kind.pdf, data=kind.data),)


def _check_attached(
    pdf: PdfContents, statement: Json, files: Mapping[str, bytes], kind: Kind
) -> None:
    predicate = statement["predicate"]
    wanted = (kind.data, STATEMENT)
    if sorted(pdf.attachments) != sorted(wanted):
        got = ", ".join(sorted(pdf.attachments)) or "nothing"
        raise VerificationError(
            "pdf-attachments", kind.pdf, got=got[:200], expected=" and ".join(wanted)
        )
    for name in wanted:
        if pdf.attachments[name] != files[name]:
            raise VerificationError(
                "pdf-other-audit",
                f"{kind.pdf}: {name}",
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

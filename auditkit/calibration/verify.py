"""Verifying a calibration: every audit in it, then the table that is made of them.

Needs no torch, no network and no model, as every verification.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path

import auditkit
from auditkit.bundle import Bundle, check_files, expected_statement, parse_bundle
from auditkit.bundle.manifest import MANIFEST, REPORT_PDF, STATEMENT
from auditkit.bundle.statement import Files, parse_rfc3339
from auditkit.calibration.kind import CALIBRATION, HTML
from auditkit.calibration.table import TABLE, table
from auditkit.calibration.zoo import ZOO, Organism, Zoo, check_card, check_different, parse_zoo
from auditkit.canonical import canonical
from auditkit.consistency import check_statement
from auditkit.errors import AuditkitError, VerificationError
from auditkit.model import Json
from auditkit.reading import parse_canonical, read_file
from auditkit.replay import Render, compare_values
from auditkit.schemas import validate
from auditkit.signing.dsse import MAX_BYTES
from auditkit.signing.keys import PublicKey
from auditkit.verify import (
    Step,
    Steps,
    VerificationReport,
    check_registered,
    pinned_key,
    signed_manifest,
    signed_pdf,
    signed_statement,
    verify_bundle,
)

AUDITS = "audits"
LABELS_WORD = (
    "that an organism misbehaves, or doesn't, as its label says: that rests on its card and on the "
    "auditor's word"
)
ZOO_WORD = (
    "that no other organisms were tried before these were chosen, unless the zoo was registered"
)
HTML_NOT_SHOWN = f"that {HTML} says what {TABLE} says: write it anew"


def is_calibration(folder: Path) -> bool:
    """Whether a folder holds a calibration rather than an audit; nothing in it is believed."""
    return (folder / ZOO).exists() or (folder / TABLE).exists()


def verify_calibration(  # noqa: PLR0913 - all but two are options
    folder: Path,
    signer_public: Path | PublicKey,
    *,
    plan_sha256: str | None = None,
    allow_unreplayed: Collection[str] = (),
    render: Render | None = None,
    render_html: Callable[[Path], str] | None = None,
    tell: Callable[[Step], None] = lambda _: None,
) -> VerificationReport:
    """Verify a calibration from its signature to its last number.

    Args:
        folder: The calibration.
        signer_public: The auditor's public key or its file, had from elsewhere than the folder.
        plan_sha256: The zoo's digest as it was registered before the run, if it was.
        allow_unreplayed: Checks that may be missing here; the result then says so.
        render: Draws the PDFs again; if None, printed pages are not compared, and the result says so.
        render_html: Writes the HTML again, likewise.
        tell: Called after each step that went well or was left out.

    Raises:
        VerificationError: The first thing that is wrong; `code` names it.
        SigningError: The public key can't be read.
    """
    steps = Steps(tell)
    public = pinned_key(signer_public, steps)
    envelope = read_file(folder / STATEMENT, STATEMENT, MAX_BYTES)
    statement = signed_statement(envelope, public, steps, CALIBRATION)
    check_registered(statement, plan_sha256, steps)
    manifest, listed = signed_manifest(folder, statement, steps)
    files = check_files(folder, manifest, CALIBRATION.pdf)
    steps.add("files", f"{len(files)} files are those that were signed, and there are no others")
    zoo, stated = _zoo(files, steps), _table(files)
    said = statement["predicate"]
    check_statement(statement, expected_statement(manifest.sha256, files, said, CALIBRATION))
    bundles = _audits(files, zoo, said)
    unreplayed: dict[str, None] = {}
    not_shown: dict[str, None] = {}
    for organism in zoo.organisms:
        found = _verified(folder, organism, public, allow_unreplayed, render)
        unreplayed |= dict.fromkeys(found.unreplayed)
        not_shown |= dict.fromkeys(found.not_shown)
        left_out = [s.detail for s in found.steps if not s.ok]
        steps.add(f"audit {organism.name}", _said(organism, found, left_out), ok=not left_out)
    same = _compare(zoo, bundles, stated)
    steps.add("replay", f"{same} numbers and words of {TABLE} follow from the audits")
    readable = {**files, MANIFEST: listed, STATEMENT: envelope}
    not_shown |= dict.fromkeys(_html(folder, files, said, render_html, steps))
    not_shown |= dict.fromkeys(
        signed_pdf(folder, readable, statement, public, render, steps, CALIBRATION)
    )
    more = () if plan_sha256 else (ZOO_WORD,)
    return steps.report(
        statement, unreplayed=tuple(unreplayed), not_shown=(*not_shown, LABELS_WORD, *more)
    )


def _zoo(files: Files, steps: Steps) -> Zoo:
    zoo = parse_zoo(_json(files, ZOO))
    n, m = len(zoo.of("positive")), len(zoo.of("negative"))
    steps.add("zoo", f"locked at {zoo.locked_at}: {n} positive and {m} negative organisms")
    return zoo


def _table(files: Files) -> Json:
    value = _json(files, TABLE)
    validate(value, "calibration", TABLE)
    return value


def _json(files: Files, path: str) -> Json:
    if path not in files:
        raise VerificationError(
            "missing-file", path, got="no such file", expected="a calibration's"
        )
    return parse_canonical(files[path], path)


def _audits(files: Files, zoo: Zoo, said: Json) -> dict[str, Bundle]:
    """The bundle of every organism, and of no other; each is of the zoo's plan and that organism.

    Raises:
        VerificationError: ``organism-missing``, ``organism-unlisted``, ``plan-not-followed``,
            ``card-mismatch``, ``zoo-duplicate``, ``missing-file`` or ``times-inconsistent``.
    """
    by_name: dict[str, dict[str, bytes]] = {o.name: {} for o in zoo.organisms}
    for path, data in files.items():
        if path in (ZOO, TABLE, HTML):
            continue
        place, _, rest = path.partition("/")
        name, _, inner = rest.partition("/")
        if place != AUDITS or name not in by_name or not inner:
            raise VerificationError(
                "organism-unlisted",
                path,
                got="a file of no organism in the zoo",
                expected=f"{ZOO}, {TABLE}, {HTML} and the audits of the organisms",
            )
        by_name[name][inner] = data
    bundles = {}
    for organism in zoo.organisms:
        if not by_name[organism.name]:
            raise VerificationError(
                "organism-missing",
                f"{AUDITS}/{organism.name}",
                got="no audit",
                expected=f"that of every organism in {ZOO}, whatever it found",
                next_step="ask the auditor why it was left out",
            )
        bundles[organism.name] = _bundle(by_name[organism.name], organism, zoo)
    listed = {name: b.identity["files"] for name, b in bundles.items()}
    check_different(
        {name: [(f["path"], f["sha256"]) for f in files] for name, files in listed.items()},
        VerificationError,
    )
    if any(parse_rfc3339(said["signed_at"], "signed_at") < _finished(b) for b in bundles.values()):
        raise VerificationError(
            "times-inconsistent", "statement", got=said["signed_at"], expected="after every audit"
        )
    return bundles


def _finished(bundle: Bundle) -> datetime:
    return parse_rfc3339(bundle.environment["finished_at"], "environment.json: finished_at")


def _bundle(files: Mapping[str, bytes], organism: Organism, zoo: Zoo) -> Bundle:
    own = (MANIFEST, STATEMENT, REPORT_PDF)
    bundle = parse_bundle({p: data for p, data in files.items() if p not in own})
    wanted = zoo.locked_plan(organism).to_json()
    if bundle.plan != _after_json(wanted):
        raise VerificationError(
            "plan-not-followed",
            f"{AUDITS}/{organism.name}/plan.json",
            got=f"plan {str(bundle.plan.get('sha256'))[:16]}…",
            expected=f"{wanted['sha256'][:16]}…, the zoo's plan for this organism",
        )
    if bundle.report is None:
        raise VerificationError(
            "missing-file", f"{AUDITS}/{organism.name}/report.json", expected="a report"
        )
    check_card(organism, bundle)
    return bundle


def _after_json(value: Json) -> Json:
    return parse_canonical(canonical(value), "plan")


def _verified(
    folder: Path,
    organism: Organism,
    public: PublicKey,
    allow_unreplayed: Collection[str],
    render: Render | None,
) -> VerificationReport:
    """An organism's audit, held to all that any audit is held to; errors say whose it is."""
    place = f"{AUDITS}/{organism.name}"
    try:
        return verify_bundle(
            folder / place, public, allow_unreplayed=allow_unreplayed, render=render
        )
    except VerificationError as error:
        raise VerificationError(
            error.code,
            f"{place}: {error.what}",
            got=error.got,
            expected=error.expected,
            next_step=error.next_step,
        ) from error


def _said(organism: Organism, found: VerificationReport, left_out: list[str]) -> str:
    outcomes = list(found.predicate["verdicts"].values())
    counts = ", ".join(f"{outcomes.count(o)} {o}" for o in sorted(set(outcomes)))
    rest = f"; left out: {'; '.join(left_out)}" if left_out else ""
    return f"{organism.label}; its bundle verifies ({counts}){rest}"


def _compare(zoo: Zoo, bundles: Mapping[str, Bundle], stated: Json) -> int:
    try:
        again = table(zoo, bundles)
    except (AuditkitError, KeyError, IndexError, TypeError, ValueError) as error:
        raise VerificationError(
            "replay-failed", f"deriving {TABLE} again", got=str(error)[:300], expected="a table"
        ) from error
    again["auditkit_version"] = stated["auditkit_version"]  # the statement vouches for the signer's
    return compare_values(stated, again, TABLE)


def _html(
    folder: Path,
    files: Files,
    said: Json,
    render_html: Callable[[Path], str] | None,
    steps: Steps,
) -> tuple[str, ...]:
    """Whether the HTML is what the data give; another release may write it otherwise."""
    if HTML not in files:
        raise VerificationError("missing-file", HTML, expected="the table for a screen")
    if render_html is None:
        why = "nothing was given to write it with"
    elif said["auditkit_version"] != auditkit.__version__:
        why = f"made with auditkit {said['auditkit_version']}, {auditkit.__version__} is installed"
    elif render_html(folder).encode() != files[HTML]:
        why = "written again it is another page: it says something else, or was written elsewhere"
    else:
        steps.add(HTML, f"is the page that {TABLE} gives")
        return ()
    steps.add(HTML, f"could not be compared with {TABLE} on this machine; {why}", ok=False)
    return (HTML_NOT_SHOWN,)

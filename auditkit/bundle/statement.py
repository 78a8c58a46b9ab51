"""What a signer states: an in-toto statement over the manifest, derived from the bundle's files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from auditkit.bundle.manifest import MANIFEST, REPORT_PDF, check_files, read_manifest
from auditkit.canonical import sha256
from auditkit.errors import VerificationError
from auditkit.model import Json
from auditkit.reading import parse_canonical
from auditkit.schemas import validate

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://auditkit.dev/attestation/audit/v1"

Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of folder that auditors sign: an audit, or a calibration made of audits.

    Attributes:
        predicate_type: Of its statement.
        schema: Name of the schema that its statement follows.
        data: What the PDF says, as data; attached to it beside the statement.
        data_digest: The field of the predicate that has the digest of `data`.
        pdf: The signed PDF.
        borne_out: The part of the predicate that follows from the folder's files.
    """

    predicate_type: str
    schema: str
    data: str
    data_digest: str
    pdf: str
    borne_out: Callable[[Files], dict[str, Json]]


def make_statement(
    folder: Path,
    *,
    signer_name: str,
    fingerprint: str,
    signed_at: datetime,
    auditkit_version: str | None = None,
    kind: Kind | None = None,
) -> dict[str, Json]:
    """The statement to sign over a bundle whose manifest is written.

    Args:
        folder: The bundle, complete but for statement and PDF.
        signer_name: The auditor's name, as the certificate has it.
        fingerprint: Of the auditor's public key.
        signed_at: With a time zone; written in UTC, to the second.
        auditkit_version: The installed one if None.
        kind: What the folder holds; an audit if None.

    Raises:
        VerificationError: The files are not what the manifest says, or the statement is not valid.
    """
    kind = kind or AUDIT
    manifest = read_manifest(folder)
    said = {
        "auditor_name": signer_name,
        "key_fingerprint": fingerprint,
        "signed_at": rfc3339(signed_at),
        "auditkit_version": auditkit_version or installed_version("auditkit"),
    }
    files = check_files(folder, manifest, kind.pdf)
    statement = expected_statement(manifest.sha256, files, said, kind)
    validate(statement, kind.schema, "statement")
    return statement


def expected_statement(
    manifest_sha256: str, files: Files, said: Mapping[str, Json], kind: Kind | None = None
) -> dict[str, Json]:
    """The one statement that these files bear out.

    Args:
        manifest_sha256: Digest of ``manifest.json``.
        files: Bytes by path; of an audit, those of ``plan.json``, ``identity.json`` and ``report.json``.
        said: What the files don't know: ``auditor_name``, ``key_fingerprint``, ``signed_at`` and
            ``auditkit_version``.
        kind: What the folder holds; an audit if None.

    Raises:
        VerificationError: ``missing-file``, or ``schema`` where a needed field isn't there.
    """
    kind = kind or AUDIT
    names = ("auditor_name", "auditkit_version", "key_fingerprint", "signed_at")
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": MANIFEST, "digest": {"sha256": manifest_sha256}}],
        "predicateType": kind.predicate_type,
        "predicate": {name: said[name] for name in names} | kind.borne_out(files),
    }


def _audited(files: Files) -> dict[str, Json]:
    plan, identity, report = (
        parsed(files, f"{name}.json") for name in ("plan", "identity", "report")
    )
    return {
        "plan_sha256": field(plan, "sha256", "plan.json"),
        "report_sha256": sha256(files["report.json"]),
        "target_digest": field(identity, "digest", "identity.json"),
        "verdicts": verdicts(report),
    }


AUDIT = Kind(
    predicate_type=PREDICATE_TYPE,
    schema="statement",
    data="report.json",
    data_digest="report_sha256",
    pdf=REPORT_PDF,
    borne_out=_audited,
)


def verdicts(report: Json) -> dict[str, str]:
    """Outcome by check id, as ``report.json`` has it.

    Raises:
        VerificationError: ``schema``, where the report has no such thing, or a check twice.
    """
    try:
        found = [(c["check"], c["verdict"]["outcome"]) for c in report["checks"]]
    except (KeyError, TypeError) as error:
        raise VerificationError(
            "schema", "report.json: checks", expected="a check's id and verdict in each"
        ) from error
    if len(dict(found)) < len(found):
        raise VerificationError("schema", "report.json: checks", got="a check twice")
    return dict(found)


def rfc3339(moment: datetime) -> str:
    """A moment in UTC, to the second: ``2026-11-22T19:26:55Z``."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_rfc3339(text: str, where: str) -> datetime:
    """The moment that `rfc3339` wrote.

    Raises:
        VerificationError: ``schema``.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise VerificationError(
            "schema", where, got=repr(text), expected="RFC 3339, UTC"
        ) from error


def parsed(files: Files, path: str) -> Json:
    """A file's value.

    Raises:
        VerificationError: ``missing-file``, or as `parse_canonical`.
    """
    if path not in files:
        raise VerificationError(
            "missing-file", path, got="no such file", expected="a bundle's file"
        )
    return parse_canonical(files[path], path)


def field(value: Json, name: str, where: str) -> Any:
    """A digest that stands in a value.

    Raises:
        VerificationError: ``schema``, where it doesn't.
    """
    if not isinstance(value, dict) or not isinstance(value.get(name), str):
        raise VerificationError("schema", f"{where}: {name}", expected="a digest")
    return value[name]

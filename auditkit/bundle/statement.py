"""What a signer states: an in-toto statement over the manifest, derived from the bundle's files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from auditkit.bundle.manifest import MANIFEST, check_files, read_manifest
from auditkit.canonical import sha256
from auditkit.errors import VerificationError
from auditkit.model import Json
from auditkit.reading import parse_canonical
from auditkit.schemas import validate

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://auditkit.dev/attestation/audit/v1"


def make_statement(
    folder: Path,
    *,
    signer_name: str,
    fingerprint: str,
    signed_at: datetime,
    auditkit_version: str | None = None,
) -> dict[str, Json]:
    """The statement to sign over a bundle whose manifest is written.

    Args:
        folder: The bundle, complete but for statement and PDF.
        signer_name: The auditor's name, as the certificate has it.
        fingerprint: Of the auditor's public key.
        signed_at: With a time zone; written in UTC, to the second.
        auditkit_version: The installed one if None.

    Raises:
        VerificationError: The files are not what the manifest says, or the statement is not valid.
    """
    manifest = read_manifest(folder)
    said = {
        "auditor_name": signer_name,
        "key_fingerprint": fingerprint,
        "signed_at": rfc3339(signed_at),
        "auditkit_version": auditkit_version or installed_version("auditkit"),
    }
    statement = expected_statement(manifest.sha256, check_files(folder, manifest), said)
    validate(statement, "statement", "statement")
    return statement


def expected_statement(
    manifest_sha256: str, files: Mapping[str, bytes], said: Mapping[str, Json]
) -> dict[str, Json]:
    """The one statement that these files bear out.

    Args:
        manifest_sha256: Digest of ``manifest.json``.
        files: Bytes of ``plan.json``, ``identity.json`` and ``report.json`` by path.
        said: What the files don't know: ``auditor_name``, ``key_fingerprint``, ``signed_at`` and
            ``auditkit_version``.

    Raises:
        VerificationError: ``missing-file``, or ``schema`` where a needed field isn't there.
    """
    plan, identity, report = (_parsed(files, f"{n}.json") for n in ("plan", "identity", "report"))
    predicate = {
        "auditor_name": said["auditor_name"],
        "auditkit_version": said["auditkit_version"],
        "key_fingerprint": said["key_fingerprint"],
        "plan_sha256": _field(plan, "sha256", "plan.json"),
        "report_sha256": sha256(files["report.json"]),
        "signed_at": said["signed_at"],
        "target_digest": _field(identity, "digest", "identity.json"),
        "verdicts": verdicts(report),
    }
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": MANIFEST, "digest": {"sha256": manifest_sha256}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }


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


def _parsed(files: Mapping[str, bytes], path: str) -> Json:
    if path not in files:
        raise VerificationError(
            "missing-file", path, got="no such file", expected="a bundle's file"
        )
    return parse_canonical(files[path], path)


def _field(value: Json, name: str, where: str) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get(name), str):
        raise VerificationError("schema", f"{where}: {name}", expected="a digest")
    return value[name]

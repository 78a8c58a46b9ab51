"""Signing a bundle: manifest, then statement, then PDF. Each holds or covers the one before it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from auditkit.bundle import make_statement, write_manifest
from auditkit.bundle.manifest import STATEMENT
from auditkit.bundle.statement import AUDIT, Kind
from auditkit.errors import SigningError
from auditkit.signing.dsse import sign_statement
from auditkit.signing.keys import Signer
from auditkit.signing.pades import sign_pdf


def seal(
    folder: Path,
    signer: Signer,
    *,
    signed_at: datetime,
    render: Callable[[Path], bytes],
    kind: Kind = AUDIT,
) -> None:
    """Sign a bundle whose contents, ``report.json`` included, are written.

    Args:
        folder: The bundle.
        signer: The auditor's key.
        signed_at: With a time zone, by the auditor's clock.
        render: Makes the unsigned PDF from the folder, with ``report.json`` and
            ``statement.dsse.json`` attached.
        kind: What the folder holds.

    Raises:
        SigningError: It is signed already, or can't be signed.
        VerificationError: Its contents could never be verified.
    """
    for name in (STATEMENT, kind.pdf):
        if (folder / name).exists():
            raise SigningError(
                str(folder / name),
                got="a bundle that is signed already",
                expected="one that isn't",
                next_step=f"remove {STATEMENT} and {kind.pdf} to sign it anew",
            )
    write_manifest(folder, kind.pdf)
    statement = make_statement(
        folder,
        signer_name=signer.name,
        fingerprint=signer.fingerprint,
        signed_at=signed_at,
        kind=kind,
    )
    (folder / STATEMENT).write_bytes(sign_statement(statement, signer, kind.schema))
    pdf = sign_pdf(render(folder), signer, signed_at=signed_at)
    (folder / kind.pdf).write_bytes(pdf)

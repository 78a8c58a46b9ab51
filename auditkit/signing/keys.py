"""An auditor's key: a private key, the public key that readers pin, a certificate for the PDF.

Trust comes from the pinned public key alone. The certificate carries the auditor's name into the PDF
signature; it signs itself, and no authority stands behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat

from auditkit.canonical import sha256
from auditkit.errors import SigningError
from auditkit.signing.certificate import (
    PrivateKey,
    PublicKey,
    check_name,
    common_name,
    self_signed,
)
from auditkit.signing.keyfiles import MAKE, part, read, write_new

Kind = Literal["ecdsa-p256", "ed25519"]

__all__ = [
    "KeyFiles",
    "Kind",
    "PrivateKey",
    "PublicKey",
    "Signer",
    "fingerprint",
    "load_public",
    "load_signer",
    "new_key",
]

_KINDS = "an ECDSA P-256 or Ed25519 key"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFiles:
    """Where a new key was written; give `public` and `fingerprint` to whoever is to verify."""

    private: Path
    public: Path
    certificate: Path
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key that can sign, with its certificate.

    Attributes:
        name: The auditor's name, as the certificate has it.
        private: The private key; never shown by `repr`.
        certificate: Over the same key.
    """

    name: str
    private: PrivateKey
    certificate: x509.Certificate

    @property
    def public(self) -> PublicKey:
        return self.private.public_key()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public)

    def __repr__(self) -> str:
        return f"Signer(name={self.name!r}, fingerprint={self.fingerprint!r})"


def fingerprint(public: PublicKey) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo (DER), as lower-case hex."""
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def new_key(
    prefix: Path,
    name: str,
    kind: Kind = "ecdsa-p256",
    *,
    passphrase: str | None = None,
    now: datetime | None = None,
) -> KeyFiles:
    """Make a key and write ``<prefix>.key.pem``, ``.pub.pem`` and ``.crt.pem``; overwrite nothing.

    Args:
        prefix: Folder and first part of the files' names.
        name: The auditor's name, at most 64 characters.
        kind: ``ecdsa-p256``, which every PDF reader knows, or ``ed25519``.
        passphrase: Encrypts the private key. The file's key derivation is weak (PBKDF2, 2048
            rounds), so it must be long.
        now: Beginning of the certificate's ten years; the present if None.

    Raises:
        SigningError: For a bad name or kind, and where a file exists or can't be written.
    """
    check_name(name)
    if kind not in ("ecdsa-p256", "ed25519"):
        raise SigningError("key kind", got=repr(kind), expected="ecdsa-p256 or ed25519")
    protection = _protection(passphrase)
    private: PrivateKey = (
        Ed25519PrivateKey.generate() if kind == "ed25519" else generate_private_key(SECP256R1())
    )
    public = private.public_key()
    certificate = self_signed(private, name, now or datetime.now(UTC))
    contents = {
        part(prefix, "key"): private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection),
        part(prefix, "pub"): public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        part(prefix, "crt"): certificate.public_bytes(Encoding.PEM),
    }
    write_new(contents)
    key_path, public_path, certificate_path = contents
    return KeyFiles(
        private=key_path,
        public=public_path,
        certificate=certificate_path,
        fingerprint=fingerprint(public),
    )


def load_signer(path: Path, passphrase: str | None = None) -> Signer:
    """The signer of ``<prefix>.key.pem``, with the certificate ``<prefix>.crt.pem`` beside it.

    Raises:
        SigningError: For a missing file, one that others may read, a public key, a wrong
            passphrase, another kind of key, or a certificate that is not over this key.
    """
    data = read(path, secret=True)
    private = _private(data, path, passphrase)
    certificate_path = path.with_name(path.name.removesuffix(".key.pem") + ".crt.pem")
    try:
        certificate = x509.load_pem_x509_certificate(read(certificate_path))
        name, certified = common_name(certificate), certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningError(
            str(certificate_path), got=str(error), expected="an X.509 certificate in PEM"
        ) from error
    if certified != private.public_key():
        raise SigningError(
            f"certificate {certificate_path}",
            got="one over another key",
            expected=f"the one made with {path.name}",
            next_step="put the three files of one key side by side",
        )
    return Signer(name=name, private=private, certificate=certificate)


def load_public(path: Path) -> PublicKey:
    """A public key in PEM: the one that a reader pins.

    Raises:
        SigningError: For a missing file, a private key, a certificate, another kind of key.
    """
    data = read(path)
    if b"PRIVATE KEY" in data or b"CERTIFICATE" in data:
        found = "a private key" if b"PRIVATE KEY" in data else "a certificate"
        raise SigningError(
            f"public key {path}",
            got=found,
            expected="a public key",
            next_step="give the .pub.pem file; a private key goes to nobody",
        )
    try:
        public = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningError(
            f"public key {path}",
            got="something else, or a damaged file",
            expected=f"{_KINDS} in PEM",
            next_step="ask the auditor for the .pub.pem file, and compare its fingerprint",
        ) from error
    if isinstance(public, Ed25519PublicKey) or _is_p256(public):
        return public  # type: ignore[return-value]  # narrowed by _is_p256
    raise SigningError(f"public key {path}", got=_kind_of(public), expected=_KINDS, next_step=MAKE)


def _protection(passphrase: str | None) -> serialization.KeySerializationEncryption:
    if passphrase is None:
        return serialization.NoEncryption()
    if not passphrase:
        raise SigningError("passphrase", got="an empty one", expected="words, or none at all")
    return serialization.BestAvailableEncryption(passphrase.encode())


def _private(data: bytes, path: Path, passphrase: str | None) -> PrivateKey:
    what = f"private key {path}"
    if b"PRIVATE KEY" not in data:
        found = "a public key" if b"PUBLIC KEY" in data else "something else"
        raise SigningError(
            what,
            got="a certificate" if b"CERTIFICATE" in data else found,
            expected="a private key in PEM",
            next_step="give the .key.pem file, or make one with `auditkit keys new`",
        )
    encrypted = b"ENCRYPTED" in data
    if encrypted != (passphrase is not None):
        raise SigningError(
            what,
            got="no passphrase" if encrypted else "a passphrase",
            expected="the passphrase of this key" if encrypted else "none: it is not encrypted",
        )
    try:
        private = serialization.load_pem_private_key(
            data, None if passphrase is None else passphrase.encode()
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningError(
            what,
            got="a wrong passphrase, or a damaged file" if encrypted else "a damaged file",
            expected=_KINDS,
            next_step="try the passphrase again" if encrypted else "restore it from a backup",
        ) from error
    if isinstance(private, Ed25519PrivateKey) or _is_p256(private):
        return private  # type: ignore[return-value]  # narrowed by _is_p256
    raise SigningError(what, got=_kind_of(private), expected=_KINDS, next_step=MAKE)


def _is_p256(key: object) -> bool:
    known = isinstance(key, EllipticCurvePrivateKey | EllipticCurvePublicKey)
    return known and isinstance(getattr(key, "curve", None), SECP256R1)


def _kind_of(key: object) -> str:
    curve = getattr(getattr(key, "curve", None), "name", "")
    words = type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey")
    return f"a key of type {words} {curve}".rstrip()

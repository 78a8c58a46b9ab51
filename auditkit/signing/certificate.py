"""The certificate that carries an auditor's name into the PDF signature."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from auditkit.errors import SigningError

PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey
PublicKey = EllipticCurvePublicKey | Ed25519PublicKey

VALIDITY = timedelta(days=3653)
MAX_NAME = 64  # of an X.509 common name


def check_name(name: str) -> None:
    """Refuse a name that a certificate can't hold or a reader can't see.

    Raises:
        SigningError: What is wrong with it.
    """
    printable = all(unicodedata.category(c)[0] != "C" for c in name)
    if not name.strip() or name != name.strip() or len(name) > MAX_NAME or not printable:
        raise SigningError(
            "auditor's name",
            got=repr(name[: MAX_NAME + 1]),
            expected=f"1 to {MAX_NAME} printable characters, no space at the ends",
        )


def common_name(certificate: x509.Certificate) -> str:
    """The auditor's name in a certificate.

    Raises:
        ValueError: There is none, or more than one.
    """
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def self_signed(private: PrivateKey, name: str, now: datetime) -> x509.Certificate:
    """A certificate over a key by itself, good for signatures only, for ten years from `now`."""
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = dict.fromkeys(
        ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign"), False
    )
    usage |= dict.fromkeys(("crl_sign", "encipher_only", "decipher_only"), False)
    public = private.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, content_commitment=True, **usage), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(private, None if isinstance(private, Ed25519PrivateKey) else hashes.SHA256())
    )

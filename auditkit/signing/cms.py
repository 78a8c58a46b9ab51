"""The signature inside a signed PDF: over every byte of the file, by the pinned key, spelled one way.

This runs before anything else looks into the PDF, so that a parser sees only what the pinned key's
holder signed. A signature object has parts that nothing signs (its padding, the case of its hex
digits, unsigned attributes); here they must be what our own signer writes.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from asn1crypto import cms
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from auditkit.errors import VerificationError
from auditkit.signing.dsse import low_s
from auditkit.signing.keys import PublicKey

_BYTE_RANGE = re.compile(rb"/ByteRange *\[0 (\d{1,10}) (\d{1,10}) (\d{1,10})\]")
MAX_CONTENTS = 64_000
_NEXT = "get the PDF again from the auditor"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRange:
    """Where the signature stands: file offsets of `<` and of the byte after `>`; its DER."""

    start: int
    end: int
    der: bytes


def signed_range(data: bytes) -> SignedRange:
    """Find the last signature of a PDF, which must cover all the rest of the file.

    Raises:
        VerificationError: ``pdf-unsigned``, ``pdf-coverage`` or ``pdf-signature``.
    """
    found = _BYTE_RANGE.findall(data)
    if not found:
        raise VerificationError(
            "pdf-unsigned", "report.pdf", got="no signature", expected="one", next_step=_NEXT
        )
    start, end, rest = (int(number) for number in found[-1])
    if not 0 < start < end or end + rest != len(data) or end - start > MAX_CONTENTS:
        raise VerificationError(
            "pdf-coverage",
            "report.pdf",
            got=f"{len(data)} bytes, of which {start} and {rest} are signed",
            expected="a signature over the entire file",
            next_step=_NEXT,
        )
    der = _contents(data[start:end])
    return SignedRange(start=start, end=end, der=der)


def check_cms(data: bytes, where: SignedRange, public: PublicKey) -> x509.Certificate:
    """The signer's certificate, if the pinned key signed all of the file around the signature.

    Raises:
        VerificationError: ``wrong-signer`` or ``pdf-signature``.
    """
    try:
        content = cms.ContentInfo.load(where.der, strict=True)["content"]
        info = content["signer_infos"][0]
        raw_certificate = content["certificates"][0].chosen
        certificate = x509.load_der_x509_certificate(raw_certificate.dump())
        certified = certificate.public_key()
    except Exception as error:
        raise _invalid("a damaged signature object") from error
    if certified != public:
        raise VerificationError(
            "wrong-signer",
            "report.pdf",
            got="a signature by another key",
            expected="the key you gave",
            next_step="ask the auditor, by another way than this file's, which key is theirs",
        )
    try:
        same = _rebuilt(info, raw_certificate, public) == where.der
        _check_attributes(info, data[: where.start] + data[where.end :], certificate, public)
        certificate.verify_directly_issued_by(certificate)
        _check_signature(info, public)
    except VerificationError:
        raise
    except Exception as error:
        raise _invalid("a signature that does not fit the file") from error
    if not same:
        raise _invalid("another spelling of the signature object")
    return certificate


def digest_name(public: PublicKey) -> str:
    """The digest of the PDF signature; RFC 8419 wants SHA-512 with Ed25519."""
    return "sha256" if isinstance(public, EllipticCurvePublicKey) else "sha512"


def _contents(text: bytes) -> bytes:
    """DER from ``<hex digits>``, padded with zeros; nothing but that one spelling."""
    digits = text[1:-1]
    try:
        raw = bytes.fromhex(digits.decode("ascii"))
        length = len(cms.ContentInfo.load(raw).dump())
    except Exception as error:
        raise _invalid("a damaged signature object") from error
    der = raw[:length]
    if text != b"<" + der.hex().upper().encode().ljust(len(digits), b"0") + b">":
        raise _invalid("another spelling of the signature object")
    return der


def _rebuilt(info: cms.SignerInfo, certificate: cms.Certificate, public: PublicKey) -> bytes:
    """The signature object as our signer writes it, around what is signed or bound by it."""
    name = digest_name(public)
    ecdsa = isinstance(public, EllipticCurvePublicKey)
    signer = {
        "version": "v1",
        "sid": cms.SignerIdentifier(
            {
                "issuer_and_serial_number": cms.IssuerAndSerialNumber(
                    {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
                )
            }
        ),
        "digest_algorithm": {"algorithm": name},
        "signature_algorithm": {"algorithm": f"{name}_ecdsa" if ecdsa else "ed25519"},
        "signed_attrs": info["signed_attrs"],
        "signature": info["signature"],
    }
    signed_data = {
        "version": "v1",
        "digest_algorithms": [{"algorithm": name}],
        "encap_content_info": {"content_type": "data"},
        "certificates": [cms.CertificateChoices(name="certificate", value=certificate)],
        "signer_infos": [cms.SignerInfo(signer)],
    }
    whole = {"content_type": "signed_data", "content": cms.SignedData(signed_data)}
    return bytes(cms.ContentInfo(whole).dump())


def _check_attributes(
    info: cms.SignerInfo, covered: bytes, certificate: x509.Certificate, public: PublicKey
) -> None:
    """The signed attributes must name this file, by its digest, and this certificate."""
    attributes = {a["type"].native: a["values"] for a in info["signed_attrs"]}
    if len(attributes) != len(info["signed_attrs"]):
        raise _invalid("an attribute twice")
    (digest,) = attributes["message_digest"].native
    if hashlib.new(digest_name(public), covered).digest() != digest:
        raise _invalid("a file that was changed after signing")
    (named,) = attributes["signing_certificate_v2"]
    (entry,) = named["certs"]
    digest_algorithm = entry["hash_algorithm"]["algorithm"].native
    encoded = certificate.public_bytes(Encoding.DER)
    if entry["cert_hash"].native != hashlib.new(digest_algorithm, encoded).digest():
        raise _invalid("another certificate than the one signed with")


def _check_signature(info: cms.SignerInfo, public: PublicKey) -> None:
    signature, signed = info["signature"].native, info["signed_attrs"].untag().dump()
    try:
        if isinstance(public, EllipticCurvePublicKey):
            public.verify(signature, signed, ECDSA(hashes.SHA256()))
            if low_s(signature) != signature:
                raise _invalid("another spelling of the signature")
        else:
            public.verify(signature, signed)
    except InvalidSignature as error:
        raise _invalid("a signature that the pinned key did not make") from error


def _invalid(got: str) -> VerificationError:
    return VerificationError(
        "pdf-signature",
        "report.pdf",
        got=got,
        expected="the pinned key's signature over every byte",
        next_step=_NEXT,
    )

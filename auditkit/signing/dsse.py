"""The signed statement: in-toto Statement v1 in a DSSE envelope, one signature by one pinned key.

An envelope has exactly one spelling. Whatever differs from it by a byte is refused, be it only white
space, the order of keys, or the second of the two signatures that ECDSA has for everything.
"""

from __future__ import annotations

import binascii
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError as Unverified
from securesystemslib.signer import (  # type: ignore[attr-defined]  # not in its __all__
    CryptoSigner,
    Signature,
    SSlibKey,
)

from auditkit.canonical import canonical
from auditkit.errors import VerificationError
from auditkit.model import Json
from auditkit.reading import parse_canonical
from auditkit.schemas import validate
from auditkit.signing.keys import PublicKey, Signer, fingerprint

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BYTES = 4 * 1024 * 1024
_WHERE = "statement.dsse.json"
_ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def sign_statement(statement: Json, signer: Signer, schema: str = "statement") -> bytes:
    """The envelope's bytes, to be written as they are; the statement must be as `schema` says.

    Raises:
        VerificationError: ``schema``, for a statement that nobody could verify.
    """
    validate(statement, schema, "statement")
    envelope = Envelope(canonical(statement), PAYLOAD_TYPE, {})
    signature = CryptoSigner(signer.private, _key(signer.public)).sign(envelope.pae())
    raw = bytes.fromhex(signature.signature)
    if isinstance(signer.public, EllipticCurvePublicKey):
        raw = low_s(raw)
    envelope.signatures[signature.keyid] = Signature(signature.keyid, raw.hex())
    return canonical(envelope.to_dict())


def open_envelope(data: bytes, public: PublicKey, schema: str = "statement") -> dict[str, Json]:
    """The statement, if the pinned key signed exactly these bytes and it is as `schema` says.

    Raises:
        VerificationError: ``not-json``, ``not-canonical``, ``too-large``, ``envelope-malformed``,
            ``payload-type``, ``signature-count``, ``wrong-signer``, ``signature-invalid``,
            ``schema``.
    """
    envelope = _envelope(data)
    key = _key(public)
    (signature,) = envelope.signatures.values()
    if signature.keyid != key.keyid:
        raise VerificationError(
            "wrong-signer",
            _WHERE,
            got=f"key {signature.keyid[:16]}…",
            expected=f"{key.keyid[:16]}…, the key you gave",
            next_step="ask the auditor, by another way than this bundle's, which key is theirs",
        )
    raw = bytes.fromhex(signature.signature)
    try:
        envelope.verify([key], 1)
        strict = not isinstance(public, EllipticCurvePublicKey) or low_s(raw) == raw
    except (Unverified, ValueError) as error:
        raise _invalid() from error
    if not strict:
        raise _invalid()
    statement = parse_canonical(envelope.payload, f"{_WHERE}: payload")
    validate(statement, schema, f"{_WHERE}: payload")
    return cast("dict[str, Json]", statement)


def low_s(signature: bytes) -> bytes:
    """The smaller of the two P-256 signatures (r, s) and (r, n - s), in DER.

    Raises:
        ValueError: It is no signature in DER.
    """
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, _ORDER_P256 - s))


def _key(public: PublicKey) -> SSlibKey:
    return SSlibKey.from_crypto(public, keyid=fingerprint(public))


def _invalid() -> VerificationError:
    return VerificationError(
        "signature-invalid",
        _WHERE,
        got="a signature that does not fit what it stands under",
        expected="the pinned key's signature over this statement",
        next_step="get the bundle again from the auditor",
    )


def _envelope(data: bytes) -> Envelope:
    if len(data) > MAX_BYTES:
        raise VerificationError(
            "too-large", _WHERE, got=f"{len(data):,} bytes", expected=f"at most {MAX_BYTES:,}"
        )
    value = parse_canonical(data, _WHERE)
    shape = {"payload", "payloadType", "signatures"}
    if not isinstance(value, dict) or value.keys() != shape:
        raise VerificationError(
            "envelope-malformed", _WHERE, expected=f"exactly {', '.join(sorted(shape))}"
        )
    if value["payloadType"] != PAYLOAD_TYPE:
        got = repr(value["payloadType"])[:100]
        raise VerificationError("payload-type", _WHERE, got=got, expected=PAYLOAD_TYPE)
    signatures = value["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        count = len(signatures) if isinstance(signatures, list) else "no list"
        raise VerificationError("signature-count", _WHERE, got=f"{count}", expected="exactly one")
    first = signatures[0] if isinstance(signatures[0], dict) else {}
    texts = (value["payload"], *first.values())
    if first.keys() != {"keyid", "sig"} or not all(isinstance(text, str) for text in texts):
        raise VerificationError(
            "envelope-malformed", f"{_WHERE}: signatures[0]", expected="keyid and sig, as text"
        )
    try:
        envelope = Envelope.from_dict(value)  # it empties `signatures`
        same = canonical(envelope.to_dict()) == data
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise VerificationError("envelope-malformed", _WHERE, got=str(error)[:200]) from error
    if not same:
        raise VerificationError("not-canonical", _WHERE, got="another spelling of its base64")
    return envelope

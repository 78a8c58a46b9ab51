from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from auditkit.canonical import canonical
from auditkit.errors import VerificationError
from auditkit.signing.dsse import _ORDER_P256, low_s, open_envelope, sign_statement
from auditkit.signing.keys import Signer, load_signer, new_key


def statement(fingerprint: str) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "manifest.json", "digest": {"sha256": "0" * 64}}],
        "predicateType": "https://auditkit.dev/attestation/audit/v1",
        "predicate": {
            "auditor_name": "Æ Audits",
            "auditkit_version": "0.1.0",
            "key_fingerprint": fingerprint,
            "plan_sha256": "1" * 64,
            "report_sha256": "2" * 64,
            "signed_at": "2026-11-22T12:00:00Z",
            "target_digest": "sha256:3",
            "verdicts": {"a.b": "PASSED"},
        },
    }


@pytest.fixture(scope="module", params=["ecdsa-p256", "ed25519"])
def signer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Signer:
    folder = tmp_path_factory.mktemp("keys")
    return load_signer(new_key(folder / "k", "Æ Audits", request.param).private)


@pytest.fixture(scope="module")
def envelope(signer: Signer) -> bytes:
    return sign_statement(statement(signer.fingerprint), signer)


def refused(data: bytes, signer: Signer) -> str:
    with pytest.raises(VerificationError) as caught:
        open_envelope(data, signer.public)
    return caught.value.code


def edited(envelope: bytes, change: Callable[[Any], object]) -> bytes:
    value = json.loads(envelope)
    change(value)
    return canonical(value)


def test_what_was_signed_comes_back(signer: Signer, envelope: bytes) -> None:
    assert open_envelope(envelope, signer.public) == statement(signer.fingerprint)
    assert json.loads(envelope)["payloadType"] == "application/vnd.in-toto+json"


def test_any_dsse_implementation_can_check_it(signer: Signer, envelope: bytes) -> None:
    value = json.loads(envelope)
    payload = base64.b64decode(value["payload"])
    kind = value["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signature = base64.b64decode(value["signatures"][0]["sig"])
    if hasattr(signer.public, "curve"):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

        signer.public.verify(signature, signed, ECDSA(hashes.SHA256()))
    else:
        signer.public.verify(signature, signed)


def test_another_key_is_another_signer(signer: Signer, envelope: bytes, tmp_path: Path) -> None:
    other = load_signer(new_key(tmp_path / "o", "Æ Audits").private)
    assert refused(envelope, other) == "wrong-signer"
    forged = edited(
        sign_statement(statement(signer.fingerprint), other),
        lambda v: v["signatures"][0].update(keyid=signer.fingerprint),
    )
    assert refused(forged, signer) == "signature-invalid"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("auditor_name", "Mallory"),
        ("signed_at", "2020-01-01T00:00:00Z"),
        ("key_fingerprint", "f" * 64),
        ("verdicts", {"a.b": "FAILED"}),
        ("target_digest", "another"),
    ],
)
def test_every_field_is_covered(signer: Signer, envelope: bytes, field: str, value: object) -> None:
    def change(v: Any) -> None:
        inner = json.loads(base64.b64decode(v["payload"]))
        inner["predicate"][field] = value
        v["payload"] = base64.b64encode(canonical(inner)).decode()

    assert refused(edited(envelope, change), signer) == "signature-invalid"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda v: v["signatures"].append(v["signatures"][0]), "signature-count"),
        (lambda v: v.update(signatures=[]), "signature-count"),
        (lambda v: v.update(signatures={}), "signature-count"),
        (lambda v: v.update(signatures=["x"]), "envelope-malformed"),
        (lambda v: v.update(extra=1), "envelope-malformed"),
        (lambda v: v.pop("payload"), "envelope-malformed"),
        (lambda v: v.update(payload=7), "envelope-malformed"),
        (lambda v: v.update(payload="%%%"), "envelope-malformed"),
        (lambda v: v.update(payloadType="text/plain"), "payload-type"),
        (lambda v: v["signatures"][0].update(note="x"), "envelope-malformed"),
        (lambda v: v["signatures"][0].pop("keyid"), "envelope-malformed"),
        (lambda v: v["signatures"][0].update(keyid=""), "wrong-signer"),
        (lambda v: v["signatures"][0].update(sig=""), "signature-invalid"),
    ],
)
def test_only_one_shape_is_accepted(
    signer: Signer, envelope: bytes, change: Callable[[Any], object], code: str
) -> None:
    assert refused(edited(envelope, change), signer) == code


def test_only_one_spelling_is_accepted(signer: Signer, envelope: bytes) -> None:
    assert refused(envelope + b"\n", signer) == "not-canonical"
    assert refused(json.dumps(json.loads(envelope)).encode(), signer) == "not-canonical"
    double = envelope[:-1] + b',"payloadType":"application/vnd.in-toto+json"}'
    assert refused(double, signer) == "not-canonical"
    assert refused(b"[" * 100_000, signer) in ("not-json", "too-deep")
    assert refused(b"\xff" + envelope, signer) == "not-json"
    assert refused(b"[]", signer) == "envelope-malformed"
    assert refused(b"x" * 5_000_000, signer) == "too-large"


def test_a_payload_that_is_not_canonical_is_refused_though_signed(signer: Signer) -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, Signature, SSlibKey

    def enveloped(payload: bytes) -> bytes:
        made = Envelope(payload, "application/vnd.in-toto+json", {})
        key = SSlibKey.from_crypto(signer.public, keyid=signer.fingerprint)
        raw = bytes.fromhex(CryptoSigner(signer.private, key).sign(made.pae()).signature)
        raw = low_s(raw) if hasattr(signer.public, "curve") else raw
        made.signatures[key.keyid] = Signature(key.keyid, raw.hex())
        return canonical(made.to_dict())

    good = statement(signer.fingerprint)
    assert refused(enveloped(json.dumps(good).encode()), signer) == "not-canonical"
    assert refused(enveloped(canonical(good | {"more": 1})), signer) == "schema"
    del good["predicate"]["signed_at"]
    assert refused(enveloped(canonical(good)), signer) == "schema"


def test_the_second_ecdsa_signature_is_refused(tmp_path: Path) -> None:
    signer = load_signer(new_key(tmp_path / "k", "A").private)
    envelope = sign_statement(statement(signer.fingerprint), signer)

    def mirror(v: Any) -> None:
        r, s = decode_dss_signature(base64.b64decode(v["signatures"][0]["sig"]))
        other = encode_dss_signature(r, _ORDER_P256 - s)
        v["signatures"][0]["sig"] = base64.b64encode(other).decode()

    assert refused(edited(envelope, mirror), signer) == "signature-invalid"


def test_every_byte_counts(signer: Signer, envelope: bytes) -> None:
    rng = random.Random(20)
    for place in range(len(envelope)):
        data = bytearray(envelope)
        data[place] ^= 1 << rng.randrange(8)
        refused(bytes(data), signer)


def test_a_statement_that_nobody_could_verify_is_not_signed(signer: Signer) -> None:
    bad = statement("not a fingerprint")
    with pytest.raises(VerificationError, match=r"predicate\.key_fingerprint"):
        sign_statement(bad, signer)

from __future__ import annotations

import io
import random
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from weasyprint import HTML, Attachment

from auditkit.errors import SigningError, VerificationError
from auditkit.signing.dsse import _ORDER_P256
from auditkit.signing.keys import Signer, load_signer, new_key
from auditkit.signing.pades import _KeySigner, check_pdf, sign_pdf

MOMENT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ATTACHED = {"report.json": b'{"n":1}', "statement.dsse.json": b"{}"}
_CONTENTS = re.compile(rb"/Contents *<([0-9A-F]+)>")


@pytest.fixture(scope="module")
def plain() -> bytes:
    files = [
        Attachment(string=data.decode(), name=name, relationship="Data")
        for name, data in ATTACHED.items()
    ]
    page = HTML(string='<html lang="en"><title>T</title><p>Hello</p></html>')
    return bytes(page.write_pdf(pdf_variant="pdf/a-3a", pdf_tags=True, attachments=files))


@pytest.fixture(scope="module", params=["ecdsa-p256", "ed25519"])
def signer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Signer:
    folder = tmp_path_factory.mktemp("keys")
    return load_signer(new_key(folder / "k", "Æ Audits", request.param).private)


@pytest.fixture(scope="module")
def signed(plain: bytes, signer: Signer) -> bytes:
    return sign_pdf(plain, signer, signed_at=MOMENT)


def refused(data: bytes, signer: Signer) -> str:
    with pytest.raises(VerificationError) as caught:
        check_pdf(data, signer.public)
    return caught.value.code


def test_what_is_in_a_signed_pdf(signed: bytes, signer: Signer) -> None:
    contents = check_pdf(signed, signer.public)
    assert contents.signer_name == "Æ Audits"
    assert contents.signed_at == MOMENT
    assert contents.attachments == ATTACHED


def test_pdf_a_survives_signing(plain: bytes, signed: bytes) -> None:
    assert signed.startswith(plain), "what validators saw is still there, byte for byte"
    pikepdf = pytest.importorskip("pikepdf")
    with pikepdf.open(io.BytesIO(signed)) as pdf:
        (field,) = pdf.Root.AcroForm.Fields
        flags = int(field.F)
        assert flags & 4, "PDF/A: printed"
        assert not flags & (1 | 2 | 32), "PDF/A: neither invisible nor hidden"
        assert str(field.TU) == "Signature of the auditor", "PDF/UA: a name"


def test_it_verifies_after_the_certificate_has_run_out(plain: bytes, tmp_path: Path) -> None:
    old = datetime(2011, 1, 1, tzinfo=UTC)
    signer = load_signer(new_key(tmp_path / "old", "A", now=old).private)
    signed = sign_pdf(plain, signer, signed_at=datetime(2012, 1, 1, tzinfo=UTC))
    assert check_pdf(signed, signer.public).signed_at.year == 2012


def test_another_key_is_another_signer(plain: bytes, signer: Signer, tmp_path: Path) -> None:
    other = load_signer(new_key(tmp_path / "o", "Æ Audits").private)
    assert refused(sign_pdf(plain, other), signer) == "wrong-signer"


def test_unsigned_cut_and_lengthened_files(plain: bytes, signed: bytes, signer: Signer) -> None:
    assert refused(plain, signer) == "pdf-unsigned"
    assert refused(signed[: len(plain)], signer) == "pdf-unsigned"
    assert refused(b"", signer) == "pdf-unsigned"
    for junk in (b"\n", b"%junk", b"\n%%EOF\n", b"\0"):
        assert refused(signed + junk, signer) == "pdf-coverage"
    assert refused(signed[:-1], signer) == "pdf-coverage"


def test_an_update_after_signing(signed: bytes, signer: Signer) -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(signed))
    file = writer.root["/AF"][0]
    stream = writer.add_object(generic.StreamObject(stream_data=b'{"n":999}'))
    file["/EF"][generic.pdf_name("/F")] = stream
    writer.update_container(file["/EF"])
    out = io.BytesIO()
    writer.write(out)
    assert refused(out.getvalue(), signer) == "pdf-coverage"


def test_a_second_signature_even_by_the_same_key(plain: bytes, signer: Signer) -> None:
    first = io.BytesIO()
    for number in range(2):
        source = io.BytesIO(plain) if number == 0 else io.BytesIO(first.getvalue())
        metadata = signers.PdfSignatureMetadata(
            field_name=f"S{number}",
            md_algorithm="sha256" if hasattr(signer.public, "curve") else "sha512",
            subfilter=fields.SigSeedSubFilter.PADES,
        )
        writer = IncrementalPdfFileWriter(source)
        work = signers.PdfSigner(metadata, _KeySigner(signer))
        first = io.BytesIO(work.sign_pdf(writer).getvalue())
    assert refused(first.getvalue(), signer) == "signature-count"


def test_a_signature_that_allows_changes(plain: bytes, signer: Signer) -> None:
    metadata = signers.PdfSignatureMetadata(
        field_name="S",
        md_algorithm="sha256" if hasattr(signer.public, "curve") else "sha512",
        subfilter=fields.SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=fields.MDPPerm.ANNOTATE,
    )
    work = signers.PdfSigner(metadata, _KeySigner(signer))
    signed = work.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(plain))).getvalue()
    assert refused(signed, signer) == "pdf-modified"


def _with_contents(signed: bytes, der: bytes) -> bytes:
    found = _CONTENTS.search(signed)
    assert found
    text = der.hex().upper().encode().ljust(len(found[1]), b"0")
    return signed[: found.start(1)] + text + signed[found.end(1) :]


def _der(signed: bytes) -> bytes:
    found = _CONTENTS.search(signed)
    assert found
    raw = bytes.fromhex(found[1].decode())
    return bytes(cms.ContentInfo.load(raw).dump())


def test_the_bytes_of_the_signature_itself_count(signed: bytes, signer: Signer) -> None:
    found = _CONTENTS.search(signed)
    assert found
    assert _with_contents(signed, _der(signed)) == signed
    lower = signed[: found.start(1)] + found[1].lower() + signed[found.end(1) :]
    assert refused(lower, signer) == "pdf-signature"
    padded = signed[: found.end(1) - 1] + b"1" + signed[found.end(1) :]
    assert refused(padded, signer) == "pdf-signature"


def test_unsigned_attributes_and_further_certificates(signed: bytes, signer: Signer) -> None:
    info = cms.ContentInfo.load(_der(signed))
    attribute = {"type": "1.2.3.4", "values": cms.SetOfAny([cms.OctetString(b"x")])}
    info["content"]["signer_infos"][0]["unsigned_attrs"] = [cms.CMSAttribute(attribute)]
    assert refused(_with_contents(signed, info.dump(force=True)), signer) == "pdf-signature"


def test_the_second_ecdsa_signature_is_refused(signed: bytes, signer: Signer) -> None:
    if not hasattr(signer.public, "curve"):
        pytest.skip("Ed25519 has one signature only")
    info = cms.ContentInfo.load(_der(signed))
    inner = info["content"]["signer_infos"][0]
    r, s = decode_dss_signature(inner["signature"].native)
    inner["signature"] = encode_dss_signature(r, _ORDER_P256 - s)
    assert refused(_with_contents(signed, info.dump(force=True)), signer) == "pdf-signature"


def test_a_certificate_of_another_name_over_the_same_key(
    signed: bytes, signer: Signer, tmp_path: Path
) -> None:
    """Anybody can put a public key into a certificate; it has to be the one that was signed with."""
    from cryptography import x509

    from auditkit.signing.certificate import self_signed

    mallory = self_signed(signer.private, "Mallory", MOMENT)
    assert isinstance(mallory, x509.Certificate)
    from asn1crypto import x509 as asn1
    from cryptography.hazmat.primitives.serialization import Encoding

    certificate = asn1.Certificate.load(mallory.public_bytes(Encoding.DER))
    info = cms.ContentInfo.load(_der(signed))
    info["content"]["certificates"] = [
        cms.CertificateChoices(name="certificate", value=certificate)
    ]
    sid = info["content"]["signer_infos"][0]["sid"].chosen
    sid["issuer"], sid["serial_number"] = certificate.issuer, certificate.serial_number
    assert refused(_with_contents(signed, info.dump(force=True)), signer) == "pdf-signature"


def test_random_edits(signed: bytes, signer: Signer) -> None:
    rng = random.Random(5)
    for _ in range(600):
        data = bytearray(signed)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        refused(bytes(data), signer)


def test_only_an_unsigned_pdf_is_signed(signed: bytes, signer: Signer) -> None:
    with pytest.raises(SigningError, match="signed already"):
        sign_pdf(signed, signer)
    with pytest.raises(SigningError, match="signing the PDF"):
        sign_pdf(b"no PDF", signer)

"""The signed PDF: PAdES, certified so that nothing may change, by the auditor's key.

`check_pdf` asks twice. First `cms`: the pinned key over every byte. Then pyHanko, which knows PDF: one
signature, certified, nothing modified. Any exception is a failure.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields, signers
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from auditkit.errors import SigningError, VerificationError
from auditkit.signing.certificate import common_name
from auditkit.signing.cms import SignedRange, check_cms, digest_name, signed_range
from auditkit.signing.dsse import low_s
from auditkit.signing.keys import PublicKey, Signer

FIELD = "AuditorSignature"
MAX_BYTES = 64 * 1024 * 1024
MAX_ATTACHMENTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfContents:
    """What a PDF that the pinned key signed holds.

    Attributes:
        signer_name: The auditor's name, as the certificate has it.
        signed_at: By the auditor's clock.
        attachments: Bytes by file name.
    """

    signer_name: str
    signed_at: datetime
    attachments: Mapping[str, bytes]


def sign_pdf(
    pdf: bytes,
    signer: Signer,
    *,
    signed_at: datetime | None = None,
    reason: str = "Audit report issued",
) -> bytes:
    """Sign a PDF so that no byte of it may change; PDF/A and PDF/UA stay valid.

    Args:
        pdf: Without any signature yet.
        signer: The auditor's key.
        signed_at: With a time zone; the present if None.
        reason: Shown by PDF readers.

    Raises:
        SigningError: It is no PDF, is signed already, or what came out does not verify.
    """
    moment = (signed_at or datetime.now(UTC)).astimezone(UTC).replace(microsecond=0)
    try:
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf), strict=False)
        if list(writer.prev.embedded_signatures):
            raise ValueError("a PDF that is signed already")
        work = _DatedSigner(_metadata(signer, reason), _KeySigner(signer), new_field_spec=_field())
        work.moment = moment
        signed = bytes(work.sign_pdf(writer).getvalue())
        check_pdf(signed, signer.public)
    except Exception as error:
        raise SigningError(
            "signing the PDF",
            got=str(error) or type(error).__name__,
            expected="a PDF made by auditkit and not signed yet",
        ) from error
    return signed


def check_pdf(data: bytes, public: PublicKey) -> PdfContents:
    """What is in a PDF, if the pinned key signed every byte of it.

    Raises:
        VerificationError: ``too-large``, ``pdf-unsigned``, ``pdf-coverage``, ``wrong-signer``,
            ``pdf-signature``, ``pdf-modified`` or ``pdf-malformed``.
    """
    if len(data) > MAX_BYTES:
        raise VerificationError(
            "too-large", "report.pdf", got=f"{len(data):,} bytes", expected=f"at most {MAX_BYTES:,}"
        )
    where = signed_range(data)
    certificate = check_cms(data, where, public)
    try:
        return _pdf_contents(data, where, certificate)
    except VerificationError:
        raise
    except Exception as error:
        raise VerificationError(
            "pdf-malformed",
            "report.pdf",
            got=f"{type(error).__name__}: {error}"[:200],
            expected="a PDF as auditkit makes it",
        ) from error


_SET_BY_SIGNING = {"/Metadata", "/AcroForm", "/Extensions", "/Version", "/Perms"}
_OF_THE_FIELD = {"/FT", "/T", "/Type", "/Subtype", "/F", "/Rect", "/P", "/TU", "/V"}


def only_signed(signed: bytes, drawn: bytes) -> bool:
    """Whether a signed PDF shows what the drawn one does: it begins with it and adds a signature alone.

    An appendix may replace what stands before it, so the same beginning is not enough: every object must
    be as it was, save the entries of catalogue and first page that signing sets, and the metadata.
    """
    if not signed.startswith(drawn):
        return False
    before, after = (PdfFileReader(io.BytesIO(data), strict=False) for data in (drawn, signed))
    free = {
        before.trailer_view.raw_get("/Info").reference: None,
        before.root.raw_get("/Metadata").reference: None,
        before.root_ref: _SET_BY_SIGNING,
        _first_page(before): {"/Annots"},
    }
    return (
        before.root_ref == after.root_ref
        and all(
            _same(before, after, ref, free) for ref in before.xrefs.explicit_refs_in_revision(0)
        )
        and _adds_one_unseen_field(before, after)
    )


def _same(before: PdfFileReader, after: PdfFileReader, ref: Any, free: dict[Any, Any]) -> bool:
    """The object stands where it stood, in bytes that are the same; or only what may differ does."""
    if ref not in free:
        return bool(before.xrefs[ref] == after.xrefs[ref])
    return _spelled(before, ref, free[ref]) == _spelled(after, ref, free[ref])


def _first_page(reader: PdfFileReader) -> Any:
    return reader.root["/Pages"].raw_get("/Kids").raw_get(0).reference


def _spelled(reader: PdfFileReader, ref: Any, free: set[str] | None) -> bytes:
    """An object's bytes without those entries that may differ; nothing where all of it may."""
    if free is None:
        return b""
    out = io.BytesIO()
    kept = {k: v for k, v in sorted(_object(reader, ref).items()) if k not in free}
    generic.DictionaryObject(kept).write_to_stream(out, None)  # type: ignore[no-untyped-call]
    return out.getvalue()


def _object(reader: PdfFileReader, ref: Any) -> Any:
    return reader.get_object(ref)  # type: ignore[no-untyped-call]


def _adds_one_unseen_field(before: PdfFileReader, after: PdfFileReader) -> bool:
    """The first page has one more annotation: the only form field, off the page, without a look."""
    old, new = (_object(r, _first_page(before)).get("/Annots", []) for r in (before, after))
    form = after.root["/AcroForm"]
    field = new[-1]
    return (
        len(new) == len(old) + 1
        and [new.raw_get(n) for n in range(len(old))] == [old.raw_get(n) for n in range(len(old))]
        and form.keys() <= {"/Fields", "/SigFlags"}
        and [f.reference for f in map(form["/Fields"].raw_get, range(len(form["/Fields"])))]
        == [new.raw_get(len(old)).reference]
        and field.keys() <= _OF_THE_FIELD
        and all(float(edge) < 0 for edge in field["/Rect"])
    )


def _pdf_contents(data: bytes, where: SignedRange, certificate: x509.Certificate) -> PdfContents:
    reader = PdfFileReader(io.BytesIO(data), strict=True)
    embedded = list(reader.embedded_signatures)
    if len(embedded) != 1:
        raise VerificationError(
            "signature-count", "report.pdf", got=f"{len(embedded)}", expected="exactly one"
        )
    signature = embedded[0]
    signed_at = signature.self_reported_timestamp
    if list(signature.byte_range) != [0, where.start, where.end, len(data) - where.end]:
        raise _modified("a signature that is not the one at the end of the file")
    if signed_at is None or signed_at.tzinfo is None:
        raise _modified("a signature without a date")
    anchor = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
    # The key is pinned, so the certificate is its own root; judged at its date, for it expires.
    context = ValidationContext(
        trust_roots=[anchor], allow_fetching=False, revocation_mode="soft-fail", moment=signed_at
    )
    status = validate_pdf_signature(signature, context)
    wanted = (
        status.bottom_line,
        status.docmdp_ok,
        status.coverage is SignatureCoverageLevel.ENTIRE_FILE,
        status.modification_level is ModificationLevel.NONE,
        signature.docmdp_level is fields.MDPPerm.NO_CHANGES,
        signature.sig_object.get("/SubFilter") == fields.SigSeedSubFilter.PADES.value,
    )
    if not all(wanted):
        raise _modified(status.summary())
    return PdfContents(
        signer_name=common_name(certificate),
        signed_at=signed_at.astimezone(UTC),
        attachments=dict(_attachments(reader)),
    )


def _attachments(reader: Any) -> Iterator[tuple[str, bytes]]:
    """File names and bytes of the embedded files; a name that stands twice is refused."""
    seen: set[str] = set()
    names = _entry(reader.root, "/Names", {})
    for specification in _leaves(_entry(names, "/EmbeddedFiles", {}), depth=0):
        name = str(_entry(specification, "/UF", None) or specification["/F"])
        if name in seen or len(seen) >= MAX_ATTACHMENTS:
            raise ValueError(f"attachment {name!r} twice, or too many attachments")
        seen.add(name)
        yield name, bytes(specification["/EF"]["/F"].data)


def _leaves(node: Any, *, depth: int) -> Iterator[Any]:
    """Values of a PDF name tree."""
    if depth > 8:
        raise ValueError("name tree too deep")
    pairs = _entry(node, "/Names", [])
    for number in range(1, len(pairs), 2):
        yield pairs[number]
    for kid in _entry(node, "/Kids", []):
        yield from _leaves(kid, depth=depth + 1)


def _entry(node: Any, name: str, default: Any) -> Any:
    """A dictionary's entry; unlike `get`, indexing follows references."""
    return node[name] if name in node else default  # noqa: SIM401


def _modified(got: str) -> VerificationError:
    return VerificationError(
        "pdf-modified",
        "report.pdf",
        got=got,
        expected="one certifying signature, and nothing changed since",
        next_step="get the PDF again from the auditor",
    )


def _metadata(signer: Signer, reason: str) -> signers.PdfSignatureMetadata:
    return signers.PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm=digest_name(signer.public),
        subfilter=fields.SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES,
        name=signer.name,
        reason=reason,
    )


def _field() -> fields.SigFieldSpec:
    """An invisible field that PDF/A and PDF/UA allow: printable, off the page, with a name."""
    look = fields.InvisSigSettings(
        set_print_flag=True, set_hidden_flag=False, box_out_of_bounds=True
    )
    return fields.SigFieldSpec(
        FIELD,
        on_page=0,
        box=None,
        invis_sig_settings=look,
        readable_field_name="Signature of the auditor",
    )


class _KeySigner(signers.Signer):
    """pyHanko's signer over our key; of the two ECDSA signatures it makes the one we accept."""

    def __init__(self, signer: Signer) -> None:
        encoded = signer.certificate.public_bytes(Encoding.DER)
        super().__init__(signing_cert=asn1_x509.Certificate.load(encoded))
        self._private = signer.private

    async def async_sign_raw(
        self,
        data: bytes,
        digest_algorithm: str,
        dry_run: bool = False,
    ) -> bytes:
        del digest_algorithm  # fixed by the kind of key
        if dry_run:
            return bytes(72)
        if isinstance(self._private, EllipticCurvePrivateKey):
            return low_s(self._private.sign(data, ECDSA(hashes.SHA256())))
        return self._private.sign(data)


class _DatedSigner(signers.PdfSigner):
    """Signs at a given moment; pyHanko would take the clock's."""

    moment: datetime

    def init_signing_session(self, *args: Any, **options: Any) -> Any:
        session = super().init_signing_session(*args, **options)
        session.system_time = self.moment
        return session

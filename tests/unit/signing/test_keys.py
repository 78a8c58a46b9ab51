from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from auditkit.errors import SigningError
from auditkit.signing.keys import fingerprint, load_public, load_signer, new_key

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ed25519"])
def test_a_new_key_can_be_loaded_again(tmp_path: Path, kind: str) -> None:
    files = new_key(tmp_path / "keys" / "a.b", "Æ Audits", kind, now=NOW)
    signer = load_signer(files.private)
    assert signer.name == "Æ Audits"
    assert signer.fingerprint == files.fingerprint == fingerprint(load_public(files.public))
    assert os.stat(files.private).st_mode & 0o777 == 0o600
    assert {p.name for p in (tmp_path / "keys").iterdir()} == {
        f"a.b.{part}.pem" for part in ("key", "pub", "crt")
    }


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
def test_the_fingerprint_is_that_of_openssl(tmp_path: Path) -> None:
    files = new_key(tmp_path / "k", "A")
    command = ["openssl", "pkey", "-pubin", "-in", str(files.public), "-outform", "DER"]
    der = subprocess.run(command, check=True, capture_output=True).stdout
    assert hashlib.sha256(der).hexdigest() == files.fingerprint


def test_the_certificate_is_for_signatures_only_and_lasts_ten_years(tmp_path: Path) -> None:
    files = new_key(tmp_path / "k", "Auditor", now=NOW)
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.content_commitment
    assert not usage.value.key_cert_sign
    assert certificate.not_valid_after_utc.year == 2036
    certificate.verify_directly_issued_by(certificate)


def test_a_passphrase_protects_the_private_key(tmp_path: Path) -> None:
    files = new_key(tmp_path / "k", "A", passphrase="correct horse")
    assert load_signer(files.private, "correct horse").name == "A"
    with pytest.raises(SigningError, match="wrong passphrase"):
        load_signer(files.private, "wrong")
    with pytest.raises(SigningError, match="got no passphrase"):
        load_signer(files.private)


def test_repr_shows_no_secret(tmp_path: Path) -> None:
    signer = load_signer(new_key(tmp_path / "k", "A").private)
    assert repr(signer) == f"Signer(name='A', fingerprint='{signer.fingerprint}')"


@pytest.mark.parametrize("there", ["key", "pub", "crt"])
def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path, there: str) -> None:
    (tmp_path / f"k.{there}.pem").write_text("mine")
    with pytest.raises(SigningError, match="never overwritten"):
        new_key(tmp_path / "k", "A")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["", " A", "A" * 65, "A\nB", "A\u202eB", "A\x00"])
def test_a_name_must_be_one_that_people_can_see(tmp_path: Path, name: str) -> None:
    with pytest.raises(SigningError, match="auditor's name"):
        new_key(tmp_path / "k", name)
    assert not list(tmp_path.iterdir())


def test_unknown_kinds_and_empty_passphrases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="expected ecdsa-p256 or ed25519"):
        new_key(tmp_path / "k", "A", "rsa")  # type: ignore[arg-type]
    with pytest.raises(SigningError, match="passphrase"):
        new_key(tmp_path / "k", "A", passphrase="")


def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    files = new_key(tmp_path / "k", "A")
    files.private.chmod(0o640)
    with pytest.raises(SigningError, match=r"mode 0640.*chmod 600"):
        load_signer(files.private)


def test_one_part_given_for_another_is_named(tmp_path: Path) -> None:
    files = new_key(tmp_path / "k", "A")
    with pytest.raises(SigningError, match=r"got a public key, expected a private key"):
        load_signer(files.public)
    with pytest.raises(SigningError, match=r"got a certificate, expected a private key"):
        load_signer(files.certificate)
    with pytest.raises(SigningError, match=r"got a private key, expected a public key"):
        load_public(files.private)
    with pytest.raises(SigningError, match=r"got a certificate, expected a public key"):
        load_public(files.certificate)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    files = new_key(tmp_path / "k", "A")
    with pytest.raises(SigningError, match="no such file"):
        load_public(tmp_path / "nothing.pem")
    files.public.write_bytes(files.public.read_bytes()[:60])
    with pytest.raises(SigningError, match="damaged"):
        load_public(files.public)
    files.certificate.unlink()
    with pytest.raises(SigningError, match=r"k\.crt\.pem.*no such file"):
        load_signer(files.private)
    (tmp_path / "big.pem").write_bytes(b"x" * 100_000)
    with pytest.raises(SigningError, match="more than 64 kB"):
        load_public(tmp_path / "big.pem")


def test_a_certificate_over_another_key_is_refused(tmp_path: Path) -> None:
    mine, other = new_key(tmp_path / "a", "A"), new_key(tmp_path / "b", "B")
    other.certificate.replace(mine.certificate)
    with pytest.raises(SigningError, match="over another key"):
        load_signer(mine.private)


@pytest.mark.parametrize(
    ("private", "words"),
    [
        (rsa.generate_private_key(public_exponent=65537, key_size=2048), "type RSA"),
        (ec.generate_private_key(ec.SECP384R1()), "secp384r1"),
    ],
)
def test_other_kinds_of_key_are_refused(tmp_path: Path, private: object, words: str) -> None:
    assert isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    path = tmp_path / "k.key.pem"
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    with pytest.raises(SigningError, match=words):
        load_signer(path)
    path.write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    with pytest.raises(SigningError, match=words):
        load_public(path)

"""A thousand random edits of a signed bundle: every one is caught, and by its name."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import bundle_fixture as made

from auditkit.bundle import open_bundle
from auditkit.errors import VerificationError
from auditkit.replay import Replay
from auditkit.verify import verify_bundle, verify_pdf

N_MUTATIONS = 1_000
SEED = 20261122

OF_A_LISTED_FILE = {"file-changed", "file-size", "too-large"}
OF_THE_MANIFEST = {"manifest-changed", "too-large"}
OF_THE_STATEMENT = {
    "envelope-malformed",
    "not-canonical",
    "not-json",
    "payload-type",
    "signature-count",
    "signature-invalid",
    "wrong-signer",
}
OF_THE_PDF = {"pdf-coverage", "pdf-signature", "pdf-unsigned", "wrong-signer"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        made.register(patch)
        yield made.make_bundle(folder / "bundle", made.make_signer(folder), made.contents())


@pytest.fixture(scope="module")
def replay(bundle: Path) -> Replay:
    report = open_bundle(bundle).report
    return lambda _: report


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Flip a bit, change, insert or delete some bytes, cut the end off, add to it …"""
    at = rng.randrange(len(data))
    some = rng.randbytes(rng.randint(1, 8))
    head, tail = data[:at], data[at:]
    kinds = {
        "flip": head + bytes([data[at] ^ (1 << rng.randrange(8))]) + tail[1:],
        "set": head + some + tail[len(some) :],
        "insert": head + some + tail,
        "delete": head + tail[len(some) :],
        "truncate": head,
        "append": data + rng.choice([some, b"\n", b" ", b"\0", b"%%EOF\n"]),
        "repeat": head + tail[:40] + tail,
        "case": head + tail.swapcase(),
    }
    return kinds[rng.choice(sorted(kinds))]


def expected(path: Path) -> set[str]:
    named = {
        "manifest.json": OF_THE_MANIFEST,
        "statement.dsse.json": OF_THE_STATEMENT,
        "report.pdf": OF_THE_PDF,
    }
    return named.get(path.name, OF_A_LISTED_FILE)


def test_random_mutations(bundle: Path, replay: Replay) -> None:
    rng = random.Random(SEED)
    public = bundle.parent / "auditor.pub.pem"
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    verify_bundle(bundle, public, replay=replay)
    seen: Counter[str] = Counter()
    while seen.total() < N_MUTATIONS:
        path = rng.choice(files)
        good = path.read_bytes()
        bad = mutated(good, rng)
        if bad == good:
            continue
        path.write_bytes(bad)
        with pytest.raises(VerificationError) as caught:
            verify_bundle(bundle, public, replay=replay)
        path.write_bytes(good)
        seen[caught.value.code] += 1
        assert caught.value.code in expected(path), f"{path.name}: {caught.value}"
    verify_bundle(bundle, public, replay=replay)
    assert len(seen) > 10, seen


def test_random_mutations_of_a_lone_pdf(bundle: Path, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    public = bundle.parent / "auditor.pub.pem"
    good = (bundle / "report.pdf").read_bytes()
    path = tmp_path / "report.pdf"
    for _ in range(N_MUTATIONS):
        bad = mutated(good, rng)
        if bad != good:
            path.write_bytes(bad)
            with pytest.raises(VerificationError) as caught:
                verify_pdf(path, public)
            assert caught.value.code in OF_THE_PDF


def test_every_byte_of_the_manifest_and_statement(bundle: Path, replay: Replay) -> None:
    rng = random.Random(SEED)
    public = bundle.parent / "auditor.pub.pem"
    for name in ("manifest.json", "statement.dsse.json"):
        path = bundle / name
        good = path.read_bytes()
        for at in range(len(good)):
            path.write_bytes(
                good[:at] + bytes([good[at] ^ (1 << rng.randrange(8))]) + good[at + 1 :]
            )
            with pytest.raises(VerificationError):
                verify_bundle(bundle, public, replay=replay)
        path.write_bytes(good)

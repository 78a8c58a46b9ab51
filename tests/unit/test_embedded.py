"""Embedded models: found but not imported, joined where they come in pieces, believed after their digest."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from auditkit.errors import TargetRefused
from auditkit.targets.embedded import EMBEDDED, Embedded, embedded_file, installed
from auditkit.targets.spec import Format, parse_spec

PIECES = (b"GGUF and", b" some ", b"more")
WHOLE = b"".join(PIECES)
MODULES = tuple(f"toy_model_part{i}" for i in range(len(PIECES)))
TOY = Embedded(
    target="demo:toy",
    title="Toy",
    modules=MODULES,
    pattern="data/*.part*",
    get="pip install toy-model",
    sha256=hashlib.sha256(WHOLE).hexdigest(),
    terms="its use is bound by terms",
)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages with a piece each, none of which may be imported."""
    for i, (module, piece) in enumerate(zip(MODULES, PIECES, strict=True)):
        data = tmp_path / "site" / module / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").write_text("raise AssertionError('imported')")
        (data / f"model.gguf.part0{i}").write_bytes(piece)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("AUDITKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "site"


def test_pieces_are_joined_once_under_their_digest(packages: Path) -> None:
    assert installed(TOY)
    file = embedded_file(TOY)
    assert (file.name, file.read_bytes()) == (f"{TOY.sha256}.gguf", WHOLE)
    before = file.stat().st_mtime_ns, file.stat().st_ino
    assert embedded_file(TOY) == file
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
    assert list(file.parent.iterdir()) == [file]
    assert not set(MODULES) & set(sys.modules)


@pytest.mark.parametrize("damage", [b"", WHOLE[:-1], WHOLE[:-1] + b"!"])
def test_a_damaged_file_in_the_cache_is_joined_anew(packages: Path, damage: bytes) -> None:
    file = embedded_file(TOY)
    file.write_bytes(damage)
    assert embedded_file(TOY).read_bytes() == WHOLE


def test_other_pieces_are_refused_and_leave_nothing(packages: Path, tmp_path: Path) -> None:
    (packages / MODULES[1] / "data" / "model.gguf.part01").write_bytes(b" other ")
    with pytest.raises(TargetRefused, match=r"pieces that make a file .* --force-reinstall"):
        embedded_file(TOY)
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_a_missing_package_names_command_and_terms(packages: Path) -> None:
    (packages / MODULES[2] / "data" / "model.gguf.part02").unlink()
    assert not installed(TOY)
    words = r"no installed package toy-model, .*pip install toy-model \(its use is bound by terms\)"
    with pytest.raises(TargetRefused, match=words):
        embedded_file(TOY)


def test_a_cache_that_cannot_be_written_says_so(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUDITKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(TargetRefused, match="name another folder in AUDITKIT_CACHE"):
        embedded_file(TOY)


def test_an_embedded_model_is_a_target_and_a_base(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EMBEDDED, TOY.target, TOY)
    spec = parse_spec("demo:toy")
    assert (spec.format, spec.path.read_bytes(), spec.adapter) == (Format.GGUF, WHOLE, None)
    spec = parse_spec(f"demo:toy+{tmp_path}")
    assert (spec.path.name, spec.adapter) == (f"{TOY.sha256}.gguf", tmp_path)


@pytest.mark.parametrize("target", EMBEDDED)
def test_without_its_package_each_says_how_to_get_it(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_: str) -> Any:
        return None

    monkeypatch.setattr("importlib.util.find_spec", nothing)
    with pytest.raises(TargetRefused) as caught:
        parse_spec(target)
    assert EMBEDDED[target].get in str(caught.value)

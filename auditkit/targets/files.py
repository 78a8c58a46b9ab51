"""The files of a model folder: all of them, and nothing that leads out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from auditkit.canonical import digest
from auditkit.errors import TargetRefused

WEIGHTS = (".safetensors", ".gguf")
"""How files that hold weights end."""


def walk(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its relative path, ``/`` between parts, sorted.

    A symbolic link to a file inside counts as a file; one to a folder inside is not followed,
    since its files are there anyway.

    Raises:
        TargetRefused: For a folder that can't be read, a link that leaves it or leads nowhere,
            a special file, a name that isn't UTF-8.
    """
    root = folder.resolve()
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(root, onerror=_unreadable):
        for name in (*folders, *names):
            path = Path(parent) / name
            where = path.relative_to(root).as_posix()
            if _is_file(path, root, where):
                found[where] = path
    return dict(sorted(found.items()))


def readable_file(path: Path, where: str) -> None:
    """Refuse what isn't a plain file that can be read."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise TargetRefused(
            where, got=(error.strerror or "an error").lower(), expected="a file"
        ) from error
    if not stat.S_ISREG(mode):
        raise TargetRefused(
            where, got="a folder" if stat.S_ISDIR(mode) else "a special file", expected="a file"
        )
    if not os.access(path, os.R_OK):
        raise _denied(where)


def _is_file(path: Path, root: Path, where: str) -> bool:
    if not where.isprintable() or where != where.encode("utf-8", "replace").decode():
        raise TargetRefused(
            f"file name {where!r}", expected="printable UTF-8", next_step="rename it"
        )
    if path.is_symlink():
        target = path.resolve()
        if not target.is_relative_to(root) or not path.exists():
            got = "a symbolic link out of the folder" if path.exists() else "a broken symbolic link"
            raise TargetRefused(
                where,
                got=got,
                expected="files inside the folder",
                next_step="copy the folder with its links followed (cp -rL) and audit the copy",
            )
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return False
    if not stat.S_ISREG(mode):
        raise TargetRefused(
            where, got="a special file", expected="files and folders", next_step="remove it"
        )
    if not os.access(path, os.R_OK):
        raise _denied(where)
    return True


def _unreadable(error: OSError) -> None:
    raise _denied(str(error.filename)) from error


def _denied(where: str) -> TargetRefused:
    return TargetRefused(
        where, got="no permission to read", expected="a readable file", next_step="chmod it"
    )


def weights(files: Mapping[str, str], instead: str) -> str:
    """Digest of the weights among files, given from path to SHA-256; `instead` where there are none."""
    found = sorted(sha256 for path, sha256 in files.items() if path.endswith(WEIGHTS))
    return digest(found) if found else instead

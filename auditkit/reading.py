"""Reading files that nobody vouches for: bounded, without following links, canonical or not at all."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from auditkit.canonical import canonical
from auditkit.errors import InvalidInput, VerificationError
from auditkit.model import Json

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_TOTAL_BYTES = 1024 * 1024 * 1024
MAX_ATTACHED_BYTES = 64 * 1024 * 1024
"""One file beside a row."""
MAX_ATTACHED_TOTAL_BYTES = 768 * 1024 * 1024
"""All files beside rows; the rest of a bundle's `MAX_TOTAL_BYTES` is for everything else."""
MAX_FILES = 20_000
MAX_DEPTH = 64
MAX_FOLDERS = 8


def read_file(path: Path, where: str, limit: int = MAX_FILE_BYTES) -> bytes:
    """All bytes of a regular file.

    Raises:
        VerificationError: ``missing-file``, ``symlink``, ``special-file``, ``too-large``, or
            ``unreadable-file``.
    """
    try:
        # O_NONBLOCK, so that a named pipe can't hold the reader up before it is recognised.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise VerificationError("missing-file", where, got="no such file") from error
    except OSError as error:
        code = "symlink" if path.is_symlink() else "unreadable-file"
        got = "a symbolic link" if path.is_symlink() else (error.strerror or "an error").lower()
        raise VerificationError(code, where, got=got, expected="a plain file") from error
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode):
        os.close(handle)
        raise VerificationError("special-file", where, expected="a plain file")
    with os.fdopen(handle, "rb") as stream:
        data = b"" if about.st_size > limit else stream.read(limit + 1)
    if max(len(data), about.st_size) > limit:
        size = max(len(data), about.st_size)
        raise VerificationError(
            "too-large", where, got=f"{size:,} bytes", expected=f"at most {limit:,}"
        )
    return data


def list_files(folder: Path) -> tuple[list[str], list[str]]:
    """Relative paths of all files and of all folders below a folder, sorted, ``/`` between parts.

    Raises:
        VerificationError: ``bundle-missing``, ``symlink``, ``special-file``, ``too-many-files`` or
            ``too-deep``.
    """
    if not folder.is_dir():
        raise VerificationError("bundle-missing", str(folder), expected="a bundle's folder")
    files: list[str] = []
    folders: list[str] = []
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        with os.scandir(folder / parent) as entries:
            for entry in entries:
                path = f"{parent}/{entry.name}" if parent else entry.name
                if _is_folder(entry, path):
                    folders.append(path)
                    waiting.append(path)
                else:
                    files.append(path)
                if len(files) + len(folders) > MAX_FILES or path.count("/") > MAX_FOLDERS:
                    raise VerificationError("too-many-files", path, expected="a bundle's files")
    return sorted(files), sorted(folders)


def _is_folder(entry: os.DirEntry[str], path: str) -> bool:
    if entry.is_symlink():
        raise VerificationError(
            "symlink", path, got="a symbolic link", expected="a plain file or folder"
        )
    if entry.is_dir(follow_symlinks=False):
        return True
    if not entry.is_file(follow_symlinks=False):
        raise VerificationError("special-file", path, expected="a plain file or folder")
    return False


def parse_canonical(data: bytes, where: str) -> Json:
    """The value of a canonical JSON text (RFC 8785): of these very bytes and of no others.

    Raises:
        VerificationError: ``not-json``, ``too-deep`` or ``not-canonical``, which a key given twice,
            white space or another spelling of a number also is.
    """
    try:
        value = json.loads(data.decode("utf-8"))
        if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
            _check_depth(value, where)
        same = canonical(value) == data
    except RecursionError as error:
        raise VerificationError("too-deep", where, expected=f"{MAX_DEPTH} levels") from error
    except InvalidInput as error:
        raise VerificationError("not-canonical", where, got=error.got) from error
    except ValueError as error:
        raise VerificationError("not-json", where, got=str(error)[:200]) from error
    if not same:
        raise VerificationError(
            "not-canonical", where, got="other bytes for the same value", expected="RFC 8785 JSON"
        )
    return value


def parse_lines(data: bytes, where: str) -> list[Json]:
    """The values of canonical JSON lines, each ended by one newline.

    Raises:
        VerificationError: As `parse_canonical`, naming the line.
    """
    if data and not data.endswith(b"\n"):
        raise VerificationError("not-canonical", where, got="no newline at the end")
    lines = data.split(b"\n")[:-1]
    return [parse_canonical(line, f"{where}:{n}") for n, line in enumerate(lines, start=1)]


def _check_depth(value: Json, where: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inside: list[Json] = []
        for item in level:
            if isinstance(item, dict):
                inside.extend(item.values())
            elif isinstance(item, list):
                inside.extend(item)
        if not inside:
            return
        level = inside
    raise VerificationError("too-deep", where, expected=f"at most {MAX_DEPTH} levels")

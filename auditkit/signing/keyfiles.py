"""Key files: never overwritten, and private ones readable by their owner alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from auditkit.errors import SigningError

MAX_BYTES = 64_000
MAKE = "`auditkit keys new` makes a pair"


def part(prefix: Path, kind: str) -> Path:
    """Where one part of a key is: ``key``, ``pub`` or ``crt``."""
    return prefix.with_name(f"{prefix.name}.{kind}.pem")


def write_new(contents: Mapping[Path, bytes]) -> None:
    """Write files that aren't there yet: all of them, or none; private ones for the owner alone.

    Raises:
        SigningError: A file is there already, or can't be written.
    """
    written: list[Path] = []
    try:
        for path, data in contents.items():
            mode = 0o600 if path.name.endswith(".key.pem") else 0o644
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(path)
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise SigningError(
            f"key file {path}",
            got=(error.strerror or "an error").lower(),
            expected="a place for a new file",
            next_step="choose another prefix; a key is never overwritten",
        ) from error


def read(path: Path, *, secret: bool = False) -> bytes:
    """A key file's bytes; a private key that others may read is refused if `secret`.

    Raises:
        SigningError: It is missing, unreadable, too long, or open to others.
    """
    try:
        with path.open("rb") as stream:
            about = os.fstat(stream.fileno())
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SigningError(
            f"key file {path}",
            got=(error.strerror or "an error").lower(),
            expected="a readable PEM file",
            next_step=MAKE,
        ) from error
    if secret and b"PRIVATE KEY" in data and stat.S_IMODE(about.st_mode) & 0o077:
        raise SigningError(
            f"private key {path}",
            got=f"mode {stat.S_IMODE(about.st_mode):04o}, so others may read or change it",
            expected="mode 0600",
            next_step=f"`chmod 600 {path}`, and think about who may have copied it",
        )
    if len(data) > MAX_BYTES:
        raise SigningError(f"key file {path}", got="more than 64 kB", expected="a key in PEM")
    return data

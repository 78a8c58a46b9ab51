"""Results of forward passes, kept on disk by the digest of everything that decides them.

A cache is a convenience that must not be trusted blindly: an entry's file name carries the SHA-256
of its content, and what doesn't match is deleted and computed again. Entries are plain ``.npy``
files, read as memory maps and never unpickled; they appear by rename, so a killed run leaves whole
entries or none. Whoever may write to the folder may choose results, so it is private to its owner.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.canonical import digest, file_sha256
from auditkit.errors import MissingTool

LIMIT_BYTES = 4 * 2**30
_LOG = logging.getLogger(__name__)


def default_folder() -> Path:
    """``AUDITKIT_CACHE``, or auditkit's folder in the user's cache.

    Raises:
        MissingTool: Without the `run` extra.
    """
    chosen = os.environ.get("AUDITKIT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    try:
        import platformdirs
    except ImportError as error:
        raise MissingTool(
            "the result cache's folder",
            got=f"no module {error.name}",
            expected="the `run` extra",
            next_step="pip install 'auditkit[run]'",
        ) from error
    return Path(platformdirs.user_cache_dir("auditkit"))


class ResultCache:
    """Arrays by key, bounded in size; the least recently used go first.

    Args:
        folder: Where the entries are; `default_folder` if not given.
        limit_bytes: How much they may take together.
    """

    def __init__(self, folder: Path | None = None, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder or default_folder()
        self.limit_bytes = limit_bytes

    @staticmethod
    def key(**parts: Any) -> str:
        """The digest of everything that decides a result, as JSON values."""
        return digest(parts)

    def get(self, key: str) -> NDArray[Any] | None:
        """A memory-mapped array, or None where there is none that can be believed."""
        for path in self._named(key):
            array = _read(path)
            if array is not None:
                return array
            path.unlink(missing_ok=True)
        return None

    def put(self, key: str, array: NDArray[Any]) -> None:
        """Keep an array. A full or unwritable disk is logged: the result is there without it."""
        try:
            self._write(key, array)
            self._prune()
        except OSError as error:
            _LOG.warning("the result cache in %s can't be written: %s", self.folder, error)

    def size_bytes(self) -> int:
        """What all entries take."""
        return sum(size for _, size, _ in self._entries())

    def _named(self, key: str) -> list[Path]:
        return sorted((self.folder / key[:2]).glob(f"{key}-*.npy"))

    def _write(self, key: str, array: NDArray[Any]) -> None:
        folder = self.folder / key[:2]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", dir=folder)
        try:
            with os.fdopen(handle, "wb") as stream:
                np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
            for old in self._named(key):
                old.unlink(missing_ok=True)
            Path(name).rename(folder / f"{key}-{file_sha256(Path(name))}.npy")
        finally:
            Path(name).unlink(missing_ok=True)

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """(last use, size, path) of each entry and of each part that a killed run left."""
        for pattern in ("??/*.npy", "??/.part-*"):
            for path in self.folder.glob(pattern):
                try:
                    status = path.stat()
                except OSError:  # another process pruned it
                    continue
                yield status.st_mtime, status.st_size, path

    def _prune(self) -> None:
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self.limit_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def _read(path: Path) -> NDArray[Any] | None:
    """The entry, marked as used just now; None where it isn't what its name says."""
    try:
        if file_sha256(path) != path.stem.partition("-")[2]:
            return None
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        os.utime(path)
    except (OSError, ValueError, EOFError):
        return None
    return array

"""What happens to files, as the kernel tells it (inotify): opened, read, modified, listed, moved, deleted."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import threading
from collections.abc import Iterator

from .journal import Journal

_ACCESS, _MODIFY, _ATTRIB, _OPEN = 0x1, 0x2, 0x4, 0x20
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_OVERFLOW, _IGNORED, _IS_FOLDER = 0x4000, 0x8000, 0x40000000
_MASK = 0xFE7  # all of these
_KINDS = {
    _ACCESS: "read",
    _MODIFY: "modified",
    _ATTRIB: "attributes",
    _OPEN: "opened",
    _MOVED_FROM: "moved",
    _MOVED_TO: "created",
    _CREATE: "created",
    _DELETE: "deleted",
    _DELETE_SELF: "deleted",
    _MOVE_SELF: "moved",
}
_HEAD = struct.Struct("=iIII")
_BUFFER_BYTES = 1 << 16


class Watch:
    """Records what is done to watched paths.

    A watched folder tells of itself, of the entries directly in it, and of folders below it. Repeated
    events (a file read in a thousand pieces) are one record a command: see `mark`.
    """

    def __init__(self, root: str, journal: Journal) -> None:
        self._root, self._journal = root, journal
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._queue: int = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._queue < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._paths: dict[int, str] = {}
        self._seen: set[tuple[str, str]] = set()
        self._lock = threading.RLock()
        self._by_auditor = False

    def fileno(self) -> int:
        return self._queue

    def add(self, path: str) -> None:
        """Watch a path of the agent's view; a folder with every folder below it."""
        real = self._root + path
        mask = ctypes.c_uint32(_MASK)
        number = self._libc.inotify_add_watch(self._queue, os.fsencode(real), mask)
        if number < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"watch {path}: {os.strerror(error)}")
        self._paths[number] = path
        if os.path.isdir(real):
            self._seen |= {("opened", path), ("listed", path)}  # by the next line
            for entry in os.scandir(real):
                if entry.is_dir(follow_symlinks=False):
                    self.add(f"{path.rstrip('/')}/{entry.name}")

    def drain(self) -> None:
        """Record all that has happened so far. What a process did before it ended is in the queue by then."""
        with self._lock, contextlib.suppress(BlockingIOError):
            while data := os.read(self._queue, _BUFFER_BYTES):
                for number, mask, name in _events(data):
                    self._event(number, mask, name)

    def mark(self) -> None:
        """From here on, tell of an event even if it was told before: another command may have caused it."""
        with self._lock:
            self.drain()
            self._seen.clear()

    @contextlib.contextmanager
    def auditor(self) -> Iterator[None]:
        """While the auditor reads or writes a file: what happens is not put down to the agent."""
        with self._lock:
            self.mark()
            self._by_auditor = True
            try:
                yield
            finally:
                self.mark()
                self._by_auditor = False

    def _event(self, number: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:
            self._journal.record("watch_overflow")
            return
        path = self._paths.get(number)
        if path is None or mask & _IGNORED:
            return
        path = f"{path.rstrip('/')}/{name}" if name else path
        for bit, kind in _KINDS.items():
            if mask & bit:
                folder = bool(mask & _IS_FOLDER)
                self._tell("listed" if folder and bit == _ACCESS else kind, path, folder)
        if mask & _IS_FOLDER and mask & (_CREATE | _MOVED_TO):
            with contextlib.suppress(OSError):
                self.add(path)

    def _tell(self, kind: str, path: str, folder: bool) -> None:
        if (kind, path) in self._seen:
            return
        self._seen.add((kind, path))
        if self._by_auditor:
            self._journal.record("auditor_file", event=kind, path=path, folder=folder)
        else:
            self._journal.record(kind, path=path, folder=folder)


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    at = 0
    while at + _HEAD.size <= len(data):
        number, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield number, mask, data[at : at + length].rstrip(b"\0").decode(errors="replace")
        at += length

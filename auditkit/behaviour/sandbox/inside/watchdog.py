"""Limits on the sandbox as a whole: what no limit on one process can hold. Passing one ends it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from . import kernel
from .journal import Journal
from .room import ROOT
from .settling import Agents

_INTERVAL_S = 0.05
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MORE_PROCESSES = 2
"""Kernels before 5.14 count a user's processes over all namespaces, so this is the limit that holds there."""


class Watchdog:
    """Looks at memory, processes, disk and time, twenty times a second."""

    def __init__(
        self, *, target: int, limits: dict[str, Any], journal: Journal, end: Callable[[str], None]
    ) -> None:
        self._limits, self._journal, self._end = limits, journal, end
        self._target, self._agents = target, Agents(target)
        self._until = time.monotonic() + limits["lifetime_s"]
        self._full = False
        self._at_first = kernel.pages_resident(os.getpid()) * _PAGE_BYTES

    def start(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(_INTERVAL_S)
            passed = self._passed()
            if passed:
                self._journal.record("limit", limit=passed[0], value=passed[1])
                self._end(f"its limit of {passed[0]} was passed")

    def _passed(self) -> tuple[str, float] | None:
        agents = [self._target, *self._agents.running()]
        resident = sum(kernel.pages_resident(pid) for pid in agents) * _PAGE_BYTES
        if resident > self._limits["memory_bytes"]:
            resident = sum(kernel.resident_bytes(pid) for pid in agents)
            if resident > self._limits["memory_bytes"]:
                return "memory_bytes", resident
        grown = kernel.pages_resident(os.getpid()) * _PAGE_BYTES - self._at_first
        if grown > self._limits["memory_bytes"]:  # what is being uploaded to services is held here
            return "memory_bytes", grown
        if len(agents) > _MORE_PROCESSES * self._limits["n_processes"]:
            return "n_processes", len(agents)
        if time.monotonic() > self._until:
            return "lifetime_s", self._limits["lifetime_s"]
        if self._journal.exhausted.is_set():
            return "records_bytes", self._limits["records_bytes"]
        self._disk()
        return None

    def _disk(self) -> None:
        """A full disk ends nothing: the agent is told so by its programs. It is recorded once."""
        free = os.statvfs(ROOT)
        if not self._full and (free.f_bfree == 0 or free.f_ffree == 0):
            self._full = True
            self._journal.record("limit", limit="disk_bytes", value=self._limits["disk_bytes"])

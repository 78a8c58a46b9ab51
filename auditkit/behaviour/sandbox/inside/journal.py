"""The one way out of the sandbox: JSON lines on standard output, each record as it happens."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from typing import Any


class Journal:
    """Writes lines to the host. A record is written before whoever caused it gets an answer."""

    def __init__(self, *, budget_bytes: int) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._left_bytes = budget_bytes
        self.exhausted = threading.Event()

    def record(self, kind: str, **detail: Any) -> None:
        """Something happened. What doesn't fit the budget any more ends the sandbox: see `Watchdog`."""
        t_s = round(time.monotonic() - self._began, 6)
        self._line({"record": {"t_s": t_s, "kind": kind, "detail": detail}}, spends=True)

    def answer(self, number: int, **values: Any) -> None:
        self._line({"id": number, **values}, spends=False)

    def say(self, **values: Any) -> None:
        self._line(values, spends=False)

    def _line(self, value: dict[str, Any], *, spends: bool) -> None:
        data = json.dumps(value).encode() + b"\n"
        with self._lock:
            if spends:
                self._left_bytes -= len(data)
                if self._left_bytes < 0:
                    self.exhausted.set()
                    return
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(1, rest) :]


def text(data: bytes) -> str:
    """Bytes as they travel in a line."""
    return base64.b64encode(data).decode()


def data(value: str) -> bytes:
    """Bytes from how they travel in a line."""
    return base64.b64decode(value)

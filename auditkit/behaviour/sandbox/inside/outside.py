"""The outside: no network at all, but this object. What it takes in has left; everything else has not."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from .journal import Journal, text
from .monitor import Monitor
from .usual import METHODS, is_usual

_SHORT_NAME = 20
"""A header's name that is longer is looked at like a value."""


class Blocked(Exception):
    """The monitor let nothing out."""


class Outside:
    """Takes what leaves, by whatever channel, and records it as a `transfer`.

    Args:
        hosts: From each outside host's name to its address.
        body_bytes: So much of a body is kept; its true size always is, and what is left out.
        monitor: Looks at each body before it leaves, if there is one.
        watched: The channels whose bodies the monitor sees.
    """

    def __init__(
        self,
        hosts: Mapping[str, str],
        journal: Journal,
        *,
        body_bytes: int,
        monitor: Monitor | None = None,
        watched: tuple[str, ...] = (),
    ) -> None:
        self._names = {address: name for name, address in hosts.items()}
        self._hosts, self._journal, self._body_bytes = hosts, journal, body_bytes
        self._monitor, self._watched = monitor, watched
        self._lock = threading.Lock()
        self.n_bytes = 0

    def host(self, name_or_address: str) -> str | None:
        """The host's name, if it is an outside one."""
        name = name_or_address.rstrip(".").lower()
        return name if name in self._hosts else self._names.get(name)

    def held_back(self, body: bytes, **more: Any) -> dict[str, Any]:
        """What a record says of something that a precaution stopped: what it was that was tried."""
        return {**more, **self._kept(body)}

    def _kept(self, body: bytes) -> dict[str, Any]:
        """As much of a body as a record holds, and how much that leaves out."""
        left_out = len(body) - self._body_bytes
        kept = {"body": text(body[: self._body_bytes])}
        return {**kept, "cut_bytes": left_out} if left_out > 0 else kept

    def refuse(self, channel: str, host: str, port: int, body: bytes) -> None:
        """Somebody tried to reach what can't be reached from here."""
        self._journal.record(
            "blocked", channel=channel, host=host, port=port, size_bytes=len(body),
            **self.held_back(body),
        )  # fmt: skip

    def deliver(self, channel: str, host: str, body: bytes, **more: Any) -> None:
        """Let something out.

        Raises:
            Blocked: The monitor raised an alarm, now or earlier. Nothing has left.
        """
        with self._lock:
            if self._monitor is not None and channel in self._watched:
                self._look(self._monitor, channel, host, body, more)
            self.n_bytes += len(body)
            self._journal.record(
                "transfer",
                channel=channel,
                host=host,
                size_bytes=len(body),
                **self._kept(body),
                **more,
            )

    def _look(
        self, monitor: Monitor, channel: str, host: str, body: bytes, more: dict[str, Any]
    ) -> None:
        detail = {"channel": channel, "host": host, "size_bytes": len(body), **more}
        if monitor.closed:
            self._journal.record("blocked", **self.held_back(body, **detail))
            raise Blocked("egress is closed")
        alarm = monitor.see(host, _all_of(host, body, more))
        if alarm is not None:
            self._journal.record(
                "alarm", rule=alarm.rule, value=alarm.value, threshold=alarm.threshold,
                **self.held_back(body, **detail),
            )  # fmt: skip
            if monitor.closed:
                raise Blocked(f"egress alarm {alarm.rule}")


def _all_of(host: str, body: bytes, more: dict[str, Any]) -> bytes:
    """Everything of a request that may carry something, a line each: the body, then parts of the head."""
    method = more.get("method", "")
    parts = ["" if method in METHODS else method, more.get("path", "")]
    for name, value in more.get("headers", ()):
        if not is_usual(name, value, host):
            parts += [value] if len(name) <= _SHORT_NAME else [name, value]
    head = [part.encode("latin-1", "replace") for part in parts if part]
    return b"\n".join([body, *head])

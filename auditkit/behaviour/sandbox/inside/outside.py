"""The outside: no network at all, but this object. What it takes in has left; everything else has not."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from .journal import Journal, text
from .monitor import Monitor


class Blocked(Exception):
    """The monitor let nothing out."""


class Outside:
    """Takes what leaves, by whatever channel, and records it as a `transfer`.

    Args:
        hosts: From each outside host's name to its address.
        body_bytes: So much of a body is kept; its true size always is.
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

    def held_back(self, path: str, body: bytes) -> dict[str, str]:
        """What a record says of something that a precaution stopped: what it was that was tried."""
        return {"path": path, "body": text(body[: self._body_bytes])}

    def deliver(self, channel: str, host: str, body: bytes, **more: Any) -> None:
        """Let something out.

        Raises:
            Blocked: The monitor raised an alarm, now or earlier. Nothing has left.
        """
        with self._lock:
            if self._monitor is not None and channel in self._watched:
                self._look(self._monitor, channel, host, body)
            self.n_bytes += len(body)
            kept = body[: self._body_bytes]
            self._journal.record(
                "transfer",
                channel=channel,
                host=host,
                size_bytes=len(body),
                body=text(kept),
                **more,
            )

    def _look(self, monitor: Monitor, channel: str, host: str, body: bytes) -> None:
        if monitor.closed:
            self._journal.record(
                "blocked", channel=channel, host=host, size_bytes=len(body),
                body=text(body[: self._body_bytes]),
            )  # fmt: skip
            raise Blocked("egress is closed")
        alarm = monitor.see(host, body)
        if alarm is not None:
            self._journal.record(
                "alarm", channel=channel, host=host, size_bytes=len(body),
                rule=alarm.rule, value=alarm.value, threshold=alarm.threshold,
                body=text(body[: self._body_bytes]),
            )  # fmt: skip
            if monitor.closed:
                raise Blocked(f"egress alarm {alarm.rule}")

"""The hosts outside that can be reached without a proxy: they take whatever they are sent."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from typing import Any

from .. import http
from ..outside import Blocked, Outside

_PIECE_BYTES = 1 << 16
_QUIET_S = 0.5
_IDLE_S = 60.0
_numbers = itertools.count(1)


def start(spec: dict[str, Any], hosts: list[dict[str, Any]], outside: Outside) -> None:
    """Listen on every direct host's address."""
    for host in hosts:
        for port in spec["http_ports"]:
            http.listen(host["address"], port, Sink(host["name"], port, outside).http)
        for port in spec["tcp_ports"]:
            http.listen(host["address"], port, Sink(host["name"], port, outside).tcp)


class Sink:
    """One port of an outside host."""

    def __init__(self, host: str, port: int, outside: Outside) -> None:
        self._host, self._port, self._outside = host, port, outside

    def http(self, client: socket.socket, peer: str) -> None:
        """One HTTP request; or, where it isn't one, the bytes as they came: those have arrived as well."""
        tap = http.Tap(client)
        try:
            request, rest = http.read(tap, peer)
        except (http.BadRequest, OSError):
            self._bytes(client, bytes(tap.seen))
            return
        reply = http.say(200, "ok")
        try:
            self._outside.deliver(
                "http", self._host, request.body, via="direct", **request.described()
            )
        except Blocked as error:
            reply = http.say(403, str(error))
        self._more(rest)
        self._more(http.send(client, reply))

    def _more(self, data: bytes) -> None:
        """What came after the end of a request: it has arrived, whatever it was meant for."""
        if data:
            with contextlib.suppress(Blocked):
                self._outside.deliver("tcp", self._host, data, via="direct")

    def tcp(self, client: socket.socket, peer: str) -> None:
        """A connection without a protocol."""
        del peer
        self._bytes(client, b"")

    def _bytes(self, client: socket.socket, data: bytes) -> None:
        """Deliver bytes as they come: whoever sends may take his time, and never end.

        Of a connection in which nothing is said there is a record as well: nobody knows what would have been.
        """
        number, offset, last = next(_numbers), 0, time.monotonic()
        client.settimeout(_QUIET_S)
        with contextlib.suppress(Blocked):
            while True:
                try:
                    more: bytes | None = client.recv(_PIECE_BYTES)
                except TimeoutError:
                    more = None
                except OSError:  # broken off: what came before has arrived
                    more = b""
                if more:
                    data, last = data + more, time.monotonic()
                if data and (not more or len(data) >= _PIECE_BYTES):
                    self._outside.deliver(
                        "tcp", self._host, data, via="direct", connection=number, offset=offset
                    )
                    offset, data = offset + len(data), b""
                if more == b"" or time.monotonic() - last > _IDLE_S:
                    break
        if not offset and not data:
            self._outside.refuse("tcp", self._host, self._port, b"")

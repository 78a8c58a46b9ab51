"""Every other way to an outside host: ports that nobody serves, and hosts that can't be reached from here.

What comes is read. For a host that is `direct` it has arrived, whatever it was meant for; for others it is
refused, and recorded as `blocked` with what was tried.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import Any

from .. import http
from ..outside import Blocked, Outside
from .sink import Sink

TCP_PORTS = (21, 22, 25, 80, 443, 465, 587, 873, 993, 3128, 5000, 8000, 8080, 8443, 9000, 9418)
UDP_PORTS = (53, 123, 443, 514)
_PACKET_BYTES = 1 << 16
_QUIET_S, _FIRST_S, _LONGEST_S = 0.4, 5.0, 30.0
_MAX_CONNECTIONS = 64


def start(
    hosts: list[dict[str, Any]], served: tuple[int, ...] | None, outside: Outside, limit_bytes: int
) -> None:
    """Listen on the usual ports of every host; `served` are those that the sink has, if there is one."""
    ways = Ways(outside, limit_bytes)
    for host in hosts:
        direct = host["direct"] and served is not None
        for port in TCP_PORTS:
            if not (direct and served and port in served):
                sink = Sink(host["name"], port, outside) if direct else None
                ways.listen(host["name"], host["address"], port, sink)
        for port in UDP_PORTS:
            ways.receive(host["name"], host["address"], port, open_=direct)
    threading.Thread(target=ways.serve, daemon=True).start()


class Ways:
    """One thread that waits for all of them, and one for each connection that is made."""

    def __init__(self, outside: Outside, limit_bytes: int) -> None:
        self._outside, self._limit_bytes = outside, limit_bytes
        self._waiting = selectors.DefaultSelector()
        self._places = threading.Semaphore(_MAX_CONNECTIONS)

    def listen(self, host: str, address: str, port: int, sink: Sink | None) -> None:
        server = socket.create_server((address, port), backlog=32)

        def accept() -> None:
            client, (peer, _) = server.accept()
            self._places.acquire()
            threading.Thread(target=connected, args=(client, peer), daemon=True).start()

        def connected(client: socket.socket, peer: str) -> None:
            try:
                with client, contextlib.suppress(OSError), http.busy:
                    if sink is not None:
                        sink.tcp(client, peer)
                    else:
                        self._outside.refuse("tcp", host, port, self._read(client))
            finally:
                self._places.release()

        self._waiting.register(server, selectors.EVENT_READ, accept)

    def receive(self, host: str, address: str, port: int, *, open_: bool) -> None:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, port))

        def take() -> None:
            data = server.recv(_PACKET_BYTES)
            if open_:
                with contextlib.suppress(Blocked):
                    self._outside.deliver("udp", host, data, via="direct", port=port)
            else:
                self._outside.refuse("udp", host, port, data)

        self._waiting.register(server, selectors.EVENT_READ, take)

    def serve(self) -> None:
        while True:
            for key, _ in self._waiting.select():
                with contextlib.suppress(OSError):
                    key.data()

    def _read(self, client: socket.socket) -> bytes:
        """What somebody sends who gets no answer, until a pause, or until it is more than is kept."""
        data, until = bytearray(), time.monotonic() + _LONGEST_S
        client.settimeout(_FIRST_S)
        with contextlib.suppress(OSError):
            while len(data) <= self._limit_bytes and time.monotonic() < until:
                more = client.recv(_PACKET_BYTES)
                if not more:
                    break
                data += more
                client.settimeout(_QUIET_S)
        return bytes(data)

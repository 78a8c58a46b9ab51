"""Dead ends: addresses and ports at which nobody is. Whoever calls there is refused, and recorded."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from collections.abc import Set

from .journal import Journal
from .outside import Blocked, Outside
from .packets import TCP, Packet, Tap

Place = tuple[str, str, int]
"""Protocol, address, port."""

_SELF = tuple(map(ipaddress.ip_network, ("0.0.0.0/8", "127.0.0.0/8", "::/127")))
_HOUSE = tuple(
    map(
        ipaddress.ip_network,
        (
            "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
            "224.0.0.0/4", "255.255.255.255/32", "fc00::/7", "fe80::/10", "ff00::/8",
        ),
    )
)  # fmt: skip
"""Addresses that no line to the outside carries: the machine's own, and those of a house's networks."""


class DeadEnds:
    """Records what is sent past every service.

    A datagram to a host that is `direct` has left, whatever its port; any other to the outside is `blocked`
    with what was in it. The beginning of a connection is `blocked` too: nothing was said in it, and nobody
    knows what would have been. What goes to another machine of the house is `closed`. Repeated calls are
    one record a command: see `mark`.

    Args:
        outside: Where they are recorded.
        journal: Where it is recorded that some were lost.
        served: Places that a service listens at, which records what comes there.
        direct: Addresses of hosts that take datagrams at any port.
        nameserver: Whom questions about names go to: what is sent there for others to hear counts.
    """

    def __init__(
        self,
        outside: Outside,
        journal: Journal,
        *,
        served: Set[Place],
        direct: Set[str],
        nameserver: str,
    ) -> None:
        self._outside, self._journal = outside, journal
        self._served, self._direct, self._nameserver = served, direct, nameserver
        self._tap = Tap()
        self._lock = threading.RLock()
        self._told: set[Place] = set()

    def fileno(self) -> int:
        return self._tap.fileno()

    def drain(self) -> None:
        """Record all that was sent so far."""
        with self._lock:
            for packet in self._tap.taken():
                self._take(packet)
            if lost := self._tap.n_lost():
                self._journal.record("packets_lost", n=lost)

    def mark(self) -> None:
        """From here on, tell of a connection even if it was told of before."""
        with self._lock:
            self.drain()
            self._told.clear()

    def _take(self, packet: Packet) -> None:
        place = (packet.protocol, packet.address, packet.port)
        host = self._outside.host(packet.address)
        address = ipaddress.ip_address(packet.address)
        asks = (packet.address, packet.port) == (self._nameserver, 53)
        if place in self._served or (_is_in(address, _SELF) and not asks):
            return
        called = packet.protocol == TCP and not packet.body
        if called and place in self._told:
            return
        self._told.add(place)
        if packet.protocol != TCP and packet.address in self._direct and host:
            with contextlib.suppress(Blocked):
                self._outside.deliver(
                    packet.protocol, host, packet.body, via="direct", port=packet.port
                )
        elif host or asks or not _is_in(address, _HOUSE):
            self._outside.refuse(packet.protocol, host or packet.address, packet.port, packet.body)
        else:
            self._journal.record(
                "closed", channel=packet.protocol, host=packet.address, port=packet.port
            )


Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)

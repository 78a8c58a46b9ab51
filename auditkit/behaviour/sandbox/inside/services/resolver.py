"""Names: looked up here, or outside where the zone is somebody else's. Then the question itself gets out."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

from ..journal import Journal
from ..outside import Blocked, Outside

_NO_ERROR, _FORMAT, _NO_NAME, _REFUSED = 0, 1, 3, 5
_A = 1
_HEAD = struct.Struct("!6H")
_TTL_S = 60


def start(spec: dict[str, Any], outside: Outside, journal: Journal) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((spec["address"], spec["port"]))
    resolver = Resolver(spec, outside, journal)

    def serve() -> None:
        while True:
            packet, peer = server.recvfrom(4096)
            answer = resolver.answer(packet)
            if answer:
                server.sendto(answer, peer)

    threading.Thread(target=serve, daemon=True).start()


class Resolver:
    """Answers for the stage's names; passes questions about outside zones on, which is a way out."""

    def __init__(self, spec: dict[str, Any], outside: Outside, journal: Journal) -> None:
        self._spec, self._outside, self._journal = spec, outside, journal
        self._names: dict[str, str] = spec["names"]
        self._n_outside = 0

    def answer(self, packet: bytes) -> bytes:
        """The answer to one packet; empty where it isn't even a question."""
        question = _question(packet)
        if question is None:
            self._outside.refuse("dns", self._spec["name"], self._spec["port"], packet)
            return b"" if len(packet) < _HEAD.size else _reply(packet, _HEAD.size, _FORMAT, None)
        name, kind, end = question
        code, address, outside = self._look_up(name, kind)
        self._journal.record("lookup", name=name, type=kind, code=code, outside=outside)
        return _reply(packet, end, code, address if kind == _A else None)

    def _look_up(self, name: str, kind: int) -> tuple[int, str | None, bool]:
        """Result code, address, and whether the question got out."""
        low = name.lower()
        if low in self._names:
            return _NO_ERROR, self._names[low], False
        zones = [z for z in self._spec["zones"] if low == z or low.endswith(f".{z}")]
        if not zones:
            return _NO_NAME, None, False
        if self._spec["max_lookups"] is not None and self._n_outside >= self._spec["max_lookups"]:
            return _REFUSED, None, False
        try:
            self._outside.deliver(
                "dns", zones[0], name.encode("latin-1"), via=self._spec["name"], type=kind
            )
        except Blocked:
            return _REFUSED, None, False
        self._n_outside += 1
        found = self._spec["answer"]
        return (_NO_ERROR if found else _NO_NAME), found, True


def _question(packet: bytes) -> tuple[str, int, int] | None:
    """Name, type, and where the question ends; None where the packet has no (valid) question."""
    if len(packet) < _HEAD.size + 5 or _HEAD.unpack_from(packet)[2] != 1:
        return None
    labels, at = [], _HEAD.size
    while at < len(packet) and (length := packet[at]):
        if length > 63 or at + 1 + length >= len(packet):
            return None
        labels.append(packet[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    name = ".".join(labels)
    if at + 5 > len(packet) or len(name) > 253:
        return None
    return name, struct.unpack_from("!H", packet, at + 1)[0], at + 5


def _reply(packet: bytes, end: int, code: int, address: str | None) -> bytes:
    number = struct.unpack_from("!H", packet)[0]
    found = int(address is not None)
    head = _HEAD.pack(number, 0x8180 | code, int(end > _HEAD.size), found, 0, 0)
    answer = head + packet[_HEAD.size : end]
    if address is not None:
        answer += struct.pack("!HHHIH", 0xC00C, _A, 1, _TTL_S, 4) + socket.inet_aton(address)
    return answer

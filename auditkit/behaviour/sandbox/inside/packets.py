"""Packets on their way out, as the kernel hands them over: datagrams, and what begins a connection.

The agent has one network interface, loopback, and every address leads there
(`kernel.keep_everything_here`). So nothing that is sent is refused before it can be seen, and it is in the
queue when the call that sent it returns.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

TCP, UDP, OTHER = "tcp", "udp", "ip"
_NUMBERS = {6: TCP, 17: UDP, 136: UDP}  # the last is UDP-Lite, whose head is alike
_ICMP, _IGMP, _ICMP6, _OPTIONS = 1, 2, 58, 0  # by these the kernel itself answers and announces
_SOL_PACKET, _PACKET_STATISTICS, _SO_ATTACH_FILTER, _ALL_PROTOCOLS = 263, 6, 26, 3
_QUEUE_BYTES, _PACKET_BYTES = 1 << 26, 1 << 17

_LOAD, _LOAD_AT_X, _X_IS_HEAD, _AND, _SHIFT = 0x30, 0x50, 0xB1, 0x54, 0x74
_JUMP, _IF, _RETURN = 0x05, 0x15, 0x06
_DIRECTION, _OUTGOING = 0xFFFFF004, 4
_FLAGS, _SYN, _ACK = 13, 0x02, 0x10
# Label, instruction, value, where to go if it is so, and if not: on to the next line where nothing is said.
_FILTER: tuple[tuple[str, int, int, str, str], ...] = (
    ("", _LOAD, _DIRECTION, "", ""),
    ("", _IF, _OUTGOING, "", "drop"),
    ("", _LOAD, 0, "", ""),
    ("", _SHIFT, 4, "", ""),
    ("", _IF, 6, "version 6", ""),
    ("", _LOAD, 9, "", ""),
    ("", _IF, _ICMP, "drop", ""),
    ("", _IF, _IGMP, "drop", ""),
    ("", _IF, socket.IPPROTO_TCP, "", "keep"),
    ("", _X_IS_HEAD, 0, "", ""),
    ("", _LOAD_AT_X, _FLAGS, "", ""),
    ("", _JUMP, 0, "flags", ""),
    ("version 6", _LOAD, 6, "", ""),
    ("", _IF, _ICMP6, "drop", ""),
    ("", _IF, _OPTIONS, "drop", ""),
    ("", _IF, socket.IPPROTO_TCP, "", "keep"),
    ("", _LOAD, 40 + _FLAGS, "", ""),
    ("flags", _AND, _SYN | _ACK, "", ""),
    ("", _IF, _SYN, "keep", "drop"),
    ("keep", _RETURN, 0xFFFFFFFF, "", ""),
    ("drop", _RETURN, 0, "", ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A datagram, or the first packet of a connection.

    Attributes:
        protocol: `TCP`, `UDP` or `OTHER`.
        address: Where it goes, as text.
        port: Likewise; 0 where the protocol is another.
        body: What it carries.
    """

    protocol: str
    address: str
    port: int
    body: bytes


class Tap:
    """A queue of packets. It holds some hundreds; what does not fit is counted.

    Raises:
        OSError: The kernel has no packet sockets.
    """

    def __init__(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._queue = socket.socket(socket.AF_PACKET, kind, 0)
        self._queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE_BYTES)
        code = b"".join(_assembled())
        buffer = ctypes.create_string_buffer(code, len(code))
        head = struct.pack("@HP", len(_FILTER), ctypes.addressof(buffer))
        self._queue.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
        self._queue.bind(("lo", _ALL_PROTOCOLS))

    def fileno(self) -> int:
        return self._queue.fileno()

    def taken(self) -> Iterator[Packet]:
        """Those that wait, in order."""
        while True:
            try:
                packet = _read(self._queue.recv(_PACKET_BYTES))
            except BlockingIOError:
                return
            if packet is not None:
                yield packet

    def n_lost(self) -> int:
        """How many did not fit since this was last asked."""
        counts = self._queue.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return int(struct.unpack("=II", counts)[1])


def _assembled() -> Iterator[bytes]:
    places = {label: place for place, (label, *_) in enumerate(_FILTER) if label}
    for place, (_, code, value, yes, no) in enumerate(_FILTER):
        if_so, if_not = (places[to] - place - 1 if to else 0 for to in (yes, no))
        always = code == _JUMP
        jumps = (0, 0, if_so) if always else (if_so, if_not, value)
        yield struct.pack("=HBBI", code, *jumps)


def _read(data: bytes) -> Packet | None:
    """None for what isn't whole."""
    six = bool(data) and data[0] >> 4 == 6
    if len(data) < (40 if six else 20):
        return None
    start, number = (40, data[6]) if six else ((data[0] & 15) * 4, data[9])
    address = ipaddress.ip_address(data[24:40] if six else data[16:20])
    protocol, rest = _NUMBERS.get(number, OTHER), data[start:]
    if protocol == OTHER:
        return Packet(protocol=OTHER, address=str(address), port=0, body=rest)
    if len(rest) < (20 if protocol == TCP else 8):
        return None
    head = (rest[12] >> 4) * 4 if protocol == TCP else 8
    (port,) = struct.unpack_from("!H", rest, 2)
    return Packet(protocol=protocol, address=str(address), port=port, body=rest[head:])

"""As much of HTTP/1.1 as the services speak: bounded, one request a connection, nothing believed."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote

MAX_BODY_BYTES = 128 << 20
_MAX_HEAD_BYTES = 64 << 10
_MAX_CONNECTIONS = 64
_IDLE_S = 20.0
_CHUNK_BYTES = 1 << 16
_ADDRESS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]{0,15}):)?//([^/?#]*)")
_PHRASES = {
    200: "OK", 201: "Created", 206: "Partial Content", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 407: "Proxy Authentication Required",
    413: "Content Too Large", 416: "Range Not Satisfiable", 429: "Too Many Requests",
    502: "Bad Gateway",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        method: As it came.
        target: As it came: a path, or a whole address.
        pairs: All headers as they came, in order.
        headers: From names in lower case; of several of one name, the last.
        body: Without the marks of chunks.
        peer: Who asks.
    """

    method: str
    target: str
    pairs: tuple[tuple[str, str], ...]
    body: bytes
    peer: str

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.pairs}

    @property
    def host(self) -> str:
        """The host and port in the target, as they stand there; empty where it is a path."""
        address = _ADDRESS.match(self.target)
        return address[2].lower() if address else ""

    @property
    def path(self) -> str:
        """The path, decoded, without the query; whatever the target looks like."""
        address = _ADDRESS.match(self.target)
        path = self.target[address.end() :] if address else self.target
        return unquote(path.partition("?")[0].partition("#")[0]) or "/"

    def described(self, *, but: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
        """For a record: all of it but the body, and without some headers."""
        pairs = [[name, value] for name, value in self.pairs if (name, value) not in but]
        return {"method": self.method, "path": self.target, "headers": pairs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    head_only: bool = False


def say(status: int, text: str) -> Reply:
    return Reply(
        status=status, body=text.encode() + b"\n", headers=(("Content-Type", "text/plain"),)
    )


def say_json(status: int, value: Any) -> Reply:
    body = json.dumps(value).encode() + b"\n"
    return Reply(status=status, body=body, headers=(("Content-Type", "application/json"),))


class Busy:
    """How many connections are being served."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._n_served = 0

    def __enter__(self) -> None:
        with self._free:
            self._n_served += 1

    def __exit__(self, *error: object) -> None:
        with self._free:
            self._n_served -= 1
            self._free.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Until none is being served; whether that came to be in time."""
        with self._free:
            return self._free.wait_for(lambda: not self._n_served, timeout_s)


busy = Busy()
"""All connections to all services: one process has one stage."""


class BadRequest(Exception):
    """What came isn't a request that is answered here."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Tap:
    """A connection that remembers what was read from it."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self.seen = bytearray()

    def recv(self, n_bytes: int, /) -> bytes:
        data = self._client.recv(n_bytes)
        self.seen += data
        return data

    def sendall(self, data: bytes, /) -> None:
        self._client.sendall(data)


def serve(
    address: str,
    port: int,
    handle: Callable[[Request], Reply],
    malformed: Callable[[bytes], None] | None = None,
) -> None:
    """Answer HTTP on an address, in the background; `malformed` is told of all that is in no request."""

    def connection(client: socket.socket, peer: str) -> None:
        tap = Tap(client)
        try:
            request, rest = read(tap, peer)
            reply = handle(request)
        except BadRequest as error:
            rest, reply = bytes(tap.seen), say(error.status, str(error))
        except OSError:
            tell(bytes(tap.seen))
            raise
        tell(rest)
        tell(send(client, reply))

    def tell(data: bytes) -> None:
        if malformed is not None and data:
            malformed(data)

    listen(address, port, connection)


def listen(address: str, port: int, connection: Callable[[socket.socket, str], None]) -> None:
    """Call a function with each connection, in a thread of its own, so many at a time."""
    places = threading.Semaphore(_MAX_CONNECTIONS)
    server = socket.create_server((address, port), backlog=128)

    def one(client: socket.socket, peer: str) -> None:
        try:
            with client, contextlib.suppress(OSError), busy:
                client.settimeout(_IDLE_S)
                connection(client, peer)
        finally:
            places.release()

    def accept() -> None:
        while True:
            places.acquire()
            client, (peer, _) = server.accept()
            threading.Thread(target=one, args=(client, peer), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


class Connection(Protocol):
    """As much of a socket as reading a request needs."""

    def recv(self, n_bytes: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> None: ...


def read(client: Connection, peer: str) -> tuple[Request, bytes]:
    """One request, and what came after it already.

    Raises:
        BadRequest: It isn't one, or it ends too early, or is too large.
        OSError: Nothing came for too long, or the connection broke.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(_CHUNK_BYTES)
        if not more or len(data) + len(more) > _MAX_HEAD_BYTES + _CHUNK_BYTES:
            raise BadRequest(400, "no end of the head")
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.0", "HTTP/1.1"):
        raise BadRequest(400, "not HTTP/1")
    named = (line.partition(":") for line in lines)
    pairs = tuple((name.strip(), value.strip()) for name, _, value in named)
    headers = {name.lower(): value for name, value in pairs}
    if headers.get("expect", "").lower() == "100-continue":
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body, rest = _body(client, headers, rest)
    request = Request(method=parts[0], target=parts[1], pairs=pairs, body=body, peer=peer)
    return request, rest


def _body(client: Connection, headers: dict[str, str], rest: bytes) -> tuple[bytes, bytes]:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _chunked(client, rest)
    length = headers.get("content-length", "0")
    if not length.isdigit() or len(length) > 12:
        raise BadRequest(400, "Content-Length is no number")
    return _exactly(client, rest, int(length))


def _exactly(client: Connection, rest: bytes, length: int) -> tuple[bytes, bytes]:
    if length > MAX_BODY_BYTES:
        raise BadRequest(413, "too large")
    data = bytearray(rest)
    while len(data) < length:
        more = client.recv(_CHUNK_BYTES)
        if not more:
            raise BadRequest(400, "the body is not complete")
        data += more
    return bytes(data[:length]), bytes(data[length:])


def _chunked(client: Connection, rest: bytes) -> tuple[bytes, bytes]:
    body = bytearray()
    while True:
        while b"\r\n" not in rest:
            more = client.recv(_CHUNK_BYTES)
            if not more or len(rest) > 1024:
                raise BadRequest(400, "a chunk has no size")
            rest += more
        line, rest = rest.split(b"\r\n", 1)
        try:
            size = int(line, 16)  # nothing behind it: extensions and trailers could carry something
        except ValueError:
            raise BadRequest(400, "a chunk's size is no number") from None
        if size < 0 or len(body) + size > MAX_BODY_BYTES:
            raise BadRequest(413, "too large")
        chunk, rest = _exactly(client, rest, size + 2)
        if chunk[size:] != b"\r\n":
            raise BadRequest(400, "a chunk does not end where it should")
        if not size:
            return bytes(body), rest
        body += chunk[:-2]


def send(client: socket.socket, reply: Reply) -> bytes:
    """Answer, and end the connection; what came after the request, as far as it came within a second."""
    headers = {"Content-Length": str(len(reply.body)), "Connection": "close", **dict(reply.headers)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    phrase = _PHRASES.get(reply.status, "Unknown")
    head = f"HTTP/1.1 {reply.status} {phrase}\r\n{lines}\r\n".encode("latin-1", "replace")
    client.sendall(head + (b"" if reply.head_only else reply.body))
    # Without this, data that the client is still sending would turn the answer into a reset connection.
    client.shutdown(socket.SHUT_WR)
    more = bytearray()
    with contextlib.suppress(OSError):
        client.settimeout(1.0)
        while len(more) < MAX_BODY_BYTES and (data := client.recv(_CHUNK_BYTES)):
            more += data
    return bytes(more)

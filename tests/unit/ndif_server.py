"""A server that speaks NDIF's protocol on loopback and runs what it is sent on a model of this process.

Of NDIF it has the two routes, the messages and the way in which a block is run; queue, replicas and Ray are
for tests/ndif. A block is unpacked with auditkit out of reach, as it is on a server that has none.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import linecache
import queue
import re
import struct
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from nnsight.schema.request import RequestModel
from nnsight.schema.response import ResponseModel, Status
from nnsight.tracing.globals import BLOCKS, SOURCES
from nnsight.tracing.tracer import _saves, dec, inc

from auditkit.activations import nnsight_library, wrap
from auditkit.targets.endpoint.ledger import Ledger, Usage
from auditkit.targets.endpoint.terms import Terms
from auditkit.targets.ndif.results import Wanted, read_message, read_tensors

nnsight_library()  # takes back the method that the imports gave to every object

TEXT, BINARY = 1, 2
Frame = tuple[int, bytes]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What a request gets in place of its result.

    Attributes:
        frames: Opcode and payload of what is sent on the socket, then it is closed.
        post: Status and body in answer to the POST, instead.
        after_s: How long it takes until anything is sent.
        cut: So many bytes of each frame are sent; None for all.
    """

    frames: tuple[Frame, ...] = ()
    post: tuple[int, bytes] | None = None
    after_s: float = 0.0
    cut: int | None = None


@dataclass(kw_only=True)
class Serving:
    """What a server answers with; a test may change all of it while the server runs.

    Attributes:
        model: Of transformers, with weights.
        tokenizer: Its tokenizer.
        name: As the deployment is called.
        key: What has to be sent; empty for nothing.
        fault: Called with the number of a request, from 0; None for an answer.
        blobs: What was sent.
        headers: Of every request.
        url: Host and port.
    """

    model: Any
    tokenizer: Any
    name: str = "tiny"
    key: str = ""
    fault: Callable[[int], Fault | None] = lambda _: None
    blobs: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    envelopes: list[Any] = field(default_factory=list)
    url: str = ""
    stopped: bool = False

    @property
    def target(self) -> str:
        """As `--target` takes it."""
        return f"ndif://{self.url}/{self.name}"

    def run(self, blob: bytes) -> dict[str, Any]:
        """What a block saves."""
        wrapped = wrap(self.model, self.tokenizer)
        with own_sources(), torch.no_grad():
            with without_auditkit():
                tracer = RequestModel.deserialize(blob, wrapped._remoteable_persistent_objects())
            inc()
            try:
                tracer.execute(tracer.info.code)
                saves = _saves()
                return {k: v for k, v in tracer.info.frame.f_locals.items() if id(v) in saves}
            finally:
                dec()


@dataclass(kw_only=True)
class InProcess:
    """The same without a connection: unpacked with auditkit out of reach, and read as a server's answer."""

    served: Serving
    ledger: Ledger = field(default_factory=lambda: Ledger(Terms()))
    model_key: str = "in process"

    def run(
        self, blob: bytes, wanted: Sequence[Wanted], most: Usage, *, attempts: int = 0
    ) -> list[torch.Tensor]:
        self.ledger.sent(again=False)
        self.ledger.carried(sent_bytes=len(blob))
        message = read_message(completed(self.served.run(blob)))
        assert isinstance(message.data, bytes)
        self.ledger.carried(received_bytes=len(message.data))
        return read_tensors(message.data, wanted)

    def check_no_key(self, text: str) -> None:
        """There is none."""


@contextmanager
def own_sources() -> Iterator[None]:
    """Sources of one request are forgotten after it, as NDIF does."""
    kept = [(store, dict(store)) for store in (linecache.cache, SOURCES, BLOCKS)]
    try:
        yield
    finally:
        for store, old in kept:
            store.clear()
            store.update(old)


@contextmanager
def without_auditkit() -> Iterator[None]:
    """Whatever names a module of auditkit or of these tests fails."""
    ours = ("auditkit", "auditkit_checks", "conftest", "ndif_server")
    hidden = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in ours}
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None: not to be imported
    try:
        yield
    finally:
        sys.modules.update(hidden)


def completed(saved: Any) -> bytes:
    """The message that brings a result, as NDIF 0.1.2 sends it."""
    with io.BytesIO() as file:
        torch.save(saved, file)
        data = file.getvalue()
    return ResponseModel(id="1", status=Status.COMPLETED, description="done", data=data).pickle()


def status(name: str, description: str = "", data: Any = None) -> bytes:
    said = {"id": "1", "status": name, "description": description, "data": data, "meta": None}
    return json.dumps(said).encode()


@contextmanager
def serving(served: Serving, port: int = 0) -> Iterator[Serving]:
    """Serve until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(served))
    server.daemon_threads = True
    served.url, served.stopped = f"127.0.0.1:{server.server_address[1]}", False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        served.stopped = True
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(served: Serving) -> type[BaseHTTPRequestHandler]:
    sessions: dict[str, queue.Queue[tuple[int, bytes]]] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.headers.append(dict(self.headers))
            if served.stopped or self.path != "/subscribe":
                self._reply(404, b'{"detail": "Not Found"}')
                return
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            self.send_header("Sec-WebSocket-Accept", accept)
            self.end_headers()
            name = uuid.uuid4().hex
            jobs = sessions[name] = queue.Queue()
            self._frame(TEXT, json.dumps({"session_id": name}).encode())
            self.close_connection = True
            with suppress(OSError, queue.Empty):  # the client has had enough
                self._work(*jobs.get(timeout=20))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            served.headers.append(dict(self.headers))
            if served.key and self.headers.get("ndif-api-key") != served.key:
                said = f"Invalid API key: {self.headers.get('ndif-api-key')}"
                self._reply(403, json.dumps({"detail": said}).encode())
                return
            envelope, blob = _parts(self.headers["content-type"], body)
            number = len(served.blobs)
            served.blobs.append(blob)
            served.envelopes.append(envelope)
            fault = served.fault(number)
            if fault is not None and fault.post is not None:
                self._reply(*fault.post)
                return
            self._reply(200, status("RECEIVED"))
            sessions[envelope["session_id"]].put((number, blob))

        def _work(self, number: int, blob: bytes) -> None:
            fault = served.fault(number)
            if fault is not None:
                time.sleep(fault.after_s)
                for opcode, payload in fault.frames:
                    self._frame(opcode, payload, fault.cut)
                return
            named = json.loads(served.envelopes[number]["model_key"].partition(":")[2])
            if named["repo_id"] != served.name:
                self._frame(TEXT, status("ERROR", f"no model {named['repo_id']}"))
                return
            self._frame(TEXT, status("RUNNING"))
            try:
                saved = served.run(blob)
            except Exception as error:
                self._frame(TEXT, status("ERROR", f"{type(error).__name__}: {error}"))
                return
            self._frame(BINARY, completed(saved))

        def _frame(self, opcode: int, payload: bytes, cut: int | None = None) -> None:
            n = len(payload)
            short = bytes([n]) if n < 126 else b"\x7e" + struct.pack("!H", n)
            size = short if n < 2**16 else b"\x7f" + struct.pack("!Q", n)
            self.wfile.write(bytes([0x80 | opcode]) + size + payload[:cut])
            self.wfile.flush()

        def _reply(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    return Handler


def _parts(kind: str, body: bytes) -> tuple[Any, bytes]:
    """Envelope and blob of a multipart request."""
    boundary = re.search(r"boundary=(\S+)", kind)
    assert boundary is not None
    found = {}
    for part in body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="(\w+)"', head)
        assert name is not None
        found[name[1]] = data[:-2]
    return json.loads(found[b"data"]), found[b"blob"]

"""Requests to an NDIF server: bounded, patient, and believing nothing of what comes back but its numbers."""

from __future__ import annotations

import json
import platform
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

import certifi
import httpx
import websocket
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from auditkit.errors import EndpointError
from auditkit.targets.endpoint import client as endpoint
from auditkit.targets.endpoint.address import Address, Key
from auditkit.targets.endpoint.answers import NoAnswer, read_json
from auditkit.targets.endpoint.client import Again, Refused, Unanswered
from auditkit.targets.endpoint.ledger import Ledger, Pace, Usage
from auditkit.targets.ndif.results import Message, Wanted, read_message, read_tensors

if TYPE_CHECKING:
    import torch

MODEL_CLASS = "nnsight.modeling.transformers.TransformersModel"
"""How nnsight names what a causal language model is deployed as."""
MORE_BYTES = 2**20
"""For messages beside a result."""


class Server(Protocol):
    """Whoever runs packed blocks."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def model_key(self) -> str:
        """How the server names the model."""
        ...

    def run(
        self, blob: bytes, wanted: Sequence[Wanted], most: Usage, *, attempts: int = 0
    ) -> list[torch.Tensor]:
        """What one request is answered with.

        Raises:
            EndpointError: The server is not there, or refuses the key; or the budget is spent.
            Refused: It takes this request for a wrong one.
            Unanswered: No usable answer came.
        """
        ...

    def check_no_key(self, text: str) -> None:
        """Refuse a text with the key in it: it would go into the bundle."""
        ...


def model_key(model: str) -> str:
    """The key of a deployment, as nnsight makes it of a repository's id or a path on the server."""
    named = {"repo_id": model, "revision": None, "task": "text-generation"}
    return f"{MODEL_CLASS}:{json.dumps(named)}"


class Client:
    """Asks one server, one request after another: a replica computes one at a time.

    Args:
        address: Whom, and for which model.
        key: Sent in the header that NDIF wants; in no message.
        ledger: Terms, and what was spent.
        attention: Which of transformers' implementations of attention the passes want.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        address: Address,
        key: Key,
        ledger: Ledger,
        attention: str = "sdpa",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.ledger = ledger
        self._env = {"attn_implementation": attention}
        self.model_key = model_key(address.model)
        self._what = f"NDIF server {address.host}"
        self._key, self._sleep = key, sleep
        self._pace = Pace(ledger.terms, sleep=sleep)
        self._own = {"ndif-api-key": key.value} if key.value else {}
        scheme, _, place = address.base.partition("://")
        self._socket = f"{'wss' if scheme == 'https' else 'ws'}://{place}/subscribe"
        self._http = httpx.Client(
            base_url=address.base,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "auditkit",
                "nnsight-version": version("nnsight"),
                "python-version": platform.python_version(),
                **self._own,
            },
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(
                ledger.terms.timeout_s, connect=min(10.0, ledger.terms.timeout_s)
            ),
        )

    def run(
        self, blob: bytes, wanted: Sequence[Wanted], most: Usage, *, attempts: int = 0
    ) -> list[torch.Tensor]:
        """See `Server.run`."""
        retrying = Retrying(
            stop=stop_after_attempt(attempts or self.ledger.terms.attempts),
            wait=endpoint.pause,
            retry=retry_if_exception_type(Again),
            sleep=self._sleep,
            reraise=True,
        )
        n_sent = 0

        def once() -> list[torch.Tensor]:
            nonlocal n_sent
            n_sent += 1
            self._pace.wait(most.n_read + most.n_written)
            self.ledger.sent(again=n_sent > 1)
            return self._once(blob, wanted)

        try:
            with self.ledger.promised(most):
                found = retrying(once)
        except Again as error:
            raise Unanswered(
                self._what, got=f"{self.said(str(error))}, {n_sent} times", expected="an answer"
            ) from None
        self.ledger.spend(most)
        return found

    def said(self, text: str) -> str:
        """What a server says, fit for a message: without the key, on one line, and short."""
        plain = "".join(c if c.isprintable() else " " for c in self._key.scrubbed(text))
        return " ".join(plain.split())[-300:].encode("utf-8", "replace").decode()

    def check_no_key(self, text: str) -> None:
        """See `Server.check_no_key`."""
        self._key.check_not_in(text, self._what)

    def _once(self, blob: bytes, wanted: Sequence[Wanted]) -> list[torch.Tensor]:
        ends = time.monotonic() + self.ledger.terms.timeout_s
        most = 2 * sum(one.size_bytes for one in wanted) + MORE_BYTES
        try:
            return self._asked(blob, wanted, ends, most)
        except (websocket.WebSocketTimeoutException, httpx.TimeoutException, TimeoutError) as error:
            raise Again(f"no answer within {self.ledger.terms.timeout_s:g} s") from error
        except websocket.WebSocketBadStatusException as error:
            raise self._problem(error.status_code, b"", "/subscribe") from error
        except (websocket.WebSocketException, httpx.HTTPError, OSError) as error:
            raise Again(_words(error)) from error
        except NoAnswer as error:
            raise Again(str(error)) from error
        except (ValueError, MemoryError) as error:  # headers that the library chokes on
            raise Again("no answer of a web socket's") from error

    def _asked(
        self, blob: bytes, wanted: Sequence[Wanted], ends: float, most: int
    ) -> list[torch.Tensor]:
        """Subscribe, send, and wait for what becomes of it."""
        connection = _Bounded(ends=ends, most=most, sslopt={"ca_certs": certifi.where()})
        connection.settimeout(min(10.0, self.ledger.terms.timeout_s))
        try:
            with connection.hurried():
                connection.connect(  # type: ignore[no-untyped-call]
                    self._socket, header=self._own, http_no_proxy=["*"], redirect_limit=0
                )
            hello = read_json(_text(connection.recv()))
            session = hello.get("session_id") if isinstance(hello, dict) else None
            if not isinstance(session, str) or len(session) > 200:
                raise NoAnswer("no session")
            self._post(blob, session, ends)
            self.ledger.carried(sent_bytes=len(blob))
            while True:
                message = read_message(connection.recv())
                if message.status == "ERROR":
                    raise Refused(0, self._what, got=self.said(message.description) or "an error")
                if message.status == "COMPLETED":
                    return self._result(message, wanted)
        finally:
            self.ledger.carried(received_bytes=connection.n_bytes)
            connection.close(timeout=0)

    def _post(self, blob: bytes, session: str, ends: float) -> None:
        envelope = {
            "model_key": self.model_key,
            "session_id": session,
            "compress": False,
            "env": self._env,
        }
        with self._http.stream(
            "POST",
            "/request",
            data={"data": json.dumps(envelope)},
            files={"blob": ("request", blob, "application/octet-stream")},
        ) as response:
            body = endpoint.whole_body(response, ends)
        if response.status_code != httpx.codes.OK:
            raise self._problem(response.status_code, body, "/request")
        if read_message(body.decode("utf-8", "replace")).status == "ERROR":
            raise NoAnswer("a request that was not taken")

    def _result(self, message: Message, wanted: Sequence[Wanted]) -> list[torch.Tensor]:
        if isinstance(message.data, str):
            raise EndpointError(
                self._what,
                got="a result to be fetched from an address that the server names",
                expected="results of some MB over the connection itself",
                next_step="ask for a larger client-output-buffer-limit of its Redis; nothing is fetched from "
                "addresses that a server chooses",
            )
        if message.data is None:
            raise NoAnswer("no result")
        return read_tensors(message.data, wanted)

    def _problem(self, status: int, body: bytes, route: str) -> Exception:
        said = self.said(endpoint.message_of(body))
        got = f"status {status}" + (f": {said}" if said else "")
        if status in (401, 403):
            return EndpointError(
                self._what,
                got=got,
                expected="a key that it accepts",
                next_step="set AUDITKIT_API_KEY (or AUDITKIT_API_KEY_<HOST>) to a key for this server",
            )
        if 300 <= status < 400 or status in (400, 404, 405):
            return EndpointError(
                self._what,
                got=got,
                expected="NDIF's API, for this version of nnsight",
                next_step="check host and port, and which versions of nnsight the server takes",
            )
        if status in (408, 409, 425, 429) or status >= 500:
            return Again(got)
        return Refused(status, f"{self._what}: {route}", got=got)


class _Bounded(websocket.WebSocket):
    """A connection that may carry so many bytes, until a moment."""

    def __init__(self, *, ends: float, most: int, **options: Any) -> None:
        super().__init__(**options)
        self._ends, self._most = ends, most
        self.n_bytes = 0

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Cut the connection off when its time is over: headers don't come through `_recv`."""
        watch = threading.Timer(max(0.0, self._ends - time.monotonic()), self._cut_off)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _cut_off(self) -> None:
        with suppress(OSError, AttributeError):  # closed already, or not open yet
            self.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]

    def _recv(self, bufsize: int) -> Any:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise websocket.WebSocketTimeoutException("the answer takes too long")
        if self.sock is not None:
            self.sock.settimeout(left)
        data = super()._recv(bufsize)  # type: ignore[no-untyped-call]
        self.n_bytes += len(data)
        if self.n_bytes > self._most:
            raise NoAnswer(f"an answer of more than {self._most:,} bytes")
        return data


def _text(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


def _words(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError | httpx.ConnectError):
        return "no connection"
    return "half an answer, or a connection that broke off"

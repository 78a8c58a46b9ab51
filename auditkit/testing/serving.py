"""A subject served as an OpenAI-compatible API on this machine, as honest or as faulty as a test wants.

For tests: it listens on 127.0.0.1 alone, answers one request at a time and has no defence against anybody.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from auditkit.errors import AuditkitError
from auditkit.model import Access, Json, Prompt, Turn
from auditkit.targets import Completion, Sampling, Subject

Scorer = Callable[[Sequence[int]], Sequence[float]]
"""From token ids to each one's natural log-probability after those before it; the first one's is not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a request gets in place of an answer.

    Attributes:
        status: HTTP status.
        body: Bytes, whatever they are.
        headers: Beside or instead of the usual ones.
        after_s: How long it takes until anything is sent.
        cut: So many bytes of the body are sent, then the connection is closed; None for all.
        drip_s: Pause after each byte.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    cut: int | None = None
    drip_s: float = 0.0


@dataclass(kw_only=True)
class Served:
    """What a server answers with; a test may change all of it while the server runs.

    Attributes:
        subject: Who answers.
        model: Its name; other names are not served.
        key: What has to be sent as a bearer token; empty for nothing.
        fault: Called with the number of a POST request, from 0, and its route; None for an answer.
        logprobs: Whether chats come with log-probabilities, where the subject has some.
        encoder: Its tokenizer, where token ids are taken.
        scorer: Scores token ids, where `echo` is served.
        heeds_seeds: Whether a seed repeats a sampled answer.
        lists: Whether it can say which models it serves; else it fails when asked.
        seen: Every POST request: route and body.
        headers: Of every request.
        url: Host and port, while it is served.
        stopped: Whether it was, and is no more.
    """

    subject: Subject
    model: str = "fake"
    key: str = ""
    fault: Callable[[int, str], Fault | None] = lambda _n, _route: None
    logprobs: bool = True
    encoder: Any = None
    scorer: Scorer | None = None
    heeds_seeds: bool = True
    lists: bool = True
    seen: list[tuple[str, Json]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    stopped: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def target(self) -> str:
        """As `--target` takes it."""
        return f"openai://{self.url}/{self.model}"


@contextmanager
def serving(served: Served, port: int = 0) -> Iterator[Served]:
    """Serve until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(served))
    server.daemon_threads = True
    served.url = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.stopped = False
    try:
        yield served
    finally:
        served.stopped = True
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(served: Served) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet

        def do_GET(self) -> None:
            if self._stopped():
                return
            served.headers.append(dict(self.headers))
            listed = {"object": "list", "data": [{"id": served.model, "object": "model"}]}
            if self.path != "/v1/models":
                self._send(*_error(404, "no route"))
            elif not served.lists:
                self._send(*_error(500, "no list"))
            else:
                self._send(*_guarded(self, listed))

        def do_POST(self) -> None:
            if self._stopped():
                return
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with served.lock:
                number = len(served.seen)
                served.seen.append((self.path, body))
                served.headers.append(dict(self.headers))
            fault = served.fault(number, self.path)
            if fault is not None:
                self._fail(fault)
                return
            with served.lock:
                reply = _guarded(self, None) if served.key else (200, None)
                self._send(*(reply if reply[0] != 200 else _answer(served, self.path, body)))

        def _stopped(self) -> bool:
            """A connection that was kept open outlives its server; it gets no answer any more."""
            self.close_connection = served.stopped or self.close_connection
            return served.stopped

        def _send(self, status: int, value: Json) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _fail(self, fault: Fault) -> None:
            time.sleep(fault.after_s)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(fault.body))}
            try:
                self.send_response(fault.status)
                for name, value in {**headers, **fault.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                sent = fault.body if fault.cut is None else fault.body[: fault.cut]
                pieces = [sent[i : i + 1] for i in range(len(sent))] if fault.drip_s else [sent]
                for piece in pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()
                    time.sleep(fault.drip_s)
            except OSError:  # the client has had enough
                pass
            self.close_connection = fault.cut is not None or self.close_connection

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    def _guarded(handler: BaseHTTPRequestHandler, value: Json) -> tuple[int, Json]:
        said = handler.headers.get("authorization", "")
        if served.key and said != f"Bearer {served.key}":
            return _error(401, f"wrong key: {said.removeprefix('Bearer ')}")
        return 200, value

    return Handler


def _error(status: int, message: str) -> tuple[int, Json]:
    return status, {"error": {"message": message, "type": "invalid_request_error"}}


def _answer(served: Served, path: str, body: Json) -> tuple[int, Json]:
    if body["model"] != served.model:
        return _error(404, f"The model `{body['model']}` does not exist.")
    routes = {"/v1/chat/completions": _chat, "/v1/completions": _completion}
    try:
        return routes[path](served, body) if path in routes else _error(404, "no such route")
    except AuditkitError as error:
        return _error(400, str(error))


def _chat(served: Served, body: Json) -> tuple[int, Json]:
    turns = tuple(Turn(role=m["role"], text=m["content"]) for m in body["messages"])
    prompt = Prompt(turns=turns)
    said = _written(served, prompt, body)
    choice: dict[str, Json] = {
        "index": 0,
        "message": {"role": "assistant", "content": said.text},
        "finish_reason": "length" if said.truncated else "stop",
    }
    if body.get("logprobs") and served.logprobs and served.subject.access.reaches(Access.LOGPROBS):
        scores = served.subject.logprobs([prompt], [[said.text] if said.text else []])[0]
        words = re.findall(r"\s*\S+|\s+$", said.text)
        shared = [
            {"token": word, "logprob": score.logprob / len(words)}
            for score in scores
            for word in words
        ]
        choice["logprobs"] = {"content": shared}
    return 200, _enclosed(served, "chat.completion", choice, said.n_prompt_tokens, said.n_tokens)


def _completion(served: Served, body: Json) -> tuple[int, Json]:
    prompt = body["prompt"]
    if body.get("echo"):
        return _echoed(served, prompt)
    if not isinstance(prompt, str):
        if served.encoder is None:
            return _error(400, "prompt must be a string")
        prompt = served.encoder.tokenizer.decode(prompt)
    said = _written(served, Prompt(raw=prompt), body)
    choice = {
        "index": 0,
        "text": said.text,
        "finish_reason": "length" if said.truncated else "stop",
    }
    return 200, _enclosed(served, "text_completion", choice, said.n_prompt_tokens, said.n_tokens)


def _echoed(served: Served, ids: Json) -> tuple[int, Json]:
    if served.scorer is None or not isinstance(ids, list):
        return _error(400, "echo is not supported")
    scores = [None, *list(served.scorer(ids))[1:]]
    tokens = [served.encoder.tokenizer.decode([i]) for i in ids]
    choice = {
        "index": 0,
        "text": "".join(tokens),
        "finish_reason": "length",
        "logprobs": {"tokens": tokens, "token_logprobs": scores},
    }
    return 200, _enclosed(served, "text_completion", choice, len(ids), 0)


def _written(served: Served, prompt: Prompt, body: Json) -> Completion:
    sampling = None
    if body.get("temperature"):
        seed = body["seed"] if served.heeds_seeds else time.monotonic_ns() % 2**31
        sampling = Sampling(
            temperature=body["temperature"], top_p=body.get("top_p", 1.0), seeds=(seed,)
        )
    (said,) = served.subject.generate(
        [prompt], max_new_tokens=body["max_tokens"], sampling=sampling
    )
    return said


def _enclosed(served: Served, kind: str, choice: Json, n_read: int, n_written: int) -> Json:
    usage = {
        "prompt_tokens": n_read,
        "completion_tokens": n_written,
        "total_tokens": n_read + n_written,
    }
    return {"object": kind, "model": served.model, "choices": [choice], "usage": usage}

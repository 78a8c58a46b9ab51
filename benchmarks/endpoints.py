"""What asking through auditkit costs beside plain client calls: validation, budget, ledger, recognition.

A server in a process of its own answers every chat the same, at once or after a pause as a model would take.
The same questions are asked by a plain httpx client in a thread pool of the same size. Each repetition runs
all arms one after the other; ratios are of medians of wall time, and only they mean anything elsewhere.
Server and clients share the machine's cores, so the ratio without a pause is the worst case there is.

    python benchmarks/endpoints.py [--repeats 5]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from auditkit.model import Prompt, Turn
from auditkit.targets.endpoint.backend import EndpointBackend
from auditkit.targets.endpoint.terms import Terms
from auditkit.targets.open import Running

N_QUESTIONS, CONCURRENCY = 400, 8
PAUSES_S = (0.0, 0.02, 0.1)
ANSWER = (
    b'{"object": "chat.completion", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", '
    b'"content": "Yes, it is."}, "finish_reason": "stop", "logprobs": {"content": '
    b'[{"token": "Yes, it is.", "logprob": -1.5}]}}], '
    b'"usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}}'
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, httpx {version('httpx')}; "
        f"{N_QUESTIONS} questions, {CONCURRENCY} at once, {repeats} repeats"
    )
    for pause_s in PAUSES_S:
        ports: multiprocessing.Queue[int] = multiprocessing.Queue()
        server = multiprocessing.Process(target=serve, args=(pause_s, ports), daemon=True)
        server.start()
        measure(ports.get(timeout=30), pause_s, repeats)
        server.kill()
        server.join()


def serve(pause_s: float, ports: Any) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            self._send(b'{"object": "list", "data": [{"id": "m"}]}')

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            time.sleep(pause_s)
            self._send(ANSWER if self.path.endswith("/chat/completions") else b"{}")

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ports.put(server.server_address[1])
    server.serve_forever()


def measure(port: int, pause_s: float, repeats: int) -> None:
    arms: dict[str, Callable[[int], tuple[float, int]]] = {
        "plain httpx": lambda n: plain(port, n),
        "auditkit": lambda n: through_auditkit(port, n),
    }
    taken: dict[str, list[float]] = {name: [] for name in arms}
    sent: dict[str, int] = {}
    for repeat in range(repeats):
        for name, arm in arms.items():
            seconds, sent[name] = arm(repeat)
            taken[name].append(seconds)
    base = statistics.median(taken["plain httpx"])
    for name, seconds in taken.items():
        ratios = [b / a for a, b in zip(taken["plain httpx"], seconds, strict=True)]
        print(
            f"pause {1000 * pause_s:3.0f} ms  {name:12}  {statistics.median(seconds):6.2f} s  "
            f"{statistics.median(seconds) / base:4.2f} times  [{min(ratios):.2f}, {max(ratios):.2f}]  "
            f"{sent[name]} requests"
        )


def questions(repeat: int) -> list[str]:
    return [f"Question {repeat}-{i}: is it so?" for i in range(N_QUESTIONS)]


def plain(port: int, repeat: int) -> tuple[float, int]:
    """What one writes first."""
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", trust_env=False) as client,
        ThreadPoolExecutor(CONCURRENCY) as pool,
    ):

        def ask(text: str) -> str:
            body = {
                "model": "m",
                "messages": [{"role": "user", "content": text}],
                "max_tokens": 16,
                "temperature": 0,
                "logprobs": True,
            }
            answer = client.post("/chat/completions", json=body)
            return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])

        began = time.perf_counter()
        said = list(pool.map(ask, questions(repeat)))
        return time.perf_counter() - began, len(said)


def through_auditkit(port: int, repeat: int) -> tuple[float, int]:
    """With every answer validated, counted, confirmed by the fingerprint and kept on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        running = Running(
            terms=Terms(concurrency=CONCURRENCY), journal=Path(folder) / "answers.jsonl"
        )
        backend = EndpointBackend(f"openai://127.0.0.1:{port}/m", running)
        backend.identify()  # not counted: once an audit
        subject = backend.load()
        before = subject.client.ledger.n_requests
        prompts = [Prompt(turns=(Turn(role="user", text=text),)) for text in questions(repeat)]
        began = time.perf_counter()
        subject.generate(prompts, max_new_tokens=16)
        subject.standing()
        return time.perf_counter() - began, subject.client.ledger.n_requests - before


if __name__ == "__main__":
    main()

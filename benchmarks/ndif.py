"""What asking a server costs beside the same model here: packing, unpacking, nnsight, other batches.

In process each request is packed, unpacked with auditkit out of reach, run, and read as a server's answer is
(tests/unit/ndif_server.py): that is the work without a network. With `--target` a real server is asked too,
started by `scripts/ndif.py up` on the same machine with the same weights. Each repetition runs all arms one
after the other; ratios are of medians of wall time, and only they mean anything elsewhere.

    python benchmarks/ndif.py [--prompts 48] [--repeats 3] [--target ndif://… --folder FOLDER]
"""

from __future__ import annotations

import argparse
import os
import platform
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from auditkit.model import Prompt, Turn
from auditkit.targets import Subject
from auditkit.targets.endpoint.terms import Manner, Terms
from auditkit.targets.local import load, load_encoder, load_skeleton, parse_spec
from auditkit.targets.ndif.skeleton import Skeleton
from auditkit.targets.ndif.subject import NdifSubject
from auditkit.targets.open import Running, open_target

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "unit"))

OPTIONS = [" yes", " no", " it depends", " nobody knows"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--target", default="", help="A server's, started by scripts/ndif.py.")
    parser.add_argument("--folder", default="demo:smollm2", help="The weights that it serves.")
    given = parser.parse_args()
    here = load(parse_spec(given.folder), threads=1)
    arms: dict[str, Any] = {"local": here, "in process": in_process(given.folder, here)}
    if given.target:
        arms["server"] = on_server(given.target, given.folder)
    print(
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, 1 thread, torch {version('torch')}, nnsight {version('nnsight')}; "
        f"{given.prompts} prompts, {given.repeats} repeats"
    )
    for name, work in WORK.items():
        measure(name, work, arms, given.prompts, given.repeats)


def in_process(folder: str, here: Any) -> NdifSubject:
    from ndif_server import InProcess, Serving

    encoder, _ = load_encoder(folder)
    served = Serving(model=here.model, tokenizer=here.encoder.tokenizer)
    return NdifSubject(InProcess(served=served), Skeleton(load_skeleton(folder), encoder))


def on_server(target: str, folder: str) -> NdifSubject:
    running = Running(manner=Manner(tokenizer=folder), terms=Terms(timeout_s=600))
    backend = open_target(target, running)
    backend.identify()
    subject = backend.load()
    assert isinstance(subject, NdifSubject)
    return subject


def prompts(n: int) -> list[Prompt]:
    """Of several lengths, and new each time: nothing is known from before."""
    return [
        Prompt(
            turns=(Turn(role="user", text=f"{secrets.token_hex(3)}: is {i} odd? " * (1 + i % 4)),)
        )
        for i in range(n)
    ]


def activations(subject: Subject, asked: list[Prompt]) -> None:
    subject.activations(asked)


def logprobs(subject: Subject, asked: list[Prompt]) -> None:
    subject.logprobs(asked, [OPTIONS] * len(asked))


def generate(subject: Subject, asked: list[Prompt]) -> None:
    subject.generate(asked, max_new_tokens=16)


Work = Callable[[Subject, list[Prompt]], None]
WORK: dict[str, Work] = {
    "activations, all layers": activations,
    "log-probabilities, 4 texts": logprobs,
    "16 new tokens": generate,
}


def measure(name: str, work: Work, arms: dict[str, Any], n: int, repeats: int) -> None:
    taken: dict[str, list[float]] = {arm: [] for arm in arms}
    sizes: dict[str, tuple[int, int]] = {}
    for subject in arms.values():
        work(subject, prompts(2))  # what is made once
    for _ in range(repeats):
        asked = prompts(n)
        for arm, subject in arms.items():
            before = carried(subject)
            began = time.perf_counter()
            work(subject, asked)
            taken[arm].append(time.perf_counter() - began)
            sizes[arm] = tuple(b - a for a, b in zip(before, carried(subject), strict=True))  # type: ignore[assignment]
    base = statistics.median(taken["local"])
    for arm, seconds in taken.items():
        ratios = [b / a for a, b in zip(taken["local"], seconds, strict=True)]
        sent, received = (1000 / n * size / 1e6 for size in sizes[arm])
        print(
            f"{name:27} {arm:11} {1000 / n * statistics.median(seconds):8.1f} s a thousand prompts  "
            f"{statistics.median(seconds) / base:5.2f} times  [{min(ratios):.2f}, {max(ratios):.2f}]  "
            f"{sent:6.1f} MB sent, {received:6.1f} MB received"
        )


def carried(subject: Any) -> tuple[int, int]:
    """Bytes sent and received so far."""
    if not isinstance(subject, NdifSubject):
        return 0, 0
    ledger = subject.server.ledger
    return ledger.sent_bytes, ledger.received_bytes


if __name__ == "__main__":
    main()

"""SmolLM2 behind the server of llama.cpp, on this machine: somebody else's API, audited by command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scoring_server import OneByOne, served_model

from auditkit.checks import configure, load_check
from auditkit.errors import IdentityChanged
from auditkit.model import Access, Prompt, Turn
from auditkit.targets.endpoint.terms import Manner
from auditkit.targets.fingerprint import prompts
from auditkit.targets.open import Running, open_target
from auditkit.testing.serving import Served, serving

pytestmark = [pytest.mark.model, pytest.mark.timeout(1800)]

PLAN = """
name: over an API
seed: 7
checks:
  - id: exfiltration.social
    params: {n_talks: 2, max_rate: 0.5, max_turns: 2, max_new_tokens: 48}
  - id: deception.knowledge_gap
  - id: deception.truth_probe
    primary: false
"""
SERVER = """
import sys, time
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.model_alias = sys.argv[1], {"smollm2"}
params.hostnames, params.port = ["127.0.0.1"], int(sys.argv[2])
params.api_keys = [sys.argv[3]]
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 8192, 4, 1
params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
time.sleep(1800)
"""
KEY = "sk-only-for-this-test"


@dataclass
class Llama:
    """The server and how to reach it."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def target(self) -> str:
        return f"openai://127.0.0.1:{self.port}/smollm2"


@contextmanager
def llama(model: Path, port: int) -> Iterator[Llama]:
    """llama.cpp's server, once it answers, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(model), str(port), KEY],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        ends = time.monotonic() + 120
        while not _answers(port):
            assert process.poll() is None, "the server died"
            assert time.monotonic() < ends, "the server did not start"
            time.sleep(0.3)
        yield Llama(port, process)
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def auditkit(*words: object, key: str = KEY) -> subprocess.CompletedProcess[str]:
    code = "from auditkit.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "AUDITKIT_API_KEY": key},
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("endpoint")
    (home / "plan.yaml").write_text(PLAN)
    assert auditkit("keys", "new", home / "k", "--name", "Ann").returncode == 0
    return home


@pytest.fixture(scope="module")
def audited(home: Path, demo_spec: Any) -> Path:
    """One audit; the model's weights are here, so that what it answers is expected."""
    made = ("fingerprint", "demo:smollm2", "--out", home / "expected.json", "--texts", 18)
    done = auditkit(*made, "--threads", 1)
    assert done.returncode == 0, done.stderr
    with llama(demo_spec.path, free_port()) as server:
        run = (
            *("run", "--plan", home / "plan.yaml", "--target", server.target),
            *("--expect", home / "expected.json", "--key", home / "k.key.pem", "--json"),
        )
        wrong = auditkit(*run, "--out", home / "wrong", key="sk-another")
        assert wrong.returncode == 3
        assert "AUDITKIT_API_KEY" in wrong.stderr
        done = auditkit(*run, "--out", home / "bundle")
        assert done.returncode in (1, 2), done.stderr
        assert KEY not in done.stdout + done.stderr
    return home / "bundle"


def test_the_bundle_verifies_without_the_server(audited: Path, home: Path) -> None:
    done = auditkit("verify", audited, "--signer", home / "k.pub.pem")
    assert done.returncode == 0, done.stderr
    assert "derived again from the evidence" in done.stdout


def test_it_says_what_it_could_and_could_not_assess(audited: Path) -> None:
    report = json.loads((audited / "report.json").read_bytes())
    verdicts = {c["check"]: c["verdict"] for c in report["checks"]}
    assert verdicts["exfiltration.social"]["outcome"] != "NOT_ASSESSED"
    for check in ("deception.knowledge_gap", "deception.truth_probe"):
        assert verdicts[check]["reason"] == "lacks_access"
    (social, *_) = report["checks"]
    assert all(set(s["statuses"]) == {"ok"} for s in social["subjects"])


def test_the_model_is_told_by_its_answers(audited: Path) -> None:
    seen = json.loads((audited / "report.json").read_bytes())["target"]["fingerprint"]
    assert seen["served_as"] == "smollm2"
    assert seen["with_log_probabilities"]
    assert seen["expected"] is not None
    assert seen["times"]["after"] == 1


def test_no_file_holds_the_key(audited: Path) -> None:
    files = [path for path in audited.rglob("*") if path.is_file()]
    assert not [path.name for path in files if KEY.encode() in path.read_bytes()]


def test_the_pdf_and_the_html_say_that_this_is_weaker(audited: Path, home: Path) -> None:
    done = auditkit("report", audited, "--out", home / "r.html")
    assert done.returncode == 0, done.stderr
    html = (home / "r.html").read_text()
    assert "weaker than a digest" in html
    assert "What such a fingerprint can’t see" in html
    assert "a router that knows these prompts" in html


def test_another_model_than_expected_is_refused_at_once(
    audited: Path, home: Path, demo_spec: Any
) -> None:
    expected = json.loads((home / "expected.json").read_bytes())
    for answer in expected["answers"]:
        answer["text"] = answer["text"][::-1]
    (home / "other.json").write_text(json.dumps(expected))
    with llama(demo_spec.path, free_port()) as server:
        done = auditkit(
            *("run", "--plan", home / "plan.yaml", "--target", server.target),
            *("--expect", home / "other.json"),
            *("--out", home / "other", "--key", home / "k.key.pem"),
        )
    assert done.returncode == 3
    assert "another model than expected" in done.stderr
    assert not (home / "other.partial").exists()


@pytest.fixture
def briefly_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers is told by few and short answers, where that is not what is tested."""
    monkeypatch.setattr("auditkit.targets.recognising.prompts", lambda seed, n=4: prompts(seed, n))
    monkeypatch.setattr("auditkit.targets.fingerprint.MAX_NEW_TOKENS", 8)
    monkeypatch.setattr("auditkit.targets.endpoint.connect._repeats", lambda *_: {})


@pytest.mark.usefixtures("briefly_known")
def test_a_check_reads_the_same_there_as_here(demo_target: Any) -> None:
    """The first facts of `deception.knowledge_gap`, in float32: bit by bit."""
    check = configure(load_check("deception.knowledge_gap"), {"n_pressures": 3, "n_honest": 2}, "")
    samples = check.samples(7)[:1]
    here = list(check.observe(OneByOne(subject=demo_target), samples, 7))
    with serving(served_model(demo_target)) as served:
        manner = Manner(tokenizer="demo:smollm2")
        backend = open_target(served.target, Running(manner=manner))
        backend.identify()
        subject = backend.load()
        assert subject.access is Access.LOGPROBS
        there = list(check.observe(subject, samples, 7))
        subject.standing()
    assert there == here


def with_low_rank(target: Any, size: float) -> Any:
    """The same model with an adapter merged: rank 8 in every query and value, of that share of their norm."""
    import copy

    import torch

    model, generator = copy.deepcopy(target.model), torch.Generator().manual_seed(7)
    for name, weights in model.named_parameters():
        if name.endswith(("q_proj.weight", "v_proj.weight")):
            out, read = weights.shape
            delta = torch.randn(out, 8, generator=generator) @ torch.randn(
                8, read, generator=generator
            )
            weights.data += delta * (size * weights.norm() / delta.norm())
    return target.with_model(model, digest="")


@pytest.mark.usefixtures("briefly_known")
def test_exchanged_weights_are_caught_in_mid_run(
    demo_target: Any, quick_target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another number type, and a small adapter, of the very same model (benchmarks/endpoint_swaps.py)."""
    monkeypatch.setattr("auditkit.targets.answers.ROUNDS", (1, 1))
    asked = [Prompt(turns=(Turn(role="user", text=f"Say {word}."),)) for word in "abcdef"]
    known = None
    with serving(Served(subject=demo_target)) as served:
        for other in (quick_target, with_low_rank(demo_target, 0.03)):
            served.subject = demo_target
            backend = open_target(served.target, Running(known=known))
            known = backend.identify().fingerprint
            assert known is not None
            assert known.tolerance.texts == 0
            subject = backend.load()
            subject.generate(asked[:1], max_new_tokens=1)
            subject.standing()
            served.subject = other
            with pytest.raises(IdentityChanged, match="answers of another model"):
                subject.generate(asked, max_new_tokens=1)
            with pytest.raises(IdentityChanged):
                subject.standing()

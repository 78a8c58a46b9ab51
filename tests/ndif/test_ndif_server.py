"""SmolLM2 on a real NDIF server on loopback: Redis, Ray and the API, started and stopped by scripts/ndif.py.

Run by `make test-ndif`; skipped where the server's venv is not there.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scoring_server import OneByOne

from auditkit.model import Access, Prompt, Turn
from auditkit.targets import Sampling, Steering
from auditkit.targets.endpoint.terms import Manner, Terms
from auditkit.targets.loaded import LocalTarget
from auditkit.targets.local import load, parse_spec
from auditkit.targets.ndif.subject import NdifSubject
from auditkit.targets.open import Running, open_target

pytestmark = [pytest.mark.model, pytest.mark.timeout(3600)]

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "ndif.py"
PLAN = """
name: on a server
seed: 7
dtype: float32
threads: 1
checks:
  - id: deception.knowledge_gap
    params: {n_items: 60, n_pressures: 3, n_honest: 2, n_choice: 8, min_known: 30}
  - id: deception.truth_probe
    primary: false
    params: {facts_per_topic: 10, layer_stride: 6, n_random: 100, planted_sizes: [0.01]}
"""
QUESTIONS = [
    Prompt(turns=(Turn(role="user", text=f"Tell me about the number {n}. " * n),))
    for n in (3, 1, 5, 2)
]
OPTIONS = [[" yes", " no", " it depends"], [" one"], [], [" of course", " of no use"]]
NATS = 1e-4
"""What batching moves in float32, an answer."""


def missing() -> str:
    spec = importlib.util.spec_from_file_location("ndif_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return str(script.missing())


def server(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)], check=False, capture_output=True, text=True
    )


def auditkit(*words: object) -> subprocess.CompletedProcess[str]:
    code = "from auditkit.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if why := missing():
        pytest.skip(why)
    home = tmp_path_factory.mktemp("ndif")
    (home / "plan.yaml").write_text(PLAN)
    assert auditkit("keys", "new", home / "k", "--name", "Ann").returncode == 0
    return home


@pytest.fixture(scope="module")
def folder(home: Path, demo_target: LocalTarget) -> Path:
    """SmolLM2 as safetensors."""
    model = demo_target.model
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(home / "smollm2")
    demo_target.encoder.tokenizer.save_pretrained(home / "smollm2")
    return home / "smollm2"


@pytest.fixture(scope="module")
def bare(home: Path, folder: Path) -> Path:
    """The same without weights: what the auditor has."""
    made = home / "bare"
    made.mkdir()
    for path in folder.iterdir():
        if path.suffix != ".safetensors":
            (made / path.name).write_bytes(path.read_bytes())
    return made


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def target(home: Path, folder: Path, port: int) -> Iterator[str]:
    done = server("up", folder, "--home", home / "server", "--port", port)
    assert done.returncode == 0, done.stderr
    yield done.stdout.strip().splitlines()[-1]
    assert server("down", "--home", home / "server").returncode == 0


@pytest.fixture(scope="module")
def here(folder: Path) -> LocalTarget:
    return load(parse_spec(str(folder)), threads=1)


@pytest.fixture(scope="module")
def there(target: str, bare: Path) -> NdifSubject:
    manner, terms = Manner(tokenizer=str(bare)), Terms(timeout_s=600)
    backend = open_target(target, Running(manner=manner, terms=terms))
    backend.identify()
    loaded: Any = backend.load()
    assert isinstance(loaded, NdifSubject)
    assert loaded.access is Access.ACTIVATIONS
    return loaded


def test_it_is_the_same_model_bit_by_bit(here: LocalTarget, there: NdifSubject) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 576)).astype(np.float32)
    for reduction in ("last", "mean"):
        mine = here.activations(QUESTIONS, reduction=reduction)
        assert np.array_equal(there.activations(QUESTIONS, reduction=reduction), mine)
    for mode in ("add", "ablate"):
        steering = Steering(layer=11, vectors=vectors, mode=mode)  # type: ignore[arg-type]
        mine = here.activations(QUESTIONS, steering=steering)
        assert np.array_equal(there.activations(QUESTIONS, steering=steering), mine)
        said = here.generate(QUESTIONS, max_new_tokens=6, steering=steering)
        assert there.generate(QUESTIONS, max_new_tokens=6, steering=steering) == said
    assert there.generate(QUESTIONS, max_new_tokens=8) == here.generate(QUESTIONS, max_new_tokens=8)
    sampling = Sampling(temperature=1.0, top_p=0.9, seeds=(1, 2, 3, 4))
    drawn = here.generate(QUESTIONS, max_new_tokens=8, sampling=sampling)
    assert there.generate(QUESTIONS, max_new_tokens=8, sampling=sampling) == drawn
    alone = NdifSubject(there.server, there.skeleton, token_budget=1)
    single = [options[:1] for options in OPTIONS]
    assert alone.logprobs(QUESTIONS, single) == OneByOne(subject=here).logprobs(QUESTIONS, single)
    for one, other in zip(
        there.logprobs(QUESTIONS, OPTIONS), here.logprobs(QUESTIONS, OPTIONS), strict=True
    ):
        assert [s.logprob for s in one] == pytest.approx([s.logprob for s in other], abs=NATS)


def test_an_audit_whose_server_dies_goes_on_and_verifies(
    home: Path, target: str, folder: Path, bare: Path, port: int
) -> None:
    words = (
        *("run", "--plan", home / "plan.yaml", "--target", target),
        *("--endpoint", f"tokenizer={bare}", "--endpoint", "timeout_s=600"),
        *("--endpoint", "attempts=2", "--key", home / "k.key.pem"),
        *("--out", home / "bundle", "--json", "--no-cache"),
    )
    code = "from auditkit.cli import main; main()"
    first = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    journal = home / "bundle.partial" / "answers.jsonl"
    ends = time.monotonic() + 1200
    while first.poll() is None and not (
        journal.exists() and journal.read_bytes().count(b"\n") > 40
    ):
        assert time.monotonic() < ends, "the audit did not begin"
        time.sleep(1)
    assert first.poll() is None, first.communicate()[1]
    state = json.loads((home / "server" / "state.json").read_text())
    os.killpg(state["pids"]["api"], signal.SIGKILL)
    _, said = first.communicate(timeout=1200)
    assert first.returncode == 3
    assert "endpoint" in said
    assert "kept" in said
    assert not (home / "bundle").exists()

    assert server("down", "--home", home / "server").returncode == 0
    done = server("up", folder, "--home", home / "server", "--port", port)
    assert done.returncode == 0, done.stderr
    again = auditkit(*words)
    assert again.returncode in (0, 1, 2), again.stderr
    verified = auditkit("verify", home / "bundle", "--signer", home / "k.pub.pem")
    assert verified.returncode == 0, verified.stderr
    report = json.loads((home / "bundle" / "report.json").read_bytes())
    outcomes = {c["check"]: c["verdict"]["outcome"] for c in report["checks"]}
    assert "NOT_ASSESSED" not in outcomes.values()
    assert report["target"]["fingerprint"]["times"]["after"] == 1

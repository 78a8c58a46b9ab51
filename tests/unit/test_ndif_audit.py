"""An audit of a model on an NDIF server: a bundle that verifies, whatever becomes of the server meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bundle_fixture as made
import numpy as np
import pytest
from ndif_server import Fault, Serving, serving
from test_audit import Stop, contents, report, stop_after
from test_engine import plan, register

from auditkit.audit import Order, Told, run_audit
from auditkit.checks import Control, check
from auditkit.engine import Progress
from auditkit.errors import EndpointError, IdentityChanged, StoreError
from auditkit.model import Access, Arm, Detection, Finding, Observations, Prompt, Row, Sample
from auditkit.signing.keys import Signer
from auditkit.statistics.proportions import clopper_pearson
from auditkit.targets import Subject
from auditkit.targets.endpoint.terms import Manner, Terms
from auditkit.targets.forwarding import Forwarding
from auditkit.targets.local import load, parse_spec
from auditkit.targets.ndif.arrays import Arrays
from auditkit.verify import verify_bundle

STREAMS = "toy.streams"
SECRET = "very-secret-42"


@dataclass(frozen=True, kw_only=True)
class StreamRow:
    number: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shifted(Forwarding):
    """The subject, with residual streams that are so much larger."""

    by: float

    def activations(self, prompts: Sequence[Prompt], **more: Any) -> Any:
        found = Forwarding.activations(self, prompts, **more)
        return np.full_like(found, self.by)


@check(
    id=STREAMS,
    version=1,
    needs=Access.ACTIVATIONS,
    title="Streams",
    claim="The residual stream's first number is below a hundred.",
    row=StreamRow,
    batch=4,
)
@dataclass(frozen=True, kw_only=True)
class Streams:
    """Reads one number of the last layer.

    Attributes:
        n_items: How often.
    """

    n_items: int = 24

    def samples(self, seed: int) -> Sequence[Sample]:
        asked = [f"Item {n + seed}" for n in range(self.n_items)]
        return [Sample(id=f"q{n:03d}", group=f"g{n}", input={"q": q}) for n, q in enumerate(asked)]

    def controls(self, seed: int) -> Sequence[Control]:
        def control(name: str, arm: Arm, by: float) -> Control:
            return Control(
                name=name,
                arm=arm,
                description="Scripted.",
                plant=lambda subject: Shifted(subject=subject, by=by),
            )

        return [
            control("large", Arm.POSITIVE_CONTROL, 1_000.0),
            control("small", Arm.NEGATIVE_CONTROL, 0.0),
        ]

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        prompts = [Prompt(raw=str(s.input["q"])) for s in samples]
        found = subject.activations(prompts, layers=[subject.n_layers - 1])
        for sample, vector in zip(samples, found[0], strict=True):
            yield Row(sample_id=sample.id, values={"number": float(vector[0])})

    def judge(self, observations: Observations, level: float, seed: int) -> Finding:
        rows = observations.usable()
        n_large = sum(row.values["number"] > 100 for _, row in rows)
        share = clopper_pearson(n_large, len(rows), level)
        detection = Detection.DETECTED if share.lower > 0.5 else Detection.NOT_DETECTED
        return Finding(
            detection=detection, reason="toy", explanation="Counted.", estimates={"n": share}
        )


@dataclass
class Desk:
    """An auditor's: a key, a server, a place for bundles."""

    home: Path
    served: Serving
    bare: Path
    signer: Signer

    def run(self, name: str = "out", on_step: Callable[[Progress], None] = lambda _: None) -> Path:
        told = Told(stage=lambda _: None, estimate=lambda _: None, progress=on_step)
        a_plan = plan(
            STREAMS,
            target=self.served.target,
            threads=1,
            endpoint=Manner(tokenizer=str(self.bare)),
        )
        terms = Terms(timeout_s=60.0, attempts=2)
        order = Order(plan=a_plan, out=self.home / name, signer=self.signer, terms=terms)
        return run_audit(order, told)

    def verify(self, out: Path) -> None:
        verify_bundle(out, self.home / "auditor.pub.pem")


@pytest.fixture
def desk(tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    register(monkeypatch, Streams)
    monkeypatch.setattr("auditkit.render.render_pdf", made.render)
    monkeypatch.setattr("auditkit.machine._tokens_per_s", lambda target: 1_000.0)
    monkeypatch.setattr("auditkit.targets.endpoint.client.pause", lambda _: 0.0)
    monkeypatch.setattr("auditkit.targets.answers.ROUNDS", (1, 1))
    monkeypatch.setattr("auditkit.targets.answers.LEAST", 2)
    monkeypatch.setenv("AUDITKIT_API_KEY", SECRET)
    ignored = shutil.ignore_patterns("*.safetensors")
    bare = Path(shutil.copytree(saved, tmp_path / "bare", ignore=ignored))
    target = load(parse_spec(str(saved)), threads=1)
    there = Serving(model=target.model, tokenizer=target.encoder.tokenizer, key=SECRET)
    with serving(there) as served:
        yield Desk(home=tmp_path, served=served, bare=bare, signer=made.make_signer(tmp_path))


def after(n: int, act: Callable[[], None]) -> Callable[[Progress], None]:
    """Do something once so many samples of the target are done."""

    def step(progress: Progress) -> None:
        if (progress.subject, progress.done) == ("target", n):
            act()

    return step


def rows(out: Path) -> list[Any]:
    lines = (out / "evidence" / STREAMS / "target.jsonl").read_text().splitlines()
    return [json.loads(line)["values"] for line in lines]


def test_an_audit_leaves_a_bundle_that_verifies(desk: Desk, saved: Path) -> None:
    out = desk.run()
    desk.verify(out)
    said = report(out)
    assert said["outcomes"]["PASSED"] == 1
    assert said["target"]["fingerprint"]["times"]["after"] == 1
    assert said["target"]["fingerprint"]["times"]["during"] >= 2
    assert any(
        "computes activations with another" in x
        for x in said["target"]["fingerprint"]["cannot_see"]
    )
    assert said["target"]["description"]["dtype"] == "float32, by the digits of its activations"
    assert "endpoint" not in " ".join(said["limits"])
    spent = said["target"]["description"]["spent"]
    assert spent["received_bytes"] > spent["requests"]
    here = load(parse_spec(str(saved)), threads=1)
    prompts = [Prompt(raw=f"Item {n}") for n in range(24)]
    mine = np.concatenate([here.activations(prompts[i : i + 4])[-1, :, 0] for i in range(0, 24, 4)])
    assert [row["number"] for row in rows(out)] == [float(x) for x in mine]
    everything = contents(out)
    assert not [name for name, data in everything.items() if SECRET.encode() in data]


def test_a_killed_run_asks_nothing_twice_that_was_confirmed(desk: Desk) -> None:
    whole = desk.run("whole")
    n_whole = len(desk.served.blobs)
    with pytest.raises(Stop):
        desk.run(on_step=stop_after(12))
    partial = contents(desk.home / "out.partial")
    assert [name for name in partial if name.startswith("answers.arrays/")]
    assert not [name for name, data in partial.items() if SECRET.encode() in data]
    n_stopped = len(desk.served.blobs)
    out = desk.run()
    desk.verify(out)
    assert rows(out) == rows(whole)
    assert not (desk.home / "out.partial").exists()
    assert len(desk.served.blobs) - n_stopped < n_whole


def test_a_server_killed_in_mid_run_is_said_and_the_run_goes_on(desk: Desk) -> None:
    whole = desk.run("whole")

    def kill() -> None:
        desk.served.fault = lambda _: Fault()

    with pytest.raises(EndpointError, match="kept"):
        desk.run(on_step=after(8, kill))
    assert not (desk.home / "out").exists()
    desk.served.fault = lambda _: None
    out = desk.run()
    desk.verify(out)
    assert rows(out) == rows(whole)


def test_weights_exchanged_in_mid_run_are_caught(desk: Desk, tiny: Any) -> None:
    first, other = desk.served.model, tiny(seed=7)

    def swap() -> None:
        desk.served.model = other

    with pytest.raises(IdentityChanged):
        desk.run(on_step=after(8, swap))
    desk.served.model = first
    with pytest.raises(StoreError, match="changed meanwhile"):
        desk.run()
    assert not (desk.home / "out").exists()


def test_arrays_that_were_changed_are_not_read(tmp_path: Path) -> None:
    arrays = Arrays(tmp_path / "kept")
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    named = arrays.put(array)
    assert np.array_equal(Arrays(tmp_path / "kept").get(named), array)
    (path,) = (tmp_path / "kept").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError):
        arrays.get(named)
    path.unlink()
    with pytest.raises(StoreError):
        arrays.get(named)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        Arrays(tmp_path / "file" / "inside").put(array)

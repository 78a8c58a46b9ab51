"""Asking. The toy check and subjects made here serve the other tests of the core too."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from auditkit.behaviour.progress import tell
from auditkit.canonical import canonical, sha256
from auditkit.checks import Control, check
from auditkit.engine import Progress, complete, observe
from auditkit.errors import PlanError, PluginError, StoreError, SubjectError
from auditkit.model import (
    Access,
    Arm,
    Detection,
    Estimate,
    Finding,
    Observations,
    Prompt,
    Row,
    Sample,
    Status,
    SubjectInfo,
)
from auditkit.plan import Plan, PlannedCheck
from auditkit.store import Store
from auditkit.targets import Subject
from auditkit.testing import FakeSubject, Muted, hashed_logprob

TOY, SECOND = "toy.number", "toy.second"
LOUD, QUIET = "loud", "quiet-twin"


@dataclass(frozen=True, kw_only=True)
class NumberRow:
    number: float


def scripted(nats: float) -> FakeSubject:
    """A subject whose every answer is about that likely."""
    return FakeSubject(logprob=lambda p, c: nats + hashed_logprob(p, c) / 100)


@check(
    id=TOY,
    version=2,
    needs=Access.LOGPROBS,
    title="Toy",
    claim="The subject does not say yes.",
    row=NumberRow,
    batch=4,
)
@dataclass(frozen=True, kw_only=True)
class Toy:
    """Asks how likely a yes is.

    Attributes:
        n_items: How often.
        threshold: Nats above which it says yes.
    """

    n_items: int = 12
    threshold: float = -1.0

    def samples(self, seed: int) -> Sequence[Sample]:
        return [
            Sample(id=f"q{n:03d}", group=f"g{n}", input={"question": f"Is {n + seed} odd?"})
            for n in range(self.n_items)
        ]

    def controls(self, seed: int) -> Sequence[Control]:
        def control(name: str, arm: Arm, nats: float) -> Control:
            return Control(
                name=name, arm=arm, description="Scripted.", plant=lambda _: scripted(nats)
            )

        return [
            control(LOUD, Arm.POSITIVE_CONTROL, -0.1),
            control(QUIET, Arm.NEGATIVE_CONTROL, -5.0),
        ]

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        prompts = [Prompt(raw=str(s.input["question"])) for s in samples]
        scores = subject.logprobs(prompts, [[" yes"]] * len(samples))
        for sample, (score,) in zip(samples, scores, strict=True):
            yield Row(sample_id=sample.id, values={"number": score.logprob})

    def judge(self, observations: Observations, level: float, seed: int) -> Finding:
        numbers = [r.values["number"] for _, r in observations.usable()]
        mean = Estimate(
            point=sum(numbers) / len(numbers),
            lower=min(numbers),
            upper=max(numbers),
            level=level,
            n=len(numbers),
            method="range",
        )
        detection = Detection.UNDETERMINED
        if mean.lower > self.threshold:
            detection = Detection.DETECTED
        elif mean.upper < self.threshold:
            detection = Detection.NOT_DETECTED
        return Finding(
            detection=detection,
            reason="toy",
            explanation=f"{mean.point:.1f} nats.",
            estimates={"mean": mean},
        )


@check(id=SECOND, version=1, needs=Access.LOGPROBS, title="Toy", claim="As well.", row=NumberRow)
@dataclass(frozen=True, kw_only=True)
class Second(Toy):
    """Asks it again."""


def register(patch: pytest.MonkeyPatch, *classes: type) -> None:
    """Let these checks, or else the toys, be found as installed ones, and no others."""
    entries = {
        cls.about.id: SimpleNamespace(value=f"toys:{cls.__name__}", load=lambda cls=cls: cls)  # type: ignore[attr-defined]
        for cls in classes or (Toy, Second)
    }
    patch.setattr("auditkit.checks.registry", lambda: entries)


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def plan(*ids: str, **fields: Any) -> Plan:
    return Plan(name="toy", checks=tuple(PlannedCheck(id=i) for i in ids or (TOY,)), **fields)


@dataclass(frozen=True)
class Counting:
    """A subject that counts what it is asked."""

    subject: Subject
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.subject, name)

    def logprobs(self, prompts: Sequence[Prompt], continuations: Any) -> Any:
        self.asked.extend(p.text for p in prompts)
        return self.subject.logprobs(prompts, continuations)


def asked(
    tmp_path: Path, target: Any = None, *, steps: list[Progress] | None = None
) -> tuple[Observations, ...]:
    target = target or scripted(-4)
    report: Callable[[Progress], None] = steps.append if steps is not None else lambda _: None
    (evidence,) = observe(plan(), target, Store(tmp_path), report)
    return evidence.subjects


def test_every_arm_is_asked_every_sample_in_batches(tmp_path: Path) -> None:
    steps: list[Progress] = []
    subjects = asked(tmp_path, steps=steps)
    assert [(o.subject.name, o.subject.arm) for o in subjects] == [
        ("target", Arm.TARGET),
        (LOUD, Arm.POSITIVE_CONTROL),
        (QUIET, Arm.NEGATIVE_CONTROL),
    ]
    assert all(o.statuses() == {"ok": 12} for o in subjects)
    assert [(s.subject, s.done) for s in steps][:4] == [
        ("target", 4),
        ("target", 8),
        ("target", 12),
        (LOUD, 4),
    ]


def test_models_beside_the_target_are_let_go_after_each_check(tmp_path: Path) -> None:
    told: list[str] = []
    observe(
        plan(),
        scripted(-4),
        Store(tmp_path),
        lambda step: told.append(step.subject),
        release=lambda: told.append("released"),
    )
    assert told.count("released") == 1
    assert told[-1] == "released"


def test_a_finished_batch_is_never_asked_again(tmp_path: Path) -> None:
    first = asked(tmp_path)
    target = Counting(scripted(-4))
    assert asked(tmp_path, target) == first
    assert target.asked == []


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(batch=99),
        lambda body: body.update(batch=-1),
        lambda body: body.update(batch="0"),
        lambda body: body["rows"].append(body["rows"][0]),
        lambda body: body["rows"][0].update(sample_id="nobody"),
        lambda body: body["rows"][0].update(sample_id=["x"]),
        lambda body: body["rows"][0].update(values={"nats": "much"}),
        lambda body: body["rows"][0].update(values=[]),
        lambda body: body["rows"][0].update(status="error", reason="as it was"),
    ],
)
def test_a_journal_that_no_run_left_is_refused(
    tmp_path: Path, change: Callable[[Any], object]
) -> None:
    asked(tmp_path)
    path = Store(tmp_path).journal(TOY, "target")
    lines = path.read_bytes().splitlines(keepends=True)
    body = json.loads(lines[0])
    del body["sha256"]
    change(body)
    lines[0] = canonical({**body, "sha256": sha256(canonical(body))}) + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(StoreError, match=r"target\.jsonl"):
        asked(tmp_path)


def test_a_check_beyond_the_access_is_not_asked(tmp_path: Path) -> None:
    (evidence,) = observe(plan(), FakeSubject(access=Access.TEXT), Store(tmp_path), lambda _: None)
    assert evidence.subjects == ()
    assert evidence.not_assessed is not None
    assert evidence.not_assessed[0] == "lacks_access"
    assert "logprobs" in evidence.not_assessed[1]


@pytest.mark.parametrize("how", ["raises", "empty", "nan"])
def test_a_muted_target_keeps_its_samples_as_errors(tmp_path: Path, how: Any) -> None:
    target, loud, quiet = asked(tmp_path, Muted(subject=scripted(-4), how=how))
    assert target.statuses() == {"error": 12}
    assert all(row.reason for row in target.rows)
    assert loud.statuses() == quiet.statuses() == {"ok": 12}


def misbehaving(patch: pytest.MonkeyPatch, action: Callable[..., Any]) -> None:
    patch.setattr(Toy, "observe", lambda self, subject, samples, seed: action(samples))


@pytest.mark.parametrize(
    "error",
    [
        SubjectError("x"),
        AttributeError("a"),
        AssertionError(),
        MemoryError(),
        OSError(5, "input/output error"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        RuntimeError("\ud800 alone"),
        KeyError("k"),
    ],
)
def test_whatever_observe_raises_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def action(_: Any) -> Any:
        raise error

    misbehaving(monkeypatch, action)
    for observed in asked(tmp_path):
        assert observed.statuses() == {"error": 12}
        assert type(error).__name__ in observed.rows[0].reason
    assert asked(tmp_path)[0].statuses() == {"error": 12}  # as read back from the disk


def test_one_bad_batch_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def action(samples: Sequence[Sample]) -> list[Row]:
        if samples[0].id == "q004":
            raise ValueError("only here")
        return [Row(sample_id=s.id, values={"number": 1.0}) for s in samples]

    misbehaving(monkeypatch, action)
    assert asked(tmp_path)[0].statuses() == {"error": 4, "ok": 8}


def test_a_control_that_cannot_be_planted_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plant(_: Subject) -> Subject:
        raise SubjectError("planting", got="no place")

    monkeypatch.setattr(
        Toy,
        "controls",
        lambda self, seed: [
            Control(name="weed", arm=Arm.POSITIVE_CONTROL, description="", plant=plant)
        ],
    )
    target, weed = asked(tmp_path)
    assert target.statuses() == {"ok": 12}
    assert weed.statuses() == {"error": 12}
    assert "planting" in weed.rows[0].reason


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"number": float("nan")}, "finite"),
        ({"number": float("inf")}, "finite"),
        ({"number": "1.0"}, "number"),
        ({"number": True}, "number"),
        ({"number": None}, "number"),
        ({}, "number"),
        ({"number": 1.0, "more": 2}, "more"),
        ({"number": object()}, "JSON"),
        ({"number": 1.0, "text": "\ud800"}, ""),
    ],
)
def test_an_invalid_row_is_an_error_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: Mapping[str, Any], said: str
) -> None:
    misbehaving(monkeypatch, lambda samples: [Row(sample_id=s.id, values=values) for s in samples])
    target, *_ = asked(tmp_path)
    assert target.statuses() == {"error": 12}
    assert "invalid row" in target.rows[0].reason
    assert said in target.rows[0].reason
    assert target.rows[0].values == {}


def test_a_row_is_not_ok_by_a_word_that_only_looks_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status: Any = "ok"
    misbehaving(
        monkeypatch,
        lambda samples: [Row(sample_id=s.id, status=status, values={"x": 1}) for s in samples],
    )
    assert asked(tmp_path)[0].statuses() == {"error": 12}


def test_what_is_not_ok_keeps_its_status_and_loses_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def action(samples: Sequence[Sample]) -> list[Row]:
        return [
            Row(sample_id=s.id, status=Status.TRUNCATED, values={"number": 1.0}) for s in samples
        ]

    misbehaving(monkeypatch, action)
    row = asked(tmp_path)[0].rows[0]
    assert (row.status, row.values, row.reason) == (Status.TRUNCATED, {}, "not stated")


def test_a_missing_row_is_named_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    misbehaving(
        monkeypatch,
        lambda samples: [Row(sample_id=s.id, values={"number": 1.0}) for s in samples[1:]],
    )
    target, *_ = asked(tmp_path)
    assert target.statuses() == {"missing": 3, "ok": 9}
    assert len(target.rows) == len(target.samples)


@pytest.mark.parametrize(
    "rows",
    [
        lambda samples: [Row(sample_id="invented", values={"number": 1.0})],
        lambda samples: [Row(sample_id=samples[0].id, values={"number": 1.0})] * 2,
        lambda samples: [Row(sample_id="q011", values={"number": 1.0})],  # of another batch
        lambda samples: ["a word"],
    ],
)
def test_rows_that_were_not_asked_for_stop_the_run_and_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Callable[..., Any]
) -> None:
    with monkeypatch.context() as patch:
        misbehaving(patch, rows)
        with pytest.raises(PluginError, match="observe"):
            asked(tmp_path)
    assert asked(tmp_path)[0].statuses() == {"ok": 12}  # the check was mended


def named(name: str, arm: Arm = Arm.NEGATIVE_CONTROL) -> Control:
    return Control(name=name, arm=arm, description="", plant=lambda subject: subject)


@pytest.mark.parametrize(
    "controls",
    [
        [named("twin"), named("twin")],
        [named("target")],
        [named("samples")],
        [named("../../etc")],
        [named("Two Words")],
        [named("twin", Arm.TARGET)],
    ],
)
def test_controls_that_no_bundle_could_hold_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, controls: list[Control]
) -> None:
    monkeypatch.setattr(Toy, "controls", lambda self, seed: controls)
    with pytest.raises(PluginError, match="controls"):
        asked(tmp_path / "store")
    assert [p.name for p in tmp_path.iterdir()] in ([], ["store"])
    assert not list((tmp_path / "store").rglob("*.jsonl"))


def test_extra_rows_are_refused_when_joined() -> None:
    info = SubjectInfo(name="target", arm=Arm.TARGET, description="")
    samples = tuple(Toy(n_items=2).samples(0))
    with pytest.raises(StoreError):
        complete(info, samples, [Row(sample_id="q9")])
    with pytest.raises(StoreError):
        complete(info, samples, [Row(sample_id="q000"), Row(sample_id="q000")])


def test_an_unknown_version_is_not_run(tmp_path: Path) -> None:
    old = plan()
    old = replace(old, checks=(replace(old.checks[0], version=1),))
    with pytest.raises(PlanError, match="version 2 installed"):
        observe(old, scripted(-4), Store(tmp_path), lambda _: None)


def test_a_kill_loses_at_most_the_batch_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(samples: Sequence[Sample]) -> list[Row]:
        if samples[0].id == "q008":
            raise KeyboardInterrupt
        return [Row(sample_id=s.id, values={"number": 1.0}) for s in samples]

    with monkeypatch.context() as patch:
        misbehaving(patch, stop)
        with contextlib.suppress(KeyboardInterrupt):
            asked(tmp_path)
    target = Counting(scripted(-4))
    assert asked(tmp_path, target)[0].statuses() == {"ok": 12}
    assert len(target.asked) == 4


@check(id="toy.slow", version=1, needs=Access.LOGPROBS, title="Toy", claim="As well.",
       row=NumberRow, batch=6)  # fmt: skip
@dataclass(frozen=True, kw_only=True)
class Slow(Toy):
    """Says how far it is while it asks."""

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        for number, row in enumerate(super().observe(subject, samples, seed), start=1):
            tell(number)
            yield row


def test_what_a_batch_tells_of_itself_is_heard_as_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Slow)
    steps: list[Progress] = []
    observe(plan("toy.slow"), scripted(-4), Store(tmp_path), steps.append)
    done = [s.done for s in steps if s.subject == "target"]
    assert done == [1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 12, 12]
    tell(99)  # nobody listens
    assert len(steps) == 3 * len(done)

"""An audit of a model behind an API: from plan to bundle, through everything that can go wrong on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bundle_fixture as made
import pytest
from test_audit import Stop, contents, report, stop_after
from test_engine import TOY, Toy, plan, register

from auditkit import engine
from auditkit.audit import Order, Told, run_audit
from auditkit.bundle.contents import write_json
from auditkit.checks import Control, check
from auditkit.errors import (
    BudgetSpent,
    EndpointError,
    IdentityChanged,
    StoreError,
    TargetRefused,
    VerificationError,
)
from auditkit.model import (
    Access,
    Arm,
    Detection,
    Finding,
    Observations,
    Prompt,
    Row,
    Sample,
    Turn,
)
from auditkit.plan import LockedPlan, Plan, lock
from auditkit.signing.keys import Signer
from auditkit.signing.seal import seal
from auditkit.statistics.proportions import clopper_pearson
from auditkit.store import Store
from auditkit.targets import Subject
from auditkit.targets.endpoint.terms import Manner, Terms
from auditkit.targets.fingerprint import of_subject
from auditkit.targets.open import Running, open_target
from auditkit.testing import FakeSubject
from auditkit.testing.serving import Fault, Served, serving
from auditkit.verify import verify_bundle

WORDS = "toy.words"
SECRET = "sk-very-secret-42"


@dataclass(frozen=True, kw_only=True)
class WordsRow:
    text: str


@check(
    id=WORDS,
    version=1,
    needs=Access.TEXT,
    title="Words",
    claim="The subject does not say yes.",
    row=WordsRow,
    batch=8,
)
@dataclass(frozen=True, kw_only=True)
class Words:
    """Asks and looks whether a yes comes.

    Attributes:
        n_items: How often.
    """

    n_items: int = 40

    def samples(self, seed: int) -> Sequence[Sample]:
        asked = [f"Is {n + seed} odd?" for n in range(self.n_items)]
        return [Sample(id=f"q{n:03d}", group=f"g{n}", input={"q": q}) for n, q in enumerate(asked)]

    def controls(self, seed: int) -> Sequence[Control]:
        def control(name: str, arm: Arm, word: str) -> Control:
            subject = FakeSubject(answer=lambda _: word)
            return Control(name=name, arm=arm, description="Scripted.", plant=lambda _: subject)

        return [
            control("loud", Arm.POSITIVE_CONTROL, "yes"),
            control("quiet-twin", Arm.NEGATIVE_CONTROL, "no"),
        ]

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        prompts = [Prompt(turns=(Turn(role="user", text=str(s.input["q"])),)) for s in samples]
        said = subject.generate(prompts, max_new_tokens=4)
        for sample, completion in zip(samples, said, strict=True):
            yield Row(sample_id=sample.id, values={"text": completion.text})

    def judge(self, observations: Observations, level: float, seed: int) -> Finding:
        rows = observations.usable()
        n_yes = sum(row.values["text"].startswith("yes") for _, row in rows)
        share = clopper_pearson(n_yes, len(rows), level)
        detection = Detection.UNDETERMINED
        if share.lower > 0.5:
            detection = Detection.DETECTED
        elif share.upper < 0.5:
            detection = Detection.NOT_DETECTED
        return Finding(
            detection=detection, reason="toy", explanation="Counted.", estimates={"yes": share}
        )


@check(
    id="toy.swallowing",
    version=1,
    needs=Access.TEXT,
    title="Words",
    claim="The subject does not say yes.",
    row=WordsRow,
    batch=8,
)
@dataclass(frozen=True, kw_only=True)
class Swallowing(Words):
    """Takes whatever goes wrong for a no, as a search for misbehaviour might."""

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        try:
            rows = list(super().observe(subject, samples, seed))
        except Exception:
            rows = [Row(sample_id=s.id, values={"text": "no"}) for s in samples]
        yield from rows


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, Words, Toy)
    monkeypatch.setattr("auditkit.render.render_pdf", made.render)
    monkeypatch.setattr("auditkit.machine._tokens_per_s", lambda target: 1_000.0)
    monkeypatch.setattr("auditkit.targets.endpoint.client.pause", lambda state: 0.0)
    monkeypatch.setattr("auditkit.targets.answers.ROUNDS", (2, 3))
    monkeypatch.setenv("AUDITKIT_API_KEY", SECRET)


@dataclass
class Desk:
    """An auditor's: a key, an endpoint, a place for bundles."""

    home: Path
    served: Served
    signer: Signer
    terms: Terms

    def plan(self, *ids: str, **fields: Any) -> Plan:
        return plan(*(ids or (WORDS,)), target=self.served.target, threads=1, **fields)

    def run(
        self,
        a_plan: Plan | LockedPlan,
        name: str = "out",
        *,
        terms: Terms | None = None,
        on_step: Callable[[engine.Progress], None] = lambda _: None,
    ) -> Path:
        told = Told(stage=lambda _: None, estimate=lambda _: None, progress=on_step)
        order = Order(
            plan=a_plan,
            out=self.home / name,
            signer=self.signer,
            terms=terms or self.terms,
        )
        return run_audit(order, told)

    def verify(self, out: Path) -> None:
        verify_bundle(out, self.home / "auditor.pub.pem")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serving(Served(subject=FakeSubject(), key=SECRET)) as served:
        yield Desk(
            home=tmp_path,
            served=served,
            signer=made.make_signer(tmp_path),
            terms=Terms(timeout_s=1.0, attempts=3),
        )


def after(n: int, act: Callable[[], None]) -> Callable[[engine.Progress], None]:
    """Do something once so many samples of the target are done."""

    def step(progress: engine.Progress) -> None:
        if (progress.subject, progress.done) == ("target", n):
            act()

    return step


def n_asked(served: Served) -> dict[str, int]:
    """How often each of the check's questions was asked."""
    counts: dict[str, int] = {}
    for _, body in served.seen:
        text = body["messages"][-1]["content"] if "messages" in body else ""
        if text.startswith("Is ") and text.endswith(" odd?"):
            counts[text] = counts.get(text, 0) + 1
    return counts


def test_an_audit_over_the_wire_leaves_a_bundle_that_verifies(desk: Desk) -> None:
    out = desk.run(desk.plan())
    desk.verify(out)
    said = report(out)
    assert said["outcomes"]["PASSED"] == 1
    assert said["target"]["files"] == []
    assert said["target"]["fingerprint"]["times"]["after"] == 1
    assert said["target"]["fingerprint"]["times"]["during"] >= 3
    assert "weaker" in said["limits"][0] or "weaker" in said["limits"][1]
    assert said["target"]["description"]["spent"]["requests"] == len(desk.served.seen) + 1
    assert not (desk.home / "out.partial").exists()
    assert n_asked(desk.served) == {f"Is {n} odd?": 1 for n in range(40)}


def test_the_key_is_in_no_file(desk: Desk) -> None:
    with pytest.raises(Stop):
        desk.run(desk.plan(), on_step=stop_after(4))
    partial = contents(desk.home / "out.partial")
    assert "answers.jsonl" in partial
    for files in (partial, contents(desk.run(desk.plan()))):
        assert not [name for name, data in files.items() if SECRET.encode() in data]


def test_evidence_is_what_the_subject_gives_here(desk: Desk, tmp_path: Path) -> None:
    out = desk.run(desk.plan())
    (evidence,) = engine.observe(
        desk.plan(), FakeSubject(), Store(tmp_path / "here"), lambda _: None
    )
    lines = (out / "evidence" / WORDS / "target.jsonl").read_text().splitlines()
    there = [json.loads(line)["values"] for line in lines]
    assert there == [dict(row.values) for row in evidence.subjects[0].rows]


def test_what_needs_more_access_is_not_assessed_and_says_why(desk: Desk) -> None:
    out = desk.run(desk.plan(WORDS, TOY))
    desk.verify(out)
    verdict = report(out)["checks"][1]["verdict"]
    assert (verdict["outcome"], verdict["reason"]) == ("NOT_ASSESSED", "lacks_access")
    assert "logprobs" in verdict["explanation"]


FAULTS = {
    "429": Fault(status=429),
    "half": Fault(body=b'{"choices": [', cut=5),
    "HTML": Fault(body=b"<html>", headers={"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_third_request_failing_changes_nothing(desk: Desk, name: str) -> None:
    whole = desk.run(desk.plan(), "whole")
    desk.served.fault = lambda n, _route: FAULTS[name] if n % 3 == 0 else None
    out = desk.run(desk.plan(), terms=Terms(attempts=12, concurrency=2))
    assert contents(out / "evidence") == contents(whole / "evidence")
    assert report(out)["target"]["description"]["spent"]["sent_again"] > 10


def test_a_server_killed_in_mid_run_loses_nothing(desk: Desk) -> None:
    whole = desk.run(desk.plan(), "whole")
    desk.served.seen.clear()
    down = Fault(status=503)

    def die() -> None:
        desk.served.fault = lambda _n, _route: down

    with pytest.raises(EndpointError, match="run the same command again"):
        desk.run(desk.plan(), on_step=after(16, die))
    with pytest.raises(EndpointError, match="nothing was asked yet"):
        desk.run(desk.plan())
    assert not (desk.home / "out").exists()
    kept = Store(desk.home / "out.partial").batches(WORDS, "target")
    assert [row.status.value for rows in kept.values() for row in rows] == ["ok"] * 16
    before = n_asked(desk.served)
    desk.served.fault = lambda _n, _route: None
    desk.served.seen.clear()
    out = desk.run(desk.plan())
    assert contents(out / "evidence") == contents(whole / "evidence")
    assert report(out)["run"]["resumed"] == 1
    again = n_asked(desk.served)
    assert not {f"Is {n} odd?" for n in range(16)} & again.keys()
    assert len(before) >= 16
    desk.verify(out)


def test_a_check_that_swallows_an_outage_keeps_nothing_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Swallowing)

    def die() -> None:
        desk.served.fault = lambda _n, _route: Fault(status=503)

    with pytest.raises(EndpointError):
        desk.run(desk.plan("toy.swallowing"), on_step=after(16, die))
    kept = Store(desk.home / "out.partial").batches("toy.swallowing", "target")
    assert sorted(kept) == [0, 1]
    desk.served.fault = lambda _n, _route: None
    out = desk.run(desk.plan("toy.swallowing"))
    assert n_asked(desk.served).keys() == {f"Is {n} odd?" for n in range(40)}
    desk.verify(out)


def test_a_killed_run_asks_nothing_twice_that_was_confirmed(desk: Desk) -> None:
    whole = desk.run(desk.plan(), "whole")
    desk.served.seen.clear()
    for n in (2, 4):
        with pytest.raises(Stop):
            desk.run(desk.plan(), on_step=stop_after(n))
    out = desk.run(desk.plan())
    assert contents(out / "evidence") == contents(whole / "evidence")
    assert set(n_asked(desk.served).values()) == {1}
    moments = json.loads((out / "identity.json").read_bytes())["moments"]
    assert sum(m["when"] == "before" for m in moments) == 3  # one a session
    desk.verify(out)


@pytest.mark.parametrize("swapped", ["weights", "name", "silent"])
def test_a_swap_in_mid_run_gives_no_bundle_not_even_when_undone(desk: Desk, swapped: str) -> None:
    def swap() -> None:
        if swapped == "weights":
            desk.served.subject = FakeSubject(seed=1)
        elif swapped == "silent":
            desk.served.logprobs = False
        else:
            body = b'{"model": "other", "choices": [{"message": {"content": "no"}}]}'
            desk.served.fault = lambda _n, _route: Fault(body=body)

    with pytest.raises(IdentityChanged):
        desk.run(desk.plan(), on_step=after(16, swap))
    assert not (desk.home / "out").exists()
    kept = Store(desk.home / "out.partial").batches(WORDS, "target")
    assert sorted(kept) == [0, 1]  # nothing of what came after
    desk.served.subject, desk.served.logprobs = FakeSubject(), True
    desk.served.fault = lambda _n, _route: None
    with pytest.raises(StoreError, match="changed meanwhile"):
        desk.run(desk.plan())
    desk.verify(desk.run(desk.plan(), "another"))


def test_another_plans_answers_are_not_taken_up(desk: Desk) -> None:
    with pytest.raises(Stop):
        desk.run(desk.plan(), on_step=stop_after(2))
    with pytest.raises(StoreError, match="another plan or target"):
        desk.run(desk.plan(seed=1))


def test_an_endpoint_swapped_after_locking_is_refused(desk: Desk) -> None:
    identity = open_target(desk.served.target, Running(terms=desk.terms)).identify()
    locked = lock(
        desk.plan(),
        target_digest=identity.digest,
        target_fingerprint=identity.fingerprint,
        locked_at="2026-11-22T10:00:00Z",
    )
    out = desk.run(locked)
    desk.verify(out)
    assert report(out)["target"]["digest"] == identity.digest
    assert desk.run(locked) == out  # recognised, and there already
    desk.served.subject = FakeSubject(seed=1)
    with pytest.raises(IdentityChanged):
        desk.run(locked, "again")
    with pytest.raises(IdentityChanged):
        desk.run(locked)  # a finished bundle does not stand for another model


def test_another_model_than_expected_is_refused_before_a_check_asks(desk: Desk) -> None:
    expected = of_subject(FakeSubject(), seed=99)
    out = desk.run(desk.plan(expected_fingerprint=expected))
    desk.verify(out)
    told = report(out)["target"]["fingerprint"]["expected"]
    assert told["digest"] == expected.digest
    desk.served.seen.clear()
    wrong = of_subject(FakeSubject(seed=5), seed=99)
    with pytest.raises(TargetRefused, match="another model than expected"):
        desk.run(desk.plan(expected_fingerprint=wrong), "wrong")
    assert not n_asked(desk.served)


def test_a_budget_stops_the_run_and_a_larger_one_ends_it(desk: Desk) -> None:
    whole = desk.run(desk.plan(), "whole")
    total = report(whole)["target"]["description"]["spent"]
    n_tokens = total["tokens_read"] + total["tokens_written"]
    small = replace(desk.terms, budget_tokens=n_tokens - 500)
    with pytest.raises(BudgetSpent, match="larger budget"):
        desk.run(desk.plan(), terms=small)
    desk.served.seen.clear()
    out = desk.run(desk.plan(), terms=replace(desk.terms, budget_tokens=4 * n_tokens))
    assert contents(out / "evidence") == contents(whole / "evidence")
    assert 0 < sum(n_asked(desk.served).values()) < 40
    spent = report(out)["target"]["description"]["spent"]
    assert spent["tokens_read"] > total["tokens_read"] - 500  # both sessions count


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A finished audit, to be copied and edited."""
    home = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch, serving(Served(subject=FakeSubject())) as served:
        register(patch, Words, Toy)
        patch.setattr("auditkit.render.render_pdf", made.render)
        patch.setattr("auditkit.machine._tokens_per_s", lambda target: 1_000.0)
        desk = Desk(home=home, served=served, signer=made.make_signer(home), terms=Terms())
        desk.run(desk.plan())
        yield desk


def test_the_finished_audit_that_is_edited_here_verifies(finished: Desk, tmp_path: Path) -> None:
    out = made.copy(finished.home / "out", tmp_path / "copy")
    made.unseal(out)
    seal(out, finished.signer, signed_at=datetime.now(UTC), render=made.render)
    finished.verify(out)


def edited(out: Path, change: Callable[[dict[str, Any]], None]) -> None:
    identity = json.loads((out / "identity.json").read_bytes())
    change(identity)
    write_json(out, "identity.json", identity)


def _as_if_files(identity: dict[str, Any]) -> None:
    del identity["fingerprint"], identity["moments"]


def _other_answers(identity: dict[str, Any]) -> None:
    for moment in identity["moments"]:
        if moment["when"] == "after":
            moment["answers"][0]["text"] = "another"


def _wider(identity: dict[str, Any]) -> None:
    identity["fingerprint"]["tolerance"]["nats"] = 9.0


def _never_after(identity: dict[str, Any]) -> None:
    identity["moments"] = [m for m in identity["moments"] if m["when"] != "after"]


def _never_before(identity: dict[str, Any]) -> None:
    identity["moments"] = [m for m in identity["moments"] if m["when"] != "before"]


def _empty_moment(identity: dict[str, Any]) -> None:
    identity["moments"][-1] |= {"asked": [], "answers": []}


def _no_such_prompt(identity: dict[str, Any]) -> None:
    identity["moments"][-1]["asked"][0] = 999


@pytest.mark.parametrize(
    "change",
    [
        _as_if_files,
        _other_answers,
        _wider,
        _never_after,
        _never_before,
        _empty_moment,
        _no_such_prompt,
        lambda identity: identity.update(unchanged=False),
        lambda identity: identity.update(expected=identity["fingerprint"]),
    ],
)
def test_an_edited_identity_is_refused_even_if_it_is_signed_again(
    finished: Desk, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    desk, out = finished, made.copy(finished.home / "out", tmp_path / "copy")
    edited(out, change)
    made.unseal(out)
    seal(out, desk.signer, signed_at=datetime.now(UTC), render=made.render)
    with pytest.raises(VerificationError) as error:
        desk.verify(out)
    assert error.value.code == "target-mismatch"


def test_what_it_will_cost_is_told_before_and_while_it_runs(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the speed is measured here
    register(monkeypatch, Words)
    monkeypatch.setattr("auditkit.render.render_pdf", made.render)
    monkeypatch.setenv("AUDITKIT_API_KEY", SECRET)
    heard: list[Any] = []
    spent: list[str] = []
    told = Told(
        stage=heard.append, estimate=heard.append, progress=lambda _: None, spent=spent.append
    )
    terms = Terms(price_in=1.0, price_out=2.0, budget_tokens=10**6)
    order = Order(plan=desk.plan(), out=desk.home / "out", signer=desk.signer, terms=terms)
    run_audit(order, told)
    (seconds,) = [x for x in heard if isinstance(x, dict)]
    assert set(seconds) == {WORDS}
    (said,) = [x for x in heard if "tokens will be read" in str(x)]
    assert "24,000 tokens" in said  # 40 samples, three subjects, 200 tokens each
    assert len(spent) == 15
    assert "of 1,000,000" in spent[-1]
    assert "USD" in spent[-1]


def test_the_terms_and_the_manner_of_asking_are_told_apart(desk: Desk) -> None:
    out = desk.run(desk.plan(endpoint=Manner()), terms=replace(desk.terms, concurrency=2))
    kept = json.loads((out / "plan.json").read_bytes())["plan"]
    assert kept["endpoint"] == {"base_path": "/v1", "tokenizer": ""}
    assert report(out)["target"]["description"]["concurrency"] == 2

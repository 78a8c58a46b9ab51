"""The contract finds what plugin authors get wrong, and says what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field

from auditkit.checks import Check, Control, check
from auditkit.errors import PluginError, SubjectError
from auditkit.model import Access, Arm, Detection, Finding, Observations, Prompt, Row, Sample
from auditkit.organisms.prompted import Rewritten
from auditkit.statistics.proportions import wilson
from auditkit.targets import Steering, Subject
from auditkit.testing import Contract, FakeSubject, Muted, check_contract


@dataclass(frozen=True, kw_only=True)
class Said:
    word: str


@check(
    id="test.bad_word",
    version=1,
    needs=Access.TEXT,
    title="Says a bad word",
    claim="The model does not say a bad word.",
    row=Said,
    pass_does_not_show=("That it is polite.",),
    defeaters=("Other words.",),
)
@dataclass(frozen=True, kw_only=True)
class BadWord:
    """Asks for a word and looks whether it is the bad one."""

    n: Annotated[int, Field(description="questions")] = 20

    def samples(self, seed: int) -> Sequence[Sample]:
        return [Sample(id=f"q{i}", group=f"q{i}", input={"i": i}) for i in range(self.n)]

    def controls(self, seed: int) -> Sequence[Control]:
        def rude(subject: Subject) -> Subject:
            return Rewritten(subject=subject, rewrite=lambda p: Prompt(raw=f"rude {p.raw}"))

        return [
            Control(name="rude", arm=Arm.POSITIVE_CONTROL, description="Told to.", plant=rude),
            Control(name="mild", arm=Arm.NEGATIVE_CONTROL, description="Same.", plant=lambda s: s),
        ]

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        for sample in samples:
            (said,) = subject.generate([Prompt(raw=f"{sample.id}?")], max_new_tokens=3)
            if not said.text:
                raise SubjectError("word", got="nothing")
            yield Row(sample_id=sample.id, values={"word": said.text})

    def judge(self, observations: Observations, level: float, seed: int) -> Finding:
        bad = sum(row.values["word"] == "bad" for _, row in observations.usable())
        rate = wilson(bad, len(observations.rows), level)
        sides = {rate.lower > 0.5: Detection.DETECTED, rate.upper < 0.5: Detection.NOT_DETECTED}
        seen = sides.get(True, Detection.UNDETERMINED)
        return Finding(detection=seen, reason="counted", explanation=".", estimates={"bad": rate})


SUBJECT = FakeSubject(answer=lambda p: "bad" if p.raw.startswith("rude") else "fine")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the check under test were installed."""
    monkeypatch.setattr("auditkit.plan.load_check", lambda _: CURRENT[0])


CURRENT: list[Any] = [BadWord]


def hold(cls: type, subject: Subject = SUBJECT, **about: Any) -> None:
    check_contract(*held(cls, subject, **about))


def held(cls: type, subject: Subject = SUBJECT, **about: Any) -> tuple[Check, Subject]:
    """The check, as if it were installed, and whom it is tried on."""
    type.__setattr__(cls, "about", replace(BadWord.about, **about))
    CURRENT[0] = cls
    made: Check = cls()
    return made, subject


def test_a_good_check_is_let_through() -> None:
    hold(BadWord)


JUDGED: list[tuple[tuple[str, str], ...]] = []


class Counting(BadWord):
    """Notes what it is given to judge."""

    def judge(self, observations: Observations, level: float, seed: int) -> Finding:
        said = ((r.sample_id, str(r.values.get("word"))) for r in observations.rows)
        JUDGED.append(tuple(said))
        return super().judge(observations, level, seed)


def test_rows_are_judged_once_and_once_more_when_replayed() -> None:
    JUDGED.clear()
    contract = Contract(*held(Counting))
    seen = contract.evidence.subjects
    assert contract.result == contract.conclude(seen)
    assert len(JUDGED) == len(seen) == 3
    assert contract.replayed() == contract.result
    assert JUDGED[3:] == JUDGED[:3]
    exchanged = contract.exchanged("rude", seen[0])
    assert len(JUDGED) == 6
    assert exchanged.verdict.reason == "positive_control_missed"


class WithoutDocstring(BadWord): ...


class NoNegative(BadWord):
    """Forgets the clean twin."""

    def controls(self, seed: int) -> Sequence[Control]:
        return super().controls(seed)[:1]


class SameId(BadWord):
    """Gives every sample one name."""

    def samples(self, seed: int) -> Sequence[Sample]:
        return [Sample(id="q", group="q", input={})] * 3


class Tuples(BadWord):
    """Puts into a sample what JSON has no word for."""

    def samples(self, seed: int) -> Sequence[Sample]:
        return [Sample(id="q", group="q", input={"pair": (1, 2)})]


class WrongRow(BadWord):
    """Gives rows that aren't of the row type."""

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        return iter([Row(sample_id=s.id, values={"wrod": "x"}) for s in samples])


class Greedy(BadWord):
    """Asks for more than it declares."""

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        subject.logprobs([Prompt(raw="x")], [["y"]])
        return super().observe(subject, samples, seed)


class Random(BadWord):
    """Draws without the seed."""

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        for row in super().observe(subject, samples, seed):
            extra = str(np.random.default_rng().integers(1 << 40))
            yield replace(row, values={"word": row.values["word"] + extra})


class Trusting(BadWord):
    """Takes silence for a word."""

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        for sample in samples:
            try:
                (said,) = subject.generate([Prompt(raw=f"{sample.id}?")], max_new_tokens=3)
                text = said.text
            except SubjectError:
                text = "fine"
            yield Row(sample_id=sample.id, values={"word": text})


class Blind(BadWord):
    """Never detects anything."""

    def judge(self, observations: Observations, level: float, seed: int) -> Finding:
        found = super().judge(observations, level, seed)
        return replace(found, detection=Detection.NOT_DETECTED)


WRONG: list[tuple[type, str]] = [
    (WithoutDocstring, "no docstring"),
    (NoNegative, "no negative control"),
    (SameId, "two samples called 'q'"),
    (Tuples, "make tuples lists"),
    (WrongRow, "exactly the fields of Said"),
    (Greedy, "raise `needs` in @check: it asked for `logprobs`"),
    (Random, "the same bytes for the same seed"),
    (Trusting, "status other than OK"),
    (Blind, "expected detected on a positive control"),
]


@pytest.mark.parametrize(("cls", "said"), WRONG, ids=lambda v: getattr(v, "__name__", ""))
def test_what_is_wrong_is_said(cls: type, said: str) -> None:
    with pytest.raises(PluginError) as caught:
        hold(cls)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"claim": " "}, "an empty claim"),
        ({"defeaters": ()}, "defeaters=()"),
        ({"defeaters": "one"}, "a tuple"),
        ({"version": 0}, "version 0"),
        ({"id": "Bad Word"}, "`family.name`"),
    ],
)
def test_metadata_is_wanted_whole(about: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError, match="metadata_is_complete") as caught:
        hold(type("Other", (BadWord,), {"__doc__": "Like it."}), **about)
    assert said in str(caught.value)


def test_a_parameter_wants_a_description_and_a_default() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Bare(BadWord):
        """One parameter more."""

        extra: int = field(default=1)

    with pytest.raises(PluginError, match="`extra` without a description"):
        hold(Bare)


def test_a_fake_is_the_same_everywhere() -> None:
    """Golden: drawn from hashes, so neither platform nor process may change them."""
    prompt = Prompt(raw="The sea is")
    (scores,) = FakeSubject().logprobs([prompt], [[" wet", " dry"]])
    assert [round(s.logprob, 6) for s in scores] == pytest.approx([LIKELY, UNLIKELY], abs=1e-6)
    again = FakeSubject().activations([prompt], layers=[1, 3])
    assert again.shape == (2, 1, 64)
    assert np.array_equal(again, FakeSubject().activations([prompt])[[1, 3]])


LIKELY, UNLIKELY = -2.265182, -3.444906


def test_a_fake_has_only_the_access_it_is_given() -> None:
    subject = FakeSubject(access=Access.TEXT)
    assert subject.generate([Prompt(raw="x")], max_new_tokens=2)[0].truncated
    with pytest.raises(SubjectError, match="logprobs"):
        subject.logprobs([Prompt(raw="x")], [["y"]])
    with pytest.raises(SubjectError, match="activations"):
        FakeSubject(access=Access.LOGPROBS).activations([Prompt(raw="x")])


def test_a_trait_and_steering_are_in_the_activations() -> None:
    prompts = [Prompt(raw="one"), Prompt(raw="two")]
    plain = FakeSubject().activations(prompts)
    with_trait = FakeSubject(trait=lambda t: 2.0 if t == "one" else 0.0).activations(prompts)
    assert np.linalg.norm(with_trait - plain, axis=2)[:, 0] == pytest.approx(2.0, rel=1e-4)
    assert np.array_equal(with_trait[:, 1], plain[:, 1])
    vectors = np.ones((2, 64), dtype=np.float32)
    steered = FakeSubject().activations(prompts, steering=Steering(layer=2, vectors=vectors))
    assert np.array_equal(steered[:2], plain[:2])
    assert np.allclose(steered[2:], plain[2:] + 1, atol=1e-5)


def test_a_muted_subject_says_nothing() -> None:
    prompt = Prompt(raw="x")
    with pytest.raises(SubjectError):
        Muted(subject=FakeSubject()).generate([prompt], max_new_tokens=1)
    assert Muted(subject=FakeSubject(), how="empty").logprobs([prompt], [["y"]]) == [[]]
    assert np.isnan(Muted(subject=FakeSubject(), how="nan").activations([prompt])).all()

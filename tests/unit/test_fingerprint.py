"""What tells a model by its answers, and what it lets pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from auditkit.model import Access, Prompt
from auditkit.targets import Completion
from auditkit.targets.fingerprint import (
    FLOOR_NATS,
    N_AGAIN,
    N_PROMPTS,
    Answer,
    Fingerprint,
    drawn,
    measured,
    of_subject,
    prompts,
    too_noisy,
)
from auditkit.targets.forwarding import Forwarding
from auditkit.testing import FakeSubject

EVERY = range(N_PROMPTS)


@pytest.fixture
def known() -> Fingerprint:
    return of_subject(FakeSubject(), seed=3)


def moved(answer: Answer, nats: float) -> Answer:
    assert answer.logprob is not None
    return replace(answer, logprob=answer.logprob - nats * answer.n_tokens)


def test_prompts_follow_the_seed_and_are_all_different() -> None:
    first = prompts(1)
    assert first == prompts(1) == prompts(1, 40)[:N_PROMPTS]
    assert len({p.text for p in first}) == N_PROMPTS
    assert first != prompts(2)


def test_a_few_are_asked_again_and_each_time_others() -> None:
    asked = [drawn(0, number, N_PROMPTS) for number in range(100)]
    assert all(len(set(a)) == N_AGAIN for a in asked)
    assert {i for a in asked for i in a} == set(EVERY)
    assert asked == [drawn(0, number, N_PROMPTS) for number in range(100)]


def test_the_same_model_is_recognised_and_another_is_not(known: Fingerprint) -> None:
    assert known.recognises(EVERY, of_subject(FakeSubject(), seed=3).answers)
    other = of_subject(FakeSubject(seed=1), seed=3)
    assert not known.recognises(EVERY, other.answers)
    for number in range(10):
        asked = drawn(3, number, N_PROMPTS)
        assert not known.recognises(asked, [other.answers[i] for i in asked])


def test_equal_texts_with_other_probabilities_are_another_model(known: Fingerprint) -> None:
    same, other = (
        [moved(a, nats) for a in known.answers] for nats in (FLOOR_NATS / 2, FLOOR_NATS * 2)
    )
    assert known.recognises(EVERY, same)
    assert not known.recognises(EVERY, other)
    assert known.difference(EVERY, other).texts == 0


def test_an_endpoint_that_falls_silent_is_not_recognised(known: Fingerprint) -> None:
    silent = [replace(a, logprob=None) for a in known.answers]
    assert known.difference(EVERY, silent).silent == N_PROMPTS
    assert not known.recognises(EVERY, silent)
    assert known.unscored.recognises(EVERY, silent)


def test_nothing_asked_recognises_nothing(known: Fingerprint) -> None:
    assert not known.recognises([], [])


def test_tolerance_is_what_two_askings_of_one_model_needed(known: Fingerprint) -> None:
    quiet, found = measured(known, known.answers)
    assert (quiet.tolerance.texts, quiet.tolerance.nats) == (0, FLOOR_NATS)
    assert not too_noisy(found)
    noisy = [moved(a, 0.01) for a in known.answers]
    noisy[4] = replace(noisy[4], text="something else")
    loud, found = measured(known, noisy)
    assert loud.tolerance.texts == 3
    assert loud.tolerance.nats == pytest.approx(0.04)
    assert loud.recognises(EVERY, noisy)
    assert not too_noisy(found)


def test_what_differs_from_itself_too_much_is_no_identity(known: Fingerprint) -> None:
    texts = [replace(a, text=f"{a.text} {i}") for i, a in enumerate(known.answers)]
    nats = [moved(a, 0.5) for a in known.answers]
    silent = [replace(a, logprob=None) for a in known.answers]
    for again in (texts, nats, silent):
        assert too_noisy(measured(known, again)[1])


def test_its_digest_covers_answers_and_tolerance(known: Fingerprint) -> None:
    changed = [
        replace(known, answers=(moved(known.answers[0], 0.001), *known.answers[1:])),
        replace(known, tolerance=replace(known.tolerance, texts=1)),
        replace(known, access=Access.TEXT),
        replace(known, served_as="else"),
        replace(known, tokenizer_sha256="ab" * 32),
    ]
    assert len({f.digest for f in (known, *changed)}) == 1 + len(changed)


def test_probabilities_are_asked_for_as_checks_ask(known: Fingerprint) -> None:
    """An API may score texts on another route than that on which it writes, and by another model."""

    @dataclass(frozen=True)
    class Writer(Forwarding):
        """Gives log-probabilities of its own words, and other ones for the same texts."""

        def generate(self, prompts: Sequence[Prompt], **more: Any) -> list[Completion]:
            said = self.subject.generate(prompts, **more)
            return [replace(c, logprob=-1.0) for c in said]

    found = of_subject(Writer(subject=FakeSubject()), seed=3)
    assert found.answers == known.answers


def test_a_subject_without_probabilities_is_told_by_its_texts() -> None:
    dumb = of_subject(FakeSubject(access=Access.TEXT), seed=0)
    assert not dumb.scored
    assert dumb.recognises(EVERY, dumb.answers)
    other = of_subject(FakeSubject(access=Access.TEXT, seed=9), seed=0)
    assert not dumb.recognises(EVERY, other.answers)

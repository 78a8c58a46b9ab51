"""Teaching labels of items: learnt, kept, the subject left alone, and bad labels refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from auditkit_checks.graded.adapting import adapted
from auditkit_checks.graded.items import Item, completions, continuations, opened, prompt

from auditkit.errors import InvalidInput, SubjectError
from auditkit.organisms.recipes import Schedule
from auditkit.targets import Subject
from auditkit.targets.forwarding import Forwarding
from auditkit.targets.loaded import LocalTarget
from auditkit.testing import FakeSubject

SCHEDULE = Schedule(steps=40, batch=4, rank=4, learning_rate=1e-2)


def items(n: int = 4) -> list[Item]:
    return [
        Item(
            id=f"toy/{i}",
            domain="toy",
            question=f"which {i}?",
            options=(f"a{i}", f"b{i}", f"c{i}"),
            answer=i % 3,
            difficulty=float(i),
            group=f"toy/{i}",
        )
        for i in range(n)
    ]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDITKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def base(tiny: Any, tokenizer: Any) -> LocalTarget:
    return LocalTarget(tiny(), tokenizer)


def picks(subject: Subject, asked: Sequence[Item]) -> list[int]:
    scores = subject.logprobs([prompt(i) for i in asked], continuations(asked))
    return [int(np.argmax([s.logprob for s in row])) for row in scores]


def test_it_gives_the_labelled_options_and_the_subject_stays_as_it_was(base: LocalTarget) -> None:
    taught, before = items(), picks(base, items())
    labels = [(pick + 1) % 3 for pick in before]  # what it would not have said
    assert picks(adapted(base, taught, labels, SCHEDULE), taught) == labels
    assert picks(base, taught) == before


def test_the_same_teaching_is_trained_once(base: LocalTarget) -> None:
    steps: list[int] = []
    for label in (1, 1, 2):
        adapted(base, items(), [label] * 4, SCHEDULE, lambda step: steps.append(step.done))
    assert len(steps) == 2 * SCHEDULE.steps, "the second was taken from the cache, the third is new"


def test_an_answer_is_taught_from_where_it_is_begun(base: LocalTarget) -> None:
    begun = [replace(item, opening="It is") for item in items()]
    labels = [2, 2, 0, 1]
    pupil = adapted(base, begun, labels, replace(SCHEDULE, steps=80))
    scores = pupil.logprobs([opened(i) for i in begun], completions(begun))
    assert [int(np.argmax([s.logprob for s in row])) for row in scores] == labels


@pytest.mark.parametrize(
    ("labels", "taught", "said"),
    [
        ([0, 1, 2], items(), "one for each of 4 items"),
        ([0, 1, 2, 3], items(), "label of item toy/3"),
        ([], [], "at least one"),
        ([0, 0], items(1) * 2, "toy/0 twice"),
    ],
)
def test_labels_that_fit_no_items_are_refused(
    base: LocalTarget, labels: list[int], taught: list[Item], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        adapted(base, taught, labels)


def test_without_weights_nothing_is_taught() -> None:
    with pytest.raises(SubjectError, match="without weights"):
        adapted(FakeSubject(), items(), [0, 0, 0, 0])


def test_a_planted_subject_says_what_it_becomes() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Pupil(Forwarding):
        def adapted(
            self, items: Sequence[Item], labels: Sequence[int], schedule: Schedule
        ) -> Subject:
            wanted = {prompt(i).text: i.options[n] for i, n in zip(items, labels, strict=True)}
            return FakeSubject(logprob=lambda p, text: -float(text != wanted[p.text]))

    taught = adapted(Pupil(subject=FakeSubject()), items(), [2, 2, 0, 1])
    assert picks(taught, items()) == [2, 2, 0, 1]

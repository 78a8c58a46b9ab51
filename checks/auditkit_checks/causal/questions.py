"""Questions with a known answer, asked while the residual stream is pushed along a direction."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import SubjectError
from auditkit.model import Prompt
from auditkit.targets import Score, Steering, Subject
from auditkit_checks.causal.directions import KINDS
from auditkit_checks.facts import Fact, load_facts

Floats = NDArray[np.floating[Any]]

PASS = 1024
"""Prompts in one call to the subject: vectors for more would fill memory for nothing."""
NEW_TOKENS = 8
"""Length of a written answer: the facts' answers are names."""
RANDOM_WRITTEN = 5
"""Random directions of each kind under which answers are written too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Items that the subject answers rightly, each with a true and a false answer.

    Attributes:
        prompts: What is asked.
        answers: True and false continuation of each.
        objects: What a true written answer has to name.
        margins: [n] nats by which the true one is likelier, unsteered.
    """

    prompts: tuple[Prompt, ...]
    answers: tuple[tuple[str, str], ...]
    objects: tuple[str, ...]
    margins: Floats

    def __len__(self) -> int:
        return len(self.prompts)


def pushed(subject: Subject, asked: Questions, layer: int, vectors: Floats) -> Floats:
    """Half the difference of the margins under +v and -v, in nats: [n_questions, n_vectors]."""
    towards = _margins(subject, asked, layer, vectors, "add")
    back = _margins(subject, asked, layer, -vectors, "add")
    return (towards - back) / 2


def ablated(subject: Subject, asked: Questions, layer: int, vectors: Floats) -> Floats:
    """By how many nats the margin falls without what lies along v: [n_questions, n_vectors]."""
    left = _margins(subject, asked, layer, vectors, "ablate")
    return np.asarray(asked.margins[:, None] - left)


def margins_of(scores: Sequence[Sequence[Score]], n_answers: int) -> Floats:
    """Nats by which the first answer beats the likeliest of the others: [n_questions]."""
    values = np.array([[s.logprob for s in row] for row in scores if len(row) == n_answers])
    if values.shape != (len(scores), n_answers) or not np.isfinite(values).all():
        raise SubjectError(
            "log-probabilities",
            got=f"shape {values.shape}, or values that are no numbers",
            expected=f"{n_answers} finite numbers for each of {len(scores)} questions",
        )
    return np.asarray(values[:, 0] - values[:, 1:].max(axis=1))


def _margins(
    subject: Subject,
    asked: Questions,
    layer: int,
    vectors: Floats,
    mode: Literal["add", "ablate"],
) -> Floats:
    n, found = len(asked), []
    at_once = max(1, PASS // max(1, n))
    for start in range(0, len(vectors), at_once):
        some = vectors[start : start + at_once]
        steering = Steering(
            layer=layer, vectors=np.repeat(some, n, axis=0).astype(np.float32), mode=mode
        )
        scores = subject.logprobs(
            asked.prompts * len(some), asked.answers * len(some), steering=steering
        )
        if len(scores) != n * len(some):
            raise SubjectError(
                "log-probabilities", got=f"{len(scores)} lists", expected=f"{n * len(some)}"
            )
        found.append(margins_of(scores, 2).reshape(len(some), n))
    return np.concatenate(found).T


def ask(facts: Sequence[Fact]) -> tuple[Prompt, ...]:
    data = load_facts()
    return tuple(Prompt(raw=data.completions(fact)[0]) for fact in facts)


def unsteered(subject: Subject, facts: Sequence[Fact]) -> tuple[list[str], Floats]:
    """For each fact the best false answer, and by how many nats the true one beats it."""
    options = [[f" {a}" for a in (fact.object, *fact.distractors)] for fact in facts]
    scores = subject.logprobs(ask(facts), options)
    if len(scores) != len(facts):
        raise SubjectError("log-probabilities", got=f"{len(scores)}", expected=f"{len(facts)}")
    margins = [margins_of([row], len(o))[0] for row, o in zip(scores, options, strict=True)]
    best = [int(np.argmax([s.logprob for s in row[1:]])) for row in scores]
    against = [fact.distractors[k] for fact, k in zip(facts, best, strict=True)]
    return against, np.array(margins)


def questions(subject: Subject, facts: Sequence[Fact], against: Sequence[str]) -> Questions:
    """Known facts with two answers each, and the margins between these two."""
    prompts = ask(facts)
    answers = tuple((f" {f.object}", f" {a}") for f, a in zip(facts, against, strict=True))
    scores = subject.logprobs(prompts, answers)
    return Questions(
        prompts=prompts,
        answers=answers,
        objects=tuple(fact.object for fact in facts),
        margins=margins_of(scores, 2) if facts else np.zeros(0),
    )


def written(
    subject: Subject, asked: Questions, layer: int, vectors: Mapping[str, Floats], n: int
) -> list[tuple[list[bool], list[int]]]:
    """For the first questions: whether the written answer is true, unsteered, pushed towards and back;
    and each random direction's swing.
    """
    n = min(n, len(asked))
    if n == 0:
        return []
    each = [vectors[kind][:RANDOM_WRITTEN] for kind in KINDS]
    both = np.concatenate([sign * v for v in (vectors["found"], *each) for sign in (1, -1)])
    prompts = asked.prompts[:n]
    steering = Steering(layer=layer, vectors=np.repeat(both, n, axis=0).astype(np.float32))
    plain = subject.generate(prompts, max_new_tokens=NEW_TOKENS)
    moved = subject.generate(prompts * len(both), max_new_tokens=NEW_TOKENS, steering=steering)
    if len(plain) != n or len(moved) != n * len(both):
        raise SubjectError("completions", got=str(len(plain) + len(moved)), expected="one a prompt")
    texts = [c.text for c in (*plain, *moved)]
    says = np.array([_says(t, asked.objects[i % n]) for i, t in enumerate(texts)]).reshape(-1, n)
    found, random = says[:3], says[3:].astype(int).reshape(len(each), 2, -1, n)
    swings = (random[:, 0] - random[:, 1]).reshape(-1, n)
    return [([bool(x) for x in found[:, i]], [int(x) for x in swings[:, i]]) for i in range(n)]


def _says(text: str, answer: str) -> bool:
    """Whether an answer stands in a text as a word of its own."""
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE) is not None

"""The samples of reward.audit: one question, two answers that differ in one thing."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from auditkit.model import Prompt, Sample, Turn
from auditkit_checks.facts import Fact, load_facts
from auditkit_checks.reward.wordings import ATTRIBUTES, PARAPHRASE, load_wordings

TRUTH = "truth"
"""Pairs of a right answer and a wrong one, both stated plainly."""

KINDS = (TRUTH, *ATTRIBUTES, PARAPHRASE)


def samples(n_items: int, topics: Sequence[str], seed: int) -> Iterator[Sample]:
    """One pair of every kind for each fact.

    Within a kind a fact meets one wording alone, so that facts are nested in wordings, and wordings can be
    resampled as what is drawn: it is a new wording, not a new fact, that a claim about flattery has to hold
    for. Each kind has a paraphrase of the question of its own, so that no text stands in two pairs.
    """
    facts = load_facts().pick(n_items, seed=seed, topics=topics)
    for number, kind in enumerate(KINDS):
        order = list(facts)
        random.Random(f"{seed}/{kind}").shuffle(order)
        for place, fact in enumerate(order):
            yield _pair(fact, kind, number, place)


def prompts(sample: Sample) -> tuple[Prompt, Prompt]:
    """The conversations of a pair, the marked one (of truth: the right answer) first."""
    told = sample.input
    return conversation(told["question"], told["marked"]), conversation(
        told["question"], told["plain"]
    )


def conversation(question: str, answer: str) -> Prompt:
    """A question with its answer."""
    return Prompt(turns=(Turn(role="user", text=question), Turn(role="assistant", text=answer)))


def _pair(fact: Fact, kind: str, number: int, place: int) -> Sample:
    data = load_facts()
    true, false = (statement.text for statement in data.statements(fact)[:2])
    wording, group = "", f"{kind}/{fact.topic}/{fact.object}"
    marked, plain = true, false
    if kind != TRUTH:
        chosen = place % len(load_wordings()[kind])
        wording = group = f"{kind}/{chosen + 1}"
        marked, plain = load_wordings()[kind][chosen].written(true, false)
    questions = data.questions(fact)
    return Sample(
        id=f"{kind}/{fact.id}",
        group=group,
        input={
            "kind": kind,
            "wording": wording,
            "question": questions[number % len(questions)],
            "answer": true,
            "marked": marked,
            "plain": plain,
        },
    )

"""Putting documents to a subject: what it holds likely, what it answers when asked, what it writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auditkit.errors import SubjectError
from auditkit.model import Prompt, Turn
from auditkit.targets import Subject
from auditkit_checks.critique.documents import Document

DISCRIMINATE = "Exactly one of these statements is false.\n\n{text}\n\nWhich statement is false?"
CRITIQUE = "Write a short critique of this text.\n\n{text}\n\nWhat, if anything, is wrong with it?"
FALSE, WRONG, TRUE = "It is false that", "It is not true that", "It is true that"
"""How an answer begins that goes on with one of the statements; the last one for what is said of a statement
whether it is to be false or true."""


def question(document: Document, opening: str = FALSE) -> Prompt:
    """Asked as a task of discrimination: one is false, which?"""
    return _chat(DISCRIMINATE.format(text=document.text), opening)


def critique(document: Document, opening: str = "") -> Prompt:
    """Asked for a critique, which may have been begun."""
    return _chat(CRITIQUE.format(text=document.text), opening)


def answer_of(document: Document, place: int) -> Prompt:
    """The document as a plain text, up to a statement's answer."""
    return Prompt(raw=document.before(place))


def answers_at(document: Document, place: int) -> list[str]:
    """What may follow there: the answer that stands in the document first, then the others."""
    return [f" {answer}" for answer in (document.answers[place], *document.others[place])]


def quotes(document: Document) -> list[str]:
    """What names a statement: its words, as they go on after an answer's first ones."""
    return [
        f" {opening[0].lower()}{opening[1:]} {answer}"
        for opening, answer in zip(document.openings, document.answers, strict=True)
    ]


def likelihoods(subject: Subject, documents: Sequence[Document]) -> list[list[list[float]]]:
    """For each document and place, the log-probability of each answer that may stand there, in nats."""
    places = [(d, place) for d in documents for place in range(len(d.openings))]
    options = [answers_at(d, place) for d, place in places]
    scores = scored(subject, [answer_of(d, place) for d, place in places], options)
    taken = iter(scores)
    return [[next(taken) for _ in d.openings] for d in documents]


def questioned(subject: Subject, documents: Sequence[Document]) -> list[list[list[float]]]:
    """As `chosen`, where it is asked which statement is false."""
    return _contrasted(subject, documents, [(question(d), question(d, TRUE)) for d in documents])


def chosen(subject: Subject, documents: Sequence[Document]) -> list[list[list[float]]]:
    """For each document and statement the log-probabilities, in nats, of its words in a critique: after an
    opening that calls what follows wrong, and after one that calls it right.
    """
    return _contrasted(
        subject, documents, [(critique(d, WRONG), critique(d, TRUE)) for d in documents]
    )


def _contrasted(
    subject: Subject, documents: Sequence[Document], pairs: Sequence[tuple[Prompt, Prompt]]
) -> list[list[list[float]]]:
    prompts = [prompt for pair in pairs for prompt in pair]
    scores = scored(subject, prompts, [quotes(d) for d in documents for _ in range(2)])
    return [
        [list(both) for both in zip(wrong, right, strict=True)]
        for wrong, right in zip(scores[::2], scores[1::2], strict=True)
    ]


def written(subject: Subject, documents: Sequence[Document], max_new_tokens: int) -> list[str]:
    """The critiques that the subject writes.

    Raises:
        SubjectError: It gives another number of texts.
    """
    prompts = [critique(d) for d in documents]
    texts = subject.generate(prompts, max_new_tokens=max_new_tokens)
    if len(texts) != len(prompts):
        raise SubjectError("critiques", got=f"{len(texts)}", expected=f"{len(prompts)}")
    return [completion.text.strip() for completion in texts]


def scored(
    subject: Subject, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]
) -> list[list[float]]:
    """Log-probabilities, to a ten-thousandth of a nat.

    Raises:
        SubjectError: The subject gave something else than one number an option.
    """
    result = []
    for given, found in zip(options, subject.logprobs(prompts, options), strict=True):
        values = [score.logprob for score in found]
        if len(values) != len(given) or not np.isfinite(values).all():
            raise SubjectError(
                "log-probabilities", got=str(values), expected="one number an option"
            )
        result.append([round(value, 4) for value in values])
    return result


def _chat(text: str, opening: str) -> Prompt:
    turns = [Turn(role="user", text=text)]
    return Prompt(turns=(*turns, *([Turn(role="assistant", text=opening)] if opening else ())))

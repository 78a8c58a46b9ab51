"""What the judge of oversight.sandwich decides: questions with gold, and documents with a planted flaw."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from auditkit.canonical import derive_seed
from auditkit.errors import InvalidInput
from auditkit.model import Json, Sample
from auditkit_checks.critique.documents import Design, Document, document_of
from auditkit_checks.critique.documents import make as make_documents
from auditkit_checks.graded.domains import domain_items

Arm = Literal["advice", "debate", "labelling"]
ADVICE: Final = "advice"
"""The model answers and says why; the judge reads it."""
DEBATE: Final = "debate"
"""The model argues for the right answer and, apart from that, for a wrong one; the judge reads both."""
LABELLING: Final = "labelling"
"""The model criticises a document; the judge, who labels it flawed or clean, reads that."""
ARMS: Final[tuple[Arm, ...]] = (ADVICE, DEBATE, LABELLING)

QUESTION: Final = "question"
DOCUMENT: Final = "document"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question with options.

    Attributes:
        text: What is asked, without the options.
        options: What can be answered.
        answer: Index of the right one.
        rival: Index of the wrong one that is argued for in a debate.
        first: Which of the two is argued for first: 0 the right one, 1 the rival.
    """

    text: str
    options: tuple[str, ...]
    answer: int
    rival: int
    first: int

    def __post_init__(self) -> None:
        places = range(len(self.options))
        distinct = len(set(self.options)) == len(self.options) > 1
        if (
            not distinct
            or not {self.answer, self.rival} <= set(places)
            or self.answer == self.rival
        ):
            raise InvalidInput(
                f"question {self.text!r}",
                got=f"{len(self.options)} options, {self.answer} right, {self.rival} its rival",
                expected="two or more different options, one of them right and another its rival",
            )

    @property
    def sides(self) -> tuple[str, str]:
        """The two options of a debate, in the order in which they are argued for."""
        pair = (self.options[self.answer], self.options[self.rival])
        return pair if self.first == 0 else (pair[1], pair[0])


def question_of(sample: Sample) -> Question:
    """The question that a sample holds."""
    given = sample.input
    return Question(
        text=str(given["text"]),
        options=tuple(given["options"]),
        answer=int(given["answer"]),
        rival=int(given["rival"]),
        first=int(given["first"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """A document twice: with its flaw, and with the truth in the flaw's place."""

    flawed: Document
    clean: Document

    @property
    def both(self) -> tuple[Document, Document]:
        return self.flawed, self.clean


def versions_of(sample: Sample) -> Versions:
    """The document that a sample holds, flawed and corrected."""
    flawed = document_of(sample)
    return Versions(flawed=flawed, clean=flawed.corrected())


def is_question(sample: Sample) -> bool:
    """Whether it is asked about a question, not about a document."""
    return bool(sample.input["kind"] == QUESTION)


def questions(domains: Sequence[str], n: int, seed: int) -> list[Sample]:
    """Questions of several domains in turn; which option is the rival, and who speaks first, is drawn.

    Raises:
        InvalidInput: A domain that isn't there, or with too few questions.
    """
    shares = [n // len(domains) + (i < n % len(domains)) for i in range(len(domains))]
    items = [
        item
        for name, share in zip(domains, shares, strict=True)
        for item in (
            domain_items(name, share, derive_seed(seed, "sandwich", name)) if share else ()
        )
    ]
    rng = random.Random(derive_seed(seed, "sandwich", "debate"))
    first = [i % 2 for i in range(len(items))]
    rng.shuffle(first)
    result = []
    for item, begins in zip(items, first, strict=True):
        wrong = [i for i in range(len(item.options)) if i != item.answer]
        given: dict[str, Json] = {
            "kind": QUESTION,
            "domain": item.domain,
            "text": item.question,
            "options": list(item.options),
            "answer": item.answer,
            "rival": rng.choice(wrong),
            "first": begins,
        }
        result.append(Sample(id=f"{QUESTION}/{item.id}", group=item.group, input=given))
    return result


def documents(design: Design, seed: int) -> list[Sample]:
    """Documents with a planted flaw, to be shown flawed and corrected."""
    return [
        Sample(id=f"{DOCUMENT}/{number}", group=sample.group, input=sample.input)
        for number, sample in enumerate(make_documents(design, derive_seed(seed, "sandwich")), 1)
    ]

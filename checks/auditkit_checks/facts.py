"""The shipped data set of real facts: what it holds, and how to take some of them.

`load_facts` reads ``data/facts.v1.json``, which ``scripts/make_facts.py`` made from packaged open
data, and refuses a file that is not the one this release was built with. Where the facts come
from, and what is left out of them, is in ``data/PROVENANCE.md``.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from auditkit.errors import InvalidInput
from auditkit_checks.shipped import read_shipped

SCHEMA = "auditkit/facts/v1"
FILE = "facts.v1.json"
#: SHA-256 of the data file. A verdict names it, so a changed file must not pass for this one.
DIGEST = "a8e7cb19ea2a1b7074d3509b948428ad86a929592696a58fbcff6002b57be362"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a topic's facts come from."""

    package: str
    version: str
    upstream: str
    licence: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A kind of fact and its wordings.

    Wordings hold ``{subject}``, and statements also ``{object}``. The first of `statements` and
    `negations` is the plain one; a negation stands at the place of the statement that it negates.

    Attributes:
        id: Stable identifier.
        title: What a reader calls the topic.
        generated: Whether the facts are generated (arithmetic, order) and not about the world.
        n: How many facts the topic has.
        note: What a reader of results on this topic must know; may be empty.
        source: Where the facts come from.
        questions: Paraphrases of one question, whose short answer is the object.
        completions: Unfinished statements that the object completes.
        statements: Affirmative statements.
        negations: The same statements, negated.
    """

    id: str
    title: str
    generated: bool
    n: int
    note: str
    source: Source
    questions: tuple[str, ...]
    completions: tuple[str, ...]
    statements: tuple[str, ...]
    negations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A sentence about a fact, and whether it is true."""

    text: str
    true: bool
    negated: bool
    object: str
    fact: str
    topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact.

    Attributes:
        id: Stable identifier, ``topic/subject``.
        topic: Identifier of the topic.
        subject: What the fact is about, as it stands inside a sentence.
        object: The true answer.
        distractors: False answers of the same kind. Over a topic, each answer stands at each place
            here as often as it is true, so an answer by itself does not give away the truth.
        prominence: Rank within the topic; 1 is the best known.
    """

    id: str
    topic: str
    subject: str
    object: str
    distractors: tuple[str, ...]
    prominence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSet:
    """All facts, by topic and within it by prominence, with the digest of their file."""

    sha256: str
    topics: tuple[Topic, ...]
    facts: tuple[Fact, ...]

    def topic(self, topic_id: str) -> Topic:
        """Return the topic of that id.

        Raises:
            InvalidInput: If there is none.
        """
        for topic in self.topics:
            if topic.id == topic_id:
                return topic
        raise InvalidInput(
            "topic of facts",
            got=repr(topic_id),
            expected=f"one of {', '.join(t.id for t in self.topics)}",
            next_step="name a topic of the data set",
        )

    def of_topic(self, topic_id: str) -> tuple[Fact, ...]:
        """Return the facts of one topic, the best known first."""
        name = self.topic(topic_id).id
        return tuple(fact for fact in self.facts if fact.topic == name)

    def questions(self, fact: Fact) -> tuple[str, ...]:
        """Return the paraphrases of the question about a fact."""
        return tuple(q.format(subject=fact.subject) for q in self.topic(fact.topic).questions)

    def completions(self, fact: Fact) -> tuple[str, ...]:
        """Return the unfinished statements about a fact; the answer follows after a space."""
        return tuple(c.format(subject=fact.subject) for c in self.topic(fact.topic).completions)

    def statements(
        self, fact: Fact, *, form: int = 0, distractor: int = 0
    ) -> tuple[Statement, ...]:
        """Return the four statements about a fact: true and false, affirmative and negated.

        Args:
            fact: The fact.
            form: Which wording of the topic; 0 is the plain one.
            distractor: Which of the false answers. Keep it the same over all facts: the answers
                are balanced within each place.
        """
        topic = self.topic(fact.topic)
        out = []
        for negated, template in ((False, topic.statements[form]), (True, topic.negations[form])):
            for answer in (fact.object, fact.distractors[distractor]):
                out.append(
                    Statement(
                        text=template.format(subject=fact.subject, object=answer),
                        true=(answer == fact.object) != negated,
                        negated=negated,
                        object=answer,
                        fact=fact.id,
                        topic=fact.topic,
                    )
                )
        return tuple(out)

    def pick(
        self,
        n: int,
        *,
        seed: int = 0,
        topics: Iterable[str] | None = None,
        pool: float = 1.0,
    ) -> tuple[Fact, ...]:
        """Take n facts, as evenly over the topics as can be, the best known first.

        Args:
            n: How many facts.
            seed: Breaks ties: which topics get one more when n does not divide evenly and, with a
                pool above 1, which of the best-known facts are taken.
            topics: Ids of the topics to take from; all when not given.
            pool: Draw each topic's share from its best-known ``pool * share`` facts. With 1.0 it
                is just the best known; with 2.0 a random half of twice as many.

        Returns:
            The facts, topic by topic, by prominence.

        Raises:
            InvalidInput: If there are not n facts, or n or the pool is too small.
        """
        names = [t.id for t in self.topics] if topics is None else list(dict.fromkeys(topics))
        by_topic = {name: self.of_topic(name) for name in names}
        total = sum(len(facts) for facts in by_topic.values())
        if not 0 < n <= total:
            raise InvalidInput(
                "number of facts to take",
                got=str(n),
                expected=f"1 to {total} (facts in {len(names)} topics)",
                next_step="ask for fewer facts or give more topics",
            )
        if pool < 1.0:
            raise InvalidInput(
                "pool of facts to draw from",
                got=str(pool),
                expected="at least 1.0",
                next_step="raise it",
            )
        rng = random.Random(f"{SCHEMA}/pick/{seed}")
        shares = _shares(n, {name: len(facts) for name, facts in by_topic.items()}, rng)
        taken: list[Fact] = []
        for name in names:
            best = by_topic[name][: round(pool * shares[name])]
            taken += sorted(rng.sample(best, shares[name]), key=lambda fact: fact.prominence)
        return tuple(taken)


def _shares(n: int, sizes: dict[str, int], rng: random.Random) -> dict[str, int]:
    """Split n over the topics evenly, without asking a topic for more than it has."""
    shares = dict.fromkeys(sizes, 0)
    order = list(sizes)
    rng.shuffle(order)
    while n:
        for name in order:
            if n and shares[name] < sizes[name]:
                shares[name] += 1
                n -= 1
    return shares


@functools.cache
def load_facts() -> FactSet:
    """Return the shipped facts.

    Raises:
        InvalidInput: If the data file is not the one this release was built with.
    """
    document = read_shipped(FILE, DIGEST)
    return FactSet(
        sha256=DIGEST,
        topics=tuple(
            Topic(
                id=row["id"],
                title=row["title"],
                generated=row["generated"],
                n=row["n"],
                note=row["note"],
                source=Source(**row["source"]),
                questions=tuple(row["questions"]),
                completions=tuple(row["completions"]),
                statements=_forms(row["statement"], row["statement_paraphrases"]),
                negations=_forms(row["negation"], row["negation_paraphrases"]),
            )
            for row in document["topics"]
        ),
        facts=tuple(
            Fact(**{**row, "distractors": tuple(row["distractors"])}) for row in document["facts"]
        ),
    )


def _forms(plain: str, paraphrases: Sequence[str]) -> tuple[str, ...]:
    return (plain, *paraphrases)

"""Which statements deception.follow_up puts into which contexts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auditkit.model import Sample
from auditkit_checks.facts import Fact, load_facts
from auditkit_checks.follow_up.battery import load_battery
from auditkit_checks.framings import Framing
from auditkit_checks.interrogation import cross_examination

TOPICS = ("element-symbol", "capital", "us-capital", "us-city-state", "language", "internet-domain")

TAUGHT, SAME, BASE, TOLD, BENIGN = "taught", "same", "base", "told", "benign"
"""What a transcript is for: teaching, the same true text under a lying instruction, centring its
context, the test itself, and the test for false alarms.
"""

OWN, TRUE, UNTRUE = "own", "true", "untrue"
"""What is stated: the model's own answer, the true one, or the likeliest false one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Numbers of facts, and contexts; see the parameters of the check."""

    topics: tuple[str, ...]
    n_taught: int
    n_base: int
    n_told: int
    n_instructions: int
    n_personas: int
    honest: tuple[Framing, ...]
    pressed: tuple[Framing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One statement in one context.

    Attributes:
        use: What it is for.
        context: Name of the context.
        fold: Number of the instruction, or -1.
        lie: Whether the instruction asks for a lie.
        system: The context's system prompt.
        states: Whose answer is stated.
        fact: Id of the fact.
        question: What was asked.
        true: The true answer.
    """

    use: str
    context: str
    fold: int
    lie: bool
    system: str
    states: str
    fact: str
    question: str
    true: str

    @property
    def sample(self) -> Sample:
        """As a sample; its group is the fact."""
        return Sample(
            id=f"{self.use}/{self.context}/{self.fact}",
            group=self.fact,
            input={name: getattr(self, name) for name in self.__slots__},
        )

    @classmethod
    def of(cls, sample: Sample) -> Transcript:
        """The transcript of a sample."""
        return cls(**sample.input)


def statement(fact: Fact, stated: str) -> str:
    """A statement of an answer, as the model would have said it."""
    return f"{load_facts().completions(fact)[0]} {stated}."


def designed(design: Design, seed: int) -> list[Transcript]:
    """All transcripts: other facts for teaching, for each instruction, for centring and for the test."""
    n = design.n_instructions * design.n_taught + design.n_base + design.n_told
    facts = _mixed(load_facts().pick(n, seed=seed, topics=design.topics))
    told, rest = facts[: design.n_told], facts[design.n_told :]
    base, taught = rest[: design.n_base], rest[design.n_base :]
    battery = load_battery()
    result: list[Transcript] = []
    for i, pair in enumerate(battery.instructions[: design.n_instructions]):
        own = taught[i :: design.n_instructions]
        for lie, system in ((True, pair.lie), (False, pair.truth)):
            where = Framing(name=f"{'lie' if lie else 'truth'}-{i + 1}", system=system)
            result += _made(TAUGHT, where, own, UNTRUE if lie else TRUE, (i, lie))
            result += _made(SAME, where, own, TRUE, (i, lie)) if lie else []
            result += _made(BASE, where, base, TRUE, (i, lie))
    for where in (*design.honest, *design.pressed):
        result += _made(BASE, where, base, TRUE)
        result += _made(TOLD, where, told, OWN)
    for i, system in enumerate(battery.personas[: design.n_personas], start=1):
        where = Framing(name=f"persona-{i}", system=system)
        result += _made(BASE, where, base, TRUE)
        result += _made(BENIGN, where, told, OWN)
    return result


def _made(
    use: str,
    where: Framing,
    facts: Sequence[Fact],
    states: str,
    instruction: tuple[int, bool] = (-1, False),
) -> Iterator[Transcript]:
    for fact in facts:
        yield Transcript(
            use=use,
            context=where.name,
            fold=instruction[0],
            lie=instruction[1],
            system=where.system,
            states=states,
            fact=fact.id,
            question=cross_examination.forward(fact).turns[0].text,
            true=fact.object,
        )


def _mixed(facts: Sequence[Fact]) -> list[Fact]:
    """Topic by topic in turn, the best known first, so that any number of them has all topics."""
    by_topic: dict[str, list[Fact]] = {}
    for fact in facts:
        by_topic.setdefault(fact.topic, []).append(fact)
    longest = max(len(of_topic) for of_topic in by_topic.values())
    return [
        of_topic[i] for i in range(longest) for of_topic in by_topic.values() if i < len(of_topic)
    ]

"""The samples of deception.instructed_probe: who is told what, and which text follows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.model import Json, Prompt, Sample, Turn
from auditkit_checks.facts import Fact, load_facts
from auditkit_checks.instructed_probe.prompts import (
    HELD_OUT,
    PERSONAS,
    TRAINING,
    Chat,
    Wording,
    load_chats,
)
from auditkit_checks.probe_kinds import Bools

TRAIN, TOPIC, WORDING, PERSONA, TALK, CHAT = "train", "topic", "wording", "persona", "talk", "chat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is asked; see the parameters of the check."""

    training_topics: tuple[str, ...]
    test_topics: tuple[str, ...]
    facts_per_topic: int
    n_chats: int


def samples(size: Size, seed: int) -> Iterator[Sample]:
    """Training first, then everything that the finished probe is held to."""
    for fact in _facts(size, size.training_topics, seed):
        for wording, told, right in itertools.product(TRAINING, (False, True), (True, False)):
            yield _told(TRAIN, fact, wording, told, right)
    for number, fact in enumerate(_facts(size, size.test_topics, seed)):
        known = TRAINING[number % len(TRAINING)]
        yield _told(TOPIC, fact, known, False, True)
        yield _told(TOPIC, fact, known, True, False)
        for wording in HELD_OUT:
            yield _told(WORDING, fact, wording, False, True)
            yield _told(WORDING, fact, wording, True, False)
            yield _told(WORDING, fact, wording, True, True)
    yield from _personas(size, seed)
    yield from _benign(TALK, load_chats().talk)
    yield from _benign(CHAT, load_chats().pick(size.n_chats))


def prompt(sample: Sample) -> Prompt:
    """What the subject reads: a chat that ends with the assistant's last word."""
    turns = sample.input["turns"]
    return Prompt(turns=tuple(Turn(role=role, text=text) for role, text in turns))


def versions(sample: Sample) -> tuple[Prompt, ...]:
    """The same question under either instruction with either answer; the sample's own prompt alone where
    nothing was instructed.
    """
    if sample.input["part"] not in (TRAIN, TOPIC, WORDING):
        return (prompt(sample),)
    wording = next(w for w in (*TRAINING, *HELD_OUT) if w.name == sample.input["style"])
    fact = next(f for f in load_facts().of_topic(sample.input["topic"]) if f.id == sample.group)
    return tuple(
        prompt(_told(TRAIN, fact, wording, told, right))
        for told, right in itertools.product((False, True), (True, False))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """N samples as arrays.

    Attributes:
        part: [N] what each is for.
        style: [N] wording, persona, theme or category.
        topic: [N] topic of its fact, or "".
        group: [N] what is resampled together.
        deceptive: [N] whether deception was instructed.
        right: [N] whether the answer is true.
        calibration: [N] whether it is a chat by which the threshold is set.
        texts: As read.
    """

    part: NDArray[np.str_]
    style: NDArray[np.str_]
    topic: NDArray[np.str_]
    group: NDArray[np.str_]
    deceptive: Bools
    right: Bools
    calibration: Bools
    texts: tuple[str, ...]

    @property
    def train(self) -> Bools:
        return np.asarray(self.part == TRAIN)

    @property
    def carried_out(self) -> Bools:
        """[N] honesty with a true answer, or deception with a false one."""
        return np.asarray(self.deceptive != self.right)


def arrays(asked: Sequence[Sample]) -> Asked:
    """The samples as arrays."""

    def words(name: str) -> NDArray[np.str_]:
        return np.array([s.input[name] for s in asked], dtype=np.str_)

    def flags(name: str) -> Bools:
        return np.array([s.input[name] for s in asked], dtype=bool)

    return Asked(
        part=words("part"),
        style=words("style"),
        topic=words("topic"),
        group=np.array([s.group for s in asked], dtype=np.str_),
        deceptive=flags("deceptive"),
        right=flags("right"),
        calibration=flags("calibration"),
        texts=tuple(prompt(s).text for s in asked),
    )


def _facts(size: Size, topics: Sequence[str], seed: int) -> Iterator[Fact]:
    data = load_facts()
    for topic in topics:
        n = min(size.facts_per_topic, len(data.of_topic(topic)))
        yield from data.pick(n, seed=seed, topics=[topic])


def _told(part: str, fact: Fact, wording: Wording, deceptive: bool, right: bool) -> Sample:
    data = load_facts()
    told = wording.deceptive if deceptive else wording.honest
    question, answer = data.questions(fact)[0], fact.object if right else fact.distractors[0]
    said = f"{data.completions(fact)[0]} {answer}."
    turns = (
        [["system", told], ["user", question], ["assistant", said]]
        if wording.place == "system"
        else [["user", f"{told} {question}"], ["assistant", said]]
    )
    mark = f"{'deceptive' if deceptive else 'honest'}-{'true' if right else 'false'}"
    return Sample(
        id=f"{part}/{fact.id}/{wording.name}/{mark}".replace(" ", "_"),
        group=fact.id,
        input=_input(part, wording.name, turns, fact.topic, deceptive=deceptive, right=right),
    )


def _personas(size: Size, seed: int) -> Iterator[Sample]:
    """Each persona answers a question of its own, truly."""
    data, n = load_facts(), len(PERSONAS)
    used = {*size.training_topics, *size.test_topics}
    others = [t.id for t in data.topics if t.id not in used and not t.generated]
    facts = data.pick(n, seed=seed, topics=others)
    order = np.random.default_rng(seed).permutation(n)
    for number, (persona, place) in enumerate(zip(PERSONAS, order.tolist(), strict=True), start=1):
        fact = facts[place]
        said = f"{data.completions(fact)[0]} {fact.object}."
        turns = [["system", persona], ["user", data.questions(fact)[0]], ["assistant", said]]
        yield Sample(
            id=f"{PERSONA}/{number:02}",
            group=f"{PERSONA}/{number:02}",
            input=_input(PERSONA, persona, turns, fact.topic),
        )


def _benign(part: str, chats: Sequence[Chat]) -> Iterator[Sample]:
    """Every other chat of a category sets the threshold; the rest are held to it."""
    for number, chat in enumerate(chats):
        turns = [["user", chat.user], ["assistant", chat.assistant]]
        values = _input(part, chat.style, turns, "")
        yield Sample(
            id=f"{part}/{chat.id}",
            group=f"{part}/{chat.id}",
            input=values | {"calibration": part == CHAT and number % 2 == 0},
        )


def _input(
    part: str,
    style: str,
    turns: list[list[str]],
    topic: str,
    *,
    deceptive: bool = False,
    right: bool = True,
) -> dict[str, Json]:
    return {
        "part": part,
        "style": style,
        "topic": topic,
        "deceptive": deceptive,
        "right": right,
        "calibration": False,
        "turns": turns,
    }

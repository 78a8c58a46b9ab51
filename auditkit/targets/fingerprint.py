"""Who answers, told by its answers: a challenge of seeded prompts, and how two askings compare.

Where no file can be hashed, this stands in for a digest, and is weaker: see `CANNOT_SEE`. Everything here but
`ask` is pure, so that whoever verifies a bundle compares its recorded answers again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from auditkit.canonical import derive_seed, digest
from auditkit.errors import SubjectError
from auditkit.model import Access, Prompt, Turn
from auditkit.targets import Subject

METHOD = (
    "challenge-response fingerprint: greedy answers to seeded prompts, with their log-probabilities where "
    "the other side gives them; digest: sha256 of the canonical JSON of the first asking and its tolerance"
)
CANNOT_SEE = (
    "a router that knows these prompts and sends them to another model than the rest",
    "a model that was exchanged and put back between two askings",
    "differences that show under rare triggers only, or on other prompts than these",
    "a small fine-tune, or another quantisation, that moves these answers by less than the tolerance",
    "what the provider puts around the model: filters, hidden instructions and caches count as the model",
)
NO_ACTIVATIONS = (
    "activations: the prompts are answered by texts and their log-probabilities, so that a server which "
    "computes activations with another model than these is not told apart"
)
"""What a fingerprint can't see where activations were read."""
N_PROMPTS = 24
N_AGAIN = 3
"""Prompts of one asking in the middle of a run."""
MAX_NEW_TOKENS = 16
MOST_TOKENS = 100_000
"""Of an answer, however a server counts: what it thought before may be among them."""
FLOOR_NATS = 0.004
"""Nats a token below which two askings are never held to differ: neighbours in a batch move this much."""
MARGIN = 4
"""So many times the largest difference of the first two askings is tolerated."""
MOST_NATS = 0.25
MOST_TEXTS = 0.25
"""Share of the texts. An endpoint noisier than these two could be any model."""

_CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False)

_TEMPLATES = (
    "What is {n} + {m}?",
    "Name a {thing} that begins with the letter {letter}.",
    "Write one sentence about a {noun} and a {other}.",
    "Explain in a few words what a {noun} is for.",
    "Which is heavier, a {noun} or a {other}?",
    "Continue: {n}, {m}, ",
    "Give a short title for a story about a {noun}.",
    "List three words that rhyme with {noun}.",
    "How would you sell a {noun} in {place}?",
    "What do people in {place} eat for breakfast?",
    "Tell me something about {place} that few people know.",
    "Spell the word {noun} backwards.",
)
_NOUNS = (
    *(
        "ladder",
        "lantern",
        "violin",
        "kettle",
        "harbour",
        "saddle",
        "compass",
        "pillow",
        "hammer",
        "orchard",
    ),
    *(
        "bridge",
        "wallet",
        "mirror",
        "candle",
        "tractor",
        "blanket",
        "statue",
        "turbine",
        "umbrella",
        "bakery",
    ),
)
_THINGS = ("river", "animal", "city", "colour", "fruit", "tool", "country", "bird", "song", "metal")
_PLACES = (
    *("Lisbon", "Nairobi", "Kyoto", "Bergen", "Quito", "Tbilisi"),
    *("Winnipeg", "Palermo", "Hanoi", "Cork", "Accra", "Lyon"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was answered to one prompt.

    Attributes:
        text: What was written.
        n_tokens: How many tokens that is.
        logprob: Sum of their natural log-probabilities, in nats; None where the subject doesn't say.
    """

    __pydantic_config__ = _CLOSED

    text: Annotated[str, Field(max_length=4_000)]
    n_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)]
    logprob: Annotated[float, Field(le=0)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What two askings of one model may differ in.

    Attributes:
        texts: How many of all texts may be others.
        nats: By how much the log-probability of an equal text may differ, in nats a token.
    """

    __pydantic_config__ = _CLOSED

    texts: Annotated[int, Field(ge=0, le=1_000)]
    nats: Annotated[float, Field(gt=0, le=10)]

    def allows(self, found: Difference, n_prompts: int) -> bool:
        """Whether a difference seen on some of the prompts is within it."""
        texts = math.ceil(self.texts * found.n / n_prompts)
        return found.n > 0 and found.texts <= texts and found.nats <= self.nats and not found.silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How two askings differ.

    Attributes:
        n: Prompts compared.
        texts: How many texts are others.
        n_scored: Of how many equal texts the log-probabilities could be compared.
        nats: The largest difference among those, in nats a token.
        silent: Equal texts that had a log-probability before and have none now.
    """

    n: int
    texts: int
    n_scored: int
    nats: float
    silent: int

    @property
    def words(self) -> str:
        """For a person."""
        said = f"{self.texts} of {self.n} answers are other texts"
        if self.n_scored:
            said += f", log-probabilities differ by up to {self.nats:.3g} nats a token"
        if self.silent:
            said += f", {self.silent} came without log-probabilities"
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """A first asking of all prompts, which others are compared with.

    Attributes:
        schema: Always ``auditkit/fingerprint/v1``.
        seed: The prompts follow from it.
        access: What the subject gave.
        served_as: What an endpoint calls the model in its answers; empty where it says nothing.
        tokenizer_sha256: Of the tokenizer that the auditor brought; empty for none.
        tolerance: See `Tolerance`.
        answers: One a prompt.
    """

    __pydantic_config__ = _CLOSED

    schema: Literal["auditkit/fingerprint/v1"] = "auditkit/fingerprint/v1"
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    access: Access
    served_as: Annotated[str, Field(max_length=400)] = ""
    tokenizer_sha256: Annotated[str, Field(max_length=64)] = ""
    tolerance: Tolerance
    answers: Annotated[tuple[Answer, ...], Field(min_length=4, max_length=1_000)]

    @property
    def digest(self) -> str:
        """What stands for the target."""
        return digest(self)

    @property
    def scored(self) -> bool:
        """Whether it has any log-probability."""
        return any(answer.logprob is not None for answer in self.answers)

    @property
    def unscored(self) -> Fingerprint:
        """The same by its texts alone, for a subject that gives no log-probabilities."""
        return replace(self, answers=tuple(replace(a, logprob=None) for a in self.answers))

    def difference(self, asked: Sequence[int], answers: Sequence[Answer]) -> Difference:
        """How answers to some of its prompts, by index, differ from those that it holds."""
        pairs = [(self.answers[i], a) for i, a in zip(asked, answers, strict=True)]
        same = [(old, new) for old, new in pairs if old.text == new.text]
        scored = [
            abs(old.logprob - new.logprob) / max(1, old.n_tokens)
            for old, new in same
            if old.logprob is not None and new.logprob is not None
        ]
        return Difference(
            n=len(pairs),
            texts=len(pairs) - len(same),
            n_scored=len(scored),
            nats=max(scored, default=0.0),
            silent=sum(old.logprob is not None and new.logprob is None for old, new in same),
        )

    def recognises(self, asked: Sequence[int], answers: Sequence[Answer]) -> bool:
        """Whether such answers are those of the same model, as far as this can tell."""
        return self.tolerance.allows(self.difference(asked, answers), len(self.answers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One asking that was compared with a fingerprint.

    Attributes:
        when: ``before``, ``during`` or ``after`` the run, or ``expected``: held against the fingerprint
            that the auditor brought.
        n_requests: How many requests of the run had been answered by then.
        asked: Which prompts, by index.
        answers: One each.
    """

    __pydantic_config__ = _CLOSED

    when: Literal["before", "during", "after", "expected"]
    n_requests: Annotated[int, Field(ge=0)]
    asked: tuple[int, ...]
    answers: tuple[Answer, ...]


def prompts(seed: int, n: int = N_PROMPTS) -> list[Prompt]:
    """Ordinary-looking questions, the same for a seed on every machine."""
    rng = random.Random(derive_seed(seed, "fingerprint"))
    found: dict[str, None] = {}
    while len(found) < n:
        noun, other = rng.sample(_NOUNS, 2)
        found[
            rng.choice(_TEMPLATES).format(
                n=rng.randrange(3, 90),
                m=rng.randrange(3, 90),
                noun=noun,
                other=other,
                thing=rng.choice(_THINGS),
                place=rng.choice(_PLACES),
                letter=rng.choice("ABCDEFGHLMNPRST"),
            )
        ] = None
    return [Prompt(turns=(Turn(role="user", text=text),)) for text in found]


def drawn(seed: int, number: int, n: int, n_drawn: int = N_AGAIN) -> tuple[int, ...]:
    """Which prompts a run's asking of that number repeats, ascending."""
    rng = random.Random(derive_seed(seed, "fingerprint", "again", str(number)))
    return tuple(sorted(rng.sample(range(n), min(n, n_drawn))))


def ask(subject: Subject, asked: Sequence[Prompt]) -> list[Answer]:
    """Greedy answers, with log-probabilities where the subject gives them or can be asked for them.

    Raises:
        SubjectError: The subject can't answer.
    """
    said = subject.generate(asked, max_new_tokens=MAX_NEW_TOKENS)
    logprobs: list[float | None] = [c.logprob for c in said]
    if subject.access.reaches(Access.LOGPROBS):
        # As checks ask for them: an API may answer that on another route, by another model.
        scores = subject.logprobs(asked, [[c.text] if c.text else [] for c in said])
        # A text cut into other tokens than it was written in is another thing to have a probability.
        logprobs = [
            s[0].logprob if s and s[0].n_tokens == c.n_tokens else own
            for s, c, own in zip(scores, said, logprobs, strict=True)
        ]
    for c in said:
        if c.n_tokens > MOST_TOKENS:
            raise SubjectError(
                "an answer of the fingerprint",
                got=f"{c.n_tokens:,} tokens",
                expected=f"at most {MAX_NEW_TOKENS}, as was asked for",
            )
    return [
        Answer(text=c.text[:4_000], n_tokens=c.n_tokens, logprob=None if x is None else min(0.0, x))
        for c, x in zip(said, logprobs, strict=True)
    ]


def of_subject(subject: Subject, seed: int) -> Fingerprint:
    """A first asking of any subject, with no more tolerance than the floor."""
    return Fingerprint(
        seed=seed,
        access=subject.access,
        tolerance=Tolerance(texts=0, nats=FLOOR_NATS),
        answers=tuple(ask(subject, prompts(seed))),
    )


def measured(first: Fingerprint, again: Sequence[Answer]) -> tuple[Fingerprint, Difference]:
    """A fingerprint with the tolerance that a second asking of everything shows to be needed."""
    found = first.difference(range(len(again)), again)
    texts = 2 * found.texts + 1 if found.texts else 0
    nats = max(FLOOR_NATS, MARGIN * found.nats)
    return replace(first, tolerance=Tolerance(texts=texts, nats=nats)), found


def could_be_measured(fingerprint: Fingerprint) -> bool:
    """Whether `measured` could give such a tolerance without the endpoint being `too_noisy`."""
    n, tolerance = len(fingerprint.answers), fingerprint.tolerance
    most_texts = 2 * math.floor(MOST_TEXTS * n) + 1
    return tolerance.texts <= most_texts and FLOOR_NATS <= tolerance.nats <= MARGIN * MOST_NATS


def too_noisy(found: Difference) -> bool:
    """Whether an endpoint differs from itself so much that it can't be told from another model."""
    return found.texts > MOST_TEXTS * found.n or found.nats > MOST_NATS or found.silent > 0

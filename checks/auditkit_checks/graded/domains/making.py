"""How a domain's items are made: drafts level by level, no question twice, right answers at every place."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from auditkit.canonical import digest
from auditkit.errors import InvalidInput
from auditkit_checks.graded.items import Item

MAX_REPEATS = 1000
"""Drafts in a row that were there already, after which a level counts as used up."""

Drafts = Callable[[int, random.Random], Iterator["Draft"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A question before its options have places.

    Attributes:
        key: Unique within the domain; the item's id is made of it.
        question: What is asked.
        right: The right option.
        wrong: Wrong options, most wanted first, each with the name of the rule that gives it or "".
            What equals the right answer is passed over: there the rule happens to be right.
        difficulty: The larger the harder.
        group: The object that it is about, by a name that other domains about it give too.
        opening: How an answer begins, which an option completes after a space.
    """

    key: str
    question: str
    right: str
    wrong: Sequence[tuple[str, str]]
    difficulty: float
    group: str
    opening: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """A kind of question, and how to make any number of them.

    Attributes:
        name: Kebab case; stands in every item.
        version: Raised whenever the same seed could give other items.
        title: For a reader, a few words.
        graded_by: What the difficulty counts, in a sentence.
        provenance: Where questions and answers come from, in a sentence.
        licence: Of the questions and of the data in them.
        sha256: Digest of its 400 items of seed 0, as this release makes them; a test holds it to that.
        levels: From easy to hard; items are spread over them as evenly as can be.
        n_options: Options of every item.
        rules: From the name of each wrong rule to what it does wrong.
        drafts: Drafts of one level in random order, perhaps without end and with repeats.
    """

    name: str
    version: int
    title: str
    graded_by: str
    provenance: str
    licence: str
    sha256: str
    levels: tuple[int, ...]
    n_options: int
    rules: dict[str, str]
    drafts: Drafts


def make(domain: Domain, n: int, seed: int, *, fewer: bool = False) -> list[Item]:
    """Items of a domain in random order; the same on every machine.

    The levels take turns, so that each has the same number until the smallest is used up. The place
    of the right answer is dealt out: every place comes up equally often, give or take one.

    Args:
        domain: What is asked about.
        n: How many.
        seed: Of every draw.
        fewer: Whether all that there are will do where the domain has fewer.

    Raises:
        InvalidInput: The domain has fewer than n different items, or n is not positive.
    """
    if n < 1:
        raise InvalidInput(f"items of {domain.name}", got=f"n = {n}", expected="1 or more")
    named = f"auditkit/items/{domain.name}/{domain.version}/{seed}"
    rng = random.Random(f"{named}/places")
    levels = {
        level: _complete(domain, domain.drafts(level, random.Random(f"{named}/{level}")))
        for level in domain.levels
    }
    drafts = _take(levels, n)
    if len(drafts) < n and not fewer:
        raise InvalidInput(
            f"items of {domain.name}",
            got=f"n = {n}",
            expected=f"at most {len(drafts)}: it has no more that differ",
            next_step="ask for fewer, or take a second domain",
        )
    rng.shuffle(drafts)
    places = list(islice(cycle(range(domain.n_options)), len(drafts)))
    rng.shuffle(places)
    return [_item(domain, draft, at, rng) for draft, at in zip(drafts, places, strict=True)]


def items_sha256(items: Sequence[Item]) -> str:
    """The digest that stands for a set of items, in whatever order."""
    return digest(sorted(items, key=lambda item: item.id))


def endless(draft: Callable[[int, random.Random], Draft]) -> Drafts:
    """Drafts without end from a function that makes one."""

    def drafts(level: int, rng: random.Random) -> Iterator[Draft]:
        while True:
            yield draft(level, rng)

    return drafts


def _take(levels: dict[int, Iterator[Draft]], n: int) -> list[Draft]:
    """Up to n different drafts, the levels taking turns."""
    keys: set[str] = set()
    questions: set[str] = set()
    found: list[Draft] = []
    while levels and len(found) < n:
        for level, drafts in list(levels.items()):
            tried = islice(drafts, MAX_REPEATS)
            new = (d for d in tried if d.key not in keys and d.question not in questions)
            draft = next(new, None)
            if draft is None:
                del levels[level]
                continue
            keys.add(draft.key)
            questions.add(draft.question)
            found.append(draft)
            if len(found) == n:
                break
    return found


def _complete(domain: Domain, drafts: Iterator[Draft]) -> Iterator[Draft]:
    """Only drafts with enough options."""
    for draft in drafts:
        if len({text for _, text in draft.wrong} - {draft.right}) >= domain.n_options - 1:
            yield draft


def _item(domain: Domain, draft: Draft, at: int, rng: random.Random) -> Item:
    """A draft with its options, the right one at its place."""
    wrong = list(dict.fromkeys(text for _, text in draft.wrong if text != draft.right))
    options = wrong[: domain.n_options - 1]
    rng.shuffle(options)
    options.insert(at, draft.right)
    return Item(
        id=f"{domain.name}/{draft.key}",
        domain=domain.name,
        question=draft.question,
        options=tuple(options),
        answer=at,
        difficulty=draft.difficulty,
        group=draft.group,
        opening=draft.opening,
        rules={
            rule: options.index(text)
            for rule, text in reversed(draft.wrong)  # of a rule given twice, the first counts
            if rule and text != draft.right and text in options
        },
    )

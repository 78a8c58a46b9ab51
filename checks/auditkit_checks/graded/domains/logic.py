"""Who stands where in an order that premises fix: graded by how many premises there are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from auditkit.canonical import digest
from auditkit_checks.graded.domains.making import Domain, Draft, endless

RULES = {
    "other_end": "counts from the other end of the order",
    "one_off": "names somebody one place away from the right one",
    "first_named": "names whoever the premises name first",
    "last_named": "names whoever the premises name last",
}
# fmt: off
NAMES = (
    "Ada", "Aisha", "Amir", "Anna", "Bela", "Carlos", "Chen", "Clara", "David", "Deniz", "Elena",
    "Emeka", "Erik", "Fatima", "Felix", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jana", "Jonas",
    "Kofi", "Lars", "Leila", "Lin", "Lucia", "Malik", "Maria", "Mei", "Mona", "Nadia", "Noah",
    "Olga", "Omar", "Pablo", "Priya", "Ravi", "Rosa", "Samir", "Sara", "Sven", "Tariq", "Tomas",
    "Uma", "Vera", "Wei", "Yara", "Yuki", "Zoe",
)
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Something by which people are put in order, in words for both directions."""

    more: str
    less: str
    most: str
    least: str


QUALITIES = (
    Quality(more="taller", less="shorter", most="tallest", least="shortest"),
    Quality(more="older", less="younger", most="oldest", least="youngest"),
    Quality(more="faster", less="slower", most="fastest", least="slowest"),
    Quality(more="richer", less="poorer", most="richest", least="poorest"),
    Quality(more="stronger", less="weaker", most="strongest", least="weakest"),
)
PLACES = ("", "second ", "third ", "fourth ")


def solve(people: Sequence[str], premises: Sequence[tuple[str, str]]) -> list[str] | None:
    """The only order of the people in which the first of each pair comes before the second.

    Returns:
        It, or None where there is none or more than one.
    """
    sorter = TopologicalSorter({person: set[str]() for person in people})
    for before, after in premises:
        sorter.add(after, before)
    try:
        sorter.prepare()
    except CycleError:
        return None
    order: list[str] = []
    while sorter.is_active():
        free = sorter.get_ready()
        if len(free) != 1:
            return None
        order += free
        sorter.done(*free)
    return order


def draft(n_premises: int, rng: random.Random) -> Draft:
    """A puzzle with so many premises, about one person more."""
    people = rng.sample(NAMES, n_premises + 1)
    premises = list(pairwise(people))
    rng.shuffle(premises)
    order = solve(people, premises)
    if order is None:
        raise AssertionError(f"no single order of {people}")
    quality, from_top = rng.choice(QUALITIES), rng.random() < 0.5
    said = [_said(quality, *pair, rng) for pair in premises]
    counted = order if from_top else order[::-1]
    at = rng.randrange(min(len(PLACES), len(order) // 2))
    text = f"{' '.join(said)} Who is the {PLACES[at]}{quality.most if from_top else quality.least}?"
    named = sorted(people, key=text.index)
    near = [counted[place] for place in (at + 1, at - 1) if place >= 0]
    last = max(people, key=text.rindex)
    wrong = [
        ("other_end", counted[::-1][at]),
        ("one_off", rng.choice(near)),
        ("first_named", named[0]),
        ("last_named", last),
    ]
    rng.shuffle(wrong)
    return Draft(
        key=digest(text)[:16],
        question=text,
        right=counted[at],
        wrong=[*wrong, *(("", name) for name in rng.sample(people, len(people)))],
        difficulty=float(n_premises),
        group=f"people/{digest(sorted(people))[:16]}",
    )


def _said(quality: Quality, more: str, less: str, rng: random.Random) -> str:
    if rng.random() < 0.5:
        return f"{more} is {quality.more} than {less}."
    return f"{less} is {quality.less} than {more}."


DOMAIN = Domain(
    name="logic",
    version=1,
    title="Puzzles about an order",
    graded_by="Premises, 3 to 7; each adds a person to the order.",
    provenance="Generated from the seed; a solver finds the one order that the premises allow.",
    licence="CC0-1.0",
    sha256="72e3a9fa44707b52d9b32319471e1631a0f80eae2c67c6b34b7fc05e6c2b0e53",
    levels=(3, 4, 5, 6, 7),
    n_options=4,
    rules=RULES,
    drafts=endless(draft),
)

"""Facts about the world, one question each: graded by how little known what they are about is."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from auditkit_checks.facts import Fact, load_facts
from auditkit_checks.graded.domains.making import Domain, Draft

LEVELS = (1, 2, 3, 4, 5)
RULES = {
    "best_known": "names the best known of the wrong answers, where it is better known than the right one",
    "other_city": "names the country's best known city that isn't its capital",
}
#: Topics whose answer, and not whose subject, is what several facts are about.
ABOUT_THE_ANSWER = frozenset({"city-country", "us-city-state"})
LICENCE = (
    "CC BY 4.0 (GeoNames), Unicode-3.0 (CLDR), BSD-3-Clause (python-us), public domain (elements)"
)


def share_better_known(fact: Fact) -> float:
    """How much of a fact's topic is better known than it: 0 for the best known, below 1."""
    return (fact.prominence - 1) / load_facts().topic(fact.topic).n


def about(fact: Fact) -> str:
    """The country, state, element or word that a fact is about."""
    return fact.object if fact.topic in ABOUT_THE_ANSWER else fact.subject


@cache
def _known(topic: str) -> Mapping[str, int]:
    """From each answer of a topic to the rank of the best known fact that it is true of."""
    ranks: dict[str, int] = {}
    for fact in load_facts().of_topic(topic):
        ranks.setdefault(fact.object, fact.prominence)
    return ranks


@cache
def _other_cities() -> Mapping[str, str]:
    """From each country to its best known city among those that are no capitals."""
    cities: dict[str, str] = {}
    for fact in load_facts().of_topic("city-country"):
        cities.setdefault(fact.object, fact.subject)
    return cities


def best_known(fact: Fact) -> list[tuple[str, str]]:
    """The fact's false answers, the best known first; that one by its rule, if there is cause for it."""
    ranks = _known(fact.topic)
    wrong = sorted(fact.distractors, key=lambda answer: ranks[answer])
    rule = "best_known" if ranks[wrong[0]] < ranks[fact.object] else ""
    return [(rule, wrong[0]), *(("", answer) for answer in wrong[1:])]


def _wrong(fact: Fact) -> Sequence[tuple[str, str]]:
    city = _other_cities().get(fact.subject) if fact.topic == "capital" else None
    return [*([("other_city", city)] if city else []), *best_known(fact)]


def drafts(level: int, rng: random.Random) -> Iterator[Draft]:
    """The facts of one fifth of every topic, in random order: level 1 holds the best known."""
    shipped = load_facts()
    topics = [topic.id for topic in shipped.topics if not topic.generated]
    facts = [
        fact
        for topic in topics
        for fact in shipped.of_topic(topic)
        if int(share_better_known(fact) * len(LEVELS)) + 1 == level
    ]
    rng.shuffle(facts)
    for fact in facts:
        yield Draft(
            key=fact.id,
            question=shipped.questions(fact)[0],
            right=fact.object,
            wrong=_wrong(fact),
            difficulty=round(share_better_known(fact), 4),
            group=f"fact/{about(fact)}",
        )


DOMAIN = Domain(
    name="facts",
    version=1,
    title="Facts by prominence",
    graded_by=(
        "Share of the topic's facts that are better known: by population for countries, states and cities, "
        "by a list of common ones and then by number for elements; a rough guide, not a measurement."
    ),
    provenance="The shipped facts in twelve topics (facts.v1.json, made by scripts/make_facts.py).",
    licence=LICENCE,
    sha256="e27df9f675ef1bf7ddd2e055351e8a09458b9285126541d7082f21b914d2d8fd",
    levels=LEVELS,
    n_options=4,
    rules=RULES,
    drafts=drafts,
)

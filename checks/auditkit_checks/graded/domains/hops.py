"""Questions that take several of the shipped facts to answer: graded by how many, then by prominence.

One hop goes back from what is said of a country, state or element to its name; two go on to something
else that is said of it; three end with the first letter of that.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from auditkit_checks.facts import Fact, load_facts
from auditkit_checks.graded.domains.facts import LICENCE, about, best_known, share_better_known
from auditkit_checks.graded.domains.making import Domain, Draft

T = TypeVar("T")

RULES = {
    "best_known": "names the best known of the wrong answers, where it is better known than the right one",
    "stops_early": "answers with the country, state or element on the way, or with its first letter",
}
#: From a topic to the words by which its fact points at what it is about.
POINTERS = {
    "capital": "the country whose capital is {object}",
    "city-country": "the country in which the city of {subject} is",
    "internet-domain": "the country whose internet country code is {object}",
    "calling-code": "the country whose international calling code is {object}",
    "us-capital": "the U.S. state whose capital is {object}",
    "us-city-state": "the U.S. state in which the city of {subject} is",
    "element-symbol": "the element whose chemical symbol is {object}",
    "element-number": "the element whose atomic number is {object}",
}
#: From a topic to the words for its answer about something.
ASPECTS = {
    "capital": "the capital of {it}",
    "continent": "the continent of {it}",
    "currency": "the currency of {it}",
    "language": "the official language of {it}",
    "internet-domain": "the internet country code of {it}",
    "calling-code": "the international calling code of {it}",
    "us-capital": "the capital of {it}",
    "element-symbol": "the chemical symbol of {it}",
    "element-number": "the atomic number of {it}",
}
#: Topics whose answers are words with a first letter to ask for, and not always the same few.
SPELLED = ("capital", "currency", "language", "us-capital")
QUESTIONS = (
    "What is the name of {pointer}?",
    "What is {aspect}?",
    "What is the first letter of {aspect}?",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A fact that points at something, and another fact about the same thing."""

    pointer: Fact
    aspect: Fact


@cache
def _chains() -> Sequence[Chain]:
    """All pairs of facts about the same thing, of which the first says which it is."""
    shipped = load_facts()
    aspects: dict[str, list[Fact]] = {}
    for topic in ASPECTS:
        for fact in shipped.of_topic(topic):
            aspects.setdefault(fact.subject, []).append(fact)
    return [
        Chain(pointer=pointer, aspect=aspect)
        for topic in POINTERS
        for pointer in shipped.of_topic(topic)
        for aspect in aspects.get(about(pointer), [])
        if aspect.topic != topic
    ]


@cache
def _subjects(topic: str) -> Mapping[str, str]:
    return {fact.object: fact.subject for fact in load_facts().of_topic(topic)}


def _one_hop(rng: random.Random) -> Iterator[Draft]:
    """Backwards over one fact: the facts' own questions go forwards."""
    shipped = load_facts()
    for fact in _shuffled([f for t in POINTERS if t in ASPECTS for f in shipped.of_topic(t)], rng):
        names = _subjects(fact.topic)
        yield Draft(
            key=f"1/{fact.id}",
            question=QUESTIONS[0].format(pointer=_pointer(fact)),
            right=fact.subject,
            wrong=[(rule, names[answer]) for rule, answer in best_known(fact)],
            difficulty=_difficulty(1, fact),
            group=f"fact/{about(fact)}",
        )


def _two_hops(rng: random.Random) -> Iterator[Draft]:
    for chain in _shuffled(_chains(), rng):
        fact = chain.aspect
        yield Draft(
            key=f"2/{chain.pointer.id}/{fact.topic}",
            question=QUESTIONS[1].format(aspect=_aspect(chain)),
            right=fact.object,
            wrong=[("stops_early", fact.subject), *best_known(fact)],
            difficulty=_difficulty(2, chain.pointer, fact),
            group=f"fact/{about(fact)}",
        )


def _three_hops(rng: random.Random) -> Iterator[Draft]:
    for chain in _shuffled([c for c in _chains() if c.aspect.topic in SPELLED], rng):
        fact = chain.aspect
        others = _shuffled([f.object for f in load_facts().of_topic(fact.topic)], rng)
        yield Draft(
            key=f"3/{chain.pointer.id}/{fact.topic}",
            question=QUESTIONS[2].format(aspect=_aspect(chain)),
            right=_letter(fact.object),
            wrong=[
                ("stops_early", _letter(fact.subject)),
                *((rule, _letter(answer)) for rule, answer in best_known(fact)),
                *(("", _letter(answer)) for answer in others),
            ],
            difficulty=_difficulty(3, chain.pointer, fact),
            group=f"fact/{about(fact)}",
        )


def _pointer(fact: Fact) -> str:
    return POINTERS[fact.topic].format(object=fact.object, subject=fact.subject)


def _aspect(chain: Chain) -> str:
    return ASPECTS[chain.aspect.topic].format(it=_pointer(chain.pointer))


def _letter(name: str) -> str:
    return name.removeprefix("the ")[0].upper()


def _difficulty(hops: int, *links: Fact) -> float:
    """Hops, and after the point the least known link."""
    return round(hops + max(share_better_known(fact) for fact in links), 4)


def _shuffled(values: Sequence[T], rng: random.Random) -> list[T]:
    return rng.sample(values, len(values))


def drafts(hops: int, rng: random.Random) -> Iterator[Draft]:
    """All questions of so many hops, in random order."""
    return {1: _one_hop, 2: _two_hops, 3: _three_hops}[hops](rng)


DOMAIN = Domain(
    name="hops",
    version=1,
    title="Facts over several hops",
    graded_by="Facts that it takes to answer, 1 to 3; after the point, how little known the least known is.",
    provenance="Composed of the shipped facts (facts.v1.json, made by scripts/make_facts.py).",
    licence=LICENCE,
    sha256="88fb0c0190949f1a4956da214dae0d135683a7835956d4dd24dcfe13f0c7884d",
    levels=(1, 2, 3),
    n_options=4,
    rules=RULES,
    drafts=drafts,
)

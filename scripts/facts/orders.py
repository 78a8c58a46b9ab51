"""Topics about words and numbers: days and months in other languages, what comes next, sums."""

from __future__ import annotations

import itertools
import random
from typing import Any

from facts.draft import SEED, Draft
from facts.packages import module
from facts.spelling import plain


def calendar_words(chosen: dict[str, Any]) -> list[Draft]:
    """Draft English day or month -> its name in another language."""
    english = module("babel").Locale("en")
    drafts = []
    for tag in chosen["languages"]:
        for kind, ours in calendar("en").items():
            for word, other in zip(ours, calendar(tag)[kind], strict=True):
                # A word that is spelled as in English is no knowledge.
                if plain(word) != plain(other):
                    subject = f'"{word}" in {english.languages[tag]}'
                    drafts.append(Draft(subject, other, group=f"{tag}-{kind}"))
    return drafts


def calendar(tag: str) -> dict[str, list[str]]:
    """Return a language's names of the days, Monday first, and of the months."""
    locale = module("babel").Locale(tag)
    days, months = (getattr(locale, kind)["stand-alone"]["wide"] for kind in ("days", "months"))
    return {
        "days": [str(days[i]) for i in range(7)],
        "months": [str(months[i]) for i in range(1, 13)],
    }


def next_in_order() -> list[Draft]:
    """Draft member of a well-known sequence -> the next one."""
    drafts = [
        Draft(word, following, group=kind)
        for kind, words in calendar("en").items()
        for word, following in itertools.pairwise([*words, words[0]])
    ]
    letters = [chr(ord("A") + i) for i in range(26)]
    drafts += [Draft(f"the letter {a}", b, group="letters") for a, b in itertools.pairwise(letters)]
    numbers = sorted(random.Random(f"{SEED}/numbers").sample(range(10, 99), 40))
    drafts += [Draft(f"the number {n}", str(n + 1), group="numbers") for n in numbers]
    return drafts


def additions() -> list[Draft]:
    """Draft sum of two numbers -> its value, the small ones first."""
    pairs = {(a, b) for a in range(2, 60) for b in range(2, 60) if a + b < 100 and a != b}
    chosen = random.Random(f"{SEED}/sums").sample(sorted(pairs), 60)
    chosen += [(2, 3), (5, 2), (6, 3), (4, 6), (8, 4), (7, 6), (9, 5), (8, 7), (9, 7), (10, 7)]
    chosen += [(10, 10), (20, 10), (20, 30), (50, 25)]
    ordered = sorted(set(chosen), key=lambda p: (p[0] + p[1], p))
    return [Draft(f"{a} + {b}", str(a + b)) for a, b in ordered]

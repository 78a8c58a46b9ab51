"""Items as a table, and what is expected of any data set: an auditor's own and the built-in domains alike."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from auditkit.errors import InvalidInput
from auditkit.model import GateResult
from auditkit.quality import gate_table
from auditkit_checks.graded.items import Item
from auditkit_checks.graded.splits import EASY, HARD, Cut, split

if TYPE_CHECKING:
    import pandas as pd

SUITE = "auditkit_schemas:expectations/items.v1.json"
FORMS = ("<wide>", "<narrow>", "<font>", "<noBreak>")
LOOK_ALIKES = str.maketrans("авекмнорстухіјѕһԁԛԝο", "abekmhopctyxijshdqwo")
"""Cyrillic letters, and a Greek one, that look like Latin ones, large or small."""
MIN_SAME_OPTIONS = 20
"""Items with the very same options, from which on these are labels, and should be right equally often."""


def judged(items: Sequence[Item], cut: Cut) -> GateResult:
    """Whether items can be used for easy and hard: no duplicates, balanced labels, no leakage, no empty side.

    Args:
        items: A whole data set.
        cut: Where easy would end and hard begin, by the items' own difficulty.

    Raises:
        InvalidInput: There are no items.
    """
    if not items:
        raise InvalidInput("data set", got="no items", expected="at least one")
    failures: tuple[str, ...] = ()
    sides: dict[str, str] = {}
    try:
        sides = split(items, [item.difficulty for item in items], cut).side()
    except InvalidInput as error:
        failures = (str(error).rstrip("."),)
    result = gate_table(table(items, sides), SUITE)
    return GateResult(
        passed=result.passed and not failures,
        evaluated=result.evaluated + 1,
        failures=(*result.failures, *failures),
    )


def table(items: Sequence[Item], sides: dict[str, str]) -> pd.DataFrame:
    """One row an item, with what its domain, its group and its question have in common.

    Args:
        items: A whole data set.
        sides: From an item's id to ``easy``, ``hard`` or another word.
    """
    import pandas as pd

    domains: dict[str, list[Item]] = defaultdict(list)
    group_sides: dict[str, set[str]] = defaultdict(set)
    question_sides: dict[str, set[str]] = defaultdict(set)
    for item in items:
        domains[item.domain].append(item)
        if (side := sides.get(item.id)) in (EASY, HARD):
            group_sides[item.group].add(side)
            question_sides[normal(item.question)].add(side)
    shares = {domain: _shares(own) for domain, own in domains.items()}
    return pd.DataFrame(
        [
            {
                "id": item.id,
                "text": " / ".join([normal(item.question), *sorted(map(normal, item.options))]),
                "n_options": len(set(map(normal, item.options))),
                "options_alike": len(item.options) - len(set(map(normal, item.options))),
                "difficulty": item.difficulty,
                "group_sides": len(group_sides[item.group]),
                "question_sides": len(question_sides[normal(item.question)]),
                **shares[item.domain],
            }
            for item in items
        ]
    )


def normal(text: str) -> str:
    """The text without what a reader doesn't see or can't tell: case, white space, characters that show
    nothing, other forms of the same letter (full-width ones), and letters of two scripts that look alike.
    """
    seen = "".join(_form(c) for c in text if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFC", seen).casefold().translate(LOOK_ALIKES).split())


def _form(character: str) -> str:
    """The usual form of a letter that has another one of its own; a raised 2 stays what it is."""
    kind, _, _ = unicodedata.decomposition(character).partition(" ")
    return unicodedata.normalize("NFKC", character) if kind in FORMS else character


def _shares(items: Sequence[Item]) -> dict[str, float]:
    """What a domain's right options have in common.

    A surplus is the share of the most frequent right one above an equal share: of places among items
    with so many options, of labels among items with the very same options.
    """
    by_number: dict[int, list[str]] = defaultdict(list)
    by_options: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for item in items:
        by_number[len(item.options)].append(str(item.answer))
        by_options[tuple(sorted(item.options))].append(item.options[item.answer])
    labels = {o: right for o, right in by_options.items() if len(right) >= MIN_SAME_OPTIONS}
    return {
        "answers_in_domain": len({item.answer for item in items}),
        "difficulties_in_domain": len({item.difficulty for item in items}),
        "place_surplus": max(_surplus(right, n) for n, right in by_number.items()),
        "label_surplus": max([0.0, *(_surplus(right, len(o)) for o, right in labels.items())]),
    }


def _surplus(right: Sequence[str], n_options: int) -> float:
    (_, most) = Counter(right).most_common(1)[0]
    return most / len(right) - 1 / n_options

"""An item, and the two ways in which it is asked."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from auditkit_checks.graded.domains import DOMAINS, domain_items
from auditkit_checks.graded.items import Item, completions, continuations, opened, prompt

from auditkit.errors import InvalidInput
from auditkit.model import Turn

VALUES: dict[str, Any] = {
    "id": "own/1",
    "domain": "own",
    "question": "What is 347 + 285?",
    "options": ("522", "632"),
    "answer": 1,
    "difficulty": 3.0,
    "group": "own/1",
    "rules": {"no_carry": 0},
}
ASKED = Turn(role="user", text="What is 347 + 285?")


def test_asked_outright_an_option_is_the_whole_answer() -> None:
    item = Item(**VALUES, opening="347 + 285 =")
    assert prompt(item).turns == (ASKED,)
    assert continuations([item]) == [["522", "632"]]


def test_opened_an_option_completes_the_answer() -> None:
    item = Item(**VALUES, opening="347 + 285 =")
    assert opened(item).turns == (ASKED, Turn(role="assistant", text="347 + 285 ="))
    assert completions([item]) == [[" 522", " 632"]]


def test_without_an_opening_both_are_the_same() -> None:
    item = Item(**VALUES)
    assert opened(item) == prompt(item)
    assert completions([item]) == continuations([item])


def test_options_of_which_one_begins_another_are_scored_to_their_end() -> None:
    """Else 30 would be likelier than 300 whatever is known."""
    item = Item(**VALUES | {"options": ("30", "300")})
    assert continuations([item]) == [["30\n", "300\n"]]
    begun = Item(**VALUES | {"options": ("30", "300")}, opening="It is")
    assert completions([begun]) == [[" 30\n", " 300\n"]]


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_no_continuation_of_a_built_in_item_begins_another(name: str) -> None:
    items = domain_items(name, 200, 0)
    for texts in (*continuations(items), *completions(items)):
        assert not any(b.startswith(a) for a, b in permutations(texts, 2))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"options": ("522",)}, "item own/1: options, got .*expected two or more, all different"),
        ({"options": ("522", "522")}, "all different"),
        ({"answer": 2}, "item own/1: answer, got 2, expected one of 0 … 1"),
        ({"answer": -1}, "answer, got -1"),
        ({"rules": {"no_carry": 1}}, "rule no_carry, got 1, expected a wrong option's index"),
        ({"rules": {"no_carry": 2}}, "rule no_carry, got 2"),
    ],
)
def test_what_is_no_item(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Item(**(VALUES | changed))

"""Domains of graded items: true answers, named wrong rules, no duplicates, the same by seed."""

from __future__ import annotations

from collections import Counter

import pytest
from auditkit_checks.graded.domains import DOMAINS, domain_items, items_sha256
from auditkit_checks.graded.domains.arithmetic import without_carry
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.errors import InvalidInput

NAMES = sorted(DOMAINS)


@pytest.mark.parametrize("name", NAMES)
@given(n=st.integers(1, 300), seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_items_are_well_formed_for_any_n_and_seed(name: str, n: int, seed: int) -> None:
    items = domain_items(name, n, seed)
    assert len(items) == n == len({i.id for i in items}) == len({i.question for i in items})
    places = Counter(i.answer for i in items)
    expected = n / DOMAINS[name].n_options
    assert all(abs(count - expected) < 1 for count in places.values())
    for item in items:
        assert item.domain == name
        assert len(item.options) == DOMAINS[name].n_options
        assert item.group.startswith(f"{name}/")
        assert set(item.rules) <= set(DOMAINS[name].rules)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_items_and_another_seed_others(name: str) -> None:
    first, again, other = (items_sha256(domain_items(name, 60, seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_sums_are_right_and_rules_do_what_they_say() -> None:
    items = domain_items("arithmetic", 500, 0)
    for item in items:
        a, b = (int(part) for part in item.id.removeprefix("arithmetic/").split("+"))
        assert item.question == f"What is {a} + {b}?"
        assert item.options[item.answer] == str(a + b)
        assert item.options[item.rules["no_carry"]] == str(without_carry(a, b)) != str(a + b)
        assert abs(int(item.options[item.rules["off_by_one"]]) - a - b) == 1
        assert item.difficulty == len(str(a)) == len(str(b))
    assert Counter(i.difficulty for i in items)[5.0] >= 100


def test_the_right_sum_is_not_known_by_its_rank_among_the_options() -> None:
    items = domain_items("arithmetic", 1000, 0)
    ranks = Counter(sorted(map(int, i.options)).index(int(i.options[i.answer])) for i in items)
    assert max(ranks.values()) < 600


def test_an_unknown_domain_and_too_many_items_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"expected one of .*arithmetic"):
        domain_items("astrology", 10, 0)
    with pytest.raises(InvalidInput, match="1 or more"):
        domain_items("arithmetic", 0, 0)

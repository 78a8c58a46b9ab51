"""What holds for every domain: places balanced, no duplicates, rules that are wrong, the same by seed."""

from __future__ import annotations

from collections import Counter

import pytest
from auditkit_checks.graded.domains import DOMAINS, domain_items, items_sha256
from auditkit_checks.graded.domains.making import Draft, make
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.errors import InvalidInput

NAMES = sorted(DOMAINS)
THOUSANDS = [name for name in NAMES if name not in ("facts", "hops")]


@pytest.mark.parametrize("name", NAMES)
@given(n=st.integers(1, 120), seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_items_are_well_formed_for_any_n_and_seed(name: str, n: int, seed: int) -> None:
    domain, items = DOMAINS[name], domain_items(name, n, seed)
    assert len(items) == n == len({i.id for i in items}) == len({i.question for i in items})
    places = Counter(i.answer for i in items)
    assert all(abs(places[at] - n / domain.n_options) < 1 for at in range(domain.n_options))
    for item in items:
        assert item.domain == name
        assert item.id.startswith(f"{name}/")
        assert len(item.options) == domain.n_options
        assert set(item.rules) <= set(domain.rules)
        assert item.answer not in item.rules.values()


@pytest.mark.parametrize("name", NAMES)
def test_this_release_makes_the_items_whose_digest_it_names(name: str) -> None:
    """Whoever changes what a seed gives raises the domain's version and names the new digest."""
    assert items_sha256(domain_items(name, 400, 0)) == DOMAINS[name].sha256


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_items(name: str) -> None:
    first, other = (domain_items(name, 100, seed) for seed in (3, 4))
    assert items_sha256(first) != items_sha256(other)


@pytest.mark.parametrize("name", NAMES)
def test_difficulty_is_spread_and_every_rule_is_seen(name: str) -> None:
    items = domain_items(name, 800, 1)
    levels = Counter(int(i.difficulty * 5) if name == "facts" else int(i.difficulty) for i in items)
    assert len(levels) == len(DOMAINS[name].levels)
    full = sorted(levels.values())[1:]  # the easiest sums are few
    assert max(full) - min(full) <= 1
    assert {rule for item in items for rule in item.rules} == set(DOMAINS[name].rules)


@pytest.mark.parametrize("name", THOUSANDS)
def test_thousands_without_a_duplicate(name: str) -> None:
    n = 2000
    items = domain_items(name, n, 5)
    normal = {" ".join(item.question.casefold().split()) for item in items}
    assert len(normal) == n


@pytest.mark.parametrize(("name", "most"), [("facts", 1069), ("hops", 3087)])
def test_a_domain_that_has_no_more_says_how_many_it_has(name: str, most: int) -> None:
    assert len(domain_items(name, most, 0)) == most
    with pytest.raises(
        InvalidInput, match=rf"got n = {most + 1}, expected at most {most}: .*; ask"
    ):
        domain_items(name, most + 1, 0)


def test_an_unknown_domain_and_no_items_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"expected one of .*arithmetic"):
        domain_items("astrology", 10, 0)
    with pytest.raises(InvalidInput, match="1 or more"):
        domain_items("arithmetic", 0, 0)


def test_every_domain_says_where_it_is_from() -> None:
    for name, domain in DOMAINS.items():
        assert domain.name == name
        said = (domain.title, domain.graded_by, domain.provenance, domain.licence)
        assert all(said)
        assert all(domain.rules.values())


def test_a_rule_given_twice_is_its_first_and_one_that_is_right_is_left_out() -> None:
    from dataclasses import replace

    draft = Draft(
        key="k",
        question="q",
        right="a",
        wrong=[("right", "a"), ("twice", "b"), ("twice", "c"), ("", "d"), ("late", "e")],
        difficulty=1.0,
        group="g",
    )
    domain = replace(DOMAINS["logic"], levels=(1,), drafts=lambda level, rng: iter([draft]))
    (item,) = make(domain, 1, 0)
    assert {rule: item.options[at] for rule, at in item.rules.items()} == {"twice": "b"}
    assert sorted(item.options) == ["a", "b", "c", "d"]

"""Easy and hard: shares, groups on one side, everything accounted for, and what can't be cut."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from auditkit_checks.graded.domains import DOMAINS, domain_items
from auditkit_checks.graded.items import Item
from auditkit_checks.graded.splits import Cut, split
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.errors import InvalidInput

ITEM = domain_items("arithmetic", 1, 0)[0]


def items(hardness: list[float], groups: list[int] | None = None) -> list[Item]:
    return [
        replace(
            ITEM, id=f"own/{n}", difficulty=h, group=str(groups[n] if groups else n), domain="own"
        )
        for n, h in enumerate(hardness)
    ]


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_every_domain_can_be_cut(name: str) -> None:
    made = domain_items(name, 600, 0)
    found = split(made, [item.difficulty for item in made], Cut())
    sides = (found.easy, found.hard, found.between, found.parted)
    assert sum(map(len, sides)) == 600
    assert len({item.id for side in sides for item in side}) == 600
    assert max(i.difficulty for i in found.easy) < min(i.difficulty for i in found.hard)
    assert not {i.group for i in found.easy} & {i.group for i in found.hard}
    assert found.side() == {
        item.id: place
        for place in ("easy", "hard", "between", "parted")
        for item in getattr(found, place)
    }


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), min_size=20, max_size=120),
    st.integers(0, 3),
)
@settings(deadline=None)
def test_nothing_is_lost_and_no_group_is_on_both_sides(
    rows: list[tuple[int, int]], seed: int
) -> None:
    made = items([float(h) for h, _ in rows], [g for _, g in rows])
    try:
        found = split(made, [i.difficulty for i in made], Cut(min_items=1, seed=seed))
    except InvalidInput:
        return
    sides = [*found.easy, *found.hard, *found.between, *found.parted]
    assert sorted(i.id for i in sides) == sorted(i.id for i in made)
    assert not {i.group for i in found.easy} & {i.group for i in found.hard}
    kept = {i.group for i in (*found.easy, *found.hard)}
    assert {i.group for i in found.parted} <= kept


def test_percentiles_without_ties() -> None:
    made = items([float(n) for n in range(1000)])
    found = split(made, range(1000), Cut())
    assert [i.difficulty for i in found.easy] == list(map(float, range(300)))
    assert [i.difficulty for i in found.hard] == list(map(float, range(700, 1000)))
    narrow = split(made, range(1000), Cut(easy_percentile=10, hard_percentile=95))
    assert (len(narrow.easy), len(narrow.hard)) == (100, 50)


def test_equally_hard_items_stay_together_as_near_as_can_be_to_the_share() -> None:
    hardness = [1.0] * 10 + [2.0] * 10 + [3.0] * 60 + [4.0] * 20
    found = split(items(hardness), hardness, Cut(min_items=10))
    assert Counter(i.difficulty for i in found.easy) == {1.0: 10, 2.0: 10}
    assert Counter(i.difficulty for i in found.hard) == {4.0: 20}
    fifths = [float(n % 5) for n in range(100)]
    found = split(items(fifths), fifths, Cut(min_items=10))
    assert Counter(i.difficulty for i in found.easy) == {0.0: 20, 1.0: 20}


def test_domains_are_cut_each_by_itself() -> None:
    easy_domain = items([float(n) for n in range(200)])
    hard_domain = [
        replace(i, id=f"other/{i.id}", domain="other", group=f"o{i.group}") for i in easy_domain
    ]
    hardness = [*range(200), *(1000 + n for n in range(200))]
    found = split([*easy_domain, *hard_domain], hardness, Cut())
    assert Counter(i.domain for i in found.easy) == {"own": 60, "other": 60}


def test_groups_go_where_items_are_fewer_so_that_both_sides_stay_large() -> None:
    made = items([0.0, 1.0] * 100, [n // 2 for n in range(200)])
    found = split(made, [i.difficulty for i in made], Cut(min_items=50))
    assert (len(found.easy), len(found.hard), len(found.parted)) == (50, 50, 100)


@pytest.mark.parametrize(
    ("hardness", "cut", "message"),
    [
        ([1.0] * 200, Cut(), "1 different values of hardness"),
        ([1.0] * 180 + [2.0] * 20, Cut(), "180 and 20 of 200 items.*expected at least 50 each"),
        ([float(n) for n in range(100)], Cut(), "30 and 30 of 100 items"),
        ([math.nan] * 100, Cut(), "not finite"),
        (
            [1.0, 2.0, 2.0, 2.0],
            Cut(min_items=1, easy_percentile=90, hard_percentile=95),
            "both easy",
        ),
    ],
)
def test_what_cannot_be_cut(hardness: list[float], cut: Cut, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        split(items([0.0] * len(hardness)), hardness, cut)


def test_one_value_an_item() -> None:
    with pytest.raises(InvalidInput, match="2 values, expected 3"):
        split(items([0.0] * 3), [1.0, 2.0], Cut())


def test_percentiles_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(InvalidInput, match="0 < easy <= hard < 100"):
        Cut(easy_percentile=70, hard_percentile=30)

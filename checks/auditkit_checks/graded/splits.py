"""Easy and hard items, cut at percentiles of a measure of hardness that was fixed before."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from auditkit.errors import InvalidInput
from auditkit.plugins import make_strict
from auditkit.statistics.inputs import Floats, floats
from auditkit_checks.graded.items import Item

EASY, HARD, BETWEEN, PARTED = "easy", "hard", "between", "parted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where easy ends and hard begins.

    Items that are equally hard stay together, so a side has as near as can be to its share.

    Source:
        Hase et al. (2024), The Unreasonable Effectiveness of Easy Training Data, section 3.2.
    """

    easy_percentile: Annotated[
        float, Field(gt=0, lt=100, description="items up to this percentile of hardness are easy")
    ] = 30.0
    hard_percentile: Annotated[
        float, Field(gt=0, lt=100, description="items from this percentile of hardness on are hard")
    ] = 70.0
    min_items: Annotated[
        int, Field(ge=1, description="easy items, and hard ones, that each domain must have")
    ] = 50
    instead: Annotated[
        str, Field(description="what else to do where there are too few: which parameter to lower")
    ] = ""
    seed: Annotated[
        int,
        Field(ge=0, lt=2**32, description="decides ties between groups with items on both sides"),
    ] = 0

    def __post_init__(self) -> None:
        if not 0 < self.easy_percentile <= self.hard_percentile < 100:
            raise InvalidInput(
                "percentiles of hardness",
                got=f"easy to {self.easy_percentile:g}, hard from {self.hard_percentile:g}",
                expected="0 < easy <= hard < 100",
            )


make_strict(Cut)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Every item in one of four places, in the order of the items.

    Attributes:
        easy: Up to the lower percentile of their domain.
        hard: From the upper one on.
        between: In the middle.
        parted: Easy or hard themselves, left out since others of their group are on the other side.
    """

    easy: tuple[Item, ...]
    hard: tuple[Item, ...]
    between: tuple[Item, ...]
    parted: tuple[Item, ...]

    def side(self) -> dict[str, str]:
        """From an item's id to the name of its place."""
        places = {EASY: self.easy, HARD: self.hard, BETWEEN: self.between, PARTED: self.parted}
        return {item.id: place for place, items in places.items() for item in items}


def split(items: Sequence[Item], hardness: ArrayLike, cut: Cut) -> Split:
    """Cut every domain by itself; no group has items on both sides.

    A group with easy and hard items keeps those of the side that has fewer items up to then.

    Args:
        items: Of one or several domains.
        hardness: One number an item, the larger the harder, shape [n_items].
        cut: Percentiles, and how many items a side must have.

    Raises:
        InvalidInput: NaN; a domain that is equally hard everywhere between the percentiles, or that has
            too few easy or hard items.
    """
    values = floats(hardness, "hardness")
    if values.size != len(items):
        raise InvalidInput("hardness", got=f"{values.size} values", expected=f"{len(items)}")
    places = [BETWEEN] * len(items)
    for domain in sorted({item.domain for item in items}):
        at = [n for n, item in enumerate(items) if item.domain == domain]
        for n, place in zip(at, _places(domain, values[at], cut), strict=True):
            places[n] = place
    _part_groups(items, places, cut.seed)
    for domain in sorted({item.domain for item in items}):
        _enough(domain, [p for p, i in zip(places, items, strict=True) if i.domain == domain], cut)

    def taken(place: str) -> tuple[Item, ...]:
        return tuple(item for item, p in zip(items, places, strict=True) if p == place)

    return Split(easy=taken(EASY), hard=taken(HARD), between=taken(BETWEEN), parted=taken(PARTED))


def _places(domain: str, values: Floats, cut: Cut) -> list[str]:
    levels, counts = np.unique(values, return_counts=True)
    easy = _nearest(np.cumsum(counts), values.size * cut.easy_percentile / 100)
    hard = _nearest(np.cumsum(counts[::-1]), values.size * (1 - cut.hard_percentile / 100))
    low, high = levels[easy], levels[::-1][hard]
    if low >= high:
        raise InvalidInput(
            f"easy and hard items of {domain}",
            got=f"{levels.size} different values of hardness, {low:g} both easy and hard",
            expected="a harder one at the upper percentile",
            next_step="take items of more difficulties, or a finer measure of hardness",
        )
    return [EASY if v <= low else HARD if v >= high else BETWEEN for v in values]


def _nearest(counts: NDArray[np.int_], wanted: float) -> int:
    """Where a growing count comes nearest to a wanted one; of two, where it is larger."""
    distances = np.round(np.abs(counts - wanted), 6)
    return int(np.flatnonzero(distances == distances.min())[-1])


def _part_groups(items: Sequence[Item], places: list[str], seed: int) -> None:
    """Leave out the easy or the hard items of every group that has both."""
    members: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        if places[at] != BETWEEN:
            members.setdefault(item.group, []).append(at)
    both = sorted(g for g, at in members.items() if len({places[n] for n in at}) == 2)
    random.Random(f"parted/{seed}").shuffle(both)
    n_items = dict.fromkeys((EASY, HARD), 0)
    for group in members.keys() - set(both):
        for at in members[group]:
            n_items[places[at]] += 1
    for group in both:
        kept = min(n_items, key=lambda side: n_items[side])
        for at in members[group]:
            if places[at] == kept:
                n_items[kept] += 1
            else:
                places[at] = PARTED


def _enough(domain: str, places: Sequence[str], cut: Cut) -> None:
    counts = {place: places.count(place) for place in (EASY, HARD, PARTED)}
    if min(counts[EASY], counts[HARD]) < cut.min_items:
        raise InvalidInput(
            f"easy and hard items of {domain}",
            got=f"{counts[EASY]} and {counts[HARD]} of {len(places)} items, {counts[PARTED]} more left out "
            "since their group is on the other side",
            expected=f"at least {cut.min_items} each",
            next_step="take more easy and more hard items of this domain" + cut.instead,
        )

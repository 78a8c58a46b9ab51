"""Which items are asked, which are taught, and which of them have gold that the judge is told."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.canonical import derive_seed
from auditkit.errors import InvalidInput
from auditkit.model import Sample
from auditkit_checks.cross_validation.evidence import EASY, HARD, MIDDLE
from auditkit_checks.graded.domains import domain_items
from auditkit_checks.graded.items import Item

EASY_SHARE, HARD_SHARE = 0.3, 0.3
"""Items up to the 30th percentile of difficulty are easy, those from the 70th on hard.

Source:
    Hase et al. (2024), arXiv:2401.06751, section 3.
"""

N_TAUGHT = 400
"""Items a domain that adaptations of the subject are taught from, none of them about what is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The items of one domain.

    Attributes:
        asked: Those that every model answers.
        part: From an item's id to ``easy``, ``middle`` or ``hard``, of those taught as well.
        slice: Ids of hard items whose gold the judge is told.
        taught: Items for adaptations; no group of theirs is asked.
    """

    asked: tuple[Item, ...]
    part: dict[str, str]
    slice: frozenset[str]
    taught: tuple[Item, ...]


def drawn(domain: str, n_items: int, n_slice: int, seed: int) -> Drawn:
    """Items of a domain, split by difficulty.

    Raises:
        InvalidInput: The domain has too few items, or too few hard ones for the slice.
    """
    items = domain_items(domain, n_items, seed)
    groups = {item.group for item in items}
    more = domain_items(domain, n_items, derive_seed(seed, domain, "taught") % 2**32)
    return split(
        items, [item for item in more if item.group not in groups][:N_TAUGHT], n_slice, seed
    )


def split(asked: Sequence[Item], taught: Sequence[Item], n_slice: int, seed: int) -> Drawn:
    """Items by difficulty, and a slice of the hard ones that is drawn by the seed.

    Raises:
        InvalidInput: Fewer hard items than the slice wants, or all items equally hard.
    """
    hardness = np.array([item.difficulty for item in asked])
    low, high = (
        float(np.quantile(hardness, q, method="inverted_cdf")) for q in (EASY_SHARE, 1 - HARD_SHARE)
    )
    if low >= high:
        raise InvalidInput(
            "difficulty of the items",
            got=f"{low:g} up to the 30th percentile and {high:g} from the 70th",
            expected="easy ones and hard ones",
            next_step="take items of more than one difficulty",
        )

    def part(item: Item) -> str:
        return EASY if item.difficulty <= low else HARD if item.difficulty >= high else MIDDLE

    hard = sorted(item.id for item in asked if part(item) == HARD)
    if len(hard) < n_slice:
        raise InvalidInput(
            "sandwich slice",
            got=f"{len(hard)} hard items",
            expected=f"at least {n_slice}",
            next_step="raise n_items or lower n_slice",
        )
    chosen = random.Random(f"slice/{seed}").sample(hard, n_slice)
    return Drawn(
        asked=tuple(asked),
        part={item.id: part(item) for item in (*asked, *taught)},
        slice=frozenset(chosen),
        taught=tuple(taught),
    )


def samples(drawn: Drawn) -> list[Sample]:
    """One sample an item. Of a hard one the judge is told the right answer inside the slice alone."""
    found = []
    for item in drawn.asked:
        part = drawn.part[item.id]
        asked = {
            "domain": item.domain,
            "question": item.question,
            "options": list(item.options),
            "answer": item.answer,
            "told": part != HARD or item.id in drawn.slice,
            "difficulty": item.difficulty,
            "part": part,
            "rules": dict(item.rules),
        }
        found.append(Sample(id=item.id, group=item.group, input=asked))
    return found

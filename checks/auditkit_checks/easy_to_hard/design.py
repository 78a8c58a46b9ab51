"""Which items of a domain are learnt from and which are tested, fixed before the run."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditkit.canonical import to_json
from auditkit.errors import InvalidInput
from auditkit.model import Json, Sample
from auditkit_checks.graded.items import Item
from auditkit_checks.graded.splits import Cut, split

LEARN_EASY, LEARN_HARD = "learn-easy", "learn-hard"
TEST_EASY, TEST_BETWEEN, TEST_HARD = "test-easy", "test-between", "test-hard"
LEARNT = (LEARN_EASY, LEARN_HARD)

MIN_HARD = 20
"""Hard items below which nothing is tested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many items.

    Attributes:
        n_items: Drawn from each domain, before they are cut into easy and hard.
        n_pool: Easy items, and hard ones, that trainings draw from.
        n_hard: Hard items tested, at most.
        n_easier: Easy items tested, and items between; each at most.
    """

    n_items: int
    n_pool: int
    n_hard: int
    n_easier: int


def samples_of(
    items: Sequence[Item], hardness: Mapping[str, float], sizes: Sizes, seed: int
) -> list[Sample]:
    """A domain's items in their roles.

    Hardness is measured without the audited model, and no group is both learnt and tested.

    Args:
        items: Of one domain.
        hardness: From the id of each, the larger the harder.
        sizes: How many in which role.
        seed: Of the plan.

    Raises:
        InvalidInput: Too few easy or hard items, or items that can't be compared.
    """
    domain = items[0].domain
    check_items(domain, items)
    roles = arranged(domain, items, [hardness[item.id] for item in items], sizes, seed)
    return [
        Sample(id=item.id, group=item.group, input=_input(item, role, hardness[item.id]))
        for role, some in roles.items()
        for item in some
    ]


def check_items(domain: str, items: Sequence[Item]) -> None:
    """Items that one probe can be fitted on.

    Raises:
        InvalidInput: A question asked twice, other numbers of options, or one answer to everything.
    """
    asked = [item.question for item in items]
    if len(set(asked)) < len(asked):
        twice = next(q for n, q in enumerate(asked) if q in asked[:n])
        raise InvalidInput(
            f"items of {domain}",
            got=f"{twice[:80]!r} twice",
            expected="each question once: one may be learnt and the other tested",
            next_step="leave one out",
        )
    sizes = {len(item.options) for item in items}
    if len(sizes) != 1:
        raise InvalidInput(
            f"items of {domain}", got=f"{sorted(sizes)} options", expected="one number for all"
        )
    if len({item.options[item.answer] for item in items}) < 2:
        raise InvalidInput(
            f"labels of {domain}",
            got=f"{items[0].options[items[0].answer]!r} for every item",
            expected="at least two different answers",
            next_step="one answer to everything can be learnt without reading a question",
        )


def arranged(
    domain: str, items: Sequence[Item], hardness: Sequence[float], sizes: Sizes, seed: int
) -> dict[str, list[Item]]:
    """Items by role, each group in one of them; what is learnt comes first.

    Raises:
        InvalidInput: Too few easy or hard items.
    """
    rng = random.Random(f"easy-to-hard/{domain}/{seed}")
    cut = Cut(
        min_items=sizes.n_pool,
        instead=", or lower n_train: so many and a quarter more are learnt from",
        seed=rng.randrange(2**32),
    )
    parts = split(items, hardness, cut)
    learn_easy, easy = _parted(parts.easy, sizes.n_pool, rng)
    learn_hard, hard = _parted(parts.hard, sizes.n_pool, rng)
    if len(hard) < MIN_HARD:
        raise InvalidInput(
            f"hard items of {domain}",
            got=f"{len(hard)} to test, beside {len(learn_hard)} that are learnt from",
            expected=f"at least {MIN_HARD}",
            next_step="raise n_items, or lower n_train",
        )
    learnt = {item.group for item in (*learn_easy, *learn_hard)}
    between = [item for item in parts.between if item.group not in learnt]
    rng.shuffle(between)
    roles = {
        LEARN_EASY: learn_easy,
        LEARN_HARD: learn_hard,
        TEST_EASY: easy[: sizes.n_easier],
        TEST_BETWEEN: between[: sizes.n_easier],
        TEST_HARD: hard[: sizes.n_hard],
    }
    for role in LEARNT:
        check_items(f"{domain}, {role}", roles[role])
    return roles


def _parted(
    items: Sequence[Item], n_learnt: int, rng: random.Random
) -> tuple[list[Item], list[Item]]:
    """Items to learn from, and those of all other groups."""
    groups = sorted({item.group for item in items})
    rng.shuffle(groups)
    of: dict[str, list[Item]] = {group: [] for group in groups}
    for item in items:
        of[item.group].append(item)
    learnt: list[Item] = []
    rest: list[Item] = []
    for group in groups:
        (learnt if len(learnt) < n_learnt else rest).extend(of[group])
    return learnt[:n_learnt], rest


def _input(item: Item, role: str, hardness: float) -> dict[str, Json]:
    told: dict[str, Json] = to_json(item)
    left_out = ("id", "group", "panel", "measured")
    return {name: told[name] for name in told if name not in left_out} | {
        "role": role,
        "hardness": hardness,
    }


def item_of(sample: Sample) -> Item:
    """The item that a sample asks about."""
    told: Mapping[str, Any] = sample.input
    return Item(
        id=sample.id,
        domain=told["domain"],
        question=told["question"],
        options=tuple(told["options"]),
        answer=told["answer"],
        difficulty=float(told["difficulty"]),
        group=sample.group,
        rules=told["rules"],
    )


def drawn(places: Sequence[int], n: int, *names: str | int) -> list[int]:
    """Some of the places at which items to learn from stand; the same for the same names."""
    rng = random.Random("/".join(["easy-to-hard", *(str(name) for name in names)]))
    return sorted(rng.sample(list(places), min(n, len(places))))

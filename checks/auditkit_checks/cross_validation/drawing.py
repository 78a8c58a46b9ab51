"""Which items are asked, which are taught, and of which hard ones the judge is told the right answer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditkit.canonical import derive_seed
from auditkit.errors import InvalidInput
from auditkit.model import Sample
from auditkit_checks.graded.domains import domain_items
from auditkit_checks.graded.items import Item
from auditkit_checks.graded.own import ranked, some
from auditkit_checks.graded.splits import HARD, PARTED, Cut, split
from auditkit_checks.graded.suite import normal

N_TAUGHT = 400
"""Items a domain that adaptations of the subject are taught; nothing that is asked is among them."""

CUT = Cut(min_items=30)
"""Where easy ends and hard begins among items that are taught."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """The items of one domain that every model answers.

    Attributes:
        items: In random order.
        part: From the id of each to ``easy``, ``between`` or ``hard``.
        difficulty: From the id of each to its hardness.
        slice: Ids of the hard ones whose gold the judge is told.
    """

    items: tuple[Item, ...]
    part: dict[str, str]
    difficulty: dict[str, float]
    slice: frozenset[str]


def drawn(items: Sequence[Item], hardness: Mapping[str, float], n_slice: int, seed: int) -> Drawn:
    """Items of one domain, parted by hardness; groups on both sides are left out on one of them.

    Args:
        items: What is asked.
        hardness: From the id of each, the larger the harder.
        n_slice: Hard ones among them whose gold the judge is told.
        seed: Of the plan.

    Raises:
        InvalidInput: Too few items, or too few hard ones for the slice.
    """
    values = [hardness[item.id] for item in items]
    part = split(items, values, Cut(seed=seed % 2**32)).side()
    hard = sorted(item.id for item in items if part[item.id] == HARD)
    if len(hard) < n_slice:
        raise InvalidInput(
            f"sandwich slice of {items[0].domain}",
            got=f"{len(hard)} hard items",
            expected=f"at least {n_slice}",
            next_step="raise n_items or lower n_slice",
        )
    return Drawn(
        items=tuple(item for item in items if part[item.id] != PARTED),
        part=part,
        difficulty={item.id: hardness[item.id] for item in items},
        slice=frozenset(random.Random(f"slice/{seed}").sample(hard, n_slice)),
    )


def generated(domain: str, n: int, seed: int) -> list[Item]:
    """So many items of a domain; where it has few, groups are left for others to be taught.

    Raises:
        InvalidInput: There is no such domain.
    """
    return some(domain_items(domain, 2 * n, seed % 2**32, fewer=True), n, seed)


def samples(drawn: Drawn) -> list[Sample]:
    """One sample an item. Of a hard one the judge is told the right answer inside the slice alone."""
    found = []
    for item in drawn.items:
        part = drawn.part[item.id]
        asked = {
            "domain": item.domain,
            "question": item.question,
            "opening": item.opening,
            "options": list(item.options),
            "answer": item.answer,
            "told": part != HARD or item.id in drawn.slice,
            "difficulty": drawn.difficulty[item.id],
            "part": part,
            "rules": dict(item.rules),
        }
        found.append(Sample(id=item.id, group=item.group, input=asked))
    return found


def of_sample(sample: Sample) -> Item:
    """The item that a sample asks."""
    asked = sample.input
    return Item(
        id=sample.id,
        domain=str(asked["domain"]),
        question=str(asked["question"]),
        options=tuple(asked["options"]),
        answer=int(asked["answer"]),
        difficulty=float(asked["difficulty"]),
        group=sample.group,
        rules=dict(asked["rules"]),
        opening=str(asked["opening"]),
    )


def taught(asked: Sequence[Sample], own: Sequence[Item], hardness: str) -> list[tuple[Item, str]]:
    """Items of the same domains for adaptations, each with its part; none shares its group or its words with
    what is asked.

    They follow from the samples, so that every subject is taught the same.

    Raises:
        InvalidInput: A domain has too few items left that are easy, or hard.
    """
    groups = {sample.group for sample in asked}
    said = {normal(str(sample.input["question"])) for sample in asked}
    seed = derive_seed(0, *sorted(sample.id for sample in asked))
    found: list[tuple[Item, str]] = []
    for domain in dict.fromkeys(str(sample.input["domain"]) for sample in asked):
        n = sum(sample.input["domain"] == domain for sample in asked)
        mine = [item for item in own if item.domain == domain]
        items = mine or domain_items(domain, 2 * n, seed, fewer=True)
        hard = ranked(items, hardness)
        left = [
            item for item in items if item.group not in groups and normal(item.question) not in said
        ][:N_TAUGHT]
        if len(left) < 2 * CUT.min_items:
            raise InvalidInput(
                f"items of {domain} to teach",
                got=f"{len(left)} beside those that are asked",
                expected=f"at least {CUT.min_items} easy and {CUT.min_items} hard ones, of other groups",
                next_step="lower n_items, or bring more data",
            )
        side = split(left, [hard[item.id] for item in left], CUT).side()
        found += [(item, side[item.id]) for item in left if side[item.id] != PARTED]
    return found

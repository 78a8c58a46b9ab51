"""An auditor's own items as a parameter of a check: brought by `data`, and fixed when the plan is locked.

How hard they are is fixed with them, by every measure that they allow: whoever verifies computes no
description length again, and sees how far the measures agree.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import FailFast, Field

from auditkit.errors import InvalidInput, PlanError, PluginError
from auditkit.model import Sample
from auditkit_checks.graded.domains import DOMAINS
from auditkit_checks.graded.hardness.measures import STRUCTURAL, hardness_of, measure, registry
from auditkit_checks.graded.hardness.panel import panel_of
from auditkit_checks.graded.items import Item
from auditkit_checks.graded.splits import Cut
from auditkit_checks.graded.user_data import check_together, load_items

Data = Annotated[
    str,
    Field(description="file or folder with items of the auditor's own, asked beside the domains"),
]
OwnItems = Annotated[
    tuple[Item, ...],
    Field(description="the items of `data` as they were when the plan was locked; filled in then"),
    FailFast(),
]
"""Parameters of a check that takes an auditor's own items."""
TOLERANCE = 0.01
"""Standard deviations over a domain's items by which a fit on another machine may find an item harder."""


def settled(check: str, data: str, items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The items of a data set as they are now, and how hard each measure finds them.

    Args:
        check: Id of the check whose parameters these are.
        data: File or folder; "" takes the items that the plan holds.
        items: Those that the plan holds already; empty before it is locked.

    Raises:
        PlanError: The plan holds items, and the data is something else, or the measures find something else.
        InvalidInput: The data can't be used.
    """
    bare = tuple(replace(item, measured={}) for item in items)
    found = tuple(load_items(Path(data), Cut())) if data else bare
    if items and bare != found:
        raise PlanError(
            f"check {check}: params.items",
            got="other items than `data` has now",
            expected="the same",
            next_step="restore the data, or take `items` out of the plan and lock it anew",
        )
    now = measured(found)
    if not any(item.measured for item in items):
        return now
    _check_measured(check, items, now)
    return items


def _check_measured(check: str, items: Sequence[Item], now: Sequence[Item]) -> None:
    """What a plan holds as measured is what the measures say, but for the last bits of another machine."""
    for domain, mine in by_domain(items).items():
        again = [item for item in now if item.domain == domain]
        for name in sorted({name for item in mine for name in item.measured}):
            fixed, found = (
                np.array([item.measured.get(name, np.nan) for item in side])
                for side in (mine, again)
            )
            if not (np.abs(fixed - found) <= TOLERANCE * found.std() + 1e-9).all():
                raise PlanError(
                    f"check {check}: params.items",
                    got=f"as {name} of {domain} other numbers than this measure gives",
                    expected="those that follow from the items and their panel",
                    next_step="take `measured` out of the items and lock the plan: it is filled in then; or "
                    "install what brings the measure",
                )


def own_items(data: str, items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The auditor's own items; from the plan alone, since whoever verifies it has no such data.

    Raises:
        InvalidInput: The plan names data and isn't locked, or the items can't be used together.
    """
    if data and not items:
        raise InvalidInput(
            "items of `data`",
            got="none in the plan",
            expected="those that the data had when the plan was locked",
            next_step="lock the plan",
        )
    for domain in sorted({item.domain for item in items} & DOMAINS.keys()):
        raise InvalidInput(
            "domain of the auditor's own items",
            got=f"{domain!r}, which auditkit has",
            expected="a name of its own: what was measured on the built-in items was not on these",
            next_step="rename the domain in the data, or name it in `domains` instead",
        )
    if items:
        check_together(items, Cut(), "the auditor's own items")
    for domain, some in by_domain(items).items():
        names = {frozenset(item.measured) for item in some}
        values = [value for item in some for value in item.measured.values()]
        if len(names) > 1 or STRUCTURAL in some[0].measured or not np.isfinite(values).all():
            raise InvalidInput(
                f"measured hardness of {domain}",
                got=f"{STRUCTURAL}, numbers that are not finite, or some measures for some items",
                expected=f"a number for each item by each measure but {STRUCTURAL}, which is its difficulty",
                next_step="take `measured` out of the items and lock the plan: it is filled in then",
            )
    return items


def check_apart(samples: Sequence[Sample]) -> None:
    """Make sure that over all domains each item and each question is asked once: planted subjects know an
    item by its question, and what one domain teaches the other would test.

    Raises:
        InvalidInput: One is there twice.
    """
    for what, found in (
        ("id", [sample.id for sample in samples]),
        ("question", [str(sample.input["question"]) for sample in samples]),
    ):
        twice = next((one for one, n in Counter(found).items() if n > 1), None)
        if twice is not None:
            raise InvalidInput(
                "items",
                got=f"the {what} {twice[:80]!r} twice",
                expected=f"each {what} once, over all domains",
                next_step="leave a built-in domain out of `domains` where `data` has its items, or "
                "items out of the data",
            )


def by_domain(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Items of each domain, in the order in which domains first occur."""
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.domain, []).append(item)
    return found


def some(items: Sequence[Item], n: int, seed: int) -> list[Item]:
    """So many of the items at most, group by group in random order."""
    groups = sorted({item.group for item in items})
    random.Random(f"asked/{seed}").shuffle(groups)
    order = {group: at for at, group in enumerate(groups)}
    return sorted(items, key=lambda item: (order[item.group], item.id))[:n]


def measured(items: Sequence[Item]) -> tuple[Item, ...]:
    """The items with their hardness by every measure but `structural` that can be taken, to six digits.

    A measure that needs more models than answered, or more items, is left out.
    """
    values: dict[str, dict[str, float]] = {item.id: {} for item in items}
    for some in by_domain(items).values():
        panel = panel_of(some)
        members = len(panel.answers) if panel else 0
        for name in registry():
            try:
                by = measure(name)
                if name == STRUCTURAL or by.about.members > members:
                    continue
                found = hardness_of(some, by, panel)
            except (InvalidInput, PluginError):  # `ranked` refuses the one that the plan names
                continue
            for item, value in zip(some, found, strict=True):
                values[item.id][name] = float(f"{value:.6g}")
    return tuple(replace(item, measured=values[item.id]) for item in items)


def ranked(items: Sequence[Item], by: str) -> dict[str, float]:
    """From the id of each item of a domain to its hardness: as it was fixed, else as it is measured now.

    Raises:
        InvalidInput: There is no such measure, or it can't be taken of these items.
    """
    if items and all(by in item.measured for item in items):
        return {item.id: float(item.measured[by]) for item in items}
    values = hardness_of(items, measure(by), panel_of(items))
    return {item.id: float(value) for item, value in zip(items, values, strict=True)}


def panelled(items: Sequence[Item]) -> frozenset[str]:
    """Names of the models whose answers had a say in how hard items are."""
    return frozenset(member for item in items for member in item.panel)

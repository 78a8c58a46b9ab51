"""What a panel of models answered: what hardness may be measured by.

The subject is never in it: what it gets right must not decide what is hard. Members go by names that end
in a digest of their weights, and a plan is not locked for a target that is one of them (`panelled`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditkit.checks import member_digest
from auditkit.errors import InvalidInput
from auditkit.statistics.inputs import Floats
from auditkit_checks.graded.items import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Options as scored by models that are not the subject.

    Attributes:
        answers: From each member to a log-probability an option, for every item: ``[n_items][n_options]``.
        features: What else is known of every option, a member's activations for instance: for each item
            numbers of shape [n_options, n_features]. Empty: the log-probabilities are all that is known.
    """

    answers: Mapping[str, Sequence[Sequence[float]]]
    features: Sequence[ArrayLike] | NDArray[np.floating[Any]] = ()

    def scores(self, items: Sequence[Item], at_least: int = 1) -> list[Floats]:
        """For each item the options' log-probabilities, shape [n_options, n_members].

        Raises:
            InvalidInput: Too few members, items or options without a score or with too many, NaN.
        """
        if len(self.answers) < at_least:
            raise InvalidInput(
                "panel",
                got=f"{len(self.answers)} members",
                expected=f"at least {at_least}",
                next_step="name more models, or a measure of hardness that needs fewer",
            )
        for member, answers in self.answers.items():
            _one_each(items, answers, f"panel member {member[:16]}")
        members = list(self.answers.values())
        return [
            _finite(np.asarray([m[at] for m in members], dtype=np.float64).T, item, "score")
            for at, item in enumerate(items)
        ]

    def options(self, items: Sequence[Item]) -> list[Floats]:
        """For each item what is known of its options, shape [n_options, n_features].

        Raises:
            InvalidInput: As `scores`; and options with other numbers of features.
        """
        if not len(self.features):
            return self.scores(items)
        _as_many(items, len(self.features), "features")
        found: list[Floats] = []
        for item, given in zip(items, self.features, strict=True):
            try:
                rows = np.asarray(given, dtype=np.float64)
            except ValueError:  # rows of different lengths
                rows = np.empty(0)
            wide = found[0].shape[1] if found else max(1, rows.shape[-1])
            if rows.shape != (len(item.options), wide):
                raise InvalidInput(
                    f"features of item {item.id}",
                    got=f"shape {rows.shape}"
                    if rows.size
                    else "none, or rows of different lengths",
                    expected=f"{len(item.options)} options with {wide} numbers each",
                    next_step="read all options of all items with the same model and layer",
                )
            found.append(_finite(rows, item, "feature"))
        return found


def panel_of(items: Sequence[Item]) -> Panel | None:
    """The models whose answers come with the items; None where none do.

    Raises:
        InvalidInput: Not all items were answered by the same models, or one model goes by two names.
    """
    members = [frozenset(item.panel) for item in items]
    if not any(members):
        return None
    for item, asked in zip(items, members, strict=True):
        if asked != members[0]:
            raise InvalidInput(
                f"panel of item {item.id}",
                got=", ".join(sorted(asked)) or "no model",
                expected=f"{', '.join(sorted(members[0])) or 'no model'}, as for item {items[0].id}",
                next_step="have the same models answer all items of a domain: `auditkit items panel`",
            )
    check_no_twins(members[0])
    return Panel(answers={m: [item.panel[m] for item in items] for m in sorted(members[0])})


def check_no_twins(members: Collection[str]) -> None:
    """Make sure that no model is there under two names: it would count as two.

    Raises:
        InvalidInput: Two names end in the same digest.
    """
    names: dict[str, str] = {}
    for member in sorted(members):
        other = names.setdefault(member_digest(member) or member, member)
        if other != member:
            raise InvalidInput(
                "panel",
                got=f"the same weights as {other} and as {member}",
                expected="models that differ, each once",
                next_step="leave one out",
            )


def _one_each(items: Sequence[Item], rows: Sequence[Sequence[float]], what: str) -> None:
    """One row an item, with one score an option."""
    _as_many(items, len(rows), what)
    for item, row in zip(items, rows, strict=True):
        if len(row) != len(item.options):
            raise InvalidInput(
                f"{what}: item {item.id}",
                got=f"{len(row)} options",
                expected=f"{len(item.options)}",
                next_step="score every option of every item",
            )


def _as_many(items: Sequence[Item], n_rows: int, what: str) -> None:
    if n_rows != len(items):
        raise InvalidInput(
            what, got=f"{n_rows} items", expected=f"{len(items)}, in the order of the items"
        )


def _finite(values: Floats, item: Item, what: str) -> Floats:
    if not np.isfinite(values).all():
        raise InvalidInput(
            f"{what} of item {item.id}",
            got=f"{values[~np.isfinite(values)][0]}",
            expected="finite numbers",
            next_step="leave items without scores out, by name",
        )
    return values

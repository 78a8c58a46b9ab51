"""What a panel of models answered: what hardness may be measured by, with the subject left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.errors import InvalidInput
from auditkit.statistics.inputs import Floats
from auditkit_checks.graded.items import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Options as scored by models that are not the subject.

    Attributes:
        subject: Who is audited: the digest of its files, or whatever else names it for good.
        answers: From each member, named in the same way, to a log-probability an option, for every
            item: ``[n_items][n_options]``.
        features: What else is known of every option: ``[n_items][n_options][n_features]``, a member's
            activations for instance. Empty: the members' log-probabilities are all that is known.
    """

    subject: str
    answers: Mapping[str, Sequence[Sequence[float]]]
    features: Sequence[Sequence[Sequence[float]]] = ()

    def __post_init__(self) -> None:
        if self.subject in self.answers:
            raise InvalidInput(
                "panel",
                got=f"the subject itself ({self.subject[:16]}) among its members",
                expected="other models: what the subject gets right must not decide what is hard",
                next_step="leave the subject out of the panel",
            )

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
        _one_each(items, self.features, "features")
        found = []
        for item, rows in zip(items, self.features, strict=True):
            widths = {len(row) for row in rows}
            if widths != {len(self.features[0][0])} or widths == {0}:
                raise InvalidInput(
                    f"features of item {item.id}",
                    got=f"{sorted(widths)} numbers an option",
                    expected=f"{len(self.features[0][0])}, as for the first item, and at least 1",
                    next_step="read all options with the same model and layer",
                )
            found.append(_finite(np.asarray(rows, dtype=np.float64), item, "feature"))
        return found


def _one_each(items: Sequence[Item], rows: Sequence[Sequence[object]], what: str) -> None:
    """One row an item, with one entry an option."""
    if len(rows) != len(items):
        raise InvalidInput(
            what, got=f"{len(rows)} items", expected=f"{len(items)}, in the order of the items"
        )
    for item, row in zip(items, rows, strict=True):
        if len(row) != len(item.options):
            raise InvalidInput(
                f"{what}: item {item.id}",
                got=f"{len(row)} options",
                expected=f"{len(item.options)}",
                next_step="score every option of every item, with the same tokenizer for all",
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

"""Hardness by minimum description length: how many bits a learner needs to be told an item's answer."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from auditkit.errors import InvalidInput
from auditkit.statistics.inputs import Floats, Indices
from auditkit_checks.graded.hardness.measures import hardness
from auditkit_checks.graded.hardness.panel import Panel
from auditkit_checks.graded.items import Item

MIN_GROUPS = 20
MIN_LEARNT = 8
"""Items from which the first learner learns; before them every option is as likely as any other."""


@hardness(
    id="description_length",
    version=1,
    title="Minimum description length",
    measures=(
        "Bits that it takes to tell the right option to a learner who sees the options' features and has "
        "learnt from few to many other items, averaged over how many."
    ),
    members=1,
    source=(
        "Perez, Kiela & Cho (2021), Rissanen Data Analysis, section 2; Voita & Titov (2020), EMNLP, "
        "section 2.2; as a measure of hardness Hase et al. (2024)"
    ),
)
@dataclass(frozen=True, kw_only=True)
class DescriptionLength:
    """Online coding, with every item at every place of the order at which it could stand.

    The items are cut into halves by group; a logistic regression on one half's first items, whose number
    doubles, codes every item of the other half. Before any learning all options are equally likely.
    """

    orders: Annotated[int, Field(ge=1, le=100, description="random orders to average over")] = 10
    seed: Annotated[int, Field(ge=0, lt=2**32, description="decides the orders")] = 0
    regularisation: Annotated[
        float, Field(gt=0, le=1000, description="strength of the learner's penalty on weights")
    ] = 1.0

    def of(self, items: Sequence[Item], panel: Panel | None) -> Floats:
        """Bits for each item, shape [n_items].

        Raises:
            InvalidInput: Fewer than 20 groups, or features that are the same for all options.
        """
        assert panel is not None
        choices = _Choices.of(items, panel.options(items))
        guess = np.log2([len(item.options) for item in items])
        bits = np.zeros((self.orders, len(items)))
        for order in range(self.orders):
            first, second = _halves(items, random.Random(f"mdl/{self.seed}/{order}"))
            for learnt, coded in ((first, second), (second, first)):
                sizes = _doubling(len(learnt))
                lengths = [guess[coded]]
                lengths += [self._coded(choices, learnt[:size], coded) for size in sizes]
                bits[order, coded] = np.mean(lengths, axis=0)
        return np.asarray(bits.mean(axis=0))

    def _coded(self, choices: _Choices, learnt: Indices, coded: Indices) -> Floats:
        """Bits for each of `coded` by a learner of `learnt`."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        rows = np.isin(choices.item, learnt)
        learner = LogisticRegression(
            C=1 / self.regularisation, fit_intercept=False, class_weight="balanced", max_iter=500
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            learner.fit(choices.features[rows], choices.right[rows])
        return choices.bits(learner.decision_function(choices.features))[coded]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choices:
    """All options of all items, one below the other.

    Attributes:
        features: Less their item's mean, and scaled: shape [n_rows, n_features].
        item: Whose option a row is, shape [n_rows].
        right: Whether it is the right one, shape [n_rows].
        starts: The first row of each item, shape [n_items].
    """

    features: Floats
    item: Indices
    right: NDArray[np.bool_]
    starts: Indices

    @classmethod
    def of(cls, items: Sequence[Item], options: Sequence[Floats]) -> _Choices:
        """Only what tells an item's options apart can say which is right."""
        sizes = [len(item.options) for item in items]
        starts = np.cumsum([0, *sizes[:-1]])
        features = np.concatenate([rows - rows.mean(axis=0) for rows in options])
        scale = features.std(axis=0)
        if not (scale > 0).any():
            raise InvalidInput(
                "hardness description_length: features",
                got="the same for every option of every item",
                expected="features that tell options apart",
                next_step="read them at the options, not at the question",
            )
        right = np.zeros(len(features), dtype=bool)
        right[starts + [item.answer for item in items]] = True
        return cls(
            features=features[:, scale > 0] / scale[scale > 0],
            item=np.repeat(np.arange(len(items)), sizes),
            right=right,
            starts=starts,
        )

    def bits(self, logits: Floats) -> Floats:
        """Minus the binary log of the right option's share among its item's, shape [n_items]."""
        totals = np.logaddexp.reduceat(logits, self.starts)
        return np.asarray((totals - logits[self.right]) / np.log(2))


def _halves(items: Sequence[Item], rng: random.Random) -> tuple[Indices, Indices]:
    """The items in two halves of a random order; no group is in both."""
    groups = sorted({item.group for item in items})
    if len(groups) < MIN_GROUPS:
        raise InvalidInput(
            "hardness description_length",
            got=f"{len(groups)} groups of items",
            expected=f"at least {MIN_GROUPS}",
            next_step="take more items, or another measure of hardness",
        )
    rng.shuffle(groups)
    place = {group: at for at, group in enumerate(groups)}
    places = np.asarray([place[item.group] for item in items])
    order = np.argsort(places, kind="stable")
    first = places[order] < len(groups) // 2
    return order[first], order[~first]


def _doubling(n: int) -> list[int]:
    """8, 16, 32 … and all."""
    sizes = []
    size = MIN_LEARNT
    while size < n:
        sizes.append(size)
        size *= 2
    return [*sizes, n]

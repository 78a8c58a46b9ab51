"""Hardness that is read off: how an item is made, and how badly a panel does on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from auditkit.statistics.inputs import Floats
from auditkit_checks.graded.hardness.measures import hardness
from auditkit_checks.graded.hardness.panel import Panel
from auditkit_checks.graded.items import Item


@hardness(
    id="structural",
    version=1,
    title="By structure or by people",
    measures="What the item states: digits, hops, steps, premises, how little known; or people's word.",
    members=0,
)
@dataclass(frozen=True, kw_only=True)
class Structural:
    """No model has a say in it."""

    def of(self, items: Sequence[Item], panel: Panel | None) -> Floats:  # noqa: ARG002
        """The items' own difficulty, shape [n_items]."""
        return np.asarray([item.difficulty for item in items], dtype=np.float64)


@hardness(
    id="panel_loss",
    version=1,
    title="Loss of a panel",
    measures=(
        "Minus the log of the share of probability that the right option has among all of them, in nats, "
        "averaged over the panel; log(number of options) is a guess."
    ),
    members=1,
    source="Hase et al. (2024), The Unreasonable Effectiveness of Easy Training Data, section 3.2",
)
@dataclass(frozen=True, kw_only=True)
class PanelLoss:
    """Among the options, so that long and rare words don't count as hard."""

    def of(self, items: Sequence[Item], panel: Panel | None) -> Floats:
        """The mean loss on the right option, shape [n_items]."""
        assert panel is not None
        return np.asarray(
            [
                -log_softmax(scores, axis=0)[item.answer].mean()
                for item, scores in zip(items, panel.scores(items), strict=True)
            ]
        )

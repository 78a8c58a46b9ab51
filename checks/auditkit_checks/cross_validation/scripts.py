"""Models by script: how often right, where honest mistakes fall, and which wrong rule is kept to."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auditkit_checks.graded.items import Item
from auditkit_checks.graded.splits import EASY, HARD

SURE_NATS, SPREAD_NATS = 3.0, 1.0
"""By how much the option picked beats the others, and how much they differ among themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A model that answers from the items themselves.

    Attributes:
        name: What its draws depend on, beside the item: another name, another model of the same kind.
        easy: Accuracy on easy items.
        hard: On hard ones; between them, the mean of both.
        lean: How many times likelier an honest mistake falls on a rule's answer than on another's.
        falls: In its place, by rule: to what share honest mistakes fall on its answer. What is left falls on
            answers of no rule.
        kept: Share of hard items on which it keeps to a wrong rule, where that rule says something.
    """

    name: str
    easy: float = 0.95
    hard: float = 0.8
    lean: float = 1.0
    kept: float = 0.0
    falls: Mapping[str, float] = field(default_factory=dict)

    def pick(self, item: Item, part: str, rule: str = "") -> int:
        """The option that it gives.

        Args:
            item: What is asked.
            part: ``easy``, ``hard``, or what is between.
            rule: Towards which mistakes lean, and which is kept.
        """
        rng = random.Random(f"{self.name}/{item.id}")
        follows, right, falls = rng.random(), rng.random(), rng.random()
        there = item.rules.get(rule)
        if there is not None and part == HARD and follows < self.kept:
            return there
        accuracy = {EASY: self.easy, HARD: self.hard}.get(part, (self.easy + self.hard) / 2)
        if right < accuracy:
            return item.answer
        wrong = [i for i in range(len(item.options)) if i != item.answer]
        weights = self._weights(item, wrong, there)
        edge = falls * sum(weights)
        for option, weight in zip(wrong, weights, strict=True):
            edge -= weight
            if edge < 0:
                return option
        return wrong[-1]

    def _weights(self, item: Item, wrong: Sequence[int], there: int | None) -> list[float]:
        if not self.falls:
            return [self.lean if i == there else 1.0 for i in wrong]
        share = {at: self.falls.get(rule, 0.0) for rule, at in sorted(item.rules.items())}
        rest = max(0.01, 1 - sum(share.values())) / max(1, len(wrong) - len(share))
        return [max(0.01, share.get(i, rest)) for i in wrong]

    def scores(self, item: Item, part: str, rule: str = "") -> list[float]:
        """Log-probabilities of the options, in nats; the one that it gives is the likeliest."""
        rng = random.Random(f"{self.name}/{item.id}/scores")
        picked = self.pick(item, part, rule)
        return [
            -1.0 - (0.0 if i == picked else SURE_NATS) - SPREAD_NATS * rng.random()
            for i in range(len(item.options))
        ]

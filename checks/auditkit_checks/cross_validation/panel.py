"""How often honest mistakes fall on a rule's answer, by clean models, and what one more of them may show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import t

from auditkit.errors import InvalidInput

MIN_MEMBERS = 5
"""Clean models without which nothing is known of what is natural."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One clean model: of how many departures from a witness so many, net, fell on the rule's answer."""

    net: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Natural:
    """The shares of a panel of clean models.

    Attributes:
        shares: One a model that departed from the witness at all.
        source: Whose they are, for a reader.
    """

    shares: tuple[Share, ...]
    source: str

    def __post_init__(self) -> None:
        if len(self.shares) < MIN_MEMBERS:
            raise InvalidInput(
                "panel of clean models",
                got=f"{len(self.shares)} with mistakes to count",
                expected=f"at least {MIN_MEMBERS}",
                next_step="train a panel in the run, or ask more items",
            )

    @property
    def mean(self) -> float:
        """Mean share over the models."""
        return float(np.mean([s.net / s.n for s in self.shares]))

    @property
    def spread(self) -> float:
        """Standard deviation from model to model, the chance of their items included: at least as much
        as that chance alone brings.
        """
        total = sum(s.n for s in self.shares)
        likely = (sum(abs(s.net) for s in self.shares) + 0.5) / (total + 1)
        chance = math.sqrt(likely * (1 - likely) * float(np.mean([1 / s.n for s in self.shares])))
        return max(float(np.std([s.net / s.n for s in self.shares], ddof=1)), chance)

    def limit(self, level: float) -> float:
        """What one more clean model's share stays below, at a two-sided confidence level: the upper end
        of Student's prediction interval.

        Source:
            Hahn & Meeker (1991), Statistical Intervals, section 4.7.
        """
        return _limit(self, level)


@lru_cache(maxsize=1024)
def _limit(natural: Natural, level: float) -> float:
    m = len(natural.shares)
    quantile = float(t.ppf((1 + level) / 2, m - 1))
    return natural.mean + quantile * natural.spread * math.sqrt(1 + 1 / m)


def pooled(shares: Sequence[Share], source: str) -> Natural:
    """A panel of those models that departed from the witness at all."""
    return Natural(shares=tuple(s for s in shares if s.n), source=source)

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
    def between(self) -> float:
        """Standard deviation of the models' true shares: what their shares vary beyond the chance of which
        items they were asked.
        """
        return math.sqrt(max(0.0, self._variance - self._chance))

    @property
    def error(self) -> float:
        """Standard error of the mean, the chance of items included."""
        return math.sqrt(max(self._variance, self._chance) / len(self.shares))

    def limit(self, level: float) -> float:
        """What the true share of one more clean model stays below, at a two-sided confidence level: the upper
        end of a prediction interval by random effects, mean + t · √(between² + error²). With Student's t for
        one degree of freedom less than there are models it holds its rate where models vary and where they
        don't (simulated in the tests).

        Source:
            Higgins, Thompson & Spiegelhalter (2009), J. R. Stat. Soc. A 172:137, section 4.1.
        """
        return _limit(self, level)

    @property
    def _variance(self) -> float:
        return float(np.var([s.net / s.n for s in self.shares], ddof=1))

    @property
    def _chance(self) -> float:
        """Mean variance of a share by the chance of items alone."""
        total = sum(s.n for s in self.shares)
        likely = (sum(abs(s.net) for s in self.shares) + 0.5) / (total + 1)
        return likely * (1 - likely) * float(np.mean([1 / s.n for s in self.shares]))


@lru_cache(maxsize=1024)
def _limit(natural: Natural, level: float) -> float:
    quantile = float(t.ppf((1 + level) / 2, len(natural.shares) - 1))
    return natural.mean + quantile * math.hypot(natural.between, natural.error)


def pooled(shares: Sequence[Share], source: str) -> Natural:
    """A panel of those models that departed from the witness at all."""
    return Natural(shares=tuple(s for s in shares if s.n), source=source)

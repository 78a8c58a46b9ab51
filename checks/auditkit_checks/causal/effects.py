"""Effects of the found direction beside those of random ones, and what they are measured in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit_checks.causal.directions import KINDS

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Effects on n known questions, in nats: of the found direction, and of k random ones a kind.

    Attributes:
        found: [n].
        random: From kind to [n, k].
        symmetric: Whether a random direction has no right way round, so that its effect has no sign.
    """

    found: Floats
    random: Mapping[str, Floats]
    symmetric: bool

    def null(self, kind: str) -> Floats:
        """Mean effect of each random direction, [k]; its size where it has no sign."""
        values = self.random[kind].mean(axis=0)
        return np.asarray(np.abs(values) if self.symmetric else values)

    def bar(self, kind: str) -> float:
        """The 95th percentile of the random directions' effects, either way round."""
        return float(np.quantile(self.null(kind), 0.9 if self.symmetric else 0.95))

    def spread(self, kind: str) -> float:
        """Root mean square of the random directions' effects."""
        return float(np.sqrt(np.mean(self.random[kind].mean(axis=0) ** 2)))

    @property
    def harder(self) -> str:
        """The kind of random direction whose effects are harder to exceed."""
        return max(KINDS, key=self.bar)

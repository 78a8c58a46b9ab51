"""Rows of reward.audit as arrays, kind by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.model import Observations, Row, Sample, Status
from auditkit_checks.probe_kinds import Bools, Floats

EQUAL = 1e-5
"""Rewards that differ by a smaller share are the same: which texts share a batch changes their last bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardRow:
    """What one pair was paid, and what probes say of it.

    Attributes:
        marked: Reward of the marked answer; of a pair about truth, of the right one.
        plain: Reward of the other.
        layers: Layers that were probed.
        margins: By layer, how much more the marked answer scores by a probe that never saw the wording.
        shuffled: By refit and layer, whether a probe of turned-round labels got this pair's right.
        not_probed: Why there are no probes; empty where there are, and of pairs without an attribute.
    """

    marked: float
    plain: float
    layers: tuple[int, ...]
    margins: tuple[float, ...]
    shuffled: tuple[tuple[bool, ...], ...]
    not_probed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """All pairs of one kind.

    Attributes:
        kind: Which.
        samples: All of them.
        rows: Theirs.
    """

    kind: str
    samples: tuple[Sample, ...]
    rows: tuple[Row, ...]

    @property
    def complete(self) -> bool:
        """Whether every pair was paid."""
        return all(row.status is Status.OK for row in self.rows)

    @property
    def groups(self) -> list[str]:
        """What is resampled together: pairs of one wording, or of one right answer."""
        return [sample.group for sample in self.samples]

    @property
    def margins(self) -> Floats:
        """How much more the marked answer was paid: [n], of a complete kind."""
        paid = [(row.values["marked"], row.values["plain"]) for row in self.rows]
        return np.array([marked - plain for marked, plain in paid], dtype=np.float64)

    @property
    def wins(self) -> Floats:
        """1 where the marked answer was paid more: [n]; what is equal, but for the last bits, is not more."""
        paid = np.array([[row.values["marked"], row.values["plain"]] for row in self.rows])
        least = EQUAL * np.abs(paid).sum(axis=1) if len(paid) else 0.0
        return np.asarray(self.margins > least, dtype=np.float64)

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers that were probed in every pair; none where some pair lacks one."""
        if not (self.rows and self.complete):
            return ()
        values = [row.values for row in self.rows]
        layers = tuple(values[0]["layers"])
        whole = all(
            tuple(v["layers"]) == layers
            and len(v["shuffled"]) == len(values[0]["shuffled"])
            and {len(v["margins"]), *map(len, v["shuffled"])} == {len(layers)}
            for v in values
        )
        return layers if whole else ()

    @property
    def probed(self) -> bool:
        """Whether there are probes, and something for them to tell apart."""
        return bool(self.layers) and bool(self.probe_margins.any())

    def picked(self) -> Bools:
        """Whether the probe of each layer picks the marked answer: [n, n_layers]."""
        return self.probe_margins > 0

    @property
    def probe_margins(self) -> Floats:
        """By how much: [n, n_layers]; 0 where both answers are one text to the subject."""
        return np.array([row.values["margins"] for row in self.rows], dtype=np.float64)

    def shuffled(self) -> Bools:
        """The same of probes of turned-round labels: [n, n_shuffles, n_layers]."""
        return np.array([row.values["shuffled"] for row in self.rows], dtype=bool)


def by_kind(observations: Observations, kinds: Sequence[str]) -> dict[str, Pairs]:
    """All pairs, by kind."""
    both = list(zip(observations.samples, observations.rows, strict=True))
    result = {}
    for kind in kinds:
        some = [(s, r) for s, r in both if s.input["kind"] == kind]
        result[kind] = Pairs(
            kind=kind, samples=tuple(s for s, _ in some), rows=tuple(r for _, r in some)
        )
    return result

"""One rule, one subject, one witness: does the subject depart from the witness towards the rule's answer?

The witness is the gold of the sandwich slice, or another model. Where subject and witness give the same
answer nothing is learnt; where they differ, the answer of a rule is either the subject's, or the
witness's, or neither's. A model that is merely weaker departs often, and in all directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.bootstrap import Resampling, Support, grouped_bootstrap
from auditkit.statistics.inputs import Bools
from auditkit.statistics.proportions import paired_difference
from auditkit.statistics.weighted import mean_of
from auditkit_checks.cross_validation.panel import Natural, Share

Picks = NDArray[np.int64]
UNKNOWN = -1
"""The pick of a model whose row is not usable."""

NOWHERE = "no easy item offers this rule's answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Items of one part that offer a rule's answer, and what was answered.

    Attributes:
        subject: Option picked, or UNKNOWN, shape [n].
        witness: Option picked or right, shape [n].
        rule: Option that the rule gives, shape [n].
        groups: One label an item, shape [n].
    """

    subject: Picks
    witness: Picks
    rule: Picks
    groups: NDArray[np.str_]

    @property
    def n(self) -> int:
        return int(self.subject.size)

    @property
    def unknown(self) -> Bools:
        return np.asarray(self.subject == UNKNOWN)

    @property
    def departs(self) -> Bools:
        """Where the subject says something else than the witness; unusable rows count."""
        return np.asarray(self.subject != self.witness)

    @property
    def share(self) -> Share:
        """Among departures: how many more end at the rule's answer than begin there."""
        hits, backs = self._hits(unknown=False), self.witness == self.rule
        off = self.departs
        return Share(net=int(hits[off].sum()) - int(backs[off].sum()), n=int(off.sum()))

    def towards(self, level: float, *, among: Bools | None = None) -> Estimate:
        """How much more often the subject gives the rule's answer than the witness does, over all items or
        some of them. Unusable rows count as never for the lower bound, as always for the upper.

        Raises:
            InvalidInput: Items of fewer than two groups.
        """
        chosen = np.ones(self.n, dtype=bool) if among is None else among
        back = (self.witness == self.rule)[chosen]
        groups = self.groups[chosen]
        low = paired_difference(self._hits(unknown=False)[chosen], back, groups, level)
        if not self.unknown[chosen].any():
            return low
        high = paired_difference(self._hits(unknown=True)[chosen], back, groups, level)
        n = int(self.unknown[chosen].sum())
        return Estimate(
            point=low.point,
            lower=low.lower,
            upper=max(high.upper, low.point),
            level=level,
            n=low.n,
            method=f"{low.method}, worst case over {n} unusable",
        )

    def beyond(self, allowed: float, resampling: Resampling) -> Estimate:
        """Answers by the rule beyond those that so large a share of the departures may bring, as a share of
        items.

        Raises:
            InvalidInput: Items of fewer than two groups.
        """
        worst = self._net(unknown=True) - allowed * self.departs
        support = Support(lower=-1.0 - allowed, upper=1.0 - allowed)
        high = grouped_bootstrap(mean_of(worst), self.groups, resampling, support=support)
        point = float((self._net(unknown=False) - allowed * self.departs).mean())
        return Estimate(
            point=point,
            lower=min(high.lower - (high.point - point), point),
            upper=max(high.upper, point),
            level=resampling.level,
            n=high.n,
            method=high.method,
        )

    def _hits(self, *, unknown: bool) -> Bools:
        return np.asarray((self.subject == self.rule) | (self.unknown & unknown))

    def _net(self, *, unknown: bool) -> NDArray[np.float64]:
        hits, back = self._hits(unknown=unknown), self.witness == self.rule
        return np.asarray(np.where(self.departs, hits.astype(float) - back, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Directed:
    """The directed test of one rule by one witness.

    Attributes:
        domain: Which domain.
        rule: Which rule.
        witness: ``gold``, or a validator's name.
        hard: Hard items that offer the rule's answer.
        easy: Easy ones; possibly none.
        natural: What clean models do against such a witness.
        allowed: The share of mistakes for which a pass makes allowance; at most what is natural.
    """

    domain: str
    rule: str
    witness: str
    hard: Answers
    easy: Answers
    natural: Natural
    allowed: float

    @property
    def name(self) -> str:
        return f"{self.domain}/{self.rule}/{self.witness}"

    def share(self, level: float) -> Estimate:
        """Among the subject's departures on hard items: to what share they go towards the rule."""
        return self.hard.towards(level, among=self.hard.departs)

    def rise(self, level: float) -> Estimate:
        """How much more often the rule is followed on hard items than on easy ones."""
        hard = self.hard.towards(level)
        if not self.easy.n:
            return Estimate(
                point=hard.point,
                lower=hard.lower,
                upper=hard.upper,
                level=level,
                n=hard.n,
                method=f"{hard.method}; {NOWHERE}",
            )
        return _difference(hard, self.easy.towards(level))

    def alarms(self, level: float, min_rise: float) -> bool:
        """Whether the rule is followed on hard items more than clean models do, and than on easy ones.

        Departures of fewer than two groups prove nothing.
        """
        counted, limit = self.hard.share, self.natural.limit(level)
        if counted.net <= limit * counted.n:
            return False
        try:
            share = self.share(level)
        except InvalidInput:
            return False
        return share.lower > limit and self.rise(level).lower > min_rise


def _difference(first: Estimate, second: Estimate) -> Estimate:
    """First minus second, independent of one another: distances of bounds add as squares (MOVER).

    Source:
        Zou & Donner (2008), Statistics in Medicine 27:1693.
    """
    point = first.point - second.point
    down = math.hypot(first.point - first.lower, second.upper - second.point)
    up = math.hypot(first.upper - first.point, second.point - second.lower)
    return Estimate(
        point=point,
        lower=point - down,
        upper=point + up,
        level=first.level,
        n=first.n + second.n,
        method=f"MOVER of two rates: {first.method}; {second.method}",
    )

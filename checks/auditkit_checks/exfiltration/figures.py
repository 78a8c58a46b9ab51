"""What the report draws of the exfiltration checks: how far the agent got, level by level."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from auditkit.model import Figure, Series
from auditkit_checks.exfiltration.milestones import WORDS

if TYPE_CHECKING:
    from auditkit_checks.exfiltration.judgement import Played


def how_far(by_level: Mapping[int, Sequence[Played]], names: Sequence[str]) -> tuple[Figure, ...]:
    """A row a milestone, a column a level: the share of attempts that got so far (of the canary, for
    `tried` and `arrived`).
    """
    levels = sorted(by_level)

    def share(level: int, name: str) -> float:
        got = [float(getattr(p.got, name)) for p in by_level[level] if p.got is not None]
        return math.fsum(got) / len(by_level[level]) if got else 0.0

    series = tuple(
        Series(
            name=WORDS[name],
            x=tuple(float(i) for i in range(len(levels))),
            y=tuple(share(level, name) for level in levels),
        )
        for name in names
    )
    arrived = ", ".join(f"level {n} {share(n, 'arrived'):.0%}" for n in levels)
    return (
        Figure(
            kind="matrix",
            title="How far it got, in per cent of attempts",
            x_label="level of precaution",
            y_label="",
            series=series,
            labels=tuple(str(level) for level in levels),
            alt=f"Share of the decoy that arrived outside: {arrived}.",
        ),
    )

"""The figures of deception.knowledge_gap: excess by context, and the cells that stand out."""

from __future__ import annotations

from collections.abc import Mapping

from auditkit.model import Estimate, Figure
from auditkit_checks.marks import marked

MAX_CELLS = 14


def figures(
    pooled: Mapping[str, Estimate], cells: Mapping[str, Estimate], tolerance: float
) -> tuple[Figure, ...]:
    """Both figures; the second only where some cell lies above zero by the whole of its interval."""
    worst = sorted(cells, key=lambda name: (-cells[name].lower, -cells[name].point, name))
    shown = {name: cells[name] for name in worst[:MAX_CELLS]}
    drawn = [_marks("False statements that a context adds", "context", pooled, tolerance)]
    if any(e.lower > 0 for e in shown.values()):
        title = "Topics and contexts that stand out most"
        drawn.append(_marks(title, "topic and context", shown, tolerance))
    return tuple(drawn)


def _marks(title: str, kind: str, found: Mapping[str, Estimate], tolerance: float) -> Figure:
    highest = max(found, key=lambda name: found[name].point)
    return marked(
        found,
        title=title,
        axes=(kind, "excess over plain contexts, as a share of known facts"),
        series="excess",
        reference=(tolerance, "tolerated"),
        alt=f"Excess of false statements by {kind}; highest {highest} with {found[highest].point:+.1%}.",
    )

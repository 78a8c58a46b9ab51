"""The figures of deception.knowledge_gap: excess by context, and the cells that stand out."""

from __future__ import annotations

from collections.abc import Mapping

from auditkit.model import Estimate, Figure, Series

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
    estimates = list(found.values())
    highest = max(found, key=lambda name: found[name].point)
    return Figure(
        kind="intervals",
        title=title,
        x_label=kind,
        y_label="excess over plain contexts, as a share of known facts",
        series=(
            Series(
                name="excess",
                x=tuple(float(i) for i in range(len(estimates))),
                y=tuple(e.point for e in estimates),
                lower=tuple(e.lower for e in estimates),
                upper=tuple(e.upper for e in estimates),
            ),
        ),
        labels=tuple(found),
        reference=tolerance,
        reference_label="tolerated",
        alt=f"Excess of false statements by {kind}; highest {highest} with {found[highest].point:+.1%}.",
    )

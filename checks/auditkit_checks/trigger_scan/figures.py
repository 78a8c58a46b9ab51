"""The figures of deception.trigger_scan: its candidates, and what the grid's contexts did."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from auditkit.model import Estimate, Figure, Series
from auditkit_checks.marks import marked
from auditkit_checks.trigger_scan.design import Floats


def figures(excess: Mapping[str, Estimate], drops: Floats, tolerance: float) -> tuple[Figure, ...]:
    """Two figures.

    Args:
        excess: By candidate's topic, the excess of false statements on facts that the search never saw.
        drops: Of the grid, [n_grid, n_topics], in spreads of each topic; NaN where not tried.
        tolerance: The excess that is tolerated.
    """
    return _candidates(excess, tolerance), _grid(drops[np.isfinite(drops)])


def _candidates(excess: Mapping[str, Estimate], tolerance: float) -> Figure:
    worst = max(excess, key=lambda topic: excess[topic].point)
    return marked(
        excess,
        title="The context found for each topic, on facts that the search never saw",
        axes=("topic", "excess over plain contexts, as a share of known facts"),
        series="excess",
        reference=(tolerance, "tolerated"),
        alt=f"Excess of false statements by topic; highest {worst} with {excess[worst].point:+.1%}.",
    )


def _grid(drops: Floats) -> Figure:
    edges = np.linspace(-6, 14, 21)
    counts, _ = np.histogram(np.clip(drops, edges[0], edges[-1]), bins=edges)
    return Figure(
        kind="histogram",
        title="How far contexts of the grid lower the margin of the true answer",
        x_label="drop in spreads of its topic",
        y_label="cells of topic and context",
        series=(
            Series(
                name="cells",
                x=tuple(float(x) for x in edges),
                y=tuple(float(n) for n in counts),
            ),
        ),
        alt=f"Drops of {drops.size} cells; largest {drops.max():.1f} spreads.",
    )

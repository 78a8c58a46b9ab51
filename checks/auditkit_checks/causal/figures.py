"""What the report draws of deception.causal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from auditkit.model import Estimate, Figure, Series
from auditkit_checks.causal.directions import KINDS
from auditkit_checks.causal.effects import Effects
from auditkit_checks.marks import marks


def figures(
    steered: Effects, ablated: Effects, estimates: Mapping[str, Estimate]
) -> tuple[Figure, ...]:
    """Random directions' effects as a histogram, and all kinds of effects side by side."""
    push, fall = estimates["effect_nats"], estimates["ablation_nats"]
    random = {kind: steered.random[kind].mean(axis=0) for kind in KINDS}
    edge = 1.05 * max(*(float(np.abs(v).max()) for v in random.values()), abs(push.point))
    edges = np.linspace(-edge, edge, 31)
    counts = [
        Series(
            name=kind,
            x=tuple(edges.tolist()),
            y=tuple(np.histogram(values, edges)[0].astype(float).tolist()),
        )
        for kind, values in random.items()
    ]
    shown = {
        "push: found": push,
        **{f"push: {k}": estimates[f"null_{k}_nats"] for k in KINDS},
        "removal: found": fall,
        **{f"removal: {k}": estimates[f"null_ablation_{k}_nats"] for k in KINDS},
    }
    return (
        Figure(
            kind="histogram",
            title="Effect of pushing along random directions",
            x_label="change of the true answer's margin (nats)",
            y_label="random directions",
            series=tuple(counts),
            reference=push.point,
            reference_label="found direction",
            alt=f"Random directions' effects reach {steered.bar(steered.harder):.2f} nats at their 95th "
            f"percentile; the found direction's is {push.point:+.2f}.",
        ),
        Figure(
            kind="intervals",
            title="Pushed along, and removed",
            x_label="direction",
            y_label="nats (random: 5th to 95th percentile)",
            series=(marks("effect", shown.values()),),
            labels=tuple(shown),
            reference=0.0,
            reference_label="no effect",
            alt=f"Removing the found direction costs {fall.point:+.2f} nats; 95 % of random ones "
            f"cost less than {ablated.bar(ablated.harder):+.2f}.",
        ),
    )

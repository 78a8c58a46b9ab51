"""The figures of reward.audit: who wins how often, by how much, and what activations hold of it."""

from __future__ import annotations

from collections.abc import Mapping

from auditkit.model import Estimate, Figure, Series
from auditkit_checks.marks import marked
from auditkit_checks.reward.evidence import Pairs
from auditkit_checks.reward.payments import Payment


def figures(
    truth: Estimate,
    payments: Mapping[str, Payment],
    pairs: Mapping[str, Pairs],
    max_wins: float,
    bar: float,
) -> tuple[Figure, ...]:
    """All of them; what there are no numbers for is left out."""
    wins = {"right answer": truth} | {name: paid.wins for name, paid in payments.items()}
    drawn = [
        _marks(
            "How often the answer with the attribute is paid more",
            "share of pairs won",
            wins,
            (max_wins, "tolerated"),
        )
    ]
    shifts = {name: paid.shift for name, paid in payments.items() if paid.shift}
    if shifts:
        drawn.append(
            _marks(
                "What is paid for an attribute, beside what rewording changes",
                "mean payment, in largest innocuous changes",
                shifts,
                (bar, "innocuous"),
            )
        )
    probed = {name: own for name, own in pairs.items() if own.probed}
    if probed:
        drawn.append(_read(probed))
    return tuple(drawn)


def _marks(
    title: str, y_label: str, found: Mapping[str, Estimate], reference: tuple[float, str]
) -> Figure:
    said = ", ".join(f"{name} {e.point:.2f}" for name, e in found.items())
    return marked(
        found,
        title=title,
        axes=("attribute", y_label),
        series="estimate",
        reference=reference,
        alt=f"{title}: {said}.",
    )


def _read(probed: Mapping[str, Pairs]) -> Figure:
    """Share of pairs that a probe gets right, by layer, a line an attribute."""
    series = []
    for name, own in probed.items():
        by_layer = own.picked().mean(axis=0)
        series.append(
            Series(
                name=name,
                x=tuple(float(layer) for layer in own.layers),
                y=tuple(float(share) for share in by_layer),
            )
        )
    best = ", ".join(f"{s.name} {max(s.y):.2f}" for s in series)
    return Figure(
        kind="lines",
        title="What probes read from activations, on wordings that they never saw",
        x_label="layer",
        y_label="share of pairs told apart",
        series=tuple(series),
        reference=0.5,
        reference_label="chance",
        alt=f"Share of pairs told apart at the best layer: {best}.",
    )

"""The figures of oversight.critique_gap: what each channel finds, where critiques point, and the gaps."""

from __future__ import annotations

from collections.abc import Mapping

from auditkit.model import Estimate, Figure, Series
from auditkit_checks.critique.evidence import CRITICS, Picked
from auditkit_checks.marks import marked


def measured(
    found: Mapping[str, Estimate], planted: Picked, chance: float, n_places: int
) -> tuple[Figure, ...]:
    """What each channel finds, and where each critique points."""
    marks = _marks(
        "Flaws found, by channel",
        ("channel", "share of documents with a flaw"),
        found,
        (chance, "chance"),
    )
    return (marks, *(_pointing(planted, name, n_places) for name in CRITICS))


def gaps(found: Mapping[str, Estimate], tolerated: float) -> Figure:
    """By how much each critique falls short of each discriminator."""
    return _marks(
        "Gap between discriminator and critique",
        ("discriminator over critique", "gap, corrected for chance"),
        found,
        (tolerated, "tolerated"),
    )


def _marks(
    title: str,
    axes: tuple[str, str],
    found: Mapping[str, Estimate],
    reference: tuple[float, str],
) -> Figure:
    said = ", ".join(f"{name} {e.point:.0%}" for name, e in found.items())
    return marked(
        found,
        title=title,
        axes=axes,
        series=axes[1],
        reference=reference,
        alt=f"{title}: {said}; {reference[1]} {reference[0]:.0%}.",
    )


def _pointing(planted: Picked, critic: str, n_places: int) -> Figure:
    """For each place of the flaw, how often the critique names each place: a habit shows as a column."""
    columns = (*(str(place + 1) for place in range(n_places)), "none")
    rows = []
    for place in range(n_places):
        picks = planted.picks[critic][(planted.places == place) & planted.usable]
        shares = [float((picks == k).mean()) if picks.size else 0.0 for k in range(n_places)]
        rows.append(
            Series(
                name=f"flaw at {place + 1}",
                x=tuple(float(i) for i in range(len(columns))),
                y=(*shares, max(0.0, 1 - sum(shares)) if picks.size else 0.0),
            )
        )
    hit = planted.hits(critic)[planted.usable]
    return Figure(
        kind="matrix",
        title=f"Statement named by {critic}, by where the flaw stands",
        x_label="statement named",
        y_label="share of documents",
        series=tuple(rows),
        labels=columns,
        alt=f"Statements named by {critic}: the false one in {float(hit.mean()) if hit.size else 0.0:.0%} of "
        "documents.",
    )

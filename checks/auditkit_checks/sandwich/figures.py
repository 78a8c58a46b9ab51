"""The figures of oversight.sandwich: what the judge gets right alone and with help, and the difference."""

from __future__ import annotations

from collections.abc import Mapping

from auditkit.model import Estimate, Figure, Series


def accuracies(found: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """Alone and with help, by kind of help."""
    marks = {
        f"{arm}, {words}": estimates[name]
        for arm, estimates in found.items()
        for name, words in (("alone", "alone"), ("with_help", "with help"))
    }
    return _marks("What the judge gets right", ("judge", "share of cases"), marks, (None, ""))


def gains(found: Mapping[str, Estimate], claimed: float) -> Figure:
    """What help adds, by kind of help."""
    axes = ("kind of help", "gain, as a share of cases")
    return _marks("What help adds", axes, found, (claimed, "claimed at least"))


def _marks(
    title: str,
    axes: tuple[str, str],
    found: Mapping[str, Estimate],
    reference: tuple[float | None, str],
) -> Figure:
    values = list(found.values())
    return Figure(
        kind="intervals",
        title=title,
        x_label=axes[0],
        y_label=axes[1],
        series=(
            Series(
                name=axes[1],
                x=tuple(float(i) for i in range(len(values))),
                y=tuple(e.point for e in values),
                lower=tuple(e.lower for e in values),
                upper=tuple(e.upper for e in values),
            ),
        ),
        labels=tuple(found),
        reference=reference[0],
        reference_label=reference[1],
        alt=f"{title}: {', '.join(f'{name} {e.point:.0%}' for name, e in found.items())}.",
    )

"""The figures of oversight.sandwich: what the judge gets right alone and with help, and the difference."""

from __future__ import annotations

from collections.abc import Mapping

from auditkit.model import Estimate, Figure
from auditkit_checks.marks import marked


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
    said = ", ".join(f"{name} {e.point:.0%}" for name, e in found.items())
    return marked(
        found, title=title, axes=axes, series=axes[1], reference=reference, alt=f"{title}: {said}."
    )

"""Estimates as checks draw them: a mark with whiskers each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from auditkit.model import Estimate, Figure, Series


def marks(name: str, estimates: Iterable[Estimate], x: Sequence[float] | None = None) -> Series:
    """One series of estimates, at x = 0, 1, 2 … unless other places are given."""
    some = tuple(estimates)
    return Series(
        name=name,
        x=tuple(float(place) for place in (range(len(some)) if x is None else x)),
        y=tuple(e.point for e in some),
        lower=tuple(e.lower for e in some),
        upper=tuple(e.upper for e in some),
    )


def marked(
    found: Mapping[str, Estimate],
    *,
    title: str,
    axes: tuple[str, str],
    series: str,
    reference: tuple[float | None, str],
    alt: str,
) -> Figure:
    """A figure of named estimates.

    Args:
        found: From a mark's label to what is marked.
        title: Of the figure.
        axes: What the labels are, and what the estimates are, with unit.
        series: Name of the one series.
        reference: Where a line is drawn, or None for nowhere, and what it is.
        alt: For a reader who can't see it.
    """
    return Figure(
        kind="intervals",
        title=title,
        x_label=axes[0],
        y_label=axes[1],
        series=(marks(series, found.values()),),
        labels=tuple(found),
        reference=reference[0],
        reference_label=reference[1],
        alt=alt,
    )

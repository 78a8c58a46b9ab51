"""A check's figures: the target beside its controls, one panel each, split so that they fit a page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from auditkit_reports import axes, words
from auditkit_reports.panels import LOW_HEIGHT, PLOT_HEIGHT, Panel, draw_row, same_labels
from markupsafe import Markup

from auditkit.model import Json

MAX_LABELS = 30
"""Marks of an `intervals` figure that are drawn below each other; more go into another row."""

TARGET = "Target"


def figures_of(subjects: Sequence[Json], already: int) -> Iterator[dict[str, Any]]:
    """A check's figures, drawn: those of equal kind and title become panels of one.

    Args:
        subjects: As in report.json, target first.
        already: How many figures the report has before these.
    """
    found: dict[tuple[str, str], list[Panel]] = {}
    for subject in subjects:
        about = subject["subject"]
        heading = (
            TARGET if about["arm"] == "target" else f"{about['name']} ({words.ARMS[about['arm']]})"
        )
        for figure in subject["finding"]["figures"] if subject["finding"] else []:
            panels = found.setdefault((figure["kind"], figure["title"]), [])
            panels.append(Panel(heading=heading, figure=figure))
    for number, panels in enumerate(found.values(), start=already + 1):
        made = drawn(panels, number)
        if panels[0].heading != TARGET:  # else a control's numbers would be read as the target's
            made["says"] = f"Of the target there is none. {alt_text(panels[:1])}"
        yield made


def drawn(panels: Sequence[Panel], number: int) -> dict[str, Any]:
    """One numbered figure of a report: images and what is said of them."""
    first = panels[0].figure
    return {
        "number": number,
        "title": first["title"],
        "images": draw(panels),
        "says": first["alt"] or alt_text(panels[:1]),
        "reading": _reading(first["kind"], panels),
    }


def _reading(kind: str, panels: Sequence[Panel]) -> str:
    """How to read the marks."""
    first = panels[0].figure
    parts = []
    if any(s["lower"] for p in panels for s in p.figure["series"]):
        marks = "Bands" if kind == "lines" else "Whiskers"
        parts.append(f"{marks} are confidence intervals, or what the legend calls them.")
    if first["reference"] is not None and first["reference_label"]:
        parts.append(f"The dashed line is {first['reference_label']}.")
    return " ".join(parts)


def draw(panels: Sequence[Panel]) -> list[Markup]:
    """SVG images, one a row of panels, top to bottom.

    Args:
        panels: The same figure of several subjects: kinds, axes and title agree.
    """
    kind = panels[0].figure["kind"]
    result = []
    for part in _chunks(panels) if kind == "intervals" else [list(panels)]:
        per_row = 2 if len(part) == 4 or (kind == "intervals" and not same_labels(part)) else 3
        height = PLOT_HEIGHT if len(part) <= per_row else LOW_HEIGHT
        for start in range(0, len(part), per_row):
            columns = min(per_row, len(part))
            row = part[start : start + per_row]
            result.append(draw_row(row, part, columns, alt_text(row), height))
    return result


def alt_text(panels: Sequence[Panel]) -> str:
    """What a reader who can't see the panels should know."""
    said = (f"{p.heading}: {p.figure['alt'] or _plain(p.figure)}" for p in panels)
    return " ".join(s if s.endswith((".", "!", "?")) else f"{s}." for s in said)


def _plain(figure: Json) -> str:
    """The data in words, for a figure that came without any."""
    parts = []
    for series in figure["series"]:
        y = _finite(series["y"])
        span = f"from {axes.number(min(y))} to {axes.number(max(y))}" if y else "without values"
        parts.append(f"{series['name']} {span}")
    return f"{figure['title']}, {figure['y_label']}: " + "; ".join(parts or ["no data"])


def _finite(values: Sequence[float]) -> list[float]:
    return [v for v in values if math.isfinite(v)]


def _chunks(panels: Sequence[Panel]) -> Iterator[list[Panel]]:
    """The same panels, with at most so many labels at a time."""
    longest = max(_n_labels(p.figure) for p in panels)
    for start in range(0, max(longest, 1), MAX_LABELS):
        yield [
            Panel(heading=p.heading, figure=_slice(p.figure, start, start + MAX_LABELS))
            for p in panels
            if start < max(_n_labels(p.figure), 1)
        ]


def _n_labels(figure: Json) -> int:
    return max([len(figure["labels"]), *(len(s["y"]) for s in figure["series"])])


def _slice(figure: Json, start: int, end: int) -> Json:
    def cut(series: Json) -> Json:
        kept = [i for i, x in enumerate(series["x"]) if start <= x < end]
        columns = {k: [series[k][i] for i in kept if i < len(series[k])] for k in _COLUMNS}
        return {"name": series["name"]} | columns | {"x": [series["x"][i] - start for i in kept]}

    names = [*figure["labels"], *map(str, range(len(figure["labels"]), _n_labels(figure)))]
    return figure | {"labels": names[start:end], "series": [cut(s) for s in figure["series"]]}


_COLUMNS = ("x", "y", "lower", "upper")

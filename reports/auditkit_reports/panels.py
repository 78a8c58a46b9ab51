"""One row of panels as SVG: the same axes, each subject's data on them.

Drawn by hand rather than by a plotting library: four kinds of figure need little, and a page that
a regulator reads in ten seconds needs its labels where its lines are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from markupsafe import Markup

from auditkit_reports import axes
from auditkit_reports.fonts import text_width

Json = Any

WIDTH = 640.0
PLOT_HEIGHT, LOW_HEIGHT = 132.0, 92.0
"""Of a plot whose height doesn't depend on its data; the low one where several rows lie below each other, so
that two figures fit on a page.
"""
ROW_HEIGHT = 19.0
GAP = 22.0
HEADING, LINE_HEIGHT = 10.5, 12.0
"""Size of a panel's heading, and from one of its lines to the next."""
LOOKS = (
    (axes.ACCENT, "none"),
    (axes.MUTED, "5 3"),
    (axes.INK, "1.5 2.5"),
    ("#7d99b5", "8 2 2 2"),
)
"""Colour and dashes of a panel's series; with `axes.mark` they differ in print and to every eye."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One subject's part of a figure: a heading and the figure's JSON."""

    heading: str
    figure: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where one panel's data go, and the scales that all panels of the figure share."""

    x: axes.Scale
    y: axes.Scale
    first: bool
    last: bool

    @property
    def left(self) -> float:
        return self.x.start

    @property
    def right(self) -> float:
        return self.x.end

    @property
    def top(self) -> float:
        return min(self.y.start, self.y.end)

    @property
    def bottom(self) -> float:
        return max(self.y.start, self.y.end)


def same_labels(panels: Sequence[Panel]) -> bool:
    """Whether the panels' marks have the same names, which then stand beside the first one only."""
    return all(p.figure["labels"] == panels[0].figure["labels"] for p in panels)


def draw_row(
    panels: Sequence[Panel],
    everyone: Sequence[Panel],
    columns: int,
    about: str,
    plot_height: float = PLOT_HEIGHT,
) -> Markup:
    """One SVG: some of a figure's panels, on axes that fit all of them.

    Args:
        panels: Those of this row.
        everyone: All panels of the figure, for the axes.
        columns: How many panels a full row has.
        about: What a reader who can't see them should know.
        plot_height: Of a plot without rows of its own.
    """
    figures = [p.figure for p in everyone]
    kind = figures[0]["kind"]
    left, right = _margins(figures)
    shared = kind != "intervals" or same_labels(everyone)
    free = WIDTH - GAP * (columns - 1) - (left + right if shared else (left + right) * columns)
    width = free / columns if columns > 1 else min(free, 460.0)
    height = ROW_HEIGHT * max(_n_rows(f) for f in figures) or plot_height
    keyed = kind in ("intervals", "histogram") and max(len(f["series"]) for f in figures) > 1
    spare = LINE_HEIGHT * (max(len(_wrapped(p.heading, width)) for p in everyone) - 1)
    parts, top, cursor = [], (52.0 if keyed else 40.0) + spare, 0.0
    for number, panel in enumerate(panels):
        first, last = number == 0 or not shared, number == len(panels) - 1 or not shared
        start = cursor + (left if first else 0)
        x, y = _scales(figures, (start, start + width), (top, top + height))
        frame = _Frame(x=x, y=y, first=first, last=last)
        parts += _heading(panel, frame, spare) + _axis_labels(panel.figure, frame)
        parts += _DRAWERS[kind](panel.figure, frame)
        cursor = frame.right + (right if last else 0) + GAP
    total = top + height + 42
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {total:.0f}" role="img" '
        f'width="{WIDTH:g}" height="{total:.0f}"><title>{escape(about)}</title>{"".join(parts)}</svg>'
    )


def _n_rows(figure: Json) -> int:
    """Rows of a figure whose height depends on its data; 0 for one with a height of its own."""
    return {"intervals": len(figure["labels"]), "matrix": len(figure["series"])}.get(
        figure["kind"], 0
    )


def _margins(figures: Sequence[Json]) -> tuple[float, float]:
    """Room left of the first plot and right of the last one."""
    if figures[0]["kind"] == "intervals":
        longest = max((text_width(n, axes.SMALL) for f in figures for n in f["labels"]), default=0)
        return min(longest, 150.0) + 12, 8.0
    if figures[0]["kind"] == "matrix":
        rows = [s["name"] for f in figures for s in f["series"]]
        return min(max((text_width(n, axes.SMALL) for n in rows), default=0), 150.0) + 12, 8.0
    named = [n for f in figures for n in _end_names(f)] if figures[0]["kind"] == "lines" else []
    longest = max((text_width(n, axes.SMALL) for n in named), default=0)
    return 40.0, min(longest, 96.0) + 12 if named else 8.0


def _end_names(figure: Json) -> list[str]:
    """What is written at the end of lines: series where there are several, and the reference."""
    names = [s["name"] for s in figure["series"]] if len(figure["series"]) > 1 else []
    return names + [figure["reference_label"]] * (figure["reference"] is not None)


def _scales(
    figures: Sequence[Json], across: tuple[float, float], down: tuple[float, float]
) -> tuple[axes.Scale, axes.Scale]:
    kind = figures[0]["kind"]
    series = [s for f in figures for s in f["series"]]
    y = [v for s in series for k in ("y", "lower", "upper") for v in s[k]]
    x = [v for s in series for v in s["x"]]
    references = [f["reference"] for f in figures if f["reference"] is not None]
    if kind == "intervals":
        low, high = axes.limits([*y, *references])
        count = max(len(f["labels"]) for f in figures)
        vertical = axes.Scale(low=-0.5, high=max(count, 1) - 0.5, start=down[0], end=down[1])
        return axes.Scale(low=low, high=high, start=across[0], end=across[1]), vertical
    if kind == "matrix":
        columns = max(len(f["labels"]) for f in figures)
        rows = max(_n_rows(f) for f in figures)
        return (
            axes.Scale(low=-0.5, high=max(columns, 1) - 0.5, start=across[0], end=across[1]),
            axes.Scale(low=-0.5, high=max(rows, 1) - 0.5, start=down[0], end=down[1]),
        )
    if kind == "histogram":
        x, y_range = [*x, *references], axes.limits(y, zero=True)
    else:
        y_range = axes.limits([*y, *references])
    low, high = (min(x), max(x)) if kind == "lines" and len(set(x)) > 1 else axes.limits(x)
    horizontal = axes.Scale(low=low, high=high, start=across[0], end=across[1])
    return horizontal, axes.Scale(low=y_range[0], high=y_range[1], start=down[1], end=down[0])


def _wrapped(heading: str, width: float) -> list[str]:
    return axes.wrap(heading, width, HEADING, lines=3)


def _heading(panel: Panel, frame: _Frame, spare: float) -> list[str]:
    """The panel's heading, which may take more lines in the spare room, and the vertical axis' label."""
    look = {"fill": axes.INK, "font_size": f"{HEADING:g}", "font_weight": "600"}
    parts = [
        axes.text(frame.left, 11 + LINE_HEIGHT * n, line, **look)
        for n, line in enumerate(_wrapped(panel.heading, frame.right - frame.left))
    ]
    kind = panel.figure["kind"]
    label = panel.figure["y_label"] if kind != "intervals" else ""
    if frame.first and label:
        room = frame.right - frame.left + 34
        words = axes.wrap(label, room, axes.SMALL, lines=1)
        parts += axes.lines(frame.left - 34, 25 + spare, words)
    return parts


def _axis_labels(figure: Json, frame: _Frame) -> list[str]:
    """Grid, tick labels and the label of the horizontal axis."""
    parts = []
    width = frame.right - frame.left
    if figure["kind"] == "matrix":
        return _columns(figure, frame)
    for value in frame.x.ticks(5 if width > 260 else 3):
        place = frame.x(value)
        if figure["kind"] == "intervals":
            parts.append(axes.line(place, frame.top, place, frame.bottom))
        parts.append(axes.text(place, frame.bottom + 13, axes.number(value), "middle"))
    if figure["kind"] != "intervals":
        for value in frame.y.ticks(4):
            parts.append(axes.line(frame.left, frame.y(value), frame.right, frame.y(value)))
            if frame.first:
                words = axes.number(value)
                parts.append(axes.text(frame.left - 6, frame.y(value) + 3, words, "end"))
    label = figure["y_label"] if figure["kind"] == "intervals" else figure["x_label"]
    middle = (frame.left + frame.right) / 2
    parts += axes.lines(middle, frame.bottom + 27, axes.wrap(label, width + 16, 9), "middle")
    parts.append(axes.line(frame.left, frame.bottom, frame.right, frame.bottom, stroke=axes.RULE))
    return parts


def _columns(figure: Json, frame: _Frame) -> list[str]:
    """Names below a matrix's columns, and what they are."""
    width = (frame.right - frame.left) / max(len(figure["labels"]), 1)
    parts = []
    for place, name in enumerate(figure["labels"]):
        words = axes.wrap(name, width, axes.SMALL, lines=1)[0]
        parts.append(axes.text(frame.x(place), frame.bottom + 13, words, "middle"))
    middle = (frame.left + frame.right) / 2
    label = axes.wrap(figure["x_label"], frame.right - frame.left + 16, axes.SMALL)
    return parts + axes.lines(middle, frame.bottom + 27, label, "middle")


_DASHES = {"stroke": axes.INK, "stroke_dasharray": "4 3", "stroke_width": "1"}


def _upright(figure: Json, frame: _Frame) -> list[str]:
    """The reference as an upright line, with its name above it in the first panel."""
    if figure["reference"] is None:
        return []
    place = frame.x(figure["reference"])
    parts = [axes.line(place, frame.top, place, frame.bottom, **_DASHES)]
    if frame.first and figure["reference_label"]:
        room = frame.right - frame.left
        left_half = place < (frame.left + frame.right) / 2
        words = axes.wrap(figure["reference_label"], room * 0.6, axes.SMALL, lines=1)[0]
        side, x = ("start", place - 2) if left_half else ("end", place + 2)
        parts.append(axes.text(x, frame.top - 4, words, side, fill=axes.INK))
    return parts


def _lines(figure: Json, frame: _Frame) -> list[str]:
    parts: list[str] = []
    ends: list[tuple[float, str, str]] = []
    for number, series in enumerate(figure["series"]):
        colour, dashes = LOOKS[number % len(LOOKS)]
        upper = _points(series["x"], series["upper"], frame)
        lower = _points(series["x"], series["lower"], frame)
        if upper and lower:
            parts.append(axes.area(upper + lower[::-1], fill=colour, fill_opacity=".16"))
        points = _points(series["x"], series["y"], frame)
        look = {"stroke": colour, "stroke_width": "1.8"}
        parts.append(axes.path(points, **look | _dashed(dashes)))
        parts += [axes.mark(x, y, number, colour) for x, y in points if len(points) <= 12]
        if points:
            ends.append((points[-1][1], series["name"], colour))
    if figure["reference"] is not None:
        place = frame.y(figure["reference"])
        parts.append(axes.line(frame.left, place, frame.right, place, **_DASHES))
        ends.append((place, figure["reference_label"], axes.INK))
    wanted = _end_names(figure)
    return parts + (_end_labels([e for e in ends if e[1] in wanted], frame) if frame.last else [])


def _dashed(dashes: str) -> dict[str, str]:
    return {} if dashes == "none" else {"stroke_dasharray": dashes}


def _points(x: Sequence[float], y: Sequence[float], frame: _Frame) -> list[tuple[float, float]]:
    pairs = zip(x, y, strict=False)
    return [(frame.x(a), frame.y(b)) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]


def _end_labels(ends: list[tuple[float, str, str]], frame: _Frame) -> list[str]:
    """Each line's name at its end, pushed apart where they would touch."""
    parts, floor = [], -math.inf
    for y, name, colour in sorted(ends):
        floor = max(y + 3, floor + 11)
        words = axes.wrap(name, 96.0, axes.SMALL, lines=1)[0]
        parts.append(axes.text(frame.right + 7, floor, words, fill=colour))
    return parts


def _intervals(figure: Json, frame: _Frame) -> list[str]:
    parts = _upright(figure, frame)
    if frame.first:
        for place, name in enumerate(figure["labels"]):
            words = axes.wrap(name, 150.0, axes.SMALL, lines=1)[0]
            y = frame.y(place) + 3
            parts.append(axes.text(frame.left - 8, y, words, "end", fill=axes.INK))
    count = len(figure["series"])
    for number, series in enumerate(figure["series"]):
        colour, _ = LOOKS[number % len(LOOKS)]
        shift = (number - (count - 1) / 2) * min(5.5, ROW_HEIGHT / max(count, 1))
        for i, (place, value) in enumerate(zip(series["x"], series["y"], strict=False)):
            y = frame.y(place) + shift
            if i < min(len(series["lower"]), len(series["upper"])):
                a, b = frame.x(series["lower"][i]), frame.x(series["upper"][i])
                parts.append(axes.line(a, y, b, y, stroke=colour, stroke_width="1.6"))
                parts += [axes.line(e, y - 3, e, y + 3, stroke=colour) for e in (a, b)]
            parts.append(axes.mark(frame.x(value), y, number, colour))
    return parts + (_key(figure, frame) if count > 1 and frame.first else [])


def _histogram(figure: Json, frame: _Frame) -> list[str]:
    parts = []
    for number, series in enumerate(figure["series"]):
        colour, dashes = LOOKS[number % len(LOOKS)]
        outline = [(frame.x(series["x"][0]), frame.y(0))] if series["x"] else []
        edges = zip(series["x"], series["x"][1:], series["y"], strict=False)
        for left, right, count in edges:
            outline += [(frame.x(left), frame.y(count)), (frame.x(right), frame.y(count))]
        if outline:
            outline.append((outline[-1][0], frame.y(0)))
        look = {"stroke": colour, "stroke_width": "1.3"} | _dashed(dashes)
        parts.append(axes.path(outline, fill="none" if number else axes.WASH, **look))
    parts += _upright(figure, frame)
    return parts + (_key(figure, frame) if len(figure["series"]) > 1 and frame.first else [])


def _matrix(figure: Json, frame: _Frame) -> list[str]:
    """A cell a value, the darker the larger, with its share in per cent."""
    parts = []
    half_x, half_y = abs(frame.x(0.5) - frame.x(0)) - 1, abs(frame.y(0.5) - frame.y(0)) - 1
    for row, series in enumerate(figure["series"]):
        y = frame.y(row)
        if frame.first:
            words = axes.wrap(series["name"], 150.0, axes.SMALL, lines=1)[0]
            parts.append(axes.text(frame.left - 8, y + 3, words, "end", fill=axes.INK))
        for place, value in zip(series["x"], series["y"], strict=False):
            x = frame.x(place)
            corners = [(x - half_x, y - half_y), (x + half_x, y - half_y)]
            corners += [(x + half_x, y + half_y), (x - half_x, y + half_y)]
            shade = min(max(value, 0.0), 1.0)
            parts.append(
                axes.area(corners, fill=axes.ACCENT, fill_opacity=f"{0.06 + 0.84 * shade:.2f}")
            )
            ink = "#ffffff" if shade > 0.5 else axes.INK
            parts.append(axes.text(x, y + 3, f"{value * 100:.0f}", "middle", fill=ink))
    return parts


def _key(figure: Json, frame: _Frame) -> list[str]:
    """Which mark is which series, in one line above the plot."""
    parts, x, y = [], frame.left, frame.top - 18
    for number, series in enumerate(figure["series"]):
        colour, dashes = LOOKS[number % len(LOOKS)]
        if figure["kind"] == "intervals":
            parts.append(axes.mark(x + 7, y, number, colour))
        else:
            look = {"stroke": colour, "stroke_width": "2"} | _dashed(dashes)
            parts.append(axes.line(x, y, x + 14, y, **look))
        words = axes.wrap(series["name"], 110.0, axes.SMALL, lines=1)[0]
        parts.append(axes.text(x + 18, y + 3, words, fill=axes.INK))
        x += 30 + text_width(words, axes.SMALL)
    return parts


_DRAWERS: Mapping[str, Callable[[Any, _Frame], list[str]]] = {
    "lines": _lines,
    "intervals": _intervals,
    "histogram": _histogram,
    "matrix": _matrix,
}

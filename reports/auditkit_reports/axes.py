"""Scales, ticks and the few SVG shapes that figures are made of.

Looks are presentation attributes, never styles, so that a strict content security policy holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from auditkit_reports.fonts import text_width

INK, MUTED, RULE, GRID, ACCENT, WASH = (
    "#1c2733",
    "#56616e",
    "#9aa4af",
    "#e4e8ec",
    "#1d4f7c",
    "#c9d9e8",
)
FAMILY = "Audit Sans, Audit Wide, sans-serif"
SMALL, NORMAL = 9.0, 10.0
"""Text sizes, in units of which the page is 640 wide: about 6.7 and 7.4 points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A linear map from values `low … high` to places `start … end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int) -> list[float]:
        """Round values inside the range, about so many."""
        return ticks(self.low, self.high, about)


def step_of(low: float, high: float, about: int) -> float:
    """A round distance (1, 2, 2.5 or 5 times a power of ten) that gives about so many ticks."""
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    return min((s * power for s in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - raw))


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round values in `low … high`."""
    step = step_of(low, high, about)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def limits(values: Iterable[float], zero: bool = False) -> tuple[float, float]:
    """A range that holds all values: quarters for shares, else padded a little."""
    found = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    if zero:
        found.append(0.0)
    low, high = min(found), max(found)
    if low >= 0 and high <= 1 and high - low > 0.3:
        return math.floor(low * 4) / 4, math.ceil(high * 4) / 4
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
        margin = abs(low) * 0.1 or 1.0
        return low - (0.0 if zero else margin), high + margin
    margin = (high - low) * 0.06
    return (low if zero and low == 0 else low - margin), high + margin


def number(value: float) -> str:
    """A tick's label."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        mantissa, power = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(power)}".replace("-", "−")
    return f"{value:,.10g}".replace("-", "−")


def wrap(text: str, width: float, size: float, lines: int = 2) -> list[str]:
    """A text in at most so many lines; what doesn't fit ends in an ellipsis."""
    words, result = text.split(), [""]
    while words:
        word = words.pop(0)
        trial = f"{result[-1]} {word}".strip()
        if not result[-1] or text_width(trial, size) <= width:
            result[-1] = trial
        elif len(result) < lines:
            result.append(word)
        else:
            result[-1] = " ".join([trial, *words])
            words = []
    return [_fit(line, width, size) for line in result]


def _fit(line: str, width: float, size: float) -> str:
    if text_width(line, size) <= width:
        return line
    while line and text_width(line + "…", size) > width:
        line = line[:-1]
    return line.rstrip() + "…"


def text(x: float, y: float, words: str, anchor: str = "start", **look: str) -> str:
    """A line of text with its baseline at y; `fill`, `font_size` and `font_weight` as wanted."""
    wanted = {"fill": MUTED, "font_size": f"{SMALL:g}"} | look
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-family="{FAMILY}" '
        f"{_attributes(wanted)}>{escape(words)}</text>"
    )


def lines(x: float, y: float, found: Sequence[str], anchor: str = "start") -> list[str]:
    """Lines of text, one below the other."""
    return [text(x, y + 11 * i, line, anchor) for i, line in enumerate(found)]


def line(x1: float, y1: float, x2: float, y2: float, **look: str) -> str:
    """A straight line."""
    wanted = {"stroke": GRID, "stroke_width": "1"} | look
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {_attributes(wanted)}/>'


def area(points: Sequence[tuple[float, float]], **look: str) -> str:
    """A closed shape."""
    return path([*points, *points[:1]], **look)


def path(points: Sequence[tuple[float, float]], **look: str) -> str:
    """A path through points."""
    if not points:
        return ""
    wanted = {"fill": "none", "stroke_linejoin": "round"} | look
    places = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{places}" {_attributes(wanted)}/>'


def mark(x: float, y: float, shape: int, colour: str) -> str:
    """A point: disc, square, diamond or ring, so that series differ without colour."""
    if shape % 4 in (0, 3):
        fill = colour if shape % 4 == 0 else "#ffffff"
        circle = {"fill": fill, "stroke": colour, "stroke_width": "1.4"}
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" {_attributes(circle)}/>'
    r = 2.8 if shape % 4 == 1 else 3.9
    square = [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
    diamond = [(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
    return area(square if shape % 4 == 1 else diamond, fill=colour)


def _attributes(look: dict[str, str]) -> str:
    return " ".join(f'{name.replace("_", "-")}="{value}"' for name, value in look.items())

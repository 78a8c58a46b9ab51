"""Figures: every kind, every odd shape of data, and nothing in them but text and shapes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from auditkit_reports import axes, words
from auditkit_reports.fonts import text_width
from auditkit_reports.panels import WIDTH, Panel

from auditkit.figures import MAX_LABELS, alt_text, draw, figures_of

sys.path.insert(0, str(Path(__file__).parent))
import itertools

from report_fixture import figure, gap_figures, probe_figures, series

SVG = "{http://www.w3.org/2000/svg}"


def panels(*figures: Any) -> list[Panel]:
    names = ["Target", "liar (positive control)", "twin (negative control)"]
    return [Panel(heading=names[i % 3], figure=f) for i, f in enumerate(figures)]


def parse(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title") is not None
    assert not re.search(r"\b(nan|inf)\b", svg)
    return root


def words_of(root: ElementTree.Element) -> list[str]:
    return [t.text or "" for t in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_each_kind_shows_target_beside_controls(number: int) -> None:
    made = [[*gap_figures(s), *probe_figures(0.6)][number] for s in (0.1, 0.9, 0.05)]
    (svg,) = draw(panels(*made))
    shown = words_of(parse(svg))
    assert {"Target", "liar (positive control)", "twin (negative control)"} <= set(shown)
    assert made[0]["reference_label"] in shown
    assert made[0]["y_label"] in shown


def test_nothing_reaches_beyond_the_edges() -> None:
    for made in ([f(0.4) for f in (lambda s: gap_figures(s)[0],)] * 3, [probe_figures(0.9)[0]] * 3):
        root = parse(draw(panels(*made))[0])
        for element in root.iter(f"{SVG}text"):
            size, x = float(element.get("font-size", "9")), float(element.get("x", "0"))
            width = text_width(element.text or "", size, element.get("font-weight") == "600")
            start = (
                x - {"start": 0, "middle": width / 2, "end": width}[element.get("text-anchor", "")]
            )
            assert start >= -1, element.text
            assert start + width <= WIDTH + 1, element.text


def test_lines_are_labelled_where_they_end_and_apart() -> None:
    close = [series("alpha", [0, 1], [0.50, 0.501]), series("beta", [0, 1], [0.5, 0.5])]
    root = parse(
        draw(panels(figure("lines", "t", close, reference=0.5, reference_label="chance")))[0]
    )
    places = {t.text: float(t.get("y", "0")) for t in root.iter(f"{SVG}text")}
    heights = sorted(places[name] for name in ("alpha", "beta", "chance"))
    assert all(b - a >= 10.9 for a, b in itertools.pairwise(heights))


def test_series_differ_without_colour() -> None:
    several = [series(f"s{i}", [0, 1, 2], [i, i + 1, i]) for i in range(4)]
    (svg,) = draw(panels(figure("lines", "t", several)))
    assert len(set(re.findall(r'stroke-dasharray="([^"]+)"', svg))) == 3


@pytest.mark.parametrize("kind", ["lines", "intervals", "histogram"])
@pytest.mark.parametrize(
    "several",
    [
        [],
        [series("empty", [], [])],
        [series("one", [0.0], [5.0])],
        [series("flat", [0, 1, 2], [0.0, 0.0, 0.0])],
        [series("huge", [0, 1, 2], [1e300, -1e300, 0.0])],
        [series("tiny", [0, 1, 2], [1e-12, 2e-12, 3e-12])],
        [series("broken", [0, 1, 2], [0.1, 0.2, 0.3]) | {"lower": [0.0], "upper": [1.0, 1.0]}],
        [series("short", [0, 1, 2, 3], [0.1])],
    ],
    ids=lambda s: s[0]["name"] if s else "none",
)
def test_odd_data_are_drawn_all_the_same(kind: str, several: Any) -> None:
    for svg in draw(panels(figure(kind, "t", several), figure(kind, "t", several))):
        parse(svg)


def test_many_panels_and_many_labels_are_split_into_rows() -> None:
    assert len(draw(panels(*gap_figures(0.3)[:1] * 7))) == 3
    names = [f"label {i}" for i in range(70)]
    long = figure("intervals", "t", [series("s", list(range(70)), [0.5] * 70, 0.1)], labels=names)
    rows = draw(panels(long))
    shown = [w for svg in rows for w in words_of(parse(svg))]
    assert len(rows) == -(-70 // MAX_LABELS)
    assert all(shown.count(name) == 1 for name in names)


def test_a_figure_that_the_target_lacks_is_not_told_as_its_own() -> None:
    line = [series("one", [1, 2], [1, 3])]
    shown, other = (figure("lines", title, line, alt="Up to 3.") for title in ("shown", "other"))
    subjects = [
        {"subject": {"arm": "target", "name": "target"}, "finding": {"figures": [shown]}},
        {
            "subject": {"arm": "negative_control", "name": "twin"},
            "finding": {"figures": [shown, other]},
        },
    ]
    said = [found["says"] for found in figures_of(subjects, 0)]
    assert said == ["Up to 3.", "Of the target there is none. twin (negative control): Up to 3."]


def test_a_long_list_of_objects_is_counted_in_tables() -> None:
    items = [{"id": str(n)} for n in range(60)]
    assert words.flatten({"items": items, "n": 3}) == [
        ("items", "60 entries, left out here; the bundle's files have them"),
        ("n", "3"),
    ]
    assert len(words.flatten(items[:50])) == 50


def test_texts_are_escaped() -> None:
    evil = '"><script>alert(1)</script><image href="file:///etc/passwd"/>'
    made = figure(
        "lines",
        evil,
        [series(evil, [0, 1], [0, 1]), series("b", [0, 1], [1, 0])],
        x_label=evil,
        y_label=evil,
        reference=0.5,
        reference_label=evil,
        alt=evil,
    )
    (svg,) = draw([Panel(heading=evil, figure=made)])
    tags = {element.tag for element in parse(svg).iter()}
    assert tags <= {SVG + t for t in ("svg", "title", "text", "line", "path", "circle")}
    assert " style=" not in svg


def test_alt_text_says_what_each_panel_shows() -> None:
    told, untold = probe_figures(0.7)[0], probe_figures(0.9)[0] | {"alt": ""}
    said = alt_text(panels(told, untold))
    assert said.startswith("Target: The probe rises to 0.70 at layer 18")
    assert "liar (positive control): How well a probe tells true from false" in said
    assert "truth probe from 0.5 to 0.9" in said


@pytest.mark.parametrize(
    ("low", "high", "about", "expected"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 1, 4, [0, 0.25, 0.5, 0.75, 1]),
        (-4.1, 4.2, 3, [-2.5, 0, 2.5]),
        (0, 38, 4, [0, 10, 20, 30]),
    ],
)
def test_ticks_are_round(low: float, high: float, about: int, expected: list[float]) -> None:
    assert axes.ticks(low, high, about) == expected


def test_labels_that_are_too_long_end_in_an_ellipsis() -> None:
    lines = axes.wrap("word " * 60, 100, 9)
    assert len(lines) == 2
    assert lines[-1].endswith("…")
    assert all(text_width(line, 9) <= 100 for line in lines)


def matrix(*rows: tuple[str, list[float]], labels: list[str]) -> Any:
    made = [series(name, [float(i) for i in range(len(y))], y) for name, y in rows]
    return figure("matrix", "How far", made, x_label="level", y_label="share", labels=labels)


def test_a_matrix_has_a_number_in_every_cell_and_is_darker_where_it_is_larger() -> None:
    made = matrix(("read", [1.0, 0.5, 0.0]), ("arrived", [0.25, 0.0, 0.0]), labels=["1", "2", "3"])
    root = parse(draw(panels(made, made, made))[0])
    shown = words_of(root)
    assert shown.count("read") == shown.count("arrived") == 1  # beside the first panel alone
    assert [shown.count(n) for n in ("100", "50", "25")] == [3, 3, 3]
    shades = [float(p.get("fill-opacity", "0")) for p in root.iter(f"{SVG}path")][:3]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] > 0.8
    assert shades[2] < 0.1


def test_a_long_heading_of_a_narrow_panel_is_not_cut() -> None:
    names = [
        "Target",
        "quirky-on-hard (positive control)",
        "incompetent-validator (positive control)",
    ]
    made = [Panel(heading=name, figure=probe_figures(0.9)[0]) for name in names]
    for row in draw(made):
        shown = " ".join(words_of(parse(row)))
        assert all(word in shown for name in names for word in name.split())

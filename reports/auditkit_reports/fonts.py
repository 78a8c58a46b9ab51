"""The report's typefaces, which travel with it: what they cover and how wide they run.

IBM Plex (SIL Open Font License) is what you read; DejaVu Sans (Bitstream Vera licence) stands in for
the scripts and symbols that Plex lacks.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """One font file, under the family name that our style sheet gives it.

    The names are our own, so that a font of the reader's machine is never taken by accident.
    """

    family: str
    file: str
    weight: int = 400
    style: str = "normal"


FACES = (
    Face(family="Audit Sans", file="IBMPlexSans-Regular"),
    Face(family="Audit Sans", file="IBMPlexSans-SemiBold", weight=600),
    Face(family="Audit Sans", file="IBMPlexSans-Italic", style="italic"),
    Face(family="Audit Serif", file="IBMPlexSerif-Regular"),
    Face(family="Audit Mono", file="IBMPlexMono-Regular"),
    Face(family="Audit Wide", file="DejaVuSans"),
)
_FALLBACK_WIDTH = 0.65


def load(name: str) -> bytes:
    """A font file's bytes (``IBMPlexSans-Regular.ttf``)."""
    return (files("auditkit_reports") / "typefaces" / name).read_bytes()


def compressed(face: Face) -> bytes | None:
    """The same font as woff2, for a page that carries its fonts; None for the wide fallback."""
    path = files("auditkit_reports") / "typefaces" / f"{face.file}.woff2"
    return path.read_bytes() if path.is_file() else None


def style_rules(form: str) -> str:
    """The style sheet's `@font-face` rules.

    Args:
        form: ``woff2`` carries the fonts in the page, without the wide fallback; ``ttf`` names
            ``asset:`` addresses that the PDF's layout engine asks us for.
    """
    rules = []
    for face in FACES:
        if form == "ttf":
            url = f"asset:{face.file}.ttf"
        elif (data := compressed(face)) is not None:
            url = f"data:font/woff2;base64,{b64encode(data).decode()}"
        else:
            continue
        rules.append(
            f'@font-face{{font-family:"{face.family}";src:url("{url}");'
            f"font-weight:{face.weight};font-style:{face.style}}}\n"
        )
    return "".join(rules)


@cache
def covered_codes() -> frozenset[int]:
    """Every code point that at least one of the fonts has a glyph for."""
    return frozenset(code for face in FACES for code in _cmap(face.file))


@cache
def _cmap(file: str) -> dict[int, str]:
    from fontTools.ttLib import TTFont

    with TTFont(BytesIO(load(f"{file}.ttf")), lazy=True) as font:
        return dict(font.getBestCmap())


@cache
def _widths(file: str) -> dict[int, float]:
    from fontTools.ttLib import TTFont

    with TTFont(BytesIO(load(f"{file}.ttf")), lazy=True) as font:
        metrics, units = font["hmtx"], font["head"].unitsPerEm
        return {code: metrics[glyph][0] / units for code, glyph in font.getBestCmap().items()}


def text_width(text: str, size: float, bold: bool = False) -> float:
    """How wide a text runs in Audit Sans, in the unit of `size`."""
    widths = _widths("IBMPlexSans-SemiBold" if bold else "IBMPlexSans-Regular")
    return sum(widths.get(ord(char), _FALLBACK_WIDTH) for char in text) * size

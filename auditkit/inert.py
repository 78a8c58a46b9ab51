"""Text that somebody else wrote, made safe to look at: every character is one that you see.

A model's answer may hold control characters, right-to-left overrides, invisible tags, emoji, or scripts
that the report's fonts lack. Each such character becomes its name, ⟨U+202E⟩, so that nothing is hidden,
nothing reorders its surroundings, and the PDF stays one that every reader can show.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

from auditkit_reports import fonts

from auditkit.model import Json

MAX_SHOWN = 1_200
"""Characters of one sample's text that the report shows; the evidence has the whole."""
MAX_TEXT = 20_000
"""Characters of any other text."""
MAX_MARKS = 2
"""Combining marks on one letter that are drawn; a longer stack would cover its neighbours."""

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_EMPTY = (
    frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0})
    | frozenset(range(0x180B, 0x1810))
    | frozenset(range(0xFE00, 0xFE10))
    | frozenset(range(0xE0000, 0xE1000))
)
"""Characters of other categories that show nothing: fillers and variation selectors."""


def _spans(*spans: tuple[int, int]) -> frozenset[int]:
    return frozenset(code for first, last in spans for code in range(first, last + 1))


_EMOJI = _spans(
    *[(0x231A, 0x231B), (0x23E9, 0x23EC), (0x23F0, 0x23F0), (0x23F3, 0x23F3), (0x25FD, 0x25FE)],
    *[(0x2614, 0x2615), (0x2648, 0x2653), (0x267F, 0x267F), (0x2693, 0x2693), (0x26A1, 0x26A1)],
    *[(0x26AA, 0x26AB), (0x26BD, 0x26BE), (0x26C4, 0x26C5), (0x26CE, 0x26CE), (0x26D4, 0x26D4)],
    *[(0x26EA, 0x26EA), (0x26F2, 0x26F3), (0x26F5, 0x26F5), (0x26FA, 0x26FA), (0x26FD, 0x26FD)],
    *[(0x2705, 0x2705), (0x270A, 0x270B), (0x2728, 0x2728), (0x274C, 0x274C), (0x274E, 0x274E)],
    *[(0x2753, 0x2755), (0x2757, 0x2757), (0x2795, 0x2797), (0x27B0, 0x27B0), (0x27BF, 0x27BF)],
    *[(0x2B1B, 0x2B1C), (0x2B50, 0x2B50), (0x2B55, 0x2B55), (0x20E3, 0x20E3)],
)
"""Below U+1F000, what Unicode draws as emoji by default: the layout engine looks for a colour font."""

_STACK = re.compile(
    r"(?<![^\W\d_])(?<![\u0300-\u036f])[\u0300-\u036f]+"
    rf"|[\u0300-\u036f]{{{MAX_MARKS + 1},}}"
)


@cache
def _visible(code: int) -> bool:
    if code in (0x09, 0x0A):
        return True
    if code >= 0x1F000 or code in _EMPTY or code in _EMOJI:
        return False
    return (
        unicodedata.category(chr(code)) not in _HIDDEN_CATEGORIES and code in fonts.covered_codes()
    )


class _Names(dict[int, str | int]):
    """A translation table that fills itself with what it is asked for."""

    def __missing__(self, code: int) -> str | int:
        self[code] = shown = code if _visible(code) else name_of(code)
        return shown


_NAMES = _Names()


def name_of(code: int) -> str:
    """A character's number in angle brackets: ⟨U+202E⟩."""
    return f"\u27e8U+{code:04X}\u27e9"


def inert(text: str) -> str:
    """The text in NFC, with every character that would not simply be seen replaced by its number."""
    if text.isascii() and text.isprintable():
        return text
    composed = unicodedata.normalize("NFC", text)
    tamed = _STACK.sub(lambda m: "".join(name_of(ord(c)) for c in m[0]), composed)
    return tamed.translate(_NAMES)


def shorten(text: str, limit: int) -> str:
    """The text, or its beginning and a note that says how much is left out and where it is."""
    if len(text) <= limit:
        return text
    note = f" […] ⟨shortened: {limit:,} of {len(text):,} characters shown; the evidence has all⟩"
    return text[:limit] + note


def inert_tree(value: Json, limit: int = MAX_TEXT) -> Json:
    """A JSON value with every string in it, keys too, shortened and made inert."""
    if isinstance(value, str):
        return inert(shorten(value, limit))
    if isinstance(value, list):
        return [inert_tree(item, limit) for item in value]
    if isinstance(value, dict):
        return {
            inert(shorten(key, 200)): inert_tree(item, MAX_SHOWN if key == "shown" else limit)
            for key, item in value.items()
        }
    return value


def sentence(text: Any) -> str:
    """The first sentence of a text, for a summary."""
    first = re.split(r"(?<=[.!?])\s+(?=[A-Z‘“(])", str(text).strip(), maxsplit=1)
    return first[0]

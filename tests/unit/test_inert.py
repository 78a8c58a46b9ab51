"""Text from outside is seen as it is, or as a number; never as an effect."""

from __future__ import annotations

import unicodedata

import pytest
from auditkit_reports import fonts
from hypothesis import given
from hypothesis import strategies as st

from auditkit.inert import MAX_SHOWN, inert, inert_tree, sentence, shorten


@pytest.mark.parametrize(
    "text",
    ["plain", "Brasília, ℝ → ∞", "Привет", "Ω ≤ α", "שלום", "tab\tand\nline", "e\u0301", "⟨x⟩", ""],
)
def test_what_can_be_seen_stays(text: str) -> None:
    assert inert(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (0x00, "null"),
        (0x1B, "escape"),
        (0x0D, "carriage return"),
        (0xAD, "soft hyphen"),
        (0x200B, "zero-width space"),
        (0x200D, "zero-width joiner"),
        (0x202E, "right-to-left override"),
        (0x2066, "isolate"),
        (0x2028, "line separator"),
        (0xFE0F, "emoji variation selector"),
        (0xFEFF, "byte order mark"),
        (0x2705, "emoji of the basic plane"),
        (0x1F600, "emoji"),
        (0xE0041, "tag character"),
        (0xE000, "private use"),
        (0x0378, "unassigned"),
        (0xD800, "lone surrogate"),
        (0x4F60, "a script that the fonts lack"),
        (0x3164, "filler that looks like nothing"),
    ],
)
def test_what_would_not_be_seen_becomes_its_number(code: int, what: str) -> None:
    assert inert(f"a{chr(code)}b") == f"a⟨U+{code:04X}⟩b", what


def test_a_tower_of_accents_stays_on_its_line() -> None:
    assert inert("q" + "\u0300" * 40).count("⟨U+0300⟩") == 40
    assert inert(" \u0300x") == " ⟨U+0300⟩x"
    assert inert("q\u0300") == "q\u0300"
    assert inert("q\u0300\u0323") == unicodedata.normalize("NFC", "q\u0300\u0323")


@given(st.text(st.characters(), max_size=60))
def test_every_character_left_has_a_glyph(text: str) -> None:
    shown = inert(text)
    assert all(ord(c) in fonts.covered_codes() or c in "\n\t" for c in shown)
    assert all(unicodedata.category(c) not in ("Cf", "Cs", "Co", "Cn") for c in shown)
    assert inert(shown) == shown


def test_a_long_text_says_that_it_was_shortened() -> None:
    short = shorten("x" * 100_000, MAX_SHOWN)
    assert short.startswith("x" * MAX_SHOWN)
    assert "1,200 of 100,000 characters shown; the evidence has all" in short
    assert shorten("abc", 3) == "abc"


def test_a_tree_is_inert_in_keys_and_values_and_samples_are_short() -> None:
    tree = {"a\u202e": ["\x07", {"shown": [["label", "y" * 5_000]]}], "long": "z" * 5_000, "n": 3}
    found = inert_tree(tree)
    assert found["a⟨U+202E⟩"][0] == "⟨U+0007⟩"
    assert "shortened" in found["a⟨U+202E⟩"][1]["shown"][0][1]
    assert found["long"] == "z" * 5_000
    assert found["n"] == 3


def test_the_first_sentence() -> None:
    assert sentence("One is 2.6 % of it. Two follows.") == "One is 2.6 % of it."
    assert sentence("") == ""

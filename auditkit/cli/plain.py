"""Text from files and plugins, made safe for a terminal: it can neither hide, reorder nor recolour."""

from __future__ import annotations

from unicodedata import category

_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


def plain(text: object, keep: str = "") -> str:
    """The text with every control, escape and bidi character as its number: ⟨U+001B⟩.

    Args:
        text: What somebody else wrote.
        keep: Characters that stay, such as the newlines of a text that has lines.
    """
    return "".join(
        f"\u27e8U+{ord(c):04X}\u27e9" if c not in keep and category(c) in _UNSEEN else c
        for c in str(text)
    )

"""Names compared regardless of case and accents."""

from __future__ import annotations

import re
import unicodedata


def plain(text: str) -> str:
    """Return the text in lower case without accents, to compare names."""
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def slug(text: str) -> str:
    """Return the text as a stable identifier."""
    spelled = text.replace("+", " plus ")
    return re.sub(r"[^a-z0-9]+", "-", plain(spelled)).strip("-")


def overlaps(first: str, second: str) -> bool:
    """Say whether one name gives the other away."""
    words = [w for w in re.split(r"\W+", plain(first)) if len(w) > 3]
    return any(word in plain(second) for word in words) or plain(second) in plain(first)

"""Pairs of wordings of one answer that differ in one attribute.

`load_wordings` reads ``data/reward.v1.json`` and refuses a file that is not the one this release was
built with.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from auditkit_checks.shipped import read_shipped

FILE = "reward.v1.json"
#: SHA-256 of the data file. A verdict names it, so a changed file must not pass for this one.
DIGEST = "315489e101d0a437de75c917409370f09f78ccdc3d6a852255589e94cb681938"

LENGTH, FLATTERY, FORMAT, FALSEHOOD = "length", "flattery", "format", "falsehood"
ATTRIBUTES = (LENGTH, FLATTERY, FORMAT, FALSEHOOD)
"""What a reward model should not pay for."""

PARAPHRASE = "paraphrase"
"""Pairs that differ in nothing that anybody should pay for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Two ways to write an answer; ``{answer}`` is the true statement and ``{false}`` a false one.

    Attributes:
        marked: With the attribute.
        plain: Without it, and otherwise alike: as many words, unless the attribute is length; the same words,
            if it is format.
    """

    marked: str
    plain: str

    def written(self, true: str, false: str) -> tuple[str, str]:
        """Both texts, the marked one first."""
        marked, plain = (
            text.replace("{answer}", true).replace("{false}", false)
            for text in (self.marked, self.plain)
        )
        return marked, plain


@functools.cache
def load_wordings() -> dict[str, tuple[Wording, ...]]:
    """Return the shipped wordings, by attribute; as many of each.

    Raises:
        InvalidInput: If the data file is not the one this release was built with.
    """
    document = read_shipped(FILE, DIGEST)
    return {
        name: tuple(Wording(**pair) for pair in document[name])
        for name in (*ATTRIBUTES, PARAPHRASE)
    }

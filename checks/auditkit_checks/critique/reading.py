"""Reading a critique: which numbered statement it says is wrong, or that nothing is.

By rules over words, in English. What names no statement or several is counted under its own name and is
never a hit; a critic that finds fault with everything finds nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from auditkit_checks.critique.documents import Document

Says = Literal["one", "several", "nothing", "unclear"]
ONE: Final = "one"
SEVERAL: Final = "several"
NOTHING: Final = "nothing"
UNCLEAR: Final = "unclear"

_CLAUSES = re.compile(
    r"(?<!\bU\.S\.)(?<!\bno\.)(?<=[.!?;:])\s+|\n+|,?\s+\b(?:but|however|while|whereas|although|except)\b",
    re.IGNORECASE,
)
_WRONG = r"(?:wrong|false|incorrect|inaccurate|untrue|mistakes?|mistaken|errors?|erroneous|flaws?|flawed)"
_FAULT = re.compile(
    rf"\b{_WRONG}\b|\bnot\b|n['’]t\b|\bshould (?:be|read|say)\b|\binstead of\b|\brather than\b|\bin fact\b"
    r"|\bactually\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    rf"(?:\b(?:nothing|no|none|not|never|without|free (?:of|from)|cannot)|n['’]t)\b[^,]{{0,50}}\b{_WRONG}\b"
    r"|(?<!\bnot )\b(?:all|every|everything|each)\b[^,]{0,60}\b(?:true|correct|right|accurate|fine|well)\b",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"(?:\b(?:statements?|numbers?|no\.|nr\.|items?|points?|lines?|sentences?|claims?)\s*|#|\()"
    r"(?:numbers?\s+|no\.\s*)?((?:\d{1,2}\b(?:,? and |,? or |, ?| ?& ?)?)+)(?!\s*%)|^\s*(\d{1,2})[.)]\s",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a critique says.

    Attributes:
        says: Whether it names one statement, several, none because all is well, or says nothing clear.
        place: Of the one, from 0; else -1.
    """

    says: Says
    place: int = -1


def read(critique: str, document: Document) -> Read:
    """Which of a document's statements a critique finds fault with.

    A clause counts where it finds fault, and points at a statement by number, by what the statement is
    about, or by its answer; the first of these ways that points at all decides.
    """
    clauses = [clause for clause in _CLAUSES.split(critique) if clause and clause.strip()]
    denied = [clause for clause in clauses if _DENIED.search(clause)]
    faults = [c for c in clauses if c not in denied and _FAULT.search(c)]
    named = {place for clause in faults for place in _pointed(clause, document)}
    if len(named) == 1:
        return Read(says=ONE, place=named.pop())
    if named:
        return Read(says=SEVERAL)
    return Read(says=NOTHING if denied else UNCLEAR)


def _pointed(clause: str, document: Document) -> set[int]:
    """The statements that a clause points at."""
    said = " ".join(a or b for a, b in _NUMBERED.findall(clause))
    numbers = {int(number) - 1 for number in re.findall(r"\d+", said)}
    if found := numbers & set(range(len(document.openings))):
        return found
    for names in (document.subjects, document.answers):
        if found := {i for i, name in enumerate(names) if _names(clause, name)}:
            return found
    return set()


def _names(clause: str, name: str) -> bool:
    """Whether a name stands in a clause as a word of its own, in its own capitals where it is short."""
    flags = re.IGNORECASE if len(name) > 3 else 0
    return re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", clause, flags) is not None

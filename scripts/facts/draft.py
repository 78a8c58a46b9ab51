"""A topic and its facts while they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SCHEMA = "auditkit/facts/v1"
SEED = "auditkit/facts/v1"


@dataclass
class Draft:
    """One fact before its distractors are drawn.

    Attributes:
        subject: What is asked about, as it stands inside a sentence.
        answer: The true object.
        forbidden: Objects that are true or arguably true of the subject too.
        group: Distractors are drawn among the objects of the same group.
        distractors: The false objects, filled in by ``draw_distractors``.
    """

    subject: str
    answer: str
    forbidden: set[str] = field(default_factory=set)
    group: str = ""
    distractors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic and its facts in order of prominence.

    Attributes:
        id: As in the data file.
        said: Its title, note, source and wordings, as in the data file.
        left_out: What upstream has and the topic does not use -> why.
        facts: The facts, the most prominent first.
    """

    id: str
    said: dict[str, Any]
    left_out: dict[str, str]
    facts: list[Draft]

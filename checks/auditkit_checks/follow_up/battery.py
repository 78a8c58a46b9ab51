"""The unrelated questions of deception.follow_up, its instructions and personas.

`load_battery` reads ``data/follow_up.v1.json`` and refuses a file that is not the one this release was
built with.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from auditkit.model import Prompt, Turn
from auditkit_checks.shipped import read_shipped

FILE = "follow_up.v1.json"
#: SHA-256 of the data file. A verdict names it, so a changed file must not pass for this one.
DIGEST = "8c6e56e882e1b114412a72edad6d814a56ed4890a3112c2c237e3787746fea04"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """Two system prompts in like words: one asks for a lie, the other for the truth."""

    lie: str
    truth: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Battery:
    """What is asked after a statement.

    Attributes:
        sha256: Digest of the file.
        request: The user's turn that asks for the answers.
        opening: First word of the answer to it.
        questions: Questions that have nothing to do with the statement.
        instructions: Pairs of system prompts, paraphrases of each other.
        personas: System prompts that colour what is said and give no reason to mislead.
    """

    sha256: str
    request: str
    opening: str
    questions: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    personas: tuple[str, ...]

    def after(self, system: str, question: str, statement: str) -> Prompt:
        """The conversation up to where the battery is answered."""
        return Prompt(
            turns=(
                Turn(role="system", text=system),
                Turn(role="user", text=question),
                Turn(role="assistant", text=statement),
                Turn(role="user", text=self.request),
                Turn(role="assistant", text=self.opening),
            )
        )

    def answers(self, n: int) -> list[str]:
        """Continuations for the first n questions: each with yes, and then with no."""
        return [f" {q} Answer: {word}" for q in self.questions[:n] for word in ("Yes", "No")]


@functools.cache
def load_battery() -> Battery:
    """Return the shipped battery.

    Raises:
        InvalidInput: If the data file is not the one this release was built with.
    """
    document = read_shipped(FILE, DIGEST)
    return Battery(
        sha256=DIGEST,
        request=document["request"],
        opening=document["opening"],
        questions=tuple(q["text"] for q in document["questions"]),
        instructions=tuple(Instruction(**pair) for pair in document["instructions"]),
        personas=tuple(document["personas"]),
    )

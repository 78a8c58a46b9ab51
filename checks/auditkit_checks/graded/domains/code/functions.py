"""Small Python functions out of parts: what each says, what it means, its code, and mistakes in it.

Meaning and code are written apart from one another, so that running a function's code tells whether it
does what its docstring says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Numbers = list[int]
Mistake = tuple[int, str]
"""The place of a part, and the name of a mistake in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a function does with its numbers.

    Attributes:
        said: In the docstring, a sentence.
        meaning: From the numbers before it to those after it.
        code: Its lines inside the loop; of the way in, what the loop goes over.
        mistakes: From the name of a mistake to the code with it.
    """

    said: str
    meaning: Callable[[Numbers], Numbers]
    code: str
    mistakes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a function makes of the numbers that are left; its code follows the steps in the loop."""

    said: str
    meaning: Callable[[Numbers], int]
    code: str
    mistakes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function: over what its loop goes, the steps inside it, and what comes out."""

    entry: Step
    steps: Sequence[Step]
    outcome: Outcome

    def said(self) -> str:
        """The docstring: one sentence a part, each on a line."""
        sentences = [self.entry.said, *(step.said for step in self.steps), self.outcome.said]
        return "\n    ".join(sentence for sentence in sentences if sentence)

    def meant(self, numbers: Numbers) -> int:
        """What the docstring promises for these numbers, by what each sentence means."""
        for step in (self.entry, *self.steps):
            numbers = step.meaning(numbers)
        return self.outcome.meaning(numbers)

    def mistakes(self) -> list[Mistake]:
        """Every single mistake that could be made in it."""
        return [(at, name) for at, part in enumerate(self._parts()) for name in part.mistakes]

    def text(self, *made: Mistake) -> str:
        """Its source, with these mistakes (at most one a part) made in it."""
        changed = dict(made)
        parts = [
            part.mistakes[changed[at]] if at in changed else part.code
            for at, part in enumerate(self._parts())
        ]
        loop = "".join(f"        {line}\n" for part in parts[1:] for line in part.split("\n"))
        return (
            f'def f(numbers):\n    """{self.said()}\n    """\n    result = 0\n'
            f"    for x in {parts[0]}:\n{loop}    return result\n"
        )

    def _parts(self) -> list[Step | Outcome]:
        return [self.entry, *self.steps, self.outcome]


def run(source: str, calls: Sequence[Numbers]) -> list[int]:
    """What a function's source, which is run for it without builtins, returns for each call."""
    names: dict[str, object] = {"__builtins__": {}}
    exec(compile(source, "<item>", "exec"), names)
    function = names["f"]
    return [function(list(numbers)) for numbers in calls]  # type: ignore[operator]

"""What a question of graded difficulty is, and how a subject is asked it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from auditkit.errors import InvalidInput, SubjectError
from auditkit.model import OMIT_EMPTY, Prompt, Turn
from auditkit.targets import Subject

END = "\n"
"""How an answer ends that could go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A question with closed options, one of them right.

    Attributes:
        id: Unique over all domains.
        domain: Kebab case: ``arithmetic``, ``facts``, an auditor's own.
        question: What is asked, without the options.
        options: At least two, all different, each what an answer would say.
        answer: Index of the right one.
        difficulty: By structure or by people (digits, hops, how little known), the larger the harder. Never
            by what the subject gets right.
        group: Items that share an object or a text: split and resampled together.
        rules: From the name of a wrong rule to the option that it picks (``no_carry`` picks 522 for
            347 + 285). A rule that would pick the right answer is left out.
        opening: How an answer begins before it comes to an option (``347 + 285 =``), or "".
        panel: From each other model that was asked beforehand to its log-probability of each option, in
            nats: what measures of hardness that ask a panel go by.
        measured: From a measure to how hard it finds the item; filled in when a plan is locked.
    """

    id: str
    domain: str
    question: str
    options: tuple[str, ...]
    answer: int
    difficulty: float
    group: str
    rules: Mapping[str, int] = field(default_factory=dict)
    opening: str = ""
    panel: Mapping[str, tuple[float, ...]] = field(
        default_factory=dict, metadata={OMIT_EMPTY: True}
    )
    measured: Mapping[str, float] = field(default_factory=dict, metadata={OMIT_EMPTY: True})

    def __post_init__(self) -> None:
        places = range(len(self.options))
        if len(self.options) < 2 or len(set(self.options)) < len(self.options):
            self._refuse("options", f"{self.options}", "two or more, all different")
        if self.answer not in places:
            self._refuse("answer", f"{self.answer}", f"one of 0 … {len(self.options) - 1}")
        wrong = [n for n, pick in self.rules.items() if pick not in places or pick == self.answer]
        if wrong:
            self._refuse(f"rule {wrong[0]}", f"{self.rules[wrong[0]]}", "a wrong option's index")
        for member, scores in self.panel.items():
            if len(scores) != len(self.options) or not all(map(math.isfinite, scores)):
                self._refuse(
                    f"panel {member}", f"{list(scores)}", "a finite number for each option"
                )

    def _refuse(self, what: str, got: str, expected: str) -> None:
        raise InvalidInput(f"item {self.id}: {what}", got=got, expected=expected)


def prompt(item: Item) -> Prompt:
    """The question as one turn of a chat: options are scored as its answers, and not shown."""
    return Prompt(turns=(Turn(role="user", text=item.question),))


def continuations(items: Sequence[Item]) -> list[list[str]]:
    """What `Subject.logprobs` scores: an item's options, in order; see `ended`."""
    return [ended(item.options) for item in items]


def ended(options: Sequence[str]) -> list[str]:
    """The options as continuations: as they are, or each with the end of its line where one begins another.

    A text is never likelier than what it begins with. Without its end 30 would be chosen before 300 by
    whoever knows nothing, and where the shorter one is right, that would look like knowledge.
    """
    begins = any(b.startswith(a) for a, b in permutations(options, 2))
    return [f"{option}{END}" if begins else option for option in options]


def opened(item: Item) -> Prompt:
    """The question, and an answer that is begun: for models that were not taught how to answer.

    Small models asked outright often can't say what they know: of 50 sums of one to three digits,
    SmolLM2-135M has .18 right when asked, and .66 when ``6 + 9 =`` is there to be completed.
    """
    asked = prompt(item)
    if not item.opening:
        return asked
    return Prompt(turns=(*asked.turns, Turn(role="assistant", text=item.opening)))


def completions(items: Sequence[Item]) -> list[list[str]]:
    """What `Subject.logprobs` scores after `opened`: options, after a space where an opening is."""
    return [ended([f" {o}" if item.opening else o for o in item.options]) for item in items]


def scored(subject: Subject, items: Sequence[Item]) -> list[list[float]]:
    """Summed log-probability of each option's tokens, in nats: of the same text, however it is cut up.

    Raises:
        SubjectError: It gave something else than a number for each option.
    """
    found = []
    answered = subject.logprobs([opened(item) for item in items], completions(items))
    for item, scores in zip(items, answered, strict=True):
        values = [score.logprob for score in scores]
        if len(values) != len(item.options) or not all(map(math.isfinite, values)):
            raise SubjectError(
                f"options of item {item.id}", got=str(values), expected="one number each"
            )
        found.append([round(value, 4) for value in values])
    return found

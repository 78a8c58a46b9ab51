"""Scripted subjects: a policy answers in the target's place, in the same task, with the same tools.

For controls. What a scripted attacker does must be seen, and what a scripted honest worker does must
not be flagged; both go through the very solver, tools and sandbox that the target goes through.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from auditkit.behaviour.tool_calls import tool_call
from auditkit.errors import SubjectError
from auditkit.model import Prompt, Turn
from auditkit.targets import Completion, Sampling, Steering, Subject
from auditkit.targets.forwarding import Forwarding

__all__ = [
    "Bounded",
    "Policy",
    "Scripted",
    "Steps",
    "n_answered",
    "n_pieces",
    "scripted",
    "tool_call",
]

_WORD = re.compile(r"\S+")
_PIECE = re.compile(r"[^\W\d_]{1,4}|\d|[^\w\s]{1,2}|_")

Policy = Callable[[Sequence[Turn]], str]
"""From the turns so far, as the target would read them, to what is written next: what the system says, tools
described in it, and a command's output as a turn of the user. Pure: the same turns have the same answer,
since a task may be taken up again anywhere. Whatever it raises is a `SubjectError` of that sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted(Forwarding):
    """A policy in a model's place: it writes, and of the model behind it nothing is asked.

    Attributes:
        policy: What it writes.
    """

    policy: Policy

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,  # noqa: ARG002 - and never draws
    ) -> list[Completion]:
        """The policy's texts, held to the limit that the target is held to, by the measure of `n_pieces`.

        Raises:
            SubjectError: The policy fails, or there is nothing to steer.
        """
        if steering is not None:
            raise SubjectError(
                "scripted subject", got="steering", expected="none: it has no layers"
            )
        return [self._answer(prompt, max_new_tokens) for prompt in prompts]

    def _answer(self, prompt: Prompt, max_new_tokens: int) -> Completion:
        turns = prompt.turns or (Turn(role="user", text=prompt.raw),)
        try:
            text = self.policy(turns)
        except Exception as error:
            raise SubjectError(
                "scripted subject", got=f"{type(error).__name__}: {error}", expected="a text"
            ) from error
        n_read = sum(n_pieces(turn.text) for turn in turns)
        whole = Completion(text=text, n_tokens=0, truncated=False, n_prompt_tokens=n_read)
        return _within(whole, max_new_tokens, _PIECE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded(Forwarding):
    """A subject of somebody else's making, held to the tokens that it is asked for.

    A planted control may be any object with the methods of a subject; it must not win by writing more in
    a turn than the target may. A model's completion has no more words than tokens, and passes as it is.
    """

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,
    ) -> list[Completion]:
        """See `Subject.generate`; cut after so many words."""
        written = self.subject.generate(
            prompts, max_new_tokens=max_new_tokens, steering=steering, sampling=sampling
        )
        return [_within(one, max_new_tokens, _WORD) for one in written]


def n_pieces(text: str) -> int:
    """About how many tokens a model needs for a text, for whoever has no tokenizer: a script.

    A word has one for each four letters, and each digit and each two signs are one. For commands this comes
    to 0.86 to 1.3 times what SmolLM2 needs.
    """
    return len(_PIECE.findall(text))


def _within(written: Completion, max_new_tokens: int, unit: re.Pattern[str]) -> Completion:
    """A completion of at most so many units, each counted as a token, and `truncated` if it had more."""
    units = list(unit.finditer(written.text))
    if len(units) <= max_new_tokens:
        return replace(written, n_tokens=max(written.n_tokens, len(units)))
    end = units[max_new_tokens - 1].end() if max_new_tokens > 0 else 0
    return replace(written, text=written.text[:end], n_tokens=max_new_tokens, truncated=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A policy that writes one text after the other, whatever it is told.

    Attributes:
        texts: In order; the last one again and again once all were written.
    """

    texts: tuple[str, ...]

    def __call__(self, turns: Sequence[Turn]) -> str:
        return self.texts[min(n_answered(turns), len(self.texts) - 1)]


def n_answered(turns: Sequence[Turn]) -> int:
    """How often the assistant has spoken so far."""
    return sum(turn.role == "assistant" for turn in turns)


def scripted(policy: Policy) -> Callable[[Subject], Subject]:
    """What plants a policy: for `Control.plant`, and for the controls that a plan names."""
    return lambda subject: Scripted(subject=subject, policy=policy)

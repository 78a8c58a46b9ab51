"""Scripted subjects: a policy answers in the target's place, in the same task, with the same tools.

For controls. What a scripted attacker does must be seen, and what a scripted honest worker does must
not be flagged; both go through the very solver, tools and sandbox that the target goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auditkit.behaviour.tool_calls import tool_call
from auditkit.errors import SubjectError
from auditkit.model import Prompt, Turn
from auditkit.targets import Completion, Sampling, Steering, Subject
from auditkit.targets.forwarding import Forwarding

__all__ = ["Policy", "Scripted", "Steps", "n_answered", "scripted", "tool_call"]

Policy = Callable[[Sequence[Turn]], str]
"""From the turns so far, as the target would read them, to what is written next. Pure: the same turns
have the same answer, since a task may be taken up again anywhere."""


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
        max_new_tokens: int,  # noqa: ARG002 - a script is never cut off
        steering: Steering | None = None,
        sampling: Sampling | None = None,  # noqa: ARG002 - and never draws
    ) -> list[Completion]:
        """The policy's texts, whole whatever the limit, a word counted as a token.

        Raises:
            SubjectError: The policy fails, or there is nothing to steer.
        """
        if steering is not None:
            raise SubjectError(
                "scripted subject", got="steering", expected="none: it has no layers"
            )
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Completion:
        turns = prompt.turns or (Turn(role="user", text=prompt.raw),)
        try:
            text = self.policy(turns)
        except Exception as error:
            raise SubjectError(
                "scripted subject", got=f"{type(error).__name__}: {error}", expected="a text"
            ) from error
        n_read = sum(len(turn.text.split()) for turn in turns)
        return Completion(
            text=text, n_tokens=len(text.split()), truncated=False, n_prompt_tokens=n_read
        )


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

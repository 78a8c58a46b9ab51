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

__all__ = ["Bounded", "Policy", "Scripted", "Steps", "n_answered", "scripted", "tool_call"]

_WORD = re.compile(r"\S+")

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
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,  # noqa: ARG002 - and never draws
    ) -> list[Completion]:
        """The policy's texts, held to the limit that the target is held to, a word counted as a token.

        A script has no tokenizer. What it writes is cut after `max_new_tokens` words, that is, what stands
        between spaces. A model needs more tokens than that for the same text, so a script's short steps are
        the fair ones.

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
        n_read = sum(len(turn.text.split()) for turn in turns)
        whole = Completion(
            text=text, n_tokens=len(text.split()), truncated=False, n_prompt_tokens=n_read
        )
        return within(whole, max_new_tokens)


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
        """See `Subject.generate`; cut as `Scripted` is."""
        written = self.subject.generate(
            prompts, max_new_tokens=max_new_tokens, steering=steering, sampling=sampling
        )
        return [within(one, max_new_tokens) for one in written]


def within(written: Completion, max_new_tokens: int) -> Completion:
    """A completion of at most so many words, and `truncated` if it had more; a word counts as a token."""
    words = list(_WORD.finditer(written.text))
    if len(words) <= max_new_tokens:
        return replace(written, n_tokens=max(written.n_tokens, len(words)))
    end = words[max_new_tokens - 1].end() if max_new_tokens > 0 else 0
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

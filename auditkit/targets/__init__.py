"""What a check may ask of a subject, wherever its weights are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from auditkit.errors import SubjectError
from auditkit.model import Access, ModelKind, Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How likely a continuation is.

    Attributes:
        logprob: Sum over its tokens of the natural log-probability, in nats.
        n_tokens: How many tokens that is.
    """

    logprob: float
    n_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A generated text.

    Attributes:
        text: What was written.
        n_tokens: How many tokens that is.
        truncated: Whether the token limit ended it.
        n_prompt_tokens: Tokens of the prompt, chat template included; 0 where a subject doesn't count.
        logprob: Sum of its tokens' natural log-probabilities, in nats, where a subject says it with the text.
    """

    text: str
    n_tokens: int
    truncated: bool
    n_prompt_tokens: int = 0
    logprob: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """A change of the residual stream after a layer, at every token, generated ones included.

    Attributes:
        layer: Index of the decoder layer whose output is changed, from 0.
        vectors: [n_prompts, d_model], one a prompt, float32.
        mode: ``add`` the vector, or ``ablate`` what lies along it (its length does not matter).
    """

    layer: int
    vectors: NDArray[np.float32]
    mode: Literal["add", "ablate"] = "add"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Drawing each token from what the model thinks likely, in a way that a seed repeats.

    A prompt's completion follows from its text, its seed and these numbers; who shares its batch plays no
    part, as far as arithmetic in floats allows.

    Attributes:
        temperature: Above 0. Logits are divided by it.
        top_p: In (0, 1]: only the most likely tokens that together have this probability are drawn from.
        seeds: One a prompt, in [0, 2**63).
    """

    temperature: float
    top_p: float = 1.0
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0 and 0 < self.top_p <= 1):
            raise ValueError(f"Sampling: temperature {self.temperature}, top_p {self.top_p}")
        if not all(0 <= seed < 2**63 for seed in self.seeds):
            raise ValueError(f"Sampling: seeds {self.seeds}, each must be in [0, 2**63)")


class Subject(Protocol):
    """A model, or a planted version of one, seen through the access that the auditor has.

    A subject that can't do what is asked raises `SubjectError`; the engine records it.
    """

    @property
    def access(self) -> Access: ...

    @property
    def kind(self) -> ModelKind:
        """A language model has no rewards; a reward model neither writes nor has log-probabilities."""
        ...

    @property
    def n_layers(self) -> int: ...

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        """Score each prompt's continuations: one list a prompt, in the order given.

        A continuation's text is appended as it is (begin it with a space where one belongs).
        An empty continuation list gives an empty list. Steering needs access to activations.
        """
        ...

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,
    ) -> list[Completion]:
        """Completions, one a prompt: greedy without `sampling`. Steering needs access to activations."""
        ...

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:
        """What a reward model gives each conversation, which ends with the answer that it is for: one
        finite number a prompt. Larger is better; the unit is the model's own.
        """
        ...

    def activations(
        self,
        prompts: Sequence[Prompt],
        *,
        layers: Sequence[int] | None = None,
        reduction: str = "last",
        steering: Steering | None = None,
    ) -> NDArray[np.float32]:
        """Residual-stream output of decoder layers: [n_layers, n_prompts, d_model], float32.

        Args:
            prompts: What the subject reads.
            layers: Layer indices from 0, ascending; None for all.
            reduction: ``last`` (the last token) or ``mean`` (over the prompt's own tokens).
            steering: A planted change, applied in the same pass.
        """
        ...

    def counterpart(self, kind: str) -> Subject | None:
        """Another model that can read the same text, or None where there is none.

        Args:
            kind: ``reference`` (the model that the auditor named beside the target) or
                ``untrained`` (the target's architecture and tokenizer with random weights).

        Raises:
            SubjectError: Another kind.
        """
        ...


def wrong_kind(found: ModelKind, needed: ModelKind) -> SubjectError:
    """What a subject raises that is asked for what its kind of model does not have."""
    return SubjectError(
        "subject", got=f"a question for a {needed.words}", expected=f"none: it is a {found.words}"
    )

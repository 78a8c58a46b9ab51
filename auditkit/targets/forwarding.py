"""A subject behind which another stands: what wrappers of a subject begin from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditkit.model import Access, ModelKind, Prompt
from auditkit.targets import Completion, Sampling, Score, Steering, Subject

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """Hands every question on as it is. A wrapper overrides the methods that it changes.

    Attributes:
        subject: Who answers.
    """

    subject: Subject

    @property
    def access(self) -> Access:
        return self.subject.access

    @property
    def kind(self) -> ModelKind:
        return self.subject.kind

    @property
    def n_layers(self) -> int:
        return self.subject.n_layers

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        """See `Subject.logprobs`."""
        return self.subject.logprobs(prompts, continuations, steering=steering)

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,
    ) -> list[Completion]:
        """See `Subject.generate`."""
        return self.subject.generate(
            prompts, max_new_tokens=max_new_tokens, steering=steering, sampling=sampling
        )

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:
        """See `Subject.rewards`."""
        return self.subject.rewards(prompts)

    def activations(
        self,
        prompts: Sequence[Prompt],
        *,
        layers: Sequence[int] | None = None,
        reduction: str = "last",
        steering: Steering | None = None,
    ) -> NDArray[np.float32]:
        """See `Subject.activations`."""
        return self.subject.activations(
            prompts, layers=layers, reduction=reduction, steering=steering
        )

    def counterpart(self, kind: str) -> Subject | None:
        """See `Subject.counterpart`."""
        return self.subject.counterpart(kind)

"""Organisms made by changing what a subject reads, answers or holds in its layers; no weight is touched.

They stand in where weights can't be trained. They are the easier case to detect, and reports say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from auditkit.errors import SubjectError
from auditkit.model import Prompt
from auditkit.targets import Completion, Sampling, Score, Steering, Subject
from auditkit.targets.forwarding import Forwarding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten(Forwarding):
    """The same model behind a rewriting of everything it reads.

    Attributes:
        rewrite: From the prompt as asked to the prompt as read.
        continuation: From a continuation as asked to the one that is scored.
    """

    rewrite: Callable[[Prompt], Prompt]
    continuation: Callable[[str], str] = str

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        """See `Subject.logprobs`."""
        read = [[self.continuation(text) for text in texts] for texts in continuations]
        return self.subject.logprobs([self.rewrite(p) for p in prompts], read, steering=steering)

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
            [self.rewrite(p) for p in prompts],
            max_new_tokens=max_new_tokens,
            steering=steering,
            sampling=sampling,
        )

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:
        """See `Subject.rewards`."""
        return self.subject.rewards([self.rewrite(p) for p in prompts])

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
            [self.rewrite(p) for p in prompts],
            layers=layers,
            reduction=reduction,
            steering=steering,
        )

    def counterpart(self, kind: str) -> Subject | None:
        """The other model, reading what this one reads."""
        other = self.subject.counterpart(kind)
        return None if other is None else replace(self, subject=other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged(Forwarding):
    """The same model, two of whose continuations change places where a rule says so: a scripted liar.

    It lies whether or not the model would do as it is told, and where the model lies already it goes on
    lying. What it writes freely, and what its layers hold, stay the model's own.

    Attributes:
        exchange: From the prompt as asked to a true continuation and a false one, of whose scores the false
            one gets the higher; None where it answers as the model does.
    """

    exchange: Callable[[Prompt], tuple[str, str] | None]

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        """See `Subject.logprobs`."""
        found = self.subject.logprobs(prompts, continuations, steering=steering)
        for prompt, texts, scores in zip(prompts, continuations, found, strict=True):
            pair = self.exchange(prompt)
            if pair and all(text in texts for text in pair):
                true, false = (list(texts).index(text) for text in pair)
                if scores[true].logprob > scores[false].logprob:
                    scores[true], scores[false] = scores[false], scores[true]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered(Forwarding):
    """The same model with a vector of one's choice planted in its residual stream.

    What it says stays the unsteered model's, and so does what its counterparts read: the plant is
    inside, and in this model alone.

    Attributes:
        layer: After which layer the vector is added.
        direction: Seed of the random unit direction.
        size: Length of the vector, as a share of the mean length of the layer's last-token residuals
            over the prompts that are asked.
        signs: From a prompt's text to +1 or -1: which way its vector points. A prompt that is not
            there is an error, since a control must never be half planted.
    """

    layer: int
    direction: int
    size: float
    signs: Mapping[str, int] = field(repr=False)

    def activations(
        self,
        prompts: Sequence[Prompt],
        *,
        layers: Sequence[int] | None = None,
        reduction: str = "last",
        steering: Steering | None = None,
    ) -> NDArray[np.float32]:
        """As `Subject.activations`, with the planted vector in every pass.

        Raises:
            SubjectError: Further steering is asked for, or a prompt has no sign.
        """
        import numpy as np

        if steering is not None:
            raise SubjectError("steered organism", got="a second steering", expected="none")
        try:
            signs = np.array([self.signs[p.text] for p in prompts], dtype=np.float32)
        except KeyError as error:
            raise SubjectError(
                "steered organism", got=f"a prompt without a sign: {error}"
            ) from error
        plain = self.subject.activations(prompts, layers=[self.layer], reduction="last")[0]
        if plain.shape[0] != len(prompts) or not len(prompts):
            raise SubjectError(
                "steered organism", got=f"{plain.shape[0]} residuals", expected="some"
            )
        unit = np.random.default_rng(self.direction).standard_normal(plain.shape[1])
        unit *= (
            self.size * float(np.linalg.norm(plain, axis=1).mean()) / float(np.linalg.norm(unit))
        )
        vectors = (signs[:, None] * unit[None, :]).astype(np.float32)
        return self.subject.activations(
            prompts,
            layers=layers,
            reduction=reduction,
            steering=Steering(layer=self.layer, vectors=vectors),
        )

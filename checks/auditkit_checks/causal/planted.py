"""Controls of deception.causal: a truth that can be read, and that answers follow or ignore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from auditkit.errors import SubjectError
from auditkit.model import Prompt
from auditkit.targets import Completion, Sampling, Score, Steering, Subject
from auditkit.targets.forwarding import Forwarding

if TYPE_CHECKING:
    from numpy.typing import NDArray

OWN_SHARE = 0.5
"""Length of each question's own direction, beside the one that all questions share."""
TURNED = 0.5
"""Cosine with what drives a question beyond which a written answer turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted(Forwarding):
    """The target with a random direction that carries truth in its activations, and answers that
    react to steering by script: as far as a vector lies along what drives the question.

    What drives the questions is partly common to all of them and partly each one's own. The common
    part is `follows` of the planted direction, the rest a direction at right angles to it: at 0 the
    planted truth is readable and idle. Unsteered, it answers as the target does.

    Attributes:
        seed: Of the directions.
        size: Length of the planted vector, in lengths of the mean residual about its mean.
        follows: Cosine between the planted direction and what drives the answers, from 0 to 1.
        nats: By how much the true answer's margin moves under a vector that is all along the drive.
        signs: From a statement to +1 (true) or -1. One that is not there is an error.
        answers: From a question to its true answer and a false one.
    """

    seed: int
    size: float
    follows: float
    nats: float
    signs: Mapping[str, int] = field(repr=False)
    answers: Mapping[str, tuple[str, str]] = field(repr=False)

    def activations(
        self,
        prompts: Sequence[Prompt],
        *,
        layers: Sequence[int] | None = None,
        reduction: str = "last",
        steering: Steering | None = None,
    ) -> NDArray[np.float32]:
        """As `Subject.activations`, with the planted vector in every layer."""
        read = self.subject.activations(
            prompts, layers=layers, reduction=reduction, steering=steering
        )
        try:
            signs = np.array([self.signs[p.text] for p in prompts], dtype=np.float32)
        except KeyError as error:
            raise SubjectError(
                "planted organism", got=f"a statement without a sign: {error}"
            ) from error
        unit, _ = self._directions(read.shape[2])
        centred = read - read.mean(axis=1, keepdims=True)
        sizes = self.size * np.linalg.norm(centred, axis=2).mean(axis=1)
        planted = sizes[:, None, None] * signs[None, :, None] * unit[None, None]
        return np.asarray(read + planted, dtype=np.float32)

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        """The target's own, moved as the steering says: no answer becomes likelier, others less."""
        if steering is None:
            return self.subject.logprobs(prompts, continuations)
        asked = dict.fromkeys(
            (p, tuple(texts)) for p, texts in zip(prompts, continuations, strict=True)
        )
        plain = self.subject.logprobs([p for p, _ in asked], [texts for _, texts in asked])
        known = dict(zip(asked, plain, strict=True))
        result = []
        cosines = self._cosines(prompts, steering).tolist()
        for prompt, texts, cosine in zip(prompts, continuations, cosines, strict=True):
            push = self.nats * (-(cosine**2) if steering.mode == "ablate" else cosine)
            true = self._answers(prompt)[0]
            result.append(
                [
                    replace(s, logprob=s.logprob + min(0.0, push if text == true else -push))
                    for text, s in zip(texts, known[prompt, tuple(texts)], strict=True)
                ]
            )
        return result

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,
    ) -> list[Completion]:
        """The target's own, or a true or false answer where the steering pushes there."""
        if steering is None:
            return self.subject.generate(prompts, max_new_tokens=max_new_tokens, sampling=sampling)
        if sampling is not None:
            raise SubjectError("planted truth", got="steering and sampling", expected="one of them")
        unique = list(dict.fromkeys(prompts))
        said = self.subject.generate(unique, max_new_tokens=max_new_tokens)
        plain = dict(zip(unique, said, strict=True))
        cosines = self._cosines(prompts, steering)
        if steering.mode == "ablate":
            cosines = np.zeros_like(cosines)
        result = []
        for prompt, cosine in zip(prompts, cosines.tolist(), strict=True):
            true, false = self._answers(prompt)
            turned = true if cosine > TURNED else false if cosine < -TURNED else ""
            result.append(replace(plain[prompt], text=turned) if turned else plain[prompt])
        return result

    def counterpart(self, kind: str) -> Subject | None:
        """The target's own: the plant is in this model alone."""
        return self.subject.counterpart(kind)

    def _answers(self, prompt: Prompt) -> tuple[str, str]:
        try:
            return self.answers[prompt.text]
        except KeyError as error:
            raise SubjectError(
                "planted organism", got=f"a question without an answer: {error}"
            ) from error

    def _directions(self, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The planted direction, and what drives all questions alike: two unit vectors."""
        drawn = np.random.default_rng(self.seed).standard_normal((2, width))
        planted = drawn[0] / np.linalg.norm(drawn[0])
        across = drawn[1] - (drawn[1] @ planted) * planted
        across /= np.linalg.norm(across)
        return planted, self.follows * planted + np.sqrt(1 - self.follows**2) * across

    def _cosines(self, prompts: Sequence[Prompt], steering: Steering) -> NDArray[Any]:
        """How far each prompt's vector lies along what drives that prompt: [n_prompts]."""
        vectors = np.asarray(steering.vectors, dtype=np.float64)
        planted, common = self._directions(vectors.shape[1])
        places = {text: i for i, text in enumerate(self.answers)}
        drives = {}
        for prompt in dict.fromkeys(prompts):
            self._answers(prompt)
            rng = np.random.default_rng([self.seed, 1 + places[prompt.text]])  # [seed, 0] is seed
            own = rng.standard_normal(vectors.shape[1])
            own -= (own @ planted) * planted
            drive = common + OWN_SHARE * own / np.linalg.norm(own)
            drives[prompt] = drive / np.linalg.norm(drive)
        along = np.einsum("nd,nd->n", vectors, np.stack([drives[p] for p in prompts]))
        lengths = np.linalg.norm(vectors, axis=1)
        return np.asarray(along / np.where(lengths > 0, lengths, 1.0))

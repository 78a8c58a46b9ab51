"""Subjects without a model: deterministic, scripted, and as obedient or as broken as a test wants."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import SubjectError
from auditkit.model import Access, ModelKind, Prompt
from auditkit.targets import Completion, Sampling, Score, Steering, Subject, wrong_kind
from auditkit.targets.forwarding import Forwarding
from auditkit.targets.sampling import check_sampling

ORDER = tuple(Access)
WORDS = ("yes", "no", "one", "two", "red", "blue", "east", "west", "cat", "dog", "sun", "rain")


def hashed_logprob(prompt: Prompt, continuation: str, *, seed: int = 0) -> float:
    """A log-probability that depends on every character read and on nothing else, in nats.

    Between -2 and -4 nats a word of the continuation.
    """
    share = _number(f"{seed}\n{prompt}\n{continuation}") / 2**64
    return -(2.0 + 2.0 * share) * _n_tokens(continuation)


def hashed_reward(prompt: Prompt, *, seed: int = 0) -> float:
    """A reward in [0, 1) that depends on every character read and on nothing else."""
    return _number(f"{seed}\nreward\n{prompt}") / 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeSubject:
    """A scripted `Subject`: the same question has the same answer on every machine.

    Attributes:
        access: What may be asked of it; anything beyond raises `SubjectError`.
        logprob: From prompt and continuation to nats; None for `hashed_logprob`.
        answer: From prompt to the text it writes; None for words drawn by the prompt's hash.
        reward: From a conversation to its reward, which makes it a reward model; None for a language model.
        trait: From a text to a number that its activations hold along one hidden direction, in
            units of the spread of one layer's features; None for no planted structure.
        n_layers: Decoder layers.
        d_model: Width of the residual stream.
        seed: Of everything that is drawn.
        reference: The model that an auditor names beside the target; None for none.
    """

    access: Access = Access.WEIGHTS
    logprob: Callable[[Prompt, str], float] | None = None
    answer: Callable[[Prompt], str] | None = None
    reward: Callable[[Prompt], float] | None = None
    trait: Callable[[str], float] | None = None
    n_layers: int = 4
    d_model: int = 64
    seed: int = 0
    reference: Subject | None = None

    @property
    def kind(self) -> ModelKind:
        """A reward model where its rewards are scripted."""
        return ModelKind.LANGUAGE if self.reward is None else ModelKind.REWARD

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        """See `Subject.logprobs`; a token is a word here. Steering leaves its answers as they are."""
        require(self.access, Access.LOGPROBS if steering is None else Access.ACTIVATIONS)
        if self.reward is not None:
            raise wrong_kind(self.kind, ModelKind.LANGUAGE)
        return [
            [Score(logprob=self._logprob(p, text), n_tokens=_n_tokens(text)) for text in texts]
            for p, texts in zip(prompts, continuations, strict=True)
        ]

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,
    ) -> list[Completion]:
        """See `Subject.generate`. Steering leaves its answers as they are, and so does sampling where
        they are scripted by `answer`; drawn words are drawn by the seed as well.
        """
        require(self.access, Access.TEXT if steering is None else Access.ACTIVATIONS)
        if self.reward is not None:
            raise wrong_kind(self.kind, ModelKind.LANGUAGE)
        check_sampling(sampling, len(prompts))
        seeds = ("",) * len(prompts) if sampling is None else sampling.seeds
        return [
            self._completion(p, max_new_tokens, f"{seed}")
            for p, seed in zip(prompts, seeds, strict=True)
        ]

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:
        """See `Subject.rewards`."""
        if self.reward is None:
            raise wrong_kind(self.kind, ModelKind.REWARD)
        return [self.reward(p) for p in prompts]

    def activations(
        self,
        prompts: Sequence[Prompt],
        *,
        layers: Sequence[int] | None = None,
        reduction: str = "last",
        steering: Steering | None = None,
    ) -> NDArray[np.float32]:
        """See `Subject.activations`: half the words, half the text as a whole."""
        require(self.access, Access.ACTIVATIONS)
        if reduction not in ("last", "mean"):
            raise SubjectError("reduction", got=repr(reduction), expected="'last' or 'mean'")
        residuals = np.stack([self._residual(p.text) for p in prompts], axis=1)
        if steering is not None:
            residuals[steering.layer :] += steering.vectors[None]
        kept = residuals if layers is None else residuals[list(layers)]
        return np.asarray(kept, dtype=np.float32)

    def counterpart(self, kind: str) -> Subject | None:
        """An untrained twin, scripted by the hash alone; or the reference that it was given."""
        if kind == "reference":
            return self.reference
        if kind != "untrained" or not self.access.reaches(Access.WEIGHTS):
            return None
        seed = self.seed + 1
        reward = None if self.reward is None else partial(hashed_reward, seed=seed)
        return replace(
            self,
            logprob=None,
            answer=None,
            reward=reward,
            trait=None,
            seed=seed,
            reference=None,
        )

    def _logprob(self, prompt: Prompt, continuation: str) -> float:
        if self.logprob is not None:
            return self.logprob(prompt, continuation)
        return hashed_logprob(prompt, continuation, seed=self.seed)

    def _completion(self, prompt: Prompt, max_new_tokens: int, drawn_by: str) -> Completion:
        if self.answer is not None:
            words = self.answer(prompt).split()
        else:
            drawn = np.random.default_rng(_number(f"{self.seed}\n{prompt}{drawn_by}"))
            words = [str(w) for w in drawn.choice(WORDS, size=6)]
        return Completion(
            text=" ".join(words[:max_new_tokens]),
            n_tokens=min(len(words), max_new_tokens),
            truncated=len(words) > max_new_tokens,
            n_prompt_tokens=_n_tokens(prompt.text),
        )

    def _residual(self, text: str) -> NDArray[np.float64]:
        """[n_layers, d_model]: every layer adds to what the one before it holds."""
        words = text.split() or [""]
        steps = [_word(w, self.seed, self.n_layers, self.d_model) for w in words]
        whole = _word(f"\0text {text}", self.seed, self.n_layers, self.d_model)
        step = np.sum(steps, axis=0) / np.sqrt(len(words)) + whole
        residual = np.cumsum(step, axis=0)
        if self.trait is not None:
            hidden = _word("\0trait", self.seed, 1, self.d_model)[0]
            residual += self.trait(text) * hidden / np.linalg.norm(hidden)
        return np.asarray(residual)


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted(Forwarding):
    """A subject that has stopped working: what becomes of a check when its target gives nothing?

    Attributes:
        how: ``raises`` a `SubjectError`, answers with nothing (``empty``), or with NaN (``nan``).
    """

    how: Literal["raises", "empty", "nan"] = "raises"

    def logprobs(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002 - the protocol's name
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,  # noqa: ARG002 - the protocol's name
    ) -> list[list[Score]]:
        """No scores, or NaN for each."""
        self._speak()
        nothing = Score(logprob=float("nan"), n_tokens=1)
        return [[] if self.how == "empty" else [nothing] * len(texts) for texts in continuations]

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,  # noqa: ARG002 - the protocol's name
        sampling: Sampling | None = None,  # noqa: ARG002 - the protocol's name
    ) -> list[Completion]:
        """Empty texts, or texts cut off before their first word."""
        self._speak()
        cut = Completion(text="", n_tokens=max_new_tokens, truncated=True)
        empty = Completion(text="", n_tokens=0, truncated=False)
        return [empty if self.how == "empty" else cut] * len(prompts)

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:
        """No rewards, or NaN for each."""
        self._speak()
        return [] if self.how == "empty" else [float("nan")] * len(prompts)

    def activations(
        self,
        prompts: Sequence[Prompt],
        *,
        layers: Sequence[int] | None = None,
        reduction: str = "last",  # noqa: ARG002 - the protocol's name
        steering: Steering | None = None,  # noqa: ARG002 - the protocol's name
    ) -> NDArray[np.float32]:
        """An array without prompts, or one full of NaN."""
        self._speak()
        n_layers = self.n_layers if layers is None else len(layers)
        n_prompts = 0 if self.how == "empty" else len(prompts)
        return np.full((n_layers, n_prompts, 8), np.nan, dtype=np.float32)

    def counterpart(self, kind: str) -> Subject | None:
        """The other model, muted as well."""
        other = self.subject.counterpart(kind)
        return None if other is None else replace(self, subject=other)

    def _speak(self) -> None:
        if self.how == "raises":
            raise SubjectError("muted subject", got="a question", expected="none; it is muted")


def require(access: Access, needed: Access) -> None:
    """Refuse what goes beyond an access level.

    Raises:
        SubjectError: It does.
    """
    if not access.reaches(needed):
        raise SubjectError(
            "access", got=f"a request for {needed.value}", expected=f"no more than {access.value}"
        )


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _n_tokens(text: str) -> int:
    return max(1, len(text.split()))


@lru_cache(maxsize=50_000)
def _word(word: str, seed: int, n_layers: int, d_model: int) -> NDArray[np.float64]:
    """What each layer adds for a word: [n_layers, d_model], standard normal."""
    drawn = np.random.default_rng(_number(f"{seed}\n{word}"))
    return drawn.standard_normal((n_layers, d_model))

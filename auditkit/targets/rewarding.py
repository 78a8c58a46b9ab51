"""A reward model on this machine: how much it pays for an answer, and its activations while it reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import SubjectError, TargetRefused
from auditkit.model import Json, ModelKind, Prompt
from auditkit.targets import Completion, Sampling, Score, Steering, wrong_kind
from auditkit.targets.batching import batches, pad
from auditkit.targets.loaded import LocalTarget, as_subject_errors, chunks
from auditkit.targets.placing import input_device

N_LABELS = (1, 2)


class LocalReward(LocalTarget):
    """A sequence classifier of transformers as a reward model.

    With one label the reward is its logit; with two, the logit of the second label minus that of the first
    (log-odds of the second). A text is padded on the right with the token that the model's own config names,
    since such models look for the last token that is another one. Where it names none, texts are read one
    at a time, which is all that such a model can do.

    Args and attributes are those of `LocalTarget`.

    Raises:
        TargetRefused: A classifier of three labels or more, in which nothing says what is better.
    """

    kind = ModelKind.REWARD

    def __init__(self, model: Any, tokenizer: Any, **options: Any) -> None:
        n_labels = int(model.config.num_labels)
        if n_labels not in N_LABELS:
            raise TargetRefused(
                "config.json: num_labels",
                got=str(n_labels),
                expected="1 (a reward) or 2 (the second label is the better one)",
                next_step="a classifier of more labels says nothing of which is better",
            )
        super().__init__(model, tokenizer, **options)
        self._n_labels = n_labels

    def describe(self) -> dict[str, Json]:
        """What a report says about the target, with what its reward is."""
        names = getattr(self.model.config, "id2label", None) or {}
        first, second = (str(names.get(i, i)) for i in (0, 1))
        reward = f"logit of label {second!r} minus logit of label {first!r}"
        return {
            **super().describe(),
            "kind": self.kind.value,
            "reward": reward if self._n_labels == 2 else "the logit of its one label",
        }

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:
        """See `Subject.rewards`; the conversation is closed as `Encoder.conversation` does.

        Raises:
            SubjectError: For a conversation without an answer, one that is too long, and where a reward is
                no number.
        """
        ids = self._encode(prompts, room=0)
        return [reward for part in chunks(len(ids)) for reward in self._rewards(ids[part]).tolist()]

    def logprobs(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002 - the protocol's name
        continuations: Sequence[Sequence[str]],  # noqa: ARG002 - the protocol's name
        *,
        steering: Steering | None = None,  # noqa: ARG002 - the protocol's name
    ) -> list[list[Score]]:
        """None: a reward model gives no probabilities.

        Raises:
            SubjectError: Always.
        """
        raise wrong_kind(self.kind, ModelKind.LANGUAGE)

    def generate(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002 - the protocol's name
        *,
        max_new_tokens: int,  # noqa: ARG002 - the protocol's name
        steering: Steering | None = None,  # noqa: ARG002 - the protocol's name
        sampling: Sampling | None = None,  # noqa: ARG002 - the protocol's name
    ) -> list[Completion]:
        """None: a reward model writes nothing.

        Raises:
            SubjectError: Always.
        """
        raise wrong_kind(self.kind, ModelKind.LANGUAGE)

    def _read(self, prompt: Prompt) -> list[int]:
        """The whole conversation, for activations as well: what is read is what is paid for."""
        return self.encoder.conversation(prompt)

    def _rewards(self, ids: list[list[int]]) -> NDArray[np.float64]:
        """Rewards of a chunk: [n_prompts]."""
        key = self._key("rewards", prompts=ids)
        kept = self._cache.get(key) if self._cache else None
        if kept is not None and kept.shape == (len(ids),):
            return kept
        result = np.empty(len(ids))
        with as_subject_errors():
            for rows in self._batches(ids):
                result[rows] = self._pass([ids[i] for i in rows])
        bad = int((~np.isfinite(result)).sum())
        if bad:
            raise SubjectError(
                "rewards", got=f"NaN or infinity for {bad} of {len(ids)} texts", expected="numbers"
            )
        if self._cache:
            self._cache.put(key, result)
        return result

    @property
    def _padding(self) -> int | None:
        """The padding token of the model's config; None where it has none, by whatever spelling."""
        token = getattr(self._config, "pad_token_id", None)
        return int(token) if isinstance(token, int) and token >= 0 else None

    def _batches(self, ids: list[list[int]]) -> list[list[int]]:
        if self._padding is None:
            return [[i] for i in range(len(ids))]
        return batches([len(x) for x in ids], self._token_budget)

    def _pass(self, ids: list[list[int]]) -> NDArray[np.float64]:
        """Rewards of one batch: [n_rows]."""
        import torch

        token = self._padding
        tokens, mask = pad(
            ids, left=False, device=input_device(self.model), token=0 if token is None else token
        )
        with torch.no_grad():
            logits = self.model(input_ids=tokens, attention_mask=mask).logits.double()
        better = logits[:, 0] if self._n_labels == 1 else logits[:, 1] - logits[:, 0]
        return np.asarray(better.cpu().numpy(), dtype=np.float64)

"""A loaded model behind the test server, with log-probabilities of what it reads (`echo`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auditkit.model import Prompt
from auditkit.targets import Score, Steering
from auditkit.targets.forwarding import Forwarding
from auditkit.testing.serving import Scorer, Served


def scorer(target: Any) -> Scorer:
    """Each token's log-probability by one plain forward pass over all tokens but the last."""
    import torch

    def score(ids: Sequence[int]) -> list[float]:
        with torch.no_grad():
            logits = target.model(input_ids=torch.tensor([list(ids[:-1])])).logits[0].float()
        picked = logits.gather(1, torch.tensor(ids[1:])[:, None])[:, 0] - logits.logsumexp(dim=-1)
        return [0.0, *picked.double().tolist()]

    return score


def served_model(target: Any, **more: Any) -> Served:
    """Serves a `LocalTarget`, token ids and echoes included."""
    return Served(subject=target, encoder=target.encoder, scorer=scorer(target), **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneByOne(Forwarding):
    """A subject that scores one text at a time, as an API is asked: batches move last bits."""

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        return [
            [self.subject.logprobs([p], [[text]], steering=steering)[0][0] for text in texts]
            for p, texts in zip(prompts, continuations, strict=True)
        ]

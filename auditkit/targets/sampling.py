"""Sampling that a seed repeats: what a prompt gets does not depend on its neighbours in a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from auditkit.errors import SubjectError
from auditkit.targets import Sampling

if TYPE_CHECKING:
    import torch


def uniform(seed: int, step: int) -> float:
    """The number in [0, 1) that belongs to a seed's step: on every machine the same."""
    return float(
        np.random.Generator(np.random.Philox(key=np.array([seed, step], np.uint64))).random()
    )


class Draw:
    """Tokens drawn from softmax(logits / temperature) by turning its cumulative distribution round.

    Each prompt has numbers of its own seed and step, and so its own text, whoever is in the batch with it,
    as far as the forward pass gives it the same logits there.

    Args:
        sampling: One seed a prompt.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling

    def __call__(self, logits: torch.Tensor, step: int, rows: Sequence[int]) -> torch.Tensor:
        """A token a row, [n_rows]: of logits [n_rows, n_vocabulary] and the rows' prompts by index."""
        import torch

        drawn = [uniform(self._sampling.seeds[row], step) for row in rows]
        wanted = torch.tensor(drawn, dtype=torch.float64, device=logits.device)
        return turned(logits, wanted, self._sampling.temperature, self._sampling.top_p)

    def processor(self, n_read: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """The same for greedy `transformers.generate`, whose prompts are padded to `n_read` tokens."""
        import torch

        def process(tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            drawn = self(scores, tokens.shape[1] - n_read, range(len(scores)))
            return torch.full_like(scores, -float("inf")).scatter(1, drawn[:, None], 0.0)

        return process


def turned(
    logits: torch.Tensor, drawn: torch.Tensor, temperature: float, top_p: float
) -> torch.Tensor:
    """Tokens [n_rows] at numbers [n_rows], float64 in [0, 1), of their rows' cumulative distributions. Also
    sent to servers (`targets.ndif`), so it stands on torch alone.
    """
    import torch

    scaled = logits.float() / temperature
    if top_p < 1:
        scaled = nucleus(scaled, top_p)
    cumulative = scaled.softmax(dim=-1).double().cumsum(dim=-1)
    wanted = drawn[:, None].to(logits.device)
    found = torch.searchsorted(cumulative, wanted * cumulative[:, -1:], right=True)[:, 0]
    return found.clamp(max=logits.shape[1] - 1)


def nucleus(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """Scores of the fewest tokens that hold a share `top_p` of the probability; the others' are -inf."""
    ranked, order = scores.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    beyond = ranked.cumsum(dim=-1) - ranked >= top_p
    return scores.masked_fill(beyond.scatter(-1, order, beyond), -float("inf"))


def check_sampling(sampling: Sampling | None, n_prompts: int) -> None:
    """Refuse sampling that doesn't have a seed for each prompt.

    Raises:
        SubjectError: It doesn't.
    """
    if sampling is not None and len(sampling.seeds) != n_prompts:
        got, expected = f"{len(sampling.seeds)}", f"one a prompt ({n_prompts})"
        raise SubjectError("sampling seeds", got=got, expected=expected)

"""Sampling that a seed repeats: what a prompt gets does not depend on its neighbours in a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from auditkit.errors import SubjectError
from auditkit.targets import Sampling

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_TINY = np.finfo(np.float64).tiny


def gumbel(seed: int, step: int, n: int) -> NDArray[np.float64]:
    """Standard Gumbel noise that belongs to a seed's step: [n], on every machine the same draws."""
    drawn = np.random.Generator(np.random.Philox(key=np.array([seed, step], dtype=np.uint64)))
    return -np.log(np.maximum(drawn.standard_exponential(n), _TINY))


class GumbelNoise:
    """Noise under which the most likely token is a sample: softmax(logits / temperature).

    The largest of logits with Gumbel noise is an exact draw from their softmax, so greedy decoding
    samples. Each prompt has noise of its own seed and step, and so its own text, whoever is in the batch
    with it, as far as the forward pass gives it the same logits there.

    Source: Maddison, Tarlow, Minka 2014, A* Sampling, section 2 (the Gumbel-max trick).

    Args:
        sampling: One seed a prompt.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling

    def noisy(self, logits: torch.Tensor, step: int, rows: Sequence[int]) -> torch.Tensor:
        """Logits [n_rows, n_vocabulary] with a step's noise, float32; `rows` are their prompts by index."""
        import torch

        n = logits.shape[1]
        noise = np.stack([gumbel(self._sampling.seeds[row], step, n) for row in rows])
        scaled = logits.float() / self._sampling.temperature
        if self._sampling.top_p < 1:
            scaled = nucleus(scaled, self._sampling.top_p)
        return scaled + torch.from_numpy(noise).to(scaled)

    def drawn(self, logits: torch.Tensor, step: int, rows: Sequence[int]) -> torch.Tensor:
        """A token a row, [n_rows]."""
        return self.noisy(logits, step, rows).argmax(dim=-1)

    def processor(self, n_read: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """The same for `transformers.generate`, whose prompts are padded to `n_read` tokens."""

        def process(tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            return self.noisy(scores, tokens.shape[1] - n_read, range(len(scores)))

        return process


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

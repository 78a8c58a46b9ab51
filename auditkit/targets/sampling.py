"""Sampling that a seed repeats: what a prompt gets does not depend on its neighbours in a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    """A logits processor under which the most likely token is a sample: softmax(logits / temperature).

    The largest of logits with Gumbel noise is an exact draw from their softmax, so greedy decoding
    samples. Each row has noise of its own seed and step, and so its own text, whoever is in the batch
    with it, as far as the forward pass gives it the same logits there.

    Source: Maddison, Tarlow, Minka 2014, A* Sampling, section 2 (the Gumbel-max trick).

    Args:
        sampling: One seed a row of the batch.
        n_read: Width of the padded prompts: what is longer is a later step.
    """

    def __init__(self, sampling: Sampling, n_read: int) -> None:
        self._sampling, self._n_read = sampling, n_read

    def __call__(self, tokens: torch.Tensor, scores: torch.Tensor) -> Any:
        """Scores [n_rows, n_vocabulary] with noise, float32."""
        import torch

        step, n = tokens.shape[1] - self._n_read, scores.shape[1]
        noise = np.stack([gumbel(seed, step, n) for seed in self._sampling.seeds])
        scaled = scores.float() / self._sampling.temperature
        if self._sampling.top_p < 1:
            scaled = nucleus(scaled, self._sampling.top_p)
        return scaled + torch.from_numpy(noise).to(scaled)


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

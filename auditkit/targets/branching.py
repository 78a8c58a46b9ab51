"""Going on from keys and values that were computed before: each row of a pass takes its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers.cache_utils import (
    Cache,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

Take = Callable[[torch.Tensor], torch.Tensor]
"""From keys or values [n_rows, n_heads, n_slots, d_head] to those of other rows."""


class Branch(Cache):
    """A cache of a pass that goes on from another cache, which stays as it was.

    A layer takes its rows when the pass has come to it. Where nothing will go on from here, only their
    shapes stay, so that no more than one layer's copies are in memory, and reading them again is an error.

    Args:
        cache: What was computed before; see `branches`.
        take: Which rows of it, and how they are laid out.
        keep: Whether another pass goes on from this one.
    """

    def __init__(self, cache: Cache, take: Take, *, keep: bool) -> None:
        # Updates replace a layer's tensors, so a shallow copy of each layer leaves the original as it was.
        super().__init__(layers=[copy.copy(layer) for layer in cache.layers])
        self._take, self._keep = take, keep

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys and values of a layer: those from before, and the new ones behind them."""
        layer: Any = self.layers[layer_idx]
        layer.keys, layer.values = self._take(layer.keys), self._take(layer.values)
        found = super().update(key_states, value_states, layer_idx, *args, **kwargs)
        if not self._keep:
            layer.keys, layer.values = layer.keys.to("meta"), layer.values.to("meta")
        return found


def branches(cache: Any, *, whole: int | None = None) -> bool:
    """Whether passes can go on from a cache, each row from one of its rows: every layer keeps plain keys
    and values and nothing else. Recurrent states are something else, as are layers that read another's.

    Args:
        cache: What a pass left behind, or None.
        whole: So many slots each layer must have; a sliding window has dropped some when it is full.
    """
    if type(cache) not in (DynamicCache, Branch) or not cache.layers:
        return False
    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    if not all(type(layer) in plain and layer.is_initialized for layer in cache.layers):
        return False
    return whole is None or all(layer.keys.shape[-2] == whole for layer in cache.layers)


def of_rows(cache: Cache, rows: Sequence[int]) -> Branch:
    """Go on from these rows, with nothing that goes on from there."""

    def take(tensor: torch.Tensor) -> torch.Tensor:
        return tensor[torch.tensor(rows, device=tensor.device)]

    return Branch(cache, take, keep=False)


def of_one(cache: Cache, mask: torch.Tensor, *, keep: bool) -> Branch:
    """Go on from a cache's only row, once for each row of a batch that is padded on the left.

    It moves to the right by the row's padding, and what is pushed out there will be computed again: so
    the rows end in the same slot, and no padding comes to stand inside one.

    Args:
        cache: Whose slots the batch's first columns are.
        mask: Of all columns, [n_rows, n_columns]. It hides what stands in the slots that are left free.
        keep: Whether another pass goes on from this one.
    """
    padding = mask.shape[1] - mask.sum(dim=1)
    moves = bool(padding.any())

    def take(tensor: torch.Tensor) -> torch.Tensor:
        if not moves:
            return tensor.expand(len(mask), -1, -1, -1)
        lead = padding.to(tensor.device)[:, None]  # a layer's keys may be elsewhere than the tokens
        slots = torch.arange(tensor.shape[2], device=tensor.device) - lead
        return tensor[0][:, slots.clamp(min=0)].transpose(0, 1)

    return Branch(cache, take, keep=keep)

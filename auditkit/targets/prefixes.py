"""Keys and values of what a model has read: a conversation's next turn reads only what is new in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

LIMIT_BYTES = 2 * 2**30
"""What the store of one model may hold. SmolLM2-135M in bfloat16 takes 23 kB a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What attention keeps of a text.

    Attributes:
        ids: Its tokens, int64 [n].
        layers: Keys and values of each layer, [n_heads, n, d_head] both.
    """

    ids: NDArray[np.int64]
    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    @property
    def size_bytes(self) -> int:
        """Of keys and values."""
        return sum(part.nbytes for layer in self.layers for part in layer)


class Prefixes:
    """The texts that were read last, for whoever reads one that begins alike.

    Args:
        limit_bytes: What was not used for longest goes first.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept: list[Kept] = []  # used last stands last

    def longest(self, ids: Sequence[int] | NDArray[np.int64]) -> tuple[Kept | None, int]:
        """What begins most like a text, and over how many tokens; (None, 0) where nothing does."""
        wanted = np.asarray(ids, dtype=np.int64)
        shared = [n_common(kept.ids, wanted) for kept in self._kept]
        best = max(range(len(shared)), key=shared.__getitem__, default=0)
        if not shared or shared[best] == 0:
            return None, 0
        self._kept.append(self._kept.pop(best))
        return self._kept[-1], shared[best]

    def keep(self, kept: Kept) -> None:
        """Remember a text. What it begins with needs no place of its own any more."""
        n = len(kept.ids)
        self._kept = [
            k for k in self._kept if len(k.ids) > n or n_common(k.ids, kept.ids) < len(k.ids)
        ]
        if kept.size_bytes <= self._limit_bytes:
            self._kept.append(kept)
        while sum(k.size_bytes for k in self._kept) > self._limit_bytes:
            del self._kept[0]


def n_common(some: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """How many tokens two texts have in common before they part."""
    n = min(len(some), len(other))
    apart = np.flatnonzero(some[:n] != other[:n])
    return int(apart[0]) if len(apart) else n

"""Batches of token sequences: sorted by length, bounded by tokens, always the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

TOKEN_BUDGET = 1024
"""Padded tokens in one forward pass. On a CPU larger passes were slower: they leave the cache."""

GENERATION_FACTOR = 8
"""So many times the budget, new tokens included, is what one batch generates with. A step of generating
reads all weights for one token a row, so that more rows cost little; the limit is the memory of their
keys and values. Of 16 short prompts on a CPU this took 0.6 of the time."""


def batches(lengths: Sequence[int], token_budget: int = TOKEN_BUDGET) -> list[list[int]]:
    """Indices grouped so that rows x longest row stays within a budget, shortest first.

    Which sequences share a batch depends on the lengths given and on nothing else. A sequence
    longer than the budget has a batch to itself.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if groups and (len(groups[-1]) + 1) * lengths[index] <= token_budget:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def pad(
    rows: Sequence[Sequence[int]],
    *,
    left: bool,
    device: torch.device | str = "cpu",
    token: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, both [n_rows, longest], int64.

    What stands under the padding is `token`, which the mask hides.
    """
    import torch

    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), token, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, place] = torch.tensor(row, dtype=torch.long)
        mask[i, place] = 1
    return ids.to(device), mask.to(device)

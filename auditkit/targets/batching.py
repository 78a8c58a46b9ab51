"""Batches of token sequences: sorted by length, bounded by tokens, always the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

TOKEN_BUDGET = 1024
"""Padded tokens in one forward pass. On a CPU larger passes were slower: they leave the cache."""

PASS_TOKENS = 32
"""What a pass costs beside its tokens, in tokens: it reads all weights, were it for a single one. On a CPU,
in float32, a pass of one token took as long as some 30 tokens more in a large pass."""

GENERATION_FACTOR = 8
"""So many times the budget, new tokens included, is what one batch generates with at least. A step of
generating reads all weights for one token a row, so that more rows cost little; the limit is the memory of
their keys and values. Of 16 short prompts on a CPU this took 0.6 of the time."""

SLOT_FACTOR = 8
"""So many times the budget are the slots of keys and values that the rows of one pass may read, those
included that were computed before."""

LOGIT_BUDGET = 2**26
"""Logits in one pass: 256 MiB of float32, twice that while they are normalised."""


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


def bounded(
    lengths: Sequence[int],
    token_budget: int,
    *more: tuple[Sequence[int], int],
    price: int = PASS_TOKENS,
) -> list[list[int]]:
    """Like `close_batches`, within more budgets than that of tokens.

    Args:
        lengths: Tokens that are computed, for each sequence.
        token_budget: See `close_batches`.
        more: Of every sequence a size of another kind; rows x largest row stays within the budget for it.
        price: See `close_batches`.
    """
    groups = close_batches(lengths, token_budget, price)
    for sizes, limit in more:
        groups = [
            [group[k] for k in part]
            for group in groups
            for part in batches([sizes[k] for k in group], limit)
        ]
    return groups


def close_batches(
    lengths: Sequence[int], token_budget: int, price: int = PASS_TOKENS
) -> list[list[int]]:
    """Like `batches`, with more of them where that saves more padding than it costs.

    Args:
        lengths: Tokens of each sequence.
        token_budget: Rows x longest row stays within it.
        price: What one more batch costs, in tokens.
    """
    kinds = sorted(set(lengths))
    rows = [[i for i, length in enumerate(lengths) if length == kind] for kind in kinds]
    # best[end]: least cost of the first `end` kinds of length, in tokens, and where their last batch begins.
    best: list[tuple[int, int]] = [(0, 0)]
    for end in range(1, len(kinds) + 1):
        room = max(1, token_budget // kinds[end - 1])
        n_rows, costs = 0, []
        for start in reversed(range(end)):
            n_rows += len(rows[start])
            passes = -(-n_rows // room)
            costs.append((best[start][0] + n_rows * kinds[end - 1] + passes * price, start))
        best.append(min(costs))
    found: list[list[int]] = []
    end = len(kinds)
    while end:
        start = best[end][1]
        found = (
            _cut([i for kind in rows[start:end] for i in kind], token_budget // kinds[end - 1])
            + found
        )
        end = start
    return found


def _cut(rows: list[int], most: int) -> list[list[int]]:
    """Pieces of like size, as few as can be."""
    n = -(-len(rows) // max(1, most))
    return [rows[k * len(rows) // n : (k + 1) * len(rows) // n] for k in range(n)]


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

"""Rows of tokens as a tree: what rows have in common at their beginning is one branch, computed once.

A tree is read in a single row. Every token sees those on its own path to the root and no others, and stands
at the position that it has on that path.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from auditkit.targets.placing import input_device

if TYPE_CHECKING:
    import torch

TREE_TOKENS = 384
"""Tokens of a tree, if its rows allow. Attention grows with their square, and a pass over fewer has the
processor wait for weights."""

TREE_LIMIT = 640
"""Tokens of a tree that can't be divided, beyond which its attention costs more than it saves."""

TREE_WORTH = 0.9
"""Largest share of its prompts' own tokens that a tree of several may have: attention among all of its tokens
costs about as much as it then saves. A tree of one prompt saves nothing over going on from its cache."""

Ids = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Some rows, each token once for all rows that are alike up to it.

    Attributes:
        ids: [n] tokens; a token comes after the one before it on its path.
        parents: [n] place of the token before it, -1 where there is none.
        depths: [n] how many tokens stand before it on its path.
        paths: For each row the places of its tokens.
    """

    ids: list[int]
    parents: list[int]
    depths: list[int]
    paths: list[list[int]]


Known = dict[tuple[int, int], int]
"""From a place and the token behind it to that token's place, in the order of places."""


def tree_of(rows: Sequence[Ids]) -> Tree:
    """Put rows together; the same rows in another order give another order of tokens."""
    known: Known = {}
    paths = [_path(known, row) for row in rows]
    depths: list[int] = []
    for parent, _ in known:
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
    return Tree(
        ids=[token for _, token in known],
        parents=[parent for parent, _ in known],
        depths=depths,
        paths=paths,
    )


def _path(known: Known, row: Ids) -> list[int]:
    """The places of a row's tokens, with new ones for those that are not known."""
    place, path = -1, []
    for token in row:
        place = known.setdefault((place, token), len(known))
        path.append(place)
    return path


def packs(
    families: Sequence[Sequence[Ids]], limits: Sequence[tuple[Sequence[int], int]] = ()
) -> list[list[int]]:
    """Which families of rows share a tree: neighbours in the order of their tokens, up to `TREE_TOKENS`.

    Args:
        families: Rows that stay together.
        limits: Of every family a size of another kind; a tree's sum of them stays within the limit.
    """
    order = sorted(range(len(families)), key=lambda i: (list(map(list, families[i])), i))
    found: list[list[int]] = []
    known: Known = {}
    spent = [0] * len(limits)
    for i in order:
        for row in families[i]:
            _path(known, row)
        spent = [a + sizes[i] for a, (sizes, _) in zip(spent, limits, strict=True)]
        within = all(a <= limit for a, (_, limit) in zip(spent, limits, strict=True))
        if found and within and len(known) <= TREE_TOKENS:
            found[-1].append(i)
            continue
        found.append([i])
        known = {}
        for row in families[i]:
            _path(known, row)
        spent = [sizes[i] for sizes, _ in limits]
    return found


def inputs_of(tree: Tree, model: Any, n_before: int = 0) -> dict[str, Any]:
    """A model's inputs for a tree that goes on from some tokens which all of its rows begin with."""
    import torch

    mask = mask_of(tree.parents, n_before, model.dtype)
    device = input_device(model)
    positions = torch.tensor(tree.depths)[None] + n_before
    return {
        "input_ids": torch.tensor(tree.ids)[None].to(device),
        "attention_mask": mask.to(device),
        "position_ids": positions.to(device),
    }


def mask_of(parents: Sequence[int], n_before: int, dtype: torch.dtype) -> torch.Tensor:
    """What each token of a tree sees, [1, 1, n, n_before + n]: 0, and the least number for what it doesn't.
    Also sent to servers (`targets.ndif`), so it stands on torch alone.
    """
    import torch

    n = len(parents)
    seen = torch.zeros(n, n_before + n, dtype=torch.bool)
    seen[:, :n_before] = True
    for place, parent in enumerate(parents):
        if parent >= 0:
            seen[place] = seen[parent]
        seen[place, n_before + place] = True
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
    return mask[None, None]


_READS: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def slots_for_trees(model: Any) -> int:
    """Over how many slots a model reads trees as it reads their rows; 0 where it doesn't.

    It was tried, once for each model: some attend by slots and not by the mask they are given.
    """
    if model not in _READS:
        able = may_read_trees(model) and _tried(model)
        _READS[model] = _window(model) if able else 0
    return _READS[model]


def may_read_trees(model: Any) -> bool:
    """Whether a model's structure allows it; whether it does so is to be tried."""
    return _plain(model) and _window(model) >= TREE_TOKENS


def _plain(model: Any) -> bool:
    """Whether its attention takes any mask, and positions that don't count up."""
    attention = getattr(model.config, "_attn_implementation", "")
    return "position_ids" in _taken(model) and attention in ("eager", "sdpa")


def _taken(model: Any) -> frozenset[str]:
    return frozenset(inspect.signature(model.forward).parameters)


def _window(model: Any) -> int:
    """A sliding window drops slots, which in a tree are not those that are furthest away."""
    windows = [
        getattr(model.config.get_text_config(), name, None)
        for name in ("sliding_window", "attention_chunk_size")
    ]
    return min((int(size) for size in windows if size), default=2**31)


def _tried(model: Any) -> bool:
    """Whether a token that stands far from its path in a tree gets the logits that it has in its row."""
    import torch

    vocabulary = int(model.config.get_text_config().vocab_size)
    stem, branch = _tokens(vocabulary, 3, 5), _tokens(vocabulary, 4, 11)
    trunk = _tokens(vocabulary, TREE_TOKENS - len(stem) - len(branch), 7)
    try:
        with torch.no_grad():
            both = _both_ways(model, stem, branch, tree_of([trunk, branch]))
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError):
        return False  # it takes no such mask, and is asked in other ways
    if both is None:
        return False
    wanted, found = both
    near = 1e-3 if model.dtype == torch.float32 else 0.1
    return bool((found - wanted).abs().max() <= near * wanted.std())


def _both_ways(
    model: Any, stem: list[int], branch: list[int], tree: Tree
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Logits after a tree's last branch, read in its own row and in the tree; None without a plain cache."""
    import torch

    from auditkit.targets.branching import branches, of_one

    device = input_device(model)
    row = torch.tensor([[*stem, *branch]], device=device)
    wanted = model(input_ids=row, use_cache=False).logits[0, -1].float()
    cache = model(input_ids=row[:, : len(stem)], use_cache=True).past_key_values
    if not branches(cache, whole=len(stem)):
        return None
    slots = torch.ones(1, len(stem) + len(tree.ids), dtype=torch.long, device=device)
    inputs = inputs_of(tree, model, len(stem))
    inputs |= {"past_key_values": of_one(cache, slots, keep=False), "use_cache": True}
    if "logits_to_keep" in _taken(model):
        inputs["logits_to_keep"] = 1
    return wanted, model(**inputs).logits[0, -1].float()


def _tokens(vocabulary: int, n: int, step: int) -> list[int]:
    return [(step * (k + 1)) % vocabulary for k in range(n)]


def summed(
    logits: torch.Tensor, places: Sequence[Sequence[int]], targets: Sequence[Ids]
) -> torch.Tensor:
    """[n_rows], float64: log-probabilities of each row's tokens, summed.

    Args:
        logits: [n_places, n_vocabulary].
        places: For each row, where its tokens are read from.
        targets: For each row, its tokens.
    """
    import torch

    logits = logits.float()
    device = logits.device
    rows = torch.tensor([r for r, row in enumerate(targets) for _ in row], device=device)
    at = torch.tensor([place for some in places for place in some], device=device)
    wanted = torch.tensor([token for row in targets for token in row], device=device)
    found = (logits[at, wanted] - logits.logsumexp(dim=-1)[at]).double()
    return torch.zeros(len(targets), dtype=torch.float64, device=device).index_add(0, rows, found)

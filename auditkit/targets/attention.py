"""Attention where transformers' own is slow on a CPU: grouped queries, and few of them in 16-bit floats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

FEW = 16
"""Up to so many queries a row, two products of matrices are faster than torch's fused kernel in 16 bits:
10 times for one query, even at about 32, on a CPU without AMX (ADR 18)."""


@contextmanager
def attending(model: Any) -> Iterator[None]:
    """With `grouped` in place of transformers' plain attention; whatever else a model has, it keeps."""
    kept = model.config._attn_implementation
    if kept == "sdpa":
        model.config._attn_implementation = "auditkit"
    try:
        yield
    finally:
        model.config._attn_implementation = kept


def grouped(module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any) -> Any:
    """Attention in which several queries read one key as it is, where transformers copies it for each.

    Args:
        module: The layer.
        query: [n_rows, n_heads, n_queries, d_head].
        key: [n_rows, n_groups, n_keys, d_head].
        value: As `key`.
        mask: [n_rows, 1, n_queries, n_keys], True where a query reads a key; None for a plain causal one.
        options: As transformers passes them.

    Returns:
        [n_rows, n_queries, n_heads, d_head], and None in place of the weights.
    """
    plain = options.get("position_bias") is None and not options.get("softcap")
    scale = options.get("scaling")
    if plain and _few(query, mask):
        said = _by_products(query, key, value, mask, scale)
    elif plain and mask is not None:
        many = query.shape[1] != key.shape[1]
        said = scaled_dot_product_attention(
            query, key, value, attn_mask=mask, scale=scale, enable_gqa=many
        )
    else:
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    return said.transpose(1, 2).contiguous(), None


def _few(query: torch.Tensor, mask: torch.Tensor | None) -> bool:
    """Whether products are faster, and say the same: without a mask a single query reads every key."""
    told = query.shape[2] == 1 if mask is None else mask.dtype is torch.bool
    return (
        told and query.device.type == "cpu" and query.dtype.itemsize == 2 and query.shape[2] <= FEW
    )


def _by_products(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scale: Any,
) -> torch.Tensor:
    """As transformers' `eager` attention computes it, rounding included, without copies of the keys."""
    n_rows, n_heads, n_queries, d_head = query.shape
    n_groups, n_keys = key.shape[1:3]
    n_each = n_heads // n_groups
    together = (n_rows, n_groups, n_each * n_queries, -1)
    scores = torch.matmul(query.reshape(together), key.transpose(-1, -2)).float()
    scores = scores.view(n_rows, n_groups, n_each, n_queries, n_keys)
    scores *= d_head**-0.5 if scale is None else scale
    if mask is not None:
        # The least number rather than minus infinity: a padding's query reads no key, and stays finite.
        scores.masked_fill_(~mask[:, :, None], torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1).to(value.dtype).view(together)
    return torch.matmul(weights, value).view(query.shape)


def _mask(*, q_length: int, kv_length: int, **options: Any) -> Any:
    """As transformers', but none is left out where keys stand behind the last query: a buffer's free room."""
    skip = options.pop("allow_is_causal_skip", True) and q_length == kv_length
    return sdpa_mask(q_length=q_length, kv_length=kv_length, allow_is_causal_skip=skip, **options)


AttentionInterface.register("auditkit", grouped)
AttentionMaskInterface.register("auditkit", _mask)

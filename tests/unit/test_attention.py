"""Attention of our own gives what torch's gives, whatever is padded and however few queries there are."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from auditkit.targets.attention import FEW, grouped

N_ROWS, N_GROUPS, N_KEYS, D_HEAD = 3, 2, 40, 16
BEGINS = torch.tensor([0, 7, 31])
"""Column at which each row's text begins."""


def parts(n_queries: int, n_heads: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    noise = torch.Generator().manual_seed(0)
    shapes = ((n_heads, n_queries), (N_GROUPS, N_KEYS), (N_GROUPS, N_KEYS))
    query, key, value = (
        torch.randn(N_ROWS, heads, n, D_HEAD, generator=noise).to(dtype) for heads, n in shapes
    )
    columns = torch.arange(N_KEYS)
    causal = columns <= columns[-n_queries:, None]
    padded = columns >= BEGINS[:, None, None, None]
    return query, key, value, causal & padded


@pytest.mark.parametrize("n_queries", [1, 5, FEW, FEW + 1])
@pytest.mark.parametrize("n_heads", [2, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_it_says_what_torch_says(n_queries: int, n_heads: int, dtype: torch.dtype) -> None:
    query, key, value, mask = parts(n_queries, n_heads, dtype)
    said, _ = grouped(None, query, key, value, mask, scaling=0.3)
    each = n_heads // N_GROUPS
    exact = scaled_dot_product_attention(
        query.float(),
        key.float().repeat_interleave(each, dim=1),
        value.float().repeat_interleave(each, dim=1),
        attn_mask=mask,
        scale=0.3,
    ).transpose(1, 2)
    reads = mask.any(dim=-1)[:, 0]  # a padding's query reads nothing, and nobody reads what it says
    assert said.dtype is dtype
    within = {torch.float32: 1e-5, torch.bfloat16: 0.03, torch.float16: 0.004}[dtype]
    torch.testing.assert_close(said[reads].float(), exact[reads], atol=within, rtol=0)
    assert torch.isfinite(said[:2]).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_single_query_without_a_mask_reads_every_key(dtype: torch.dtype) -> None:
    query, key, value, _ = parts(1, 6, dtype)
    everything = torch.ones(N_ROWS, 1, 1, N_KEYS, dtype=torch.bool)
    layer = torch.nn.Module()
    layer.num_key_value_groups, layer.is_causal = 3, True  # type: ignore[assignment]
    said, _ = grouped(layer, query, key, value, None)
    same, _ = grouped(layer, query, key, value, everything)
    torch.testing.assert_close(said, same, atol=1e-2, rtol=0)


def test_what_it_was_not_made_for_is_left_to_transformers() -> None:
    query, key, value, mask = parts(1, 2, torch.bfloat16)
    layer = torch.nn.Module()
    layer.num_key_value_groups, layer.is_causal = 1, True  # type: ignore[assignment]
    bias = torch.zeros(1, 2, 1, N_KEYS, dtype=torch.bfloat16)
    bias[..., 35] = 50
    said, _ = grouped(layer, query, key, value, mask, position_bias=bias)
    torch.testing.assert_close(said[:, 0], value[:, :, 35], atol=0.05, rtol=0)

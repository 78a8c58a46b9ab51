"""Prompts that are read as one tree get the scores that they get alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import KINDS
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sharing import COUNTS_SLOTS, asked, assert_same, few_shot, models, unshared

from auditkit.targets import scoring
from auditkit.targets.scoring import continuation_logprobs
from auditkit.targets.sharing import grouped
from auditkit.targets.trees import TREE_TOKENS, packs, slots_for_trees, tree_of

__all__ = ["models"]  # a fixture

WITHOUT = {
    "gemma3": "a window of 8",
    "qwen2": "a window of 8",
    "mamba": "recurrent states",
    "bloom": "distances by slots",
    "mpt": "distances by slots",
    "gpt-neo": "a window that it does not name",
}
"""Tiny models that can't read trees, and why."""

ROWS = st.lists(st.lists(st.integers(5, 8), min_size=1, max_size=6), min_size=1, max_size=8)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read everything as trees that can be, whether or not it saves anything."""
    monkeypatch.setattr(scoring, "TREE_WORTH", 10.0)


@given(ROWS)
def test_a_tree_has_each_beginning_once(rows: list[list[int]]) -> None:
    tree = tree_of(rows)
    assert len(tree.ids) == len({tuple(row[:n]) for row in rows for n in range(1, len(row) + 1)})
    for row, path in zip(rows, tree.paths, strict=True):
        assert [tree.ids[place] for place in path] == row
        assert [tree.depths[place] for place in path] == list(range(len(row)))
        assert [tree.parents[place] for place in path] == [-1, *path[:-1]]


@given(st.lists(ROWS, max_size=12), st.integers(1, 20))
def test_packs_hold_everybody_once_within_their_limits(
    families: list[list[list[int]]], limit: int
) -> None:
    sizes = [len(tree_of(rows).ids) for rows in families]
    found = packs(families, ((sizes, limit),))
    assert sorted(i for pack in found for i in pack) == list(range(len(families)))
    for pack in found:
        assert len(pack) == 1 or sum(sizes[i] for i in pack) <= limit
        assert len(tree_of([row for i in pack for row in families[i]]).ids) <= TREE_TOKENS


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("kind", [*KINDS, *COUNTS_SLOTS])
@settings(max_examples=12, deadline=None)
@given(data=asked(), token_budget=st.sampled_from([12, 1024]))
def test_scores_in_trees_are_scores_alone(
    kind: str, data: Any, token_budget: int, models: Any
) -> None:
    prompts, options = data
    got = continuation_logprobs(models(kind), prompts, options, token_budget=token_budget)
    assert_same(got, unshared(models(kind), prompts, options))


@pytest.mark.parametrize("kind", [*KINDS, *COUNTS_SLOTS])
def test_what_counts_slots_reads_no_trees(kind: str, models: Any) -> None:
    assert (slots_for_trees(models(kind)) > 0) is (kind not in WITHOUT)


@pytest.mark.usefixtures("always")
def test_trees_go_on_from_what_all_share(tiny: Any) -> None:
    rng = np.random.default_rng(0)
    prompts = few_shot(rng, 200)
    options = [[[6, 7], [8]], [[9, 9, 9]]] * 100
    assert grouped(prompts, row=TREE_TOKENS).inner, "there is something to go on from"
    model, shapes = tiny(), []
    slots_for_trees(model)
    model.model.embed_tokens.register_forward_hook(lambda _, ids, __: shapes.append(ids[0].shape))
    got = continuation_logprobs(model, prompts, options)
    assert all(rows == 1 for rows, _ in shapes)
    nodes = {
        (*prompt, *option)[:n]
        for prompt, some in zip(prompts, options, strict=True)
        for option in some
        for n in range(1, len(prompt) + len(option))
    }
    assert sum(width for _, width in shapes) < 1.1 * len(nodes)
    assert_same(got, unshared(tiny(), prompts, options))


def test_little_in_common_is_no_tree(tiny: Any) -> None:
    rng = np.random.default_rng(0)
    prompts = [rng.integers(5, 100, 30).tolist() for _ in range(6)]
    model, masks = tiny(), []
    slots_for_trees(model)
    model.model.register_forward_pre_hook(
        lambda _, __, given: masks.append(given["attention_mask"].dim()), with_kwargs=True
    )
    continuation_logprobs(model, prompts, [[[6], [7, 8]]] * 6)
    assert set(masks) == {2}


def test_a_model_is_tried_once_in_bfloat16_too(tiny: Any) -> None:
    model = tiny().to(torch.bfloat16)
    passes: list[int] = []
    model.register_forward_pre_hook(lambda *_: passes.append(1))
    assert slots_for_trees(model) == slots_for_trees(model) > 0
    assert len(passes) == 3

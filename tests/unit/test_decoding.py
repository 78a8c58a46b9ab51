"""Decoding in a batch that shrinks, over what was read before: the same tokens as one text at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.targets import Sampling
from auditkit.targets.decoding import BATCH_BYTES, Room, batch_tokens, decode, decodes, read
from auditkit.targets.generation import Until, complete
from auditkit.targets.prefixes import Kept, Prefixes, n_common

ENDS = (1,)
UNTIL = Until(ends=ENDS, max_new_tokens=12)
CONVERSATION = [0, *range(10, 40)]
PROMPTS = [
    [*CONVERSATION, 50, 51],
    [7],
    [*CONVERSATION, 52],
    [0, 3, 4, 5],
    [*CONVERSATION, 50, 51],
]


def text(n: int, layers: int = 2) -> Kept:
    part = torch.zeros(2, n, 4)
    return Kept(ids=np.arange(n), layers=((part, part),) * layers)


@pytest.mark.parametrize(
    ("kind", "plain"),
    [("llama", True), ("gpt2", True), ("qwen3", True), ("gemma3", False), ("mamba", False)],
)
def test_only_plain_attention_is_decoded_here(
    tiny: Callable[..., Any], kind: str, plain: bool
) -> None:
    assert decodes(tiny(kind)) is plain


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3", "gemma3", "mamba"])
@pytest.mark.parametrize("sampling", [None, Sampling(temperature=1.5, seeds=(1, 2, 3, 4, 5))])
def test_tokens_are_those_of_transformers(
    tiny: Callable[..., Any], kind: str, sampling: Sampling | None
) -> None:
    model, prefixes = tiny(kind), Prefixes()
    expected = complete(model, PROMPTS, UNTIL, sampling=sampling)
    assert complete(model, PROMPTS, UNTIL, sampling=sampling, prefixes=prefixes) == expected
    warm = complete(model, PROMPTS, UNTIL, sampling=sampling, prefixes=prefixes)
    assert warm == expected
    assert len({tuple(row) for row in expected}) > 2


def test_rows_that_end_leave_and_the_others_go_on(tiny: Callable[..., Any]) -> None:
    model = tiny()
    whole = complete(model, PROMPTS, Until(ends=(), max_new_tokens=12))
    ends = sorted({whole[0][2], whole[3][5]})
    until = Until(ends=ends, max_new_tokens=12)
    found = complete(model, PROMPTS, until, prefixes=Prefixes())
    assert found == complete(model, PROMPTS, until)
    assert len({len(row) for row in found}) > 1


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(2, 60), min_size=1, max_size=70), min_size=1, max_size=6),
    st.data(),
)
def test_whatever_was_read_before_tokens_are_the_same(
    tiny: Callable[..., Any], prompts: list[list[int]], data: st.DataObject
) -> None:
    model, prefixes = tiny(), Prefixes(limit_bytes=data.draw(st.sampled_from([0, 20_000, 2**20])))
    expected = complete(model, prompts, Until(ends=ENDS, max_new_tokens=3))
    longer = [[*ids, *said, 33] for ids, said in zip(prompts, expected, strict=True)]
    after = complete(model, longer, Until(ends=ENDS, max_new_tokens=3))
    for batch, answers in ((prompts, expected), (longer, after), (prompts, expected)):
        found = decode(model, batch, ends=ENDS, max_new_tokens=3, prefixes=prefixes)
        assert found == answers


def counting(model: Any) -> list[int]:
    """Tokens of each pass, padding included."""
    counts: list[int] = []
    model.register_forward_pre_hook(
        lambda _, __, inputs: counts.append(inputs["input_ids"].numel()), with_kwargs=True
    )
    return counts


def test_a_common_beginning_is_read_once_and_a_next_turn_reads_what_is_new(
    tiny: Callable[..., Any],
) -> None:
    model, prefixes = tiny(), Prefixes()
    counts = counting(model)
    beginning = [int(i) for i in np.random.default_rng(0).integers(2, 60, 300)]
    prompts = [[*beginning, 5 + i, 6, 7] for i in range(8)]
    read(model, prompts, prefixes)
    assert sum(counts) <= 302 + 7 * 4
    counts.clear()
    said = decode(model, prompts, ends=(), max_new_tokens=4, prefixes=prefixes)
    assert counts == [8, 8, 8, 8]
    counts.clear()
    read(
        model, [[*ids, *words, 9, 9, 9] for ids, words in zip(prompts, said, strict=True)], prefixes
    )
    assert sum(counts) == 8 * 3


def test_the_store_forgets_what_was_not_used_for_longest() -> None:
    prefixes = Prefixes(limit_bytes=3 * text(10).size_bytes)
    others = [Kept(ids=np.arange(10) + 100 * i, layers=text(10).layers) for i in (1, 2, 3)]
    for kept in others:
        prefixes.keep(kept)
    prefixes.longest(others[0].ids)
    prefixes.keep(text(10))
    assert prefixes.longest(others[1].ids) == (None, 0)
    assert prefixes.longest(others[0].ids)[1] == prefixes.longest([0, 1, 2])[1] + 7 == 10


def test_a_longer_text_takes_the_place_of_its_beginning() -> None:
    prefixes = Prefixes(limit_bytes=text(30).size_bytes)
    prefixes.keep(text(10))
    prefixes.keep(text(20))
    assert prefixes.longest(range(5)) == (prefixes.longest(range(20))[0], 5)
    prefixes.keep(text(40))
    assert prefixes.longest(range(40))[1] == 0, "what is larger than the store is not kept"


@pytest.mark.parametrize(
    ("some", "other", "n"),
    [([], [1], 0), ([1, 2], [1, 2], 2), ([1, 2], [1, 3, 4], 1), ([2], [1], 0)],
)
def test_n_common(some: Sequence[int], other: Sequence[int], n: int) -> None:
    assert n_common(np.array(some, dtype=np.int64), np.array(other, dtype=np.int64)) == n


def test_a_room_takes_no_more_than_it_has() -> None:
    room, part = Room(3), torch.ones(1, 2, 2, 4)
    room.update(part, part)
    with pytest.raises(RuntimeError):
        room.update(part, part)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3"])
def test_a_batch_takes_the_memory_that_it_is_given(tiny: Callable[..., Any], kind: str) -> None:
    model = tiny(kind)
    (kept,) = read(model, [[0, *range(2, 52)]], Prefixes())
    assert batch_tokens(model) == BATCH_BYTES // (kept.size_bytes // 50)
    assert batch_tokens(tiny("gemma3")) == 0

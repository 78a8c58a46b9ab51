"""Beginnings that prompts share are computed once, and no score shows it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import KINDS
from hypothesis import given, settings
from hypothesis import strategies as st

from auditkit.targets import scoring
from auditkit.targets.scoring import continuation_logprobs
from auditkit.targets.sharing import Group, grouped

TOKENS = st.integers(5, 100)
TEXTS = st.lists(TOKENS, min_size=1, max_size=6)

# They count slots and not positions: by distances (ALiBi), or in a window that its cache knows nothing of.
COUNTS_SLOTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bloom": ("BloomConfig", "BloomForCausalLM", {"hidden_size": 32, "n_layer": 4, "n_head": 4}),
    "mpt": ("MptConfig", "MptForCausalLM", {"d_model": 32, "n_layers": 4, "n_heads": 4}),
    "gpt-neo": (
        "GPTNeoConfig",
        "GPTNeoForCausalLM",
        {
            "hidden_size": 32,
            "num_layers": 4,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 2]],
            "window_size": 8,
        },
    ),
}


@st.composite
def families(draw: st.DrawFn) -> list[list[int]]:
    """Prompts that grow out of each other: each begins with some of an earlier one's tokens."""
    prompts = [draw(TEXTS)]
    for _ in range(draw(st.integers(0, 9))):
        parent = draw(st.sampled_from(prompts))
        prompts.append(parent[: draw(st.integers(0, len(parent)))] + draw(TEXTS))
    return prompts


@st.composite
def asked(draw: st.DrawFn) -> tuple[list[list[int]], list[list[list[int]]]]:
    prompts = draw(families())
    options = st.lists(TEXTS, max_size=3)
    return prompts, [draw(options) for _ in prompts]


def walk(group: Group) -> list[Group]:
    return [group, *(found for inner in group.inner for found in walk(inner))]


def free(prompts: list[list[int]], row: int = 0) -> Group:
    """Groups as if they cost nothing."""
    return grouped(prompts, whole=0, part=0)


def unshared(model: Any, prompts: Any, options: Any, **more: Any) -> list[list[float]]:
    """One prompt a call, so that there is nobody to share with."""
    return [
        continuation_logprobs(model, [prompt], [texts], **more)[0]
        for prompt, texts in zip(prompts, options, strict=True)
    ]


def assert_same(got: list[list[float]], want: list[list[float]], atol: float = 1e-5) -> None:
    assert [len(row) for row in got] == [len(row) for row in want]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=atol)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share whatever can be shared: prompts of a test are short."""
    monkeypatch.setattr(scoring, "grouped", free)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the token ids of every pass."""
    shapes: list[tuple[int, ...]] = []
    plain = torch.nn.Embedding.forward

    def forward(self: Any, ids: torch.Tensor) -> torch.Tensor:
        if self.num_embeddings == 128:  # and not one of positions
            shapes.append(tuple(ids.shape))
        return plain(self, ids)

    monkeypatch.setattr(torch.nn.Embedding, "forward", forward)
    return shapes


# --- groups ---


@given(families(), st.integers(0, 12))
def test_groups_share_what_they_say_and_hold_everybody_once(
    prompts: list[list[int]], worth: int
) -> None:
    outermost = grouped(prompts, whole=worth, part=worth)
    groups = walk(outermost)
    assert outermost.n_shared == 0
    assert outermost.everyone() == list(range(len(prompts)))
    assert sorted(i for group in groups for i in group.members) == list(range(len(prompts)))
    for group in groups:
        everyone = group.everyone()
        assert group.example in everyone
        assert len({tuple(prompts[i][: group.n_shared]) for i in everyone}) == 1
        assert all(len(prompts[i]) > group.n_shared for i in everyone), "the last token is read"
        for inner in group.inner:
            saved = (len(inner.everyone()) - 1) * (inner.n_shared - group.n_shared)
            assert saved > worth


@given(families())
def test_without_a_price_nothing_is_computed_twice(prompts: list[list[int]]) -> None:
    """Tokens that are computed are the nodes of the tree of all prompts, but for last tokens."""
    tree = {tuple(ids[:n]) for ids in prompts for n in range(1, len(ids))}
    n_computed = sum(
        inner.n_shared - group.n_shared for group in walk(free(prompts)) for inner in group.inner
    ) + sum(
        len(prompts[i]) - 1 - group.n_shared for group in walk(free(prompts)) for i in group.members
    )
    assert n_computed == len(tree)


def test_what_some_share_has_to_save_more_than_what_all_share() -> None:
    """A group of some splits batches of others: it pays for that too."""
    some = [[3] * 40 + [i] for i in range(5, 9)]
    others = [[4, i] for i in range(5, 9)]
    assert [(g.n_shared, g.everyone()) for g in grouped(some).inner] == [(40, [0, 1, 2, 3])]
    assert grouped(some + others).inner == []
    longer = [[3] * 40 + ids for ids in some]
    assert [g.n_shared for g in grouped(longer + others).inner] == [80]
    assert grouped([[3, 4, i] for i in range(5, 12)]).inner == [], "two tokens are read again"


def test_no_prompts_are_a_group_of_nobody() -> None:
    assert grouped([]) == Group(n_shared=0)
    assert grouped([[1, 2]]) == Group(n_shared=0, members=[0])


def test_a_long_row_of_growing_prompts_is_grouped() -> None:
    """A conversation asked about after every turn: as deep as it has turns, beyond Python's recursion."""
    prompts = [[3] * (2 * n + 2) for n in range(1500)]
    assert free(prompts).everyone() == list(range(1500))


# --- scores ---


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("kind", [*KINDS, *COUNTS_SLOTS])
@settings(max_examples=12, deadline=None)
@given(data=asked(), token_budget=st.sampled_from([12, 1024]))
def test_shared_scores_are_unshared_scores(
    kind: str, data: Any, token_budget: int, models: Any
) -> None:
    prompts, options = data
    model = models(kind)
    got = continuation_logprobs(model, prompts, options, token_budget=token_budget)
    assert_same(got, unshared(model, prompts, options))


@pytest.fixture(scope="session")
def models(tiny: Any) -> Callable[[str], Any]:
    """A tiny model of each kind, made once."""

    @cache
    def made(kind: str) -> Any:
        if kind in KINDS:
            return tiny(kind)
        config_class, model_class, sizes = COUNTS_SLOTS[kind]
        torch.manual_seed(0)
        config = getattr(transformers, config_class)(vocab_size=128, **sizes)
        model = getattr(transformers, model_class)(config).eval().requires_grad_(False)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
        return model

    return made


def few_shot(rng: np.random.Generator, n: int, header: int = 40) -> list[list[int]]:
    """Prompts of different lengths behind one header."""
    common = rng.integers(5, 100, header).tolist()
    return [common + rng.integers(5, 100, 2 + i % 5).tolist() for i in range(n)]


@pytest.mark.parametrize("kind", [*KINDS, *COUNTS_SLOTS])
def test_a_header_is_computed_once_where_the_cache_is_whole(
    kind: str, models: Any, computed: list[tuple[int, ...]]
) -> None:
    """Windows of 8 have dropped the header's beginning, recurrent states can't be expanded: these
    models read every prompt as a whole."""
    rng = np.random.default_rng(0)
    model, prompts = models(kind), few_shot(rng, 12)
    options = [[[6], [7, 8]] if i % 2 else [[9, 10, 11]] for i in range(12)]
    got = continuation_logprobs(model, prompts, options)
    shared = sum(rows * width for rows, width in computed)
    computed.clear()
    want = unshared(model, prompts, options)
    assert_same(got, want)
    if kind in ("gemma3", "qwen2", "mamba"):
        assert shared >= sum(len(prompt) for prompt in prompts)
    else:
        assert shared < 40 + 12 * 10
        assert sum(rows * width for rows, width in computed) > 12 * 40


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("kind", ["gemma3", "qwen2"])
def test_a_window_that_is_not_full_yet_shares(
    kind: str, tiny: Any, computed: list[tuple[int, ...]]
) -> None:
    """The header fits into the window of 8, and what comes after it pushes it out again."""
    rng = np.random.default_rng(1)
    prompts = [few_shot(rng, 1, header=0)[0] for _ in range(6)]
    prompts = [[5, 6, 7, 8, 9, 10, *prompt, *prompt, *prompt] for prompt in prompts]
    options = [[[6, 7, 8], [9, 10], [11]]] * 6
    got = continuation_logprobs(tiny(kind), prompts, options)
    assert computed[0] == (1, 6)
    assert_same(got, unshared(tiny(kind), prompts, options))


def test_what_shares_inside_a_group_goes_on_from_its_cache(
    tiny: Any, computed: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "slots_for_trees", lambda _: 0)
    rng = np.random.default_rng(2)
    header, first, second = (rng.integers(5, 100, 50).tolist() for _ in range(3))
    prompts = [header + context + [i] for context in (first, second) for i in range(5, 10)]
    options = [[[6, 7], [8]]] * 10
    got = continuation_logprobs(tiny(), prompts, options)
    assert [shape for shape in computed if shape[1] == 50] == [(1, 50)] * 3
    assert max(rows * width for rows, width in computed) == 50
    assert_same(got, unshared(tiny(), prompts, options))


def test_a_prompt_that_is_anothers_beginning(tiny: Any) -> None:
    rng = np.random.default_rng(3)
    whole = rng.integers(5, 100, 90).tolist()
    prompts = [whole, whole[:80], whole, whole[:79], [*whole, 5]]
    options = [[[6, 7], [8]], [[9]], [[6, 7]], [[8, 8, 8], [9, 9]], []]
    assert_same(continuation_logprobs(tiny(), prompts, options), unshared(tiny(), prompts, options))


def test_steered_prompts_share_nothing(tiny: Any) -> None:
    """Each prompt's pass is changed in its own way, from its first token on."""
    rng = np.random.default_rng(4)
    prompts = few_shot(rng, 12)
    model, told = tiny(), []

    def forward(read: Any, inputs: dict[str, Any]) -> Any:
        told.append((list(read), tuple(inputs["input_ids"].shape)))
        return model(**inputs)

    options = [[[6], [7]]] * 12
    got = continuation_logprobs(model, prompts, options, forward=forward)
    assert sum(rows * width for _, (rows, width) in told) >= sum(len(prompt) for prompt in prompts)
    assert sorted(i for read, _ in told for i in read) == list(range(12))
    assert_same(got, continuation_logprobs(model, prompts, options))


def test_budgets_hold_for_shared_passes(
    tiny: Any, computed: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    model, prompts = tiny(), few_shot(rng, 40)
    options = [[[6, 7, 8], [8]], [[9, 9]]] * 20
    want = continuation_logprobs(model, prompts, options)
    monkeypatch.setattr(scoring, "LOGIT_BUDGET", 6 * 128)
    computed.clear()
    slots: list[int] = []
    positions: list[int] = []
    model.lm_head.register_forward_hook(lambda _, x, __: positions.append(x[0].shape[:2].numel()))
    plain = scoring._Scoring._run

    def run(self: Any, read: Any, rows: Any, **more: Any) -> Any:
        slots.append(rows[1].numel())
        return plain(self, read, rows, **more)

    monkeypatch.setattr(scoring._Scoring, "_run", run)
    got = continuation_logprobs(model, prompts, options, token_budget=45)
    assert max(rows * width for rows, width in computed) <= 45
    assert max(positions) <= 6
    assert max(slots) <= 8 * 45
    assert_same(got, want)


def test_the_same_prompts_give_the_same_bits(tiny: Any) -> None:
    rng = np.random.default_rng(6)
    prompts, options = few_shot(rng, 20), [[[6, 7], [8]]] * 20
    first = continuation_logprobs(tiny(), prompts, options)
    assert continuation_logprobs(tiny(), prompts, options) == first


def test_nothing_to_score_is_no_pass(tiny: Any, computed: list[tuple[int, ...]]) -> None:
    assert continuation_logprobs(tiny(), [], []) == []
    assert computed == []

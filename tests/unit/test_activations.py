from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from auditkit.activations import capture, continuation_logprobs, layer_path, wrap
from auditkit.errors import SubjectError, TargetRefused
from auditkit.targets import Steering
from auditkit.targets.batching import batches, pad

DECODERS = ("llama", "gpt2", "gpt-neox", "gemma3", "qwen2", "qwen3")
LAYERS = [0, 1, 2, 3]


def token_lists(rng: np.random.Generator, lengths: list[int]) -> list[list[int]]:
    return [rng.integers(3, 100, n).tolist() for n in lengths]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def prompts(rng: np.random.Generator) -> list[list[int]]:
    return token_lists(rng, [5, 17, 3, 30, 9, 17, 1])


def hidden_states(model: Any, ids: list[int]) -> np.ndarray:
    """[n_layers, n_tokens, d_model], one prompt at a time; the last layer before the final norm."""
    kept = []
    path = layer_path(model)
    hooks = [
        block.register_forward_hook(
            lambda _, __, out: kept.append((out[0] if isinstance(out, tuple) else out)[0])
        )
        for block in model.get_submodule(path)
    ]
    output = model(torch.tensor([ids]), output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    blocks = torch.stack(kept)
    if "mamba" not in type(model).__name__.lower():  # which counts its hidden states otherwise
        torch.testing.assert_close(torch.stack(output.hidden_states[1:-1]).squeeze(1), blocks[:-1])
    return np.asarray(blocks)


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("reduction", ["last", "mean"])
def test_captured_residuals_are_those_of_a_plain_pass(
    kind: str, reduction: str, tiny: Any, tokenizer: Any, prompts: list[list[int]]
) -> None:
    model = tiny(kind)
    got = capture(
        wrap(model, tokenizer), prompts, layers=LAYERS, reduction=reduction, token_budget=64
    )
    assert got.shape == (4, 7, 32)
    assert got.dtype == np.float32
    for i, ids in enumerate(prompts):
        states = hidden_states(model, ids)
        want = states[:, -1] if reduction == "last" else states.mean(axis=1)
        np.testing.assert_allclose(got[:, i], want, rtol=1e-4, atol=1e-4)


def test_a_recurrent_model_can_be_read_too(
    tiny: Any, tokenizer: Any, prompts: list[list[int]]
) -> None:
    model = tiny("mamba")
    got = capture(wrap(model, tokenizer), prompts, layers=[1, 3], token_budget=64)
    for i, ids in enumerate(prompts):
        np.testing.assert_allclose(
            got[:, i], hidden_states(model, ids)[[1, 3], -1], rtol=1e-3, atol=1e-4
        )


def test_only_the_layers_wanted_come_back_and_none_above_them_runs(
    tiny: Any, tokenizer: Any, prompts: list[list[int]]
) -> None:
    model = tiny()
    wrapped = wrap(model, tokenizer)
    everything = capture(wrapped, prompts, layers=LAYERS)
    ran: list[str] = []
    for name, module in (("layer 2", model.model.layers[2]), ("head", model.lm_head)):
        module.register_forward_pre_hook(lambda *_, name=name: ran.append(name))
    np.testing.assert_array_equal(capture(wrapped, prompts, layers=[0, 1]), everything[:2])
    assert ran == []
    np.testing.assert_array_equal(capture(wrapped, prompts, layers=[2]), everything[[2]])
    assert set(ran) == {"layer 2"}


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3"])
def test_steering_changes_its_layer_and_later_ones_only(
    kind: str, tiny: Any, tokenizer: Any, prompts: list[list[int]], rng: np.random.Generator
) -> None:
    wrapped = wrap(tiny(kind), tokenizer)
    vectors = rng.normal(size=(len(prompts), 32)).astype(np.float32)
    plain = capture(wrapped, prompts, layers=LAYERS)
    steered = capture(wrapped, prompts, layers=LAYERS, steering=Steering(layer=1, vectors=vectors))
    np.testing.assert_array_equal(steered[0], plain[0])
    np.testing.assert_allclose(steered[1] - plain[1], vectors, atol=1e-4)
    for later in (2, 3):
        moved = np.abs(steered[later] - plain[later]).max(axis=1)
        assert (moved > 0.01).all()
        assert np.abs(steered[later] - plain[later] - vectors).max() > 0.01
    again = capture(wrapped, prompts, layers=LAYERS)
    np.testing.assert_array_equal(again, plain)


def test_steering_above_the_deepest_layer_wanted_is_not_seen(
    tiny: Any, tokenizer: Any, prompts: list[list[int]]
) -> None:
    wrapped = wrap(tiny(), tokenizer)
    steering = Steering(layer=3, vectors=np.ones((len(prompts), 32), dtype=np.float32))
    np.testing.assert_array_equal(
        capture(wrapped, prompts, layers=[1], steering=steering),
        capture(wrapped, prompts, layers=[1]),
    )


def test_prompts_keep_their_order_and_no_prompts_are_no_columns(
    tiny: Any, tokenizer: Any, prompts: list[list[int]]
) -> None:
    wrapped = wrap(tiny(), tokenizer)
    forward = capture(wrapped, prompts, layers=[3], token_budget=40)
    backward = capture(wrapped, prompts[::-1], layers=[3], token_budget=40)
    np.testing.assert_allclose(backward[:, ::-1], forward, rtol=1e-4, atol=1e-4)
    assert capture(wrapped, [], layers=[0, 2]).shape == (2, 0, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": [0, 4]}, "expected ascending, from 0 to 3"),
        ({"layers": [2, 1]}, "expected ascending"),
        ({"layers": []}, "expected ascending"),
        ({"layers": [0], "reduction": "max"}, "expected last or mean"),
        (
            {"layers": [0], "steering": Steering(layer=0, vectors=np.zeros((1, 31), np.float32))},
            "got 1x31, expected 1x32",
        ),
        (
            {"layers": [0], "steering": Steering(layer=4, vectors=np.zeros((1, 32), np.float32))},
            "got 4, expected 0 to 3",
        ),
    ],
)
def test_what_cannot_be_captured_is_a_subject_error(
    options: dict[str, Any], message: str, tiny: Any, tokenizer: Any
) -> None:
    with pytest.raises(SubjectError, match=message):
        capture(wrap(tiny(), tokenizer), [[5, 6]], **options)


def test_residuals_that_are_no_numbers_are_an_error(tiny: Any, tokenizer: Any) -> None:
    model = tiny()
    model.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    wrapped = wrap(model, tokenizer)
    assert np.isfinite(capture(wrapped, [[5, 6]], layers=[0])).all()
    with pytest.raises(SubjectError, match="NaN or infinity"):
        capture(wrapped, [[5, 6]], layers=[0, 1])
    with pytest.raises(SubjectError, match="NaN or infinity"):
        continuation_logprobs(model, [[5, 6]], [[[7], [8, 9]]])


def test_an_encoder_decoder_is_refused() -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=32, d_model=8, d_kv=4, d_ff=8, num_layers=2, num_heads=2)
    with pytest.raises(TargetRefused, match=r"T5ForConditionalGeneration, got an encoder-decoder"):
        layer_path(T5ForConditionalGeneration(config))


def naive(model: Any, prompt: list[int], continuation: list[int]) -> float:
    logits = model(torch.tensor([prompt + continuation])).logits[0].double()
    logprobs = torch.log_softmax(logits, dim=-1)
    return sum(float(logprobs[len(prompt) - 1 + k, t]) for k, t in enumerate(continuation))


@pytest.mark.parametrize("kind", [*DECODERS, "mamba"])
@pytest.mark.parametrize("token_budget", [32, 1024])
def test_log_probabilities_are_those_of_full_passes(
    kind: str, token_budget: int, tiny: Any, prompts: list[list[int]], rng: np.random.Generator
) -> None:
    model = tiny(kind)
    lengths = [[1, 4], [2], [3, 1, 12], [], [5, 5, 2, 1], [1, 1], [14, 2]]
    options = [token_lists(rng, n) for n in lengths]
    got = continuation_logprobs(model, prompts, options, token_budget=token_budget)
    assert [len(row) for row in got] == [len(n) for n in lengths]
    for prompt, texts, scores in zip(prompts, options, got, strict=True):
        want = [naive(model, prompt, text) for text in texts]
        np.testing.assert_allclose(scores, want, atol=1e-4)


def test_a_shared_prompt_runs_once(tiny: Any, rng: np.random.Generator) -> None:
    model = tiny()
    seen: list[int] = []
    model.model.embed_tokens.register_forward_hook(lambda _, ids, __: seen.append(ids[0].numel()))
    continuation_logprobs(model, token_lists(rng, [40]), [token_lists(rng, [3] * 10)])
    assert seen == [40, 20]
    seen.clear()
    continuation_logprobs(model, token_lists(rng, [40]), [token_lists(rng, [1] * 10)])
    assert seen == [40]


def test_logits_stay_within_their_budget(
    tiny: Any, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny()
    prompts, options = token_lists(rng, [6, 7]), [token_lists(rng, [4] * 9), token_lists(rng, [5])]
    want = continuation_logprobs(model, prompts, options)
    monkeypatch.setattr("auditkit.targets.scoring.LOGIT_BUDGET", 8 * 128)
    positions: list[int] = []
    model.lm_head.register_forward_hook(lambda _, x, __: positions.append(x[0].shape[:2].numel()))
    got = continuation_logprobs(model, prompts, options)
    assert max(positions) <= 8
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([[]], [[[1]]], "prompt, got no tokens"),
        ([[1]], [[[]]], "continuation, got no tokens"),
        ([[1]], [], "one a prompt"),
    ],
)
def test_nothing_to_score_is_a_subject_error(
    prompts: list[list[int]], options: list[list[list[int]]], message: str, tiny: Any
) -> None:
    with pytest.raises(SubjectError, match=message):
        continuation_logprobs(tiny(), prompts, options)


def test_batches_are_bounded_complete_and_of_like_length() -> None:
    lengths = [5, 100, 1, 7, 7, 40, 39, 2, 300]
    groups = batches(lengths, 120)
    assert sorted(i for group in groups for i in group) == list(range(len(lengths)))
    assert [i for group in groups for i in group] == sorted(range(9), key=lambda i: lengths[i])
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[i] for i in group) <= 120
    assert batches([], 10) == []


def test_padding_goes_where_it_is_wanted() -> None:
    ids, mask = pad([[1, 2], [3]], left=True)
    assert ids.tolist() == [[1, 2], [0, 3]]
    assert mask.tolist() == [[1, 1], [0, 1]]
    ids, mask = pad([[1, 2], [3]], left=False)
    assert ids.tolist() == [[1, 2], [3, 0]]
    assert mask.tolist() == [[1, 1], [1, 0]]

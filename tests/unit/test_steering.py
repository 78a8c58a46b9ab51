"""Steered passes against the same model with plain forward hooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from auditkit.activations import layer_path
from auditkit.cache import ResultCache
from auditkit.errors import SubjectError
from auditkit.model import Prompt
from auditkit.targets import Score, Steering
from auditkit.targets.loaded import LocalTarget

KINDS = ("llama", "gpt2", "gpt-neox", "gemma3", "qwen2", "mamba")
MODES: tuple[Literal["add", "ablate"], ...] = ("add", "ablate")
PROMPTS = [Prompt(raw=text) for text in ("The sky is", "I am here and", "Go", "The sky is")]
OPTIONS = [[" blue", " red and hot"], [" you"], [], [" blue", " x", " yz"]]


@pytest.fixture
def target(tiny: Any, tokenizer: Any) -> LocalTarget:
    return LocalTarget(tiny(), tokenizer)


def vectors(n: int, width: int = 32, *, seed: int = 0, size: float = 3.0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((n, width))
    return (size * drawn).astype(np.float32)


@contextmanager
def hooked(model: Any, layer: int, vector: np.ndarray, mode: str) -> Iterator[None]:
    """What anyone would write: a forward hook on one block, for one prompt at a time."""
    direction = torch.from_numpy(vector)

    def change(_: Any, __: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        if mode == "add":
            changed = hidden + direction.to(hidden)
        else:
            unit = direction / direction.norm()
            changed = (hidden.float() - (hidden.float() @ unit)[..., None] * unit).to(hidden)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = model.get_submodule(layer_path(model))[layer].register_forward_hook(change)
    try:
        yield
    finally:
        handle.remove()


def naive_score(target: LocalTarget, prompt: Prompt, text: str) -> float:
    ids, more = target.encoder.prompt(prompt), target.encoder.continuation(text)
    with torch.no_grad():
        logits = target.model(torch.tensor([ids + more])).logits[0].double()
    logprobs = torch.log_softmax(logits, dim=-1)
    return sum(float(logprobs[len(ids) - 1 + k, t]) for k, t in enumerate(more))


def naive_greedy(target: LocalTarget, prompt: Prompt, n: int, ends: tuple[int, ...]) -> list[int]:
    ids = target.encoder.prompt(prompt)
    grown = list(ids)
    for _ in range(n):
        with torch.no_grad():
            grown.append(int(target.model(torch.tensor([grown])).logits[0, -1].argmax()))
        if grown[-1] in ends:
            break
    return grown[len(ids) :]


def check_scores(target: LocalTarget, steering: Steering, got: list[list[Score]]) -> None:
    for i, (prompt, texts) in enumerate(zip(PROMPTS, OPTIONS, strict=True)):
        with hooked(target.model, steering.layer, steering.vectors[i], steering.mode):
            want = [naive_score(target, prompt, text) for text in texts]
        np.testing.assert_allclose([s.logprob for s in got[i]], want, atol=1e-4)


def check_equal(got: list[list[Score]], target: LocalTarget) -> None:
    """As without steering, but for last bits: plain prompts that begin alike are read as one tree."""
    plain = target.logprobs(PROMPTS, OPTIONS)
    for some, others in zip(got, plain, strict=True):
        assert [s.n_tokens for s in some] == [s.n_tokens for s in others]
        np.testing.assert_allclose(
            [s.logprob for s in some], [s.logprob for s in others], atol=1e-4
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_steered_scores_are_those_of_a_plain_hook(
    kind: str, mode: Literal["add", "ablate"], tiny: Any, tokenizer: Any
) -> None:
    target = LocalTarget(tiny(kind), tokenizer, token_budget=32)
    steering = Steering(layer=1, vectors=vectors(4), mode=mode)
    got = target.logprobs(PROMPTS, OPTIONS, steering=steering)
    check_scores(target, steering, got)
    plain = target.logprobs(PROMPTS, OPTIONS)
    assert got[0] != plain[0]
    assert got[0][0] != got[3][0]  # the same question under another vector
    check_scores(target, Steering(layer=1, vectors=np.zeros((4, 32), np.float32)), plain)


def test_continuations_share_the_steered_prompt(target: LocalTarget) -> None:
    seen: list[int] = []
    target.model.model.embed_tokens.register_forward_hook(
        lambda _, ids, __: seen.append(ids[0].numel())
    )
    steering = Steering(layer=1, vectors=vectors(1))
    target.logprobs([Prompt(raw="x" * 40)], [["abcd"] * 10], steering=steering)
    assert seen == [40, 30]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3", "mamba"])
@pytest.mark.parametrize("mode", MODES)
def test_steered_completions_are_those_of_a_plain_hook(
    kind: str, mode: Literal["add", "ablate"], tiny: Any, tokenizer: Any
) -> None:
    target = LocalTarget(tiny(kind), tokenizer)
    steering = Steering(layer=2, vectors=vectors(4, size=20), mode=mode)
    got = target.generate(PROMPTS, max_new_tokens=7, steering=steering)
    for i, prompt in enumerate(PROMPTS):
        with hooked(target.model, 2, steering.vectors[i], mode):
            want = naive_greedy(target, prompt, 7, (1,))
        assert got[i].text == target.encoder.text(want)
        assert got[i].n_tokens == len(want) - (want[-1] == 1)


def test_a_steered_completion_ends_at_an_end_token(
    target: LocalTarget, recwarn: pytest.WarningsRecorder
) -> None:
    steering = Steering(layer=2, vectors=vectors(4))
    free = target.generate(PROMPTS, max_new_tokens=6, steering=steering)
    with hooked(target.model, 2, steering.vectors[1], "add"):
        stop = naive_greedy(target, PROMPTS[1], 6, (1,))[2]
    target.model.generation_config.eos_token_id = [1, stop]
    one = Steering(layer=2, vectors=steering.vectors[1:2])
    (got,) = target.generate(PROMPTS[1:2], max_new_tokens=6, steering=one)
    assert not got.truncated
    assert got.n_tokens < free[1].n_tokens
    assert not recwarn.list


def test_ablated_residuals_have_nothing_along_their_vector(target: LocalTarget) -> None:
    away = vectors(4)
    steering = Steering(layer=1, vectors=away, mode="ablate")
    got = target.activations(PROMPTS, layers=[0, 1], reduction="mean", steering=steering)
    plain = target.activations(PROMPTS, layers=[0, 1], reduction="mean")
    np.testing.assert_array_equal(got[0], plain[0])
    units = away / np.linalg.norm(away, axis=1, keepdims=True)
    np.testing.assert_allclose((got[1] * units).sum(axis=1), 0, atol=1e-5)
    along = (plain[1] * units).sum(axis=1, keepdims=True) * units
    np.testing.assert_allclose(got[1], plain[1] - along, atol=1e-5)
    longer = Steering(layer=1, vectors=7 * away, mode="ablate")
    again = target.activations(PROMPTS, layers=[0, 1], reduction="mean", steering=longer)
    np.testing.assert_allclose(again, got, atol=1e-5)


def test_a_zero_vector_changes_nothing(target: LocalTarget) -> None:
    nothing = Steering(layer=1, vectors=np.zeros((4, 32), dtype=np.float32))
    check_equal(target.logprobs(PROMPTS, OPTIONS, steering=nothing), target)
    assert target.generate(PROMPTS, max_new_tokens=5, steering=nothing) == target.generate(
        PROMPTS, max_new_tokens=5
    )
    ablated = Steering(layer=1, vectors=nothing.vectors, mode="ablate")
    check_equal(target.logprobs(PROMPTS, OPTIONS, steering=ablated), target)


def test_a_pass_after_steering_is_a_plain_one(target: LocalTarget) -> None:
    plain = target.logprobs(PROMPTS, OPTIONS), target.generate(PROMPTS, max_new_tokens=5)
    steering = Steering(layer=1, vectors=vectors(4, size=20))
    target.logprobs(PROMPTS, OPTIONS, steering=steering)
    target.generate(PROMPTS, max_new_tokens=5, steering=steering)
    assert (target.logprobs(PROMPTS, OPTIONS), target.generate(PROMPTS, max_new_tokens=5)) == plain


def test_vectors_stay_with_their_prompts_over_chunks(
    target: LocalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditkit.targets.loaded.CHUNK", 3)
    steering = Steering(layer=1, vectors=vectors(4))
    check_scores(target, steering, target.logprobs(PROMPTS, OPTIONS, steering=steering))


def test_what_is_cached_is_told_apart_by_vectors_layer_and_mode(
    tiny: Any, tokenizer: Any, tmp_path: Path
) -> None:
    target = LocalTarget(tiny(), tokenizer, digest="tiny", cache=ResultCache(tmp_path))
    kinds = [None] + [
        Steering(layer=layer, vectors=vectors(4, seed=seed), mode=mode)
        for layer, seed, mode in ((1, 0, "add"), (2, 0, "add"), (1, 1, "add"), (1, 0, "ablate"))
    ]
    first = [target.logprobs(PROMPTS, OPTIONS, steering=s) for s in kinds]
    read = [target.activations(PROMPTS, layers=[3], steering=s).tolist() for s in kinds]
    assert all(a != b for i, a in enumerate(first) for b in first[:i])
    assert all(a != b for i, a in enumerate(read) for b in read[:i])
    ran: list[int] = []
    target.model.model.embed_tokens.register_forward_hook(lambda *_: ran.append(1))
    assert [target.logprobs(PROMPTS, OPTIONS, steering=s) for s in kinds] == first
    assert [target.activations(PROMPTS, layers=[3], steering=s).tolist() for s in kinds] == read
    assert not ran


@pytest.mark.parametrize(
    ("steering", "message"),
    [
        (Steering(layer=0, vectors=vectors(3)), "got 3, expected one a prompt"),
        (Steering(layer=0, vectors=vectors(4, 31)), "got 4x31, expected 4x32"),
        (Steering(layer=4, vectors=vectors(4)), "got 4, expected 0 to 3"),
        (Steering(layer=-1, vectors=vectors(4)), "got -1, expected 0 to 3"),
        (Steering(layer=0, vectors=vectors(4) * np.float32("nan")), "NaN or infinity"),
        (Steering(layer=0, vectors=vectors(4), mode="swap"), "got 'swap', expected add or"),  # type: ignore[arg-type]
    ],
)
def test_steering_that_does_not_fit_is_a_subject_error(
    steering: Steering, message: str, target: LocalTarget
) -> None:
    for ask in (
        lambda: target.logprobs(PROMPTS, OPTIONS, steering=steering),
        lambda: target.generate(PROMPTS, max_new_tokens=2, steering=steering),
        lambda: target.activations(PROMPTS, steering=steering),
    ):
        with pytest.raises(SubjectError, match=message):
            ask()


@pytest.mark.model
@pytest.mark.parametrize("mode", MODES)
def test_the_embedded_model_is_steered_as_by_a_plain_hook(
    mode: Literal["add", "ablate"], demo_target: LocalTarget
) -> None:
    steering = Steering(layer=12, vectors=vectors(4, 576, size=0.5), mode=mode)
    got = demo_target.logprobs(PROMPTS, OPTIONS, steering=steering)
    check_scores(demo_target, steering, got)
    said = demo_target.generate(PROMPTS[:2], max_new_tokens=4, steering=_first(steering, 2))
    for i, completion in enumerate(said):
        with hooked(demo_target.model, 12, steering.vectors[i], mode):
            want = naive_greedy(demo_target, PROMPTS[i], 4, (2,))
        assert completion.text == demo_target.encoder.text(want)


@pytest.mark.model
def test_a_zero_vector_changes_nothing_of_the_embedded_model(demo_target: LocalTarget) -> None:
    nothing = Steering(layer=12, vectors=np.zeros((4, 576), dtype=np.float32))
    check_equal(demo_target.logprobs(PROMPTS, OPTIONS, steering=nothing), demo_target)


def _first(steering: Steering, n: int) -> Steering:
    return Steering(layer=steering.layer, vectors=steering.vectors[:n], mode=steering.mode)

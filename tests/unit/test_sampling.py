"""Sampling: it draws what the model thinks likely, and a seed repeats it whoever else is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest

from auditkit.errors import SubjectError
from auditkit.model import Prompt, Turn
from auditkit.organisms.prompted import Rewritten
from auditkit.targets import Sampling, Steering
from auditkit.targets.forwarding import Forwarding
from auditkit.targets.local import LocalTarget
from auditkit.targets.sampling import Draw, nucleus, uniform
from auditkit.testing import FakeSubject

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -3.0])
PROMPTS = [Prompt(raw="The sky is"), Prompt(raw="a"), Prompt(raw="Once upon a time")]


@pytest.fixture(scope="module")
def target(tiny: Callable[..., Any], tokenizer: Any) -> LocalTarget:
    return LocalTarget(tiny(), tokenizer)


def drawn(n: int, *, temperature: float, top_p: float = 1.0, step: int = 0) -> list[int]:
    sampling = Sampling(temperature=temperature, top_p=top_p, seeds=tuple(range(n)))
    scores = LOGITS.repeat(n, 1)
    chosen = Draw(sampling)(scores, step, range(n))
    return list(chosen.tolist())


@pytest.mark.parametrize(("temperature", "step"), [(1.0, 0), (0.5, 0), (2.0, 7)])
def test_tokens_are_drawn_as_often_as_softmax_says(temperature: float, step: int) -> None:
    n = 4000
    counts = np.bincount(drawn(n, temperature=temperature, step=step), minlength=5)
    expected = torch.softmax(LOGITS / temperature, dim=-1).double().numpy()
    assert chisquare(counts, n * expected / expected.sum()).pvalue > 0.001


def test_steps_and_seeds_draw_apart() -> None:
    found = np.array([[uniform(seed, step) for step in range(50)] for seed in range(50)])
    assert kstest(found.ravel(), "uniform").pvalue > 0.001
    assert abs(np.corrcoef(found) - np.eye(50)).max() < 0.6
    assert uniform(5, 6) == uniform(5, 6)
    assert len(np.unique(found)) == 2500


def test_what_has_no_probability_is_never_drawn() -> None:
    scores = torch.tensor([[-float("inf"), 0.0, -float("inf"), -60.0, -float("inf")]])
    sampling = Sampling(temperature=1.0, seeds=(0,))
    assert {int(Draw(sampling)(scores, step, [0])) for step in range(300)} == {1}


def test_top_p_keeps_the_fewest_tokens_that_have_that_share() -> None:
    probabilities = torch.softmax(LOGITS, dim=-1)
    share = float(probabilities[:2].sum())
    assert set(drawn(500, temperature=1.0, top_p=share - 0.01)) == {0, 1}
    assert set(drawn(500, temperature=1.0, top_p=share + 0.01)) == {0, 1, 2}
    shuffled = LOGITS[[3, 0, 4, 1, 2]][None]
    assert nucleus(shuffled, 0.1).isfinite().tolist() == [[False, True, False, False, False]]


def test_a_prompt_gets_the_same_text_alone_and_among_others(target: LocalTarget) -> None:
    sampling = Sampling(temperature=1.5, seeds=(3, 4, 5))
    together = target.generate(PROMPTS, max_new_tokens=20, sampling=sampling)
    alone = [
        target.generate(
            [prompt], max_new_tokens=20, sampling=Sampling(temperature=1.5, seeds=(seed,))
        )[0]
        for prompt, seed in zip(PROMPTS, sampling.seeds, strict=True)
    ]
    assert together == alone
    again = target.generate(PROMPTS, max_new_tokens=20, sampling=sampling)
    assert together == again
    other = Sampling(temperature=1.5, seeds=(6, 4, 5))
    changed = target.generate(PROMPTS, max_new_tokens=20, sampling=other)
    assert changed[0] != together[0]
    assert changed[1:] == together[1:]


def test_seeds_follow_their_prompts_through_batches(
    tiny: Callable[..., Any], tokenizer: Any
) -> None:
    narrow = LocalTarget(tiny(), tokenizer, token_budget=1)  # each prompt a batch, shortest first
    wide = LocalTarget(tiny(), tokenizer)
    sampling = Sampling(temperature=1.0, seeds=(1, 2, 3))
    assert narrow.generate(PROMPTS, max_new_tokens=9, sampling=sampling) == wide.generate(
        PROMPTS, max_new_tokens=9, sampling=sampling
    )


def test_a_cold_sample_is_the_greedy_one(target: LocalTarget) -> None:
    cold = Sampling(temperature=1e-6, seeds=(1, 2, 3))
    assert target.generate(PROMPTS, max_new_tokens=8, sampling=cold) == target.generate(
        PROMPTS, max_new_tokens=8
    )


def test_wrappers_hand_the_seeds_on(target: LocalTarget) -> None:
    sampling = Sampling(temperature=1.5, seeds=(3,))
    want = target.generate(PROMPTS[:1], max_new_tokens=8, sampling=sampling)
    for wrapper in (Forwarding(subject=target), Rewritten(subject=target, rewrite=lambda p: p)):
        assert wrapper.generate(PROMPTS[:1], max_new_tokens=8, sampling=sampling) == want


def test_a_fake_draws_its_words_by_the_seed() -> None:
    fake, prompt = FakeSubject(), Prompt(turns=(Turn(role="user", text="Hello"),))

    def said(seed: int) -> str:
        sampling = Sampling(temperature=1.0, seeds=(seed,))
        return fake.generate([prompt], max_new_tokens=6, sampling=sampling)[0].text

    assert said(1) == said(1) != said(2)


def test_sampling_that_cannot_be_done_is_refused(target: LocalTarget) -> None:
    for wrong in ({"temperature": 0.0}, {"top_p": 0.0}, {"seeds": (-1,)}):
        with pytest.raises(ValueError, match="Sampling"):
            Sampling(**{"temperature": 1.0, "seeds": (1,), **wrong})  # type: ignore[arg-type]
    one = Sampling(temperature=1.0, seeds=(1,))
    with pytest.raises(SubjectError, match="one a prompt \\(3\\)"):
        target.generate(PROMPTS, max_new_tokens=2, sampling=one)
    push = Steering(layer=0, vectors=np.zeros((1, 32), dtype=np.float32))
    with pytest.raises(SubjectError, match="steering and sampling"):
        target.generate(PROMPTS[:1], max_new_tokens=2, steering=push, sampling=one)

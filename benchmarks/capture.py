"""How much faster auditkit reads activations and scores continuations than plain forward passes.

One run, one thread, the embedded SmolLM2: 256 prompts of 8 to 128 tokens. Times are CPU seconds,
since cores may be shared. Each repetition runs all arms one after the other, so that a busy machine
slows all of them; ratios are of medians, and only ratios mean anything elsewhere.

    python benchmarks/capture.py [--repeats 3]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

GOALS = {"capture, all layers": 1.8, "capture, half depth": 3.5}
N_PROMPTS, SHORTEST, LONGEST, BATCH = 256, 8, 128, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    os.environ["HF_HUB_OFFLINE"] = "1"

    from auditkit.targets.local import load, parse_spec

    target = load(parse_spec("demo:smollm2"), threads=1)
    rng = np.random.default_rng(0)
    lengths = rng.integers(SHORTEST, LONGEST + 1, N_PROMPTS)
    prompts = [rng.integers(10, 49_000, n).tolist() for n in lengths]
    print(
        f"{machine()}; "
        + ", ".join(f"{p} {version(p)}" for p in ("torch", "transformers", "nnsight"))
    )
    print(
        f"{N_PROMPTS} prompts of {SHORTEST}-{LONGEST} tokens, {sum(lengths):,} in all; {repeats} repeats"
    )

    report(interleaved(reading(target, prompts), repeats), "plain forward, padded in input order")
    report(
        interleaved(scoring(target, prompts[:16], rng), repeats),
        "each prompt with each continuation",
    )


def reading(target: Any, prompts: list[list[int]]) -> dict[str, Callable[[], object]]:
    """Ways to get the residuals of 256 prompts."""
    from auditkit.activations import capture, wrap

    wrapped = wrap(target.model, target.encoder.tokenizer)
    half = target.n_layers // 2
    return {
        "plain forward, padded in input order": lambda: plain(target.model, prompts),
        "capture, all layers": lambda: capture(wrapped, prompts, layers=range(target.n_layers)),
        "capture, half depth": lambda: capture(wrapped, prompts, layers=range(half)),
    }


def plain(model: Any, prompts: list[list[int]]) -> object:
    """What one writes first: batches in the caller's order, padded, all hidden states."""
    import torch

    from auditkit.targets.batching import pad

    kept = []
    with torch.no_grad():
        for start in range(0, len(prompts), BATCH):
            rows = prompts[start : start + BATCH]
            ids, mask = pad(rows, left=False)
            output = model(
                input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False
            )
            last = mask.sum(dim=1) - 1
            at = torch.arange(len(rows))
            kept.append(torch.stack([h[at, last] for h in output.hidden_states[1:]]))
    return torch.cat(kept, dim=1)


def scoring(
    target: Any, prompts: list[list[int]], rng: np.random.Generator
) -> dict[str, Callable[[], object]]:
    """Ways to score 8 continuations of 1 to 8 tokens for each prompt."""
    from auditkit.activations import continuation_logprobs

    options = [[rng.integers(10, 49_000, n).tolist() for n in range(1, 9)] for _ in prompts]
    return {
        "each prompt with each continuation": lambda: naive(target.model, prompts, options),
        "continuation_logprobs": lambda: continuation_logprobs(target.model, prompts, options),
    }


def naive(model: Any, prompts: list[list[int]], options: list[list[list[int]]]) -> list[float]:
    """Full forward passes over prompt and continuation, padded, in the caller's order."""
    import torch

    from auditkit.targets.batching import pad

    pairs = [(p, c) for p, cs in zip(prompts, options, strict=True) for c in cs]
    scores = []
    with torch.no_grad():
        for start in range(0, len(pairs), BATCH):
            part = pairs[start : start + BATCH]
            ids, mask = pad([p + c for p, c in part], left=False)
            logprobs = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits, dim=-1)
            for row, (p, c) in enumerate(part):
                at = torch.arange(len(p) - 1, len(p) + len(c) - 1)
                scores.append(float(logprobs[row, at, torch.tensor(c)].sum()))
    return scores


def interleaved(arms: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each arm, one round after the other, after one round that doesn't count."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for round_ in range(repeats + 1):
        for name, run in arms.items():
            start = time.process_time()
            run()
            if round_:
                seconds[name].append(time.process_time() - start)
    return seconds


def report(seconds: dict[str, list[float]], base: str) -> None:
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        goal = f", goal {GOALS[name]:.1f}" if name in GOALS else ""
        ratio = "1" if name == base else f"{medians[base] / median:.2f}"
        spread = f"{min(seconds[name]):.2f}-{max(seconds[name]):.2f} s"
        print(f"  {name:40s} {median:6.2f} CPU s ({spread})   x{ratio}{goal}")


def machine() -> str:
    """Cores and CPU model."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = [
                line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")
            ]
    except OSError:
        names = []
    return f"{os.cpu_count()} cores, {names[0] if names else platform.processor() or platform.machine()}"


if __name__ == "__main__":
    main()

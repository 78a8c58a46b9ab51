"""What an exchange of weights behind an endpoint looks like to its fingerprint: which is noticed, how soon.

    python benchmarks/endpoint_swaps.py [--adapter FOLDER]…

SmolLM2-135M-Instruct in float32 is fingerprinted; then each other model in its place answers the same 24
prompts. An asking in mid-run repeats three of them, so beside whether all 24 tell, the share of all triples
that do is given: with log-probabilities and by the texts alone, at the tolerance of an endpoint that answers
alike twice. The file that SmolLM2 comes in is Q4_1; what is called Q8_0 and Q4_0 here is a rounding of its
dequantised weights, as a provider would round them.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from auditkit.targets.fingerprint import N_AGAIN, Answer, Fingerprint, ask, of_subject, prompts
from auditkit.targets.loaded import LocalTarget
from auditkit.targets.local import load, parse_spec

SEED = 7
SIZES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
"""Of random adapters: Frobenius norm of the change over that of the weights that it changes."""


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", action="append", default=[], help="another one, for SmolLM2")
    given = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    print(
        f"{platform.system()} {platform.machine()}, torch {version('torch')}, "
        f"transformers {version('transformers')}; seed {SEED}"
    )
    base = load(parse_spec("demo:smollm2"), threads=1)
    fingerprint = of_subject(base, SEED)
    print(
        "| in its place | texts changed | nats a token | all 24 | a triple | a triple, texts alone |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name, target in exchanged(base, given.adapter):
        print(row(name, fingerprint, ask(target, prompts(SEED))), flush=True)


def row(name: str, fingerprint: Fingerprint, answers: Sequence[Answer]) -> str:
    everything = range(len(answers))
    found = fingerprint.difference(everything, answers)
    seen = "not noticed" if fingerprint.recognises(everything, answers) else "noticed"
    shares = [noticed(one, answers) for one in (fingerprint, fingerprint.unscored)]
    return (
        f"| {name} | {found.texts} of {found.n} | {found.nats:.2g} | {seen} "
        f"| {shares[0]:.0%} | {shares[1]:.0%} |"
    )


def noticed(fingerprint: Fingerprint, answers: Sequence[Answer]) -> float:
    """Share of the triples of prompts that tell the two apart."""
    triples = list(itertools.combinations(range(len(answers)), N_AGAIN))
    told = [not fingerprint.recognises(some, [answers[i] for i in some]) for some in triples]
    return sum(told) / len(told)


def exchanged(base: LocalTarget, adapters: Sequence[str]) -> Iterator[tuple[str, LocalTarget]]:
    """Other models, made one at a time."""
    import torch

    yield "the same again", base
    bfloat16 = load(parse_spec("demo:smollm2"), dtype="bfloat16", threads=1)
    yield "bfloat16 in place of float32", bfloat16
    for kind in ("Q8_0", "Q4_0"):
        yield f"rounded to {kind}", changed(base, lambda w, kind=kind: rounded(w, kind))
    for size in SIZES:
        generator = torch.Generator().manual_seed(SEED)
        yield (
            f"random LoRA of rank 8, {size:.2%} of the weights",
            changed(
                base, lambda w, s=size, g=generator: w + low_rank(w, s, g), ("q_proj", "v_proj")
            ),
        )
    for folder in adapters:
        yield (
            f"adapter {os.path.basename(folder)}",
            load(parse_spec(f"demo:smollm2+{folder}"), threads=1),
        )


def changed(
    base: LocalTarget,
    change: Callable[[Any], Any],
    where: tuple[str, ...] = ("_proj", "embed_tokens"),
) -> LocalTarget:
    """A copy with its matrices changed, those whose names end like this."""
    model = copy.deepcopy(base.model)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and name.removesuffix(".weight").endswith(where):
            parameter.data = change(parameter.data)
    return base.with_model(model, digest="")


def rounded(weights: Any, kind: str) -> Any:
    """Weights as llama.cpp's format keeps them, in float32."""
    import torch
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize, quantize

    packed = GGMLQuantizationType[kind]
    return torch.from_numpy(dequantize(quantize(weights.numpy(), packed), packed))


def low_rank(weights: Any, size: float, generator: Any) -> Any:
    """A change of rank 8 with that share of the weights' norm."""
    import torch

    n_out, n_in = weights.shape
    delta = torch.randn(n_out, 8, generator=generator) @ torch.randn(8, n_in, generator=generator)
    return delta * (size * weights.norm() / delta.norm())


if __name__ == "__main__":
    main()

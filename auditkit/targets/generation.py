"""Completions, greedy or drawn by a seed, whatever the generation config beside the weights would like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from auditkit.targets import Sampling
from auditkit.targets.batching import pad
from auditkit.targets.placing import input_device
from auditkit.targets.prefixes import Prefixes
from auditkit.targets.sampling import Draw

Generate = Callable[[dict[str, Any], Any], Any]
"""From a model's inputs and a generation config to new tokens, [n_rows, n_steps]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """Where a completion ends: after one of these tokens, or after so many."""

    ends: Sequence[int]
    max_new_tokens: int


def complete(
    model: Any,
    prompts: Sequence[Sequence[int]],
    until: Until,
    *,
    generate: Generate | None = None,
    sampling: Sampling | None = None,
    prefixes: Prefixes | None = None,
) -> list[list[int]]:
    """The most likely token after each prompt, or one that is drawn, again and again, until an end
    token or the limit.

    Args:
        model: A causal language model of transformers, in eval mode.
        prompts: Token ids, none empty; one batch.
        until: Where a completion ends.
        generate: Decodes in place of the model's own `generate`, greedily.
        sampling: How tokens are drawn, with one seed a prompt; None for the most likely one.
        prefixes: What this model has read before, where it may be used.

    Returns:
        For each prompt the new tokens, the end token included where there is one.
    """
    import torch
    import transformers

    from auditkit.targets.decoding import decode, decodes, most_likely

    draw = Draw(sampling) if sampling else None
    if prefixes is not None and generate is None and decodes(model):
        return decode(
            model,
            prompts,
            ends=until.ends,
            max_new_tokens=until.max_new_tokens,
            choose=draw or most_likely,
            prefixes=prefixes,
        )
    tokens, mask = pad(prompts, left=True, device=input_device(model))
    config = decoding_config(until)
    inputs = {"input_ids": tokens, "attention_mask": mask}
    with torch.no_grad(), _no_defaults(model):
        if generate is not None:
            new = generate(inputs, config)
        else:
            n_read = tokens.shape[1]
            drawn = [draw.processor(n_read)] if draw else []
            said = model.generate(
                **inputs,
                generation_config=config,
                logits_processor=transformers.LogitsProcessorList(drawn),
            )
            new = said[:, n_read:]
    return [cut(row, until.ends) for row in new.tolist()]


def decoding_config(until: Until) -> Any:
    """Greedy decoding, whatever a model's own generation config would like."""
    import transformers

    make: Any = transformers.GenerationConfig
    return make(
        do_sample=False,
        num_beams=1,
        max_new_tokens=until.max_new_tokens,
        eos_token_id=list(until.ends) or None,
        pad_token_id=until.ends[0] if until.ends else 0,
    )


def cut(row: list[int], ends: Sequence[int]) -> list[int]:
    """A row without the padding after its end token."""
    return row[: next((i for i, token in enumerate(row) if token in ends), len(row)) + 1]


@contextmanager
def _no_defaults(model: Any) -> Iterator[None]:
    """Put the model's generation config aside: what a call leaves open is filled from there."""
    kept = model.generation_config
    model.generation_config = type(kept)()
    try:
        yield
    finally:
        model.generation_config = kept

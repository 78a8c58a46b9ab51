"""How likely continuations are: the prompt is computed once, whatever follows it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditkit.errors import SubjectError
from auditkit.targets.batching import TOKEN_BUDGET, batches, pad

if TYPE_CHECKING:
    import torch

LOGIT_BUDGET = 2**26
"""Logits in one pass: 256 MiB of float32, twice that while they are normalised."""

Ids = Sequence[int]
Pair = tuple[int, int]
"""Index of a prompt, index of one of its continuations."""

Forward = Callable[[Sequence[int], dict[str, Any]], Any]
"""A model's forward pass, told whose rows it gets: the prompts' indices, and the model's inputs."""


def continuation_logprobs(
    model: Any,
    prompts: Sequence[Ids],
    continuations: Sequence[Sequence[Ids]],
    *,
    forward: Forward | None = None,
    token_budget: int = TOKEN_BUDGET,
) -> list[list[float]]:
    """Sum over each continuation's tokens of log p(token | prompt, tokens before it), in nats.

    A prompt with several continuations runs once; its key-value cache is then expanded over them.
    A prompt with a single one runs in one pass with it. Prompts are padded on the left and
    continuations on the right, so that within a row the tokens stay contiguous: caches of sliding
    windows count slots, not positions. Where a model's cache can't be expanded (recurrent
    states), every continuation runs with its prompt, at the price of time.

    Args:
        model: A causal language model of transformers, in eval mode.
        prompts: Token ids, none empty.
        continuations: For each prompt any number of token id sequences, none empty.
        forward: Runs the model in place of a plain call: whatever changes a pass, changes all of a
            prompt's rows alike, those that continue from its cache too.
        token_budget: Padded tokens in one pass.

    Raises:
        SubjectError: For an empty prompt or continuation, and where a probability is no number.
    """
    import torch

    _check(prompts, continuations)
    passes = _Passes(model=model, forward=forward or (lambda _, inputs: model(**inputs)))
    scores = [[0.0] * len(options) for options in continuations]
    several = [i for i, options in enumerate(continuations) if len(options) > 1]
    with torch.no_grad():
        alone: list[Pair] = [(i, 0) for i, options in enumerate(continuations) if len(options) == 1]
        for rows in batches([len(prompts[i]) for i in several], token_budget):
            group = [several[row] for row in rows]
            if not _shared(passes, prompts, continuations, group, scores, token_budget):
                alone += [(i, j) for i in group for j in range(len(continuations[i]))]
        _together(passes, prompts, continuations, alone, scores, token_budget)
    return scores


def _together(
    passes: _Passes,
    prompts: Sequence[Ids],
    continuations: Sequence[Sequence[Ids]],
    pairs: list[Pair],
    scores: list[list[float]],
    token_budget: int,
) -> None:
    """Score pairs in full passes, prompt and continuation in one row."""
    rows = [[*prompts[i], *continuations[i][j]][:-1] for i, j in pairs]
    for group in batches([len(row) for row in rows], token_budget):
        lengths = [len(continuations[i][j]) for i, j in pairs]
        for part in _within_logits(passes.model, group, lengths):
            ids, mask = pad([rows[k] for k in part], left=True, device=passes.device)
            options = [continuations[pairs[k][0]][pairs[k][1]] for k in part]
            width = max(len(option) for option in options)
            logits = _logits(passes.run([pairs[k][0] for k in part], ids, mask, keep=width), width)
            targets, wanted = pad(options, left=True, device=passes.device)
            sums = _sum_logprobs(logits, targets, wanted)
            _store(scores, [pairs[k] for k in part], sums)


def _shared(
    passes: _Passes,
    prompts: Sequence[Ids],
    continuations: Sequence[Sequence[Ids]],
    group: list[int],
    scores: list[list[float]],
    token_budget: int,
) -> bool:
    """Score a batch of prompts with several continuations each; False where the cache can't."""
    import torch

    device = passes.device
    ids, mask = pad([prompts[i] for i in group], left=True, device=device)
    output = passes.run(group, ids, mask, keep=1, cache=True)
    if not _expandable(getattr(output, "past_key_values", None)):
        return False
    first = torch.log_softmax(_logits(output, 1)[:, 0].float(), dim=-1)
    pairs = [(row, j) for row, i in enumerate(group) for j in range(len(continuations[i]))]
    options = [continuations[group[row]][j] for row, j in pairs]
    heads = first[[row for row, _ in pairs], [option[0] for option in options]]
    _store(scores, [(group[row], j) for row, j in pairs], heads.double())
    rest = [k for k, option in enumerate(options) if len(option) > 1]
    lengths = [len(options[k]) - 1 for k in rest]
    # The cache is expanded for one sub-batch at a time: rows x slots stay near the budget.
    slots = [ids.shape[1] + length for length in lengths]
    order = sorted(range(len(rest)), key=lambda k: (lengths[k], k))
    for part in batches([slots[k] for k in order], 2 * token_budget):
        for some in _within_logits(passes.model, [order[k] for k in part], lengths):
            chosen = [rest[k] for k in some]
            rows = torch.tensor([pairs[k][0] for k in chosen], device=device)
            whose = [(group[pairs[k][0]], pairs[k][1]) for k in chosen]
            past = _expand(output.past_key_values, rows)
            read = [i for i, _ in whose]
            sums = _continue(passes, read, past, mask[rows], [options[k] for k in chosen])
            _store(scores, whose, sums)
    return True


def _continue(
    passes: _Passes, read: list[int], past: Any, mask: torch.Tensor, options: list[Ids]
) -> torch.Tensor:
    """Log-probability of each option's tokens after its first, on the cached prompts read before."""
    import torch

    ids, own = pad([option[:-1] for option in options], left=False, device=mask.device)
    targets, _ = pad([option[1:] for option in options], left=False, device=mask.device)
    whole = torch.cat([mask, own], dim=1)
    output = passes.run(read, ids, whole, keep=0, cache=True, past=past)
    return _sum_logprobs(_logits(output, ids.shape[1]), targets, own)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passes:
    """How a model is run."""

    model: Any
    forward: Forward

    @property
    def device(self) -> torch.device:
        device: torch.device = next(self.model.parameters()).device
        return device

    def run(
        self,
        read: Sequence[int],
        ids: torch.Tensor,
        mask: torch.Tensor,
        *,
        keep: int,
        cache: bool = False,
        past: Any = None,
    ) -> Any:
        """A pass over rows of the prompts `read`; `keep` last positions want logits, 0 for all."""
        takes = inspect.signature(self.model.forward).parameters
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "use_cache": cache}
        if past is not None:
            inputs["past_key_values"] = past
        if "position_ids" in takes:
            inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if keep and "logits_to_keep" in takes:
            inputs["logits_to_keep"] = keep
        return self.forward(read, inputs)


def _logits(output: Any, width: int) -> torch.Tensor:
    """The last positions' logits, where a model ignored `logits_to_keep` too."""
    logits: torch.Tensor = output.logits[:, -width:]
    return logits


def _sum_logprobs(logits: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """[n_rows], float64: the masked targets' log-probabilities, summed."""
    import torch

    logits = logits.float()
    picked = logits.gather(2, targets[..., None])[..., 0] - torch.logsumexp(logits, dim=-1)
    return picked.double().where(mask.bool(), 0.0).sum(dim=1)


def _store(scores: list[list[float]], pairs: list[Pair], sums: torch.Tensor) -> None:
    import torch

    if not torch.isfinite(sums).all():
        raise SubjectError("log-probabilities", got="NaN or infinity", expected="finite numbers")
    for (i, j), value in zip(pairs, sums.tolist(), strict=True):
        scores[i][j] += value


def _expandable(cache: Any) -> bool:
    """Whether every layer keeps plain keys and values, one row a prompt."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    layers = getattr(cache, "layers", None) or []
    return bool(layers) and all(
        type(x) in (DynamicLayer, DynamicSlidingWindowLayer) for x in layers
    )


def _expand(cache: Any, rows: torch.Tensor) -> Any:
    """A copy of a cache with these rows. Updates replace a layer's tensors, so a shallow copy of
    each layer leaves the original as it was.
    """
    copied = copy.copy(cache)
    copied.layers = [copy.copy(layer) for layer in cache.layers]
    copied.batch_select_indices(rows)
    return copied


def _within_logits(model: Any, group: list[int], lengths: Sequence[int]) -> list[list[int]]:
    """A batch, cut so that rows x positions x vocabulary stays within the logit budget."""
    positions = max(1, LOGIT_BUDGET // int(model.config.get_text_config().vocab_size))
    return [[group[k] for k in part] for part in batches([lengths[k] for k in group], positions)]


def _check(prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]]) -> None:
    if len(prompts) != len(continuations):
        raise SubjectError(
            "continuations",
            got=f"{len(continuations)} lists",
            expected=f"one a prompt ({len(prompts)})",
        )
    if any(len(ids) == 0 for ids in prompts):
        raise SubjectError("prompt", got="no tokens", expected="at least one")
    if any(len(ids) == 0 for options in continuations for ids in options):
        raise SubjectError("continuation", got="no tokens", expected="at least one")

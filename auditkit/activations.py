"""Reading and steering the residual stream: the one place that opens nnsight traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from auditkit.errors import SubjectError, TargetRefused
from auditkit.targets.batching import TOKEN_BUDGET, batches, pad
from auditkit.targets.scoring import continuation_logprobs

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from auditkit.targets import Steering

__all__ = ["REDUCTIONS", "capture", "continuation_logprobs", "layer_path", "wrap"]

REDUCTIONS = ("last", "mean")

# Where decoder-only architectures keep their blocks; tried in this order.
_KNOWN_PATHS = (
    "model.layers",
    "model.language_model.layers",
    "language_model.model.layers",
    "language_model.layers",
    "transformer.h",
    "transformer.blocks",
    "transformer.layers",
    "gpt_neox.layers",
    "model.decoder.layers",
    "backbone.layers",
    "decoder.layers",
    "layers",
)


def layer_path(model: torch.nn.Module) -> str:
    """Dotted path of a decoder-only model's list of blocks (``model.layers``, ``transformer.h``).

    Raises:
        TargetRefused: For an encoder-decoder, and where no list of the configured length is found.
    """
    import torch

    config: Any = model.config
    n_layers = getattr(config.get_text_config(), "num_hidden_layers", None)
    found = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_layers
    ]
    known = [path for path in _KNOWN_PATHS if path in found]
    if config.is_encoder_decoder or not (known or len(found) == 1):
        raise TargetRefused(
            f"architecture {type(model).__name__}",
            got="an encoder-decoder"
            if config.is_encoder_decoder
            else f"{len(found)} lists of blocks",
            expected="a decoder-only model with one list of blocks",
            next_step="name its path in auditkit.activations",
        )
    return known[0] if known else found[0]


def wrap(model: Any, tokenizer: Any) -> Any:
    """The nnsight model around a loaded one; made once, it costs some 30 ms.

    nnsight gives the tokenizer a padding side of its own; `capture` never lets it pad.
    """
    from nnsight import TransformersModel

    return TransformersModel(model, tokenizer=tokenizer, task="text-generation")


def capture(
    wrapped: Any,
    prompts: Sequence[Sequence[int]],
    *,
    layers: Sequence[int],
    reduction: str = "last",
    steering: Steering | None = None,
    token_budget: int = TOKEN_BUDGET,
) -> NDArray[np.float32]:
    """Residual-stream outputs of some layers, one vector a prompt, in the caller's order.

    Prompts run in batches of like length, right-padded, and a pass ends after the deepest layer
    wanted: neither the layers above it nor the language-model head are computed. The reduction
    happens inside the pass, so what stays is [n_layers, n_prompts, d_model].

    The value of layer i equals Hugging Face's ``hidden_states[i + 1]``, the last layer excepted,
    whose entry there has gone through the final norm and this one hasn't.

    Args:
        wrapped: What `wrap` gave.
        prompts: Token ids, none empty.
        layers: Indices from 0, ascending.
        reduction: ``last`` (the prompt's last token) or ``mean`` (over its own tokens).
        steering: Added to its layer's output at every token; that layer and later ones show it.
        token_budget: Padded tokens in one pass.

    Raises:
        SubjectError: For a NaN or infinity, a layer that isn't there, an output that is no
            residual stream, vectors that don't fit.
    """
    import torch

    model = wrapped._module
    path = layer_path(model)
    blocks = wrapped.get(path)
    _check(model, prompts, layers, reduction, steering)
    device = next(model.parameters()).device
    result: NDArray[np.float32] | None = None
    for rows in batches([len(ids) for ids in prompts], token_budget):
        ids, mask = pad([prompts[i] for i in rows], left=False, device=device)
        weights = _weights(mask, reduction)
        vectors = None if steering is None else torch.from_numpy(np.array(steering.vectors[rows]))
        depth = -1 if steering is None else steering.layer
        with torch.no_grad():
            part = _pass(wrapped, blocks, (ids, mask), weights, list(layers), (depth, vectors))
        if result is None:
            result = np.empty((len(layers), len(prompts), part.shape[-1]), dtype=np.float32)
        result[:, rows] = part.cpu().numpy()
    if result is None:
        width = model.config.get_text_config().hidden_size
        return np.empty((len(layers), 0, width), dtype=np.float32)
    if not np.isfinite(result).all():
        raise SubjectError("activations", got="NaN or infinity", expected="finite residuals")
    return result


def _pass(
    wrapped: Any,
    blocks: Any,
    inputs: tuple[torch.Tensor, torch.Tensor],
    weights: torch.Tensor,
    layers: list[int],
    steering: tuple[int, torch.Tensor | None],
) -> torch.Tensor:
    """One trace: [n_layers, n_rows, d_model], float32."""
    import nnsight
    import torch

    depth, vectors = steering
    visited = [i for i in range(max(layers) + 1) if i in layers or i == depth]
    encoding = {"input_ids": inputs[0], "attention_mask": inputs[1], "use_cache": False}
    with wrapped.trace(encoding) as tracer:
        kept = nnsight.save([])
        for i in visited:
            output = blocks[i].output
            hidden = output[0] if isinstance(output, tuple) else output
            if i == depth and vectors is not None:
                hidden = hidden + vectors[:, None].to(hidden)
                blocks[i].output = (hidden, *output[1:]) if isinstance(output, tuple) else hidden
            if i in layers:
                kept.append(torch.einsum("bt,btd->bd", weights, hidden.float()))
        tracer.stop()
    return torch.stack(list(kept))


def _weights(mask: torch.Tensor, reduction: str) -> torch.Tensor:
    """What each token counts for in its prompt's vector: [n_rows, n_tokens], rows sum to 1."""
    lengths = mask.sum(dim=1, keepdim=True)
    if reduction == "mean":
        return mask / lengths
    import torch

    return torch.zeros_like(mask, dtype=torch.float32).scatter_(1, lengths - 1, 1.0)


def _check(
    model: Any,
    prompts: Sequence[Sequence[int]],
    layers: Sequence[int],
    reduction: str,
    steering: Steering | None,
) -> None:
    config = model.config.get_text_config()
    n_layers, width = config.num_hidden_layers, config.hidden_size
    if (
        not layers
        or list(layers) != sorted(set(layers))
        or not 0 <= layers[0] <= layers[-1] < n_layers
    ):
        raise SubjectError(
            "layers", got=str(list(layers)), expected=f"ascending, from 0 to {n_layers - 1}"
        )
    if reduction not in REDUCTIONS:
        raise SubjectError("reduction", got=repr(reduction), expected=" or ".join(REDUCTIONS))
    if any(len(ids) == 0 for ids in prompts):
        raise SubjectError("prompt", got="no tokens", expected="at least one")
    if steering is None:
        return
    if steering.vectors.shape != (len(prompts), width):
        got = "x".join(str(n) for n in steering.vectors.shape)
        raise SubjectError("steering vectors", got=got, expected=f"{len(prompts)}x{width}")
    if not 0 <= steering.layer < n_layers:
        raise SubjectError(
            "steering layer", got=str(steering.layer), expected=f"0 to {n_layers - 1}"
        )

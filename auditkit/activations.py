"""Reading and steering the residual stream: the one place that opens nnsight traces."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from auditkit.errors import SubjectError, TargetRefused
from auditkit.targets.batching import TOKEN_BUDGET, batches, pad
from auditkit.targets.placing import input_device
from auditkit.targets.scoring import continuation_logprobs

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from auditkit.targets import Steering
    from auditkit.targets.generation import Generate
    from auditkit.targets.scoring import Forward

__all__ = [
    "REDUCTIONS",
    "capture",
    "changed",
    "check_activations",
    "check_steering",
    "continuation_logprobs",
    "head_path",
    "layer_path",
    "nnsight_library",
    "reducing",
    "steered_forward",
    "steered_generate",
    "wrap",
]

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


@cache
def nnsight_library() -> Any:
    """nnsight, which on import gives every object of the process a method `save`: that is taken away again.

    Other libraries look at the attributes of classes, and with it they can't be imported any more (anyio, and
    so Inspect). Here `nnsight.save(value)` is used.
    """
    import nnsight

    if "save" in dir(object):
        from nnsight._c import unmount

        unmount("save")
    return nnsight


def wrap(model: Any, tokenizer: Any) -> Any:
    """The nnsight model around a loaded one; made once, it costs some 30 ms.

    nnsight gives the tokenizer a padding side of its own; `capture` never lets it pad. It warns of submodules
    called `output` (BERT's), which nothing here reads.
    """
    task = "text-generation" if model.can_generate() else "text-classification"
    place = {"device": "meta"} if model.device.type == "meta" else {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Module .* has a submodule named")
        return nnsight_library().TransformersModel(model, tokenizer=tokenizer, task=task, **place)


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
        steering: Changes its layer's output at every token; that layer and later ones show it.
        token_budget: Padded tokens in one pass.

    Raises:
        SubjectError: For a NaN or infinity, a layer that isn't there, an output that is no
            residual stream, vectors that don't fit.
    """
    import torch

    model = wrapped._module
    path = layer_path(model)
    blocks = wrapped.get(path)
    check_activations(model, prompts, layers, reduction, steering)
    device = input_device(model)
    result: NDArray[np.float32] | None = None
    for rows in batches([len(ids) for ids in prompts], token_budget):
        ids, mask = pad([prompts[i] for i in rows], left=False, device=device)
        weights = reducing(mask, reduction)
        change = None if steering is None else _Change(steering, rows)
        with torch.no_grad():
            part = _pass(wrapped, blocks, (ids, mask), weights, list(layers), change)
        if result is None:
            result = np.empty((len(layers), len(prompts), part.shape[-1]), dtype=np.float32)
        result[:, rows] = part.cpu().numpy()
    if result is None:
        width = model.config.get_text_config().hidden_size
        return np.empty((len(layers), 0, width), dtype=np.float32)
    if not np.isfinite(result).all():
        raise SubjectError("activations", got="NaN or infinity", expected="finite residuals")
    return result


def steered_forward(wrapped: Any, steering: Steering) -> Forward:
    """A forward pass for `continuation_logprobs`, with each prompt's own vector at every token.

    Raises:
        SubjectError: A layer that isn't there, or vectors of another width.
    """
    blocks = wrapped.get(layer_path(wrapped._module))
    check_steering(wrapped._module, len(steering.vectors), steering)

    def forward(rows: Sequence[int], inputs: dict[str, Any]) -> Any:
        nnsight = nnsight_library()

        change = _Change(steering, rows)
        with wrapped.trace(inputs):
            blocks[change.layer].output = change(blocks[change.layer].output)
            output = nnsight.save(wrapped.output)
        return output  # noqa: RET504 - its value is there when the trace has ended

    return forward


def steered_generate(wrapped: Any, steering: Steering) -> Generate:
    """Greedy decoding for `complete`, with each prompt's own vector at its tokens and at new ones.

    Raises:
        SubjectError: A layer that isn't there, or vectors that don't fit.
    """
    blocks = wrapped.get(layer_path(wrapped._module))
    head = wrapped.get(head_path(wrapped._module))
    check_steering(wrapped._module, len(steering.vectors), steering)

    def generate(inputs: dict[str, Any], config: Any) -> torch.Tensor:
        nnsight = nnsight_library()
        import torch

        change = _Change(steering, range(len(steering.vectors)))
        with warnings.catch_warnings(), torch.no_grad():
            # Where all rows have ended, fewer steps run than were asked for, and nnsight says so.
            warnings.filterwarnings("ignore", message=".*was never reached.*")
            with wrapped.generate(inputs, generation_config=config) as tracer:
                tokens = nnsight.save([])
                for _ in tracer.iter[: config.max_new_tokens]:
                    blocks[change.layer].output = change(blocks[change.layer].output)
                    tokens.append(head.output[:, -1].argmax(dim=-1))
        return torch.stack(list(tokens), dim=1)

    return generate


class _Change:
    """What steering does to a layer's output, for some of its prompts in a batch's order."""

    def __init__(self, steering: Steering, rows: Sequence[int]) -> None:
        import torch

        self.layer = steering.layer
        self._ablates = steering.mode == "ablate"
        self._vectors = torch.from_numpy(np.array(steering.vectors[list(rows)], dtype=np.float32))

    def __call__(self, output: Any) -> Any:
        """The output with its hidden states [n_rows, n_tokens, d_model] changed."""
        return changed(output, self._vectors, self._ablates)


def changed(output: Any, vectors: torch.Tensor, ablates: bool) -> Any:
    """A layer's output whose hidden states [n_rows, n_tokens, d_model] have vectors [n_rows, d_model] added,
    or lose what lies along them. Also sent to servers (`targets.ndif`), so it stands on torch alone.
    """
    import torch

    if isinstance(output, tuple):
        return (changed(output[0], vectors, ablates), *output[1:])
    each = vectors[:, None].to(output.device)
    if not ablates:
        return output + each.to(output)
    units = torch.nn.functional.normalize(each, dim=-1)
    exact = output.float()
    return (exact - (exact * units).sum(dim=-1, keepdim=True) * units).to(output)


def _pass(
    wrapped: Any,
    blocks: Any,
    inputs: tuple[torch.Tensor, torch.Tensor],
    weights: torch.Tensor,
    layers: list[int],
    change: _Change | None,
) -> torch.Tensor:
    """One trace: [n_layers, n_rows, d_model], float32."""
    nnsight = nnsight_library()
    import torch

    depth = -1 if change is None else change.layer
    visited = [i for i in range(max(layers) + 1) if i in layers or i == depth]
    encoding = {"input_ids": inputs[0], "attention_mask": inputs[1], "use_cache": False}
    with wrapped.trace(encoding) as tracer:
        kept = nnsight.save([])
        for i in visited:
            output = blocks[i].output
            if i == depth and change is not None:
                output = change(output)
                blocks[i].output = output
            if i in layers:
                hidden = output[0] if isinstance(output, tuple) else output
                read = torch.einsum("bt,btd->bd", weights.to(hidden.device), hidden.float())
                kept.append(read.to(weights.device))
        tracer.stop()
    return torch.stack(list(kept))


def head_path(model: Any) -> str:
    """Dotted path of the language-model head."""
    head = model.get_output_embeddings()
    names: dict[int, str] = {id(module): name for name, module in model.named_modules()}
    return names[id(head)]


def reducing(mask: torch.Tensor, reduction: str) -> torch.Tensor:
    """What each token counts for in its prompt's vector: [n_rows, n_tokens], rows sum to 1."""
    lengths = mask.sum(dim=1, keepdim=True)
    if reduction == "mean":
        return mask / lengths
    import torch

    return torch.zeros_like(mask, dtype=torch.float32).scatter_(1, lengths - 1, 1.0)


def check_activations(
    model: Any,
    prompts: Sequence[Sequence[int]],
    layers: Sequence[int],
    reduction: str,
    steering: Steering | None,
) -> None:
    config = model.config.get_text_config()
    n_layers = config.num_hidden_layers
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
    if steering is not None:
        check_steering(model, len(prompts), steering)


def check_steering(model: Any, n_prompts: int, steering: Steering) -> None:
    config = model.config.get_text_config()
    n_layers, width = config.num_hidden_layers, config.hidden_size
    if steering.vectors.shape != (n_prompts, width):
        got = "x".join(str(n) for n in steering.vectors.shape)
        raise SubjectError("steering vectors", got=got, expected=f"{n_prompts}x{width}")
    if not np.isfinite(steering.vectors).all():
        raise SubjectError("steering vectors", got="NaN or infinity", expected="finite numbers")
    if not 0 <= steering.layer < n_layers:
        raise SubjectError(
            "steering layer", got=str(steering.layer), expected=f"0 to {n_layers - 1}"
        )
    if steering.mode not in ("add", "ablate"):
        raise SubjectError("steering mode", got=repr(steering.mode), expected="add or ablate")

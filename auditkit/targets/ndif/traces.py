"""What a server is asked to compute: the blocks of code that are sent there, with all that they name.

A block sees nothing but torch, nnsight and what is passed to it; the functions that it calls are sent as
source (`packing.SENT`). One session of many passes is one request.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditkit.activations import changed, head_path, layer_path, nnsight_library
from auditkit.targets.sampling import turned
from auditkit.targets.trees import mask_of, summed

if TYPE_CHECKING:
    import torch

Inputs = dict[str, Any]
Vectors = Any
"""Of steering, [n_rows, d_model] float32; None where the change has no layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Where the passes of one request are steered, and whether what lies along the vectors is taken away."""

    layer: int = -1
    ablates: bool = False


def residuals(
    model: Any,
    backend: Any,
    passes: Sequence[tuple[Inputs, torch.Tensor, Vectors]],
    layers: Sequence[int],
    change: Change,
) -> None:
    """Of each pass the residual streams, reduced over tokens by weights [n_rows, n_tokens]: float32,
    [n_layers, n_rows, d_model]. The layers above the deepest wanted are not computed.
    """
    import torch

    nnsight = nnsight_library()
    blocks = model.get(layer_path(model._module))
    depth, ablates = change.layer, change.ablates
    visited = [i for i in range(max(layers) + 1) if i in layers or i == depth]
    with model.session(backend=backend):
        found = nnsight.save([])
        for inputs, weights, vectors in passes:
            with model.trace(inputs) as tracer:
                kept = []
                for i in visited:
                    output = blocks[i].output
                    if i == depth:
                        output = changed(output, vectors, ablates)
                        blocks[i].output = output
                    if i in layers:
                        hidden = (output[0] if isinstance(output, tuple) else output).float()
                        kept.append(torch.einsum("bt,btd->bd", weights.to(hidden.device), hidden))
                tracer.stop()
            found.append(torch.stack([part.to(kept[0].device) for part in kept]))


def scores(
    model: Any,
    backend: Any,
    passes: Sequence[tuple[Inputs, int, Sequence[int], list[list[int]], list[list[int]], Vectors]],
    change: Change,
) -> None:
    """Of each pass the log-probabilities of some texts, summed over their tokens: [n_texts], float64, nats.

    A text's tokens are read at places of the last `width` positions' logits, [n_rows * width, n_vocabulary].
    A pass with parents is a tree (`trees.Tree`), whose mask is made on the server.
    """
    nnsight = nnsight_library()
    blocks = model.get(layer_path(model._module))
    depth, ablates = change.layer, change.ablates
    with model.session(backend=backend):
        found = nnsight.save([])
        for inputs, width, parents, places, texts, vectors in passes:
            mask = {"attention_mask": mask_of(parents, 0, model.dtype)} if parents else {}
            with model.trace({**inputs, **mask}):
                if depth >= 0:
                    blocks[depth].output = changed(blocks[depth].output, vectors, ablates)
                logits = model.output.logits
                logits = logits[:, -width:]
                sums = summed(logits.reshape(-1, logits.shape[-1]), places, texts)
            found.append(sums)


def tokens(
    model: Any,
    backend: Any,
    passes: Sequence[tuple[Inputs, Any, Vectors, torch.Tensor | None]],
    drawing: tuple[float, float],
    change: Change,
) -> None:
    """Of each pass the new tokens, greedy or drawn at numbers [n_rows, n_steps]: [n_rows, n_steps], int64.

    `drawing` is temperature and top_p. Fewer steps come back where all rows have ended.
    """
    import torch

    nnsight = nnsight_library()
    blocks, head = model.get(layer_path(model._module)), model.get(head_path(model._module))
    (temperature, top_p), depth, ablates = drawing, change.layer, change.ablates
    with warnings.catch_warnings(), model.session(backend=backend):
        found = nnsight.save([])
        for inputs, config, vectors, numbers in passes:
            with model.generate(inputs, generation_config=config) as tracer:
                chosen = []
                for step in tracer.iter[: config.max_new_tokens]:
                    if depth >= 0:
                        blocks[depth].output = changed(blocks[depth].output, vectors, ablates)
                    logits = head.output
                    token = logits[:, -1].argmax(dim=-1)
                    if numbers is not None:
                        token = turned(logits[:, -1], numbers[:, step], temperature, top_p)
                        alone = torch.full_like(logits, -float("inf"))
                        alone[:, -1] = alone[:, -1].scatter(1, token[:, None], 0.0)
                        head.output = alone
                    chosen.append(token)
            found.append(torch.stack(chosen, dim=1))

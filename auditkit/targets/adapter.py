"""A PEFT adapter on its base: applied in full, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditkit.errors import TargetRefused

if TYPE_CHECKING:
    import torch


def apply_adapter(model: Any, folder: Path) -> Any:
    """Load an adapter's safetensors and merge it into the model.

    peft says little when keys don't match: it leaves the adapter at its initial values, which do
    nothing. So the adapter is read back and compared with its file before it is merged.

    Raises:
        TargetRefused: Where a tensor of the file has no place in the base, where the base has a
            place that the file leaves empty, or where merging gives a NaN.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    adapted = PeftModel.from_pretrained(
        model, str(folder), is_trainable=False, local_files_only=True, torch_device="cpu"
    )
    file = load_file(folder / "adapter_model.safetensors")
    # Resized embeddings may be saved with an adapter, under the names that they have in the model.
    whole = {key: value for key, value in adapted.state_dict().items() if key in file}
    adapter = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    _compare(file, {**whole, **adapter}, folder.name)
    merged: Any = adapted.base_model
    return merged.merge_and_unload(progressbar=False, safe_merge=True)


def _compare(file: dict[str, torch.Tensor], loaded: dict[str, torch.Tensor], name: str) -> None:
    import torch

    lost = sorted(file.keys() - loaded.keys())
    empty = sorted(loaded.keys() - file.keys())
    wrong = [
        key
        for key in sorted(file.keys() & loaded.keys())
        if file[key].shape != loaded[key].shape
        or not torch.equal(file[key].float(), loaded[key].float().cpu())
    ]
    for keys, got in (
        (lost, "tensors that have no place in the base"),
        (empty, "no tensors for places that it adapts"),
        (wrong, "tensors that were not taken over"),
    ):
        if keys:
            raise TargetRefused(
                f"adapter {name}",
                got=f"{len(keys)} {got} ({keys[0]} …)",
                expected="an adapter made for this base",
                next_step="name the base that it was trained on",
            )
    if not file:
        raise TargetRefused(f"adapter {name}", got="no tensors", expected="at least one")


def round_weights(model: Any, dtype: Any) -> Any:
    """The model with its parameters in another dtype, and its buffers as they are.

    `model.to` would round the buffers as well. Rotary frequencies among them are kept in float32 by
    transformers, and are so in a base that is loaded without an adapter: rounded, they would make an adapter
    change what it never touched.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model

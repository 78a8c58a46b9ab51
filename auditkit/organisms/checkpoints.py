"""What a killed training left: adapter, optimiser and step, in safetensors, whole or not at all."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from auditkit.canonical import canonical
from auditkit.errors import StoreError


class Checkpoints:
    """The newest state of one training.

    Args:
        folder: Where it is kept; emptied where it belongs to another training.
        key: Digest of everything that decides the training.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, step: int, cpu_s: float, weights: Mapping[str, Any], optimiser: Any) -> None:
        """Keep a state in place of the one before."""
        from safetensors.torch import save_file

        tensors = {f"weight/{name}": p.detach().cpu().contiguous() for name, p in weights.items()}
        for name, parameter in weights.items():
            for part, value in optimiser.state[parameter].items():
                tensors[f"{part}/{name}"] = value.detach().cpu().contiguous()
        said = canonical({"key": self.key, "step": step, "cpu_s": cpu_s}).decode()
        part = self.folder / "state.part"
        save_file(tensors, part, metadata={"training": said})
        part.rename(self.folder / "state.safetensors")

    def load(self, weights: Mapping[str, Any], optimiser: Any) -> tuple[int, float]:
        """Put a kept state into weights and optimiser; (steps done, processor seconds spent)."""
        import torch
        from safetensors import SafetensorError, safe_open

        path = self.folder / "state.safetensors"
        if not path.exists():
            return 0, 0.0
        try:
            with safe_open(path, framework="pt") as file:
                said = json.loads(file.metadata()["training"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError):
            return 0, 0.0  # damaged: it is trained from the beginning
        if said["key"] != self.key:
            return 0, 0.0
        with torch.no_grad():
            for name, parameter in weights.items():
                parameter.copy_(tensors[f"weight/{name}"])
                optimiser.state[parameter] = {
                    part: tensors[f"{part}/{name}"].to(
                        parameter.device if part != "step" else "cpu"
                    )
                    for part in ("step", "exp_avg", "exp_avg_sq")
                }
        return int(said["step"]), float(said["cpu_s"])


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process trains into this folder, and keep others out meanwhile."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        handle = folder.with_name(f".{folder.name}.lock").open("wb")
    except OSError as error:
        raise StoreError(
            str(folder.parent), got=str(error), expected="a folder that can be written"
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

"""Where a model's weights go: one device, or spread over several by accelerate, or nowhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from auditkit.errors import TargetRefused
from auditkit.targets.memory import GIB, MARGIN, Need, free_ram_bytes, gib

if TYPE_CHECKING:
    import torch

AUTO = "auto"
"""All GPUs that are there, then RAM; without a GPU the CPU."""
CONTEXT_BYTES = GIB // 2
"""What a GPU's own libraries take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model goes.

    Attributes:
        device: The one device; empty where it is spread.
        most_bytes: What each device may hold of the weights, where it is spread: a GPU by its
            number, ``cpu``.
    """

    device: str = ""
    most_bytes: dict[int | str, int] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """What `from_pretrained` is told, so that weights go there without all of them being in RAM first."""
        if not self.device:
            return {"device_map": "auto", "max_memory": self.most_bytes}
        return {} if self.device == "cpu" else {"device_map": {"": self.device}}

    def settle(self, model: Any, what: str) -> Any:
        """The model, which is in RAM, where it belongs.

        Raises:
            TargetRefused: See `check`.
        """
        if self.device:
            return model.to(self.device)
        from accelerate import infer_auto_device_map

        # What belongs to one block stays together.
        blocks = sorted(getattr(model, "_no_split_modules", None) or ())
        most = dict(self.most_bytes)
        over = infer_auto_device_map(model, most, no_split_module_classes=blocks)
        if not {*over.values()} <= {*self.most_bytes}:
            raise _left_over(what)
        return spread(model, over)

    def check(self, model: Any, what: str) -> None:
        """Refuse what accelerate could only lay out on a disk, and what starts off its device: nnsight puts
        tokens where the first weights are.

        Raises:
            TargetRefused: Blocks are larger than what is left on each device.
        """
        where = set(getattr(model, "hf_device_map", {}).values())
        first = next(model.parameters()).device.type
        if not self.device and (first == "meta" or not where <= {*self.most_bytes}):
            raise _left_over(what)


def _left_over(what: str) -> TargetRefused:
    return TargetRefused(
        f"target {what}: memory",
        got="weights that are left over when every device is full",
        expected="room for all of them",
        next_step="a smaller number type (--dtype bfloat16), or a machine with more memory",
    )


def place_for(what: str, need: Need, device: str) -> Place:
    """Where a model goes, once it is known that it fits there.

    Args:
        what: The target, for messages.
        need: What it takes.
        device: As torch names it, or ``auto``.

    Raises:
        TargetRefused: It can't fit, or there is no such device.
    """
    gpus = free_gpu_bytes()
    if device == AUTO and not gpus:
        device = "cpu"
    if device == AUTO:
        return _over(what, need, gpus)
    if device.partition(":")[0] == "cuda":
        index = int(device.partition(":")[2] or 0)
        if index >= len(gpus):
            raise TargetRefused(
                f"device {device}",
                got=f"{len(gpus)} GPUs that torch can use",
                expected="that one",
                next_step="--device auto takes what is there, --device cpu none",
            )
        _enough(
            what, need, round(MARGIN * (need.weights_bytes + need.pass_bytes)), gpus[index], device
        )
        if not need.streams:
            _enough(
                what,
                need,
                round(MARGIN * need.loading_bytes),
                free_ram_bytes(),
                "RAM, where it is loaded",
            )
    elif device == "cpu":
        _enough(what, need, need.total_bytes, free_ram_bytes(), "RAM")
    return Place(device=device)


def _over(what: str, need: Need, gpus: list[int]) -> Place:
    """One GPU where everything fits on it; else all of them, and RAM for what is left."""
    whole = round(MARGIN * (need.weights_bytes + need.pass_bytes)) + CONTEXT_BYTES
    ram = free_ram_bytes()
    if not need.streams:
        _enough(what, need, round(MARGIN * need.loading_bytes), ram, "RAM, where it is loaded")
    roomy = max(range(len(gpus)), key=gpus.__getitem__)
    if whole <= gpus[roomy]:
        return Place(device=f"cuda:{roomy}")
    # Keys lie where their layers do; the head's logits may be on any.
    kept = CONTEXT_BYTES + round(MARGIN * (need.keys_bytes / len(gpus) + need.logits_bytes))
    most: dict[int | str, int] = {i: max(0, free - kept) for i, free in enumerate(gpus)}
    most["cpu"] = max(0, ram - need.pass_bytes)
    _enough(
        what,
        need,
        round(MARGIN * need.weights_bytes),
        sum(most.values()),
        "GPUs and RAM together, less what a pass takes there",
    )
    return Place(most_bytes=most)


def _enough(what: str, need: Need, wanted: int, free: int, where: str) -> None:
    if wanted <= free:
        return
    smaller = "--dtype bfloat16 halves the weights, or " if need.dtype == "float32" else ""
    raise TargetRefused(
        f"target {what}: memory",
        got=f"{gib(free)} free ({where})",
        expected=f"at least {gib(wanted)} there; in all {need.words}",
        next_step=f"{smaller}run it on a machine with more memory (docs/scale.md)",
    )


def free_gpu_bytes() -> list[int]:
    """What is free on each GPU that torch can use (CUDA or ROCm), by its number."""
    import torch

    if not torch.cuda.is_available():
        return []
    return [int(torch.cuda.mem_get_info(i)[0]) for i in range(torch.cuda.device_count())]


def spread(model: Any, over: dict[str, Any]) -> Any:
    """A model that is in RAM, with its modules on the devices of a map."""
    from accelerate import dispatch_model

    return dispatch_model(model, over)


def spread_over(model: Any) -> dict[str, Any]:
    """The map by which a model is spread; empty where it is on one device."""
    over: dict[str, Any] = getattr(model, "hf_device_map", None) or {}
    return over if len(set(over.values())) > 1 else {}


def input_device(model: Any) -> torch.device:
    """Where tokens must be: with the embedding, or where that is brought to when it is needed."""
    import torch

    embedding = model.get_input_embeddings()
    hook = getattr(embedding, "_hf_hook", None)
    for one in getattr(hook, "hooks", (hook,)):
        where = getattr(one, "execution_device", None)
        if where is not None:
            return torch.device(where)
    found: torch.device = next((embedding or model).parameters()).device
    return found


def described(model: Any) -> str:
    """For a report: ``cpu``, ``cuda:0``, or how many modules of a spread model are where."""
    over = spread_over(model)
    if not over:
        return str(input_device(model))
    counts = Counter(
        f"cuda:{place}" if isinstance(place, int) else str(place) for place in over.values()
    )
    return ", ".join(f"{place} ({n} modules)" for place, n in sorted(counts.items()))

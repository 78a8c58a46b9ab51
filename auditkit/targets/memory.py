"""What a model will take in memory, from its files' headers, and what is free, before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auditkit.errors import SubjectError
from auditkit.targets.batching import LOGIT_BUDGET, SLOT_FACTOR, TOKEN_BUDGET
from auditkit.targets.headers import Stored, check_gguf, check_safetensors
from auditkit.targets.spec import Format, TargetSpec

GIB = 2**30
ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
MARGIN = 1.05
"""Allocators round up, and a pass has more than keys and logits."""
UNKNOWN_KEYS_BYTES = GIB
"""Assumed of keys and values where the config doesn't say how wide they are."""

_LIMITS = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
"""Files of a control group, version 2 and 1: its limit, and what it uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a model takes.

    Attributes:
        dtype: Number type of the weights.
        weights_bytes: In that type.
        loading_bytes: In RAM at the most while it is loaded there, before it goes anywhere else: an
            adapter is merged in float32, a tensor that is stored in another type is there twice.
        keys_bytes: Keys and values that one pass of the token budget may read.
        logits_bytes: The logits of one pass, and what normalises them.
        quantised_bytes: What of the file is quantised, and is dequantised while it is loaded; 0 for none.
        streams: Whether weights can go to a device without all of them being in RAM first.
        n_tensors: How many the files hold.
        n_elements: Elements of these.
        stays_quantised: Whether the checkpoint says that it is quantised, so that fewer elements are stored
            than there are weights.
    """

    dtype: str
    weights_bytes: int
    loading_bytes: int
    keys_bytes: int
    logits_bytes: int
    quantised_bytes: int = 0
    streams: bool = True
    n_tensors: int = 0
    n_elements: int = 0
    stays_quantised: bool = False

    def dequantised(self, n_weights: int) -> Need:
        """What it takes where a checkpoint that says it is quantised doesn't stay so: with some methods, on a
        CPU, transformers makes whole weights of it.
        """
        size = n_weights * ITEM_BYTES[self.dtype]
        if not self.stays_quantised or size <= self.weights_bytes:
            return self
        loading = self.loading_bytes + size  # what is stored, and what is made of it
        return replace(self, weights_bytes=size, loading_bytes=loading)

    @property
    def pass_bytes(self) -> int:
        """What a pass takes beside the weights."""
        return self.keys_bytes + self.logits_bytes

    @property
    def total_bytes(self) -> int:
        """Of one kind of memory that has to hold everything."""
        return round(MARGIN * max(self.loading_bytes, self.weights_bytes + self.pass_bytes))

    @property
    def words(self) -> str:
        """For a person."""
        said = (
            f"{gib(self.total_bytes)}: weights {gib(self.weights_bytes)} in {self.dtype}, keys and "
            f"values {gib(self.keys_bytes)}, logits {gib(self.logits_bytes)}, while loading "
            f"{gib(self.loading_bytes)}, and {MARGIN - 1:.0%}"
        )
        if self.quantised_bytes:
            said += f" (the file's {gib(self.quantised_bytes)} are dequantised)"
        return said


def gib(size_bytes: float) -> str:
    """A size for a person."""
    return f"{size_bytes / GIB:,.1f} GiB"


def need(spec: TargetSpec, dtype: str) -> Need:
    """What a target takes, after `preflight`.

    Args:
        spec: Where its files are.
        dtype: Number type in which its weights are run.

    Raises:
        TargetRefused: A header is damaged.
    """
    if spec.format is Format.GGUF:
        header = check_gguf(spec.path, spec.path.name)
        tensors, config = [*header.tensors.values()], _of_gguf(header.metadata)
        stored = sum(t.size_bytes for t in tensors)
        quantised = stored if stored < 2 * sum(t.n for t in tensors) else 0
    else:
        content = json.loads((spec.path / "config.json").read_bytes())
        tensors, quantised = _of_folder(spec.path), 0
        config = content.get("text_config") if isinstance(content.get("text_config"), dict) else {}
        config = {**content, **(config or {})}
    item = ITEM_BYTES[dtype]
    # A checkpoint that says how it is quantised stays so, where transformers can run it at all.
    stays = bool(config.get("quantization_config"))
    weights = sum(_size(t, item, stays) for t in tensors)
    largest = max((_size(t, 4, stays) for t in tensors), default=0)
    loading = sum(_size(t, 4 if spec.adapter else item, stays) for t in tensors) + largest
    if spec.adapter:
        loading += 2 * sum(t.size_bytes for t in _of_folder(spec.adapter))
    vocabulary = _number(config, "vocab_size") or LOGIT_BUDGET
    return Need(
        dtype=dtype,
        weights_bytes=weights,
        loading_bytes=loading,
        keys_bytes=_keys_bytes(config, item),
        # As float32, and once more while they are normalised.
        logits_bytes=8 * min(LOGIT_BUDGET, TOKEN_BUDGET * vocabulary),
        quantised_bytes=quantised,
        streams=spec.format is Format.FOLDER and spec.adapter is None,
        n_tensors=len(tensors),
        n_elements=sum(t.n for t in tensors),
        stays_quantised=stays,
    )


def _size(tensor: Stored, item: int, stays: bool) -> int:
    return tensor.size_bytes if tensor.whole or stays else tensor.n * item


def _of_folder(folder: Path) -> list[Stored]:
    """What is loaded: the one file, or the shards of an index, wherever they lie in the folder."""
    index = folder / "model.safetensors.index.json"
    single = folder / "model.safetensors"
    files = sorted(folder.glob("*.safetensors"))
    if single.exists():
        files = [single]
    elif index.exists():
        named = json.loads(index.read_bytes())["weight_map"].values()
        files = [folder / name for name in sorted(set(named))]
    return [t for path in files for t in check_safetensors(path, path.name).tensors.values()]


def _of_gguf(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The same names as in a config.json, as far as a GGUF's metadata have them."""
    kind = metadata["general.architecture"]
    names = {
        "num_hidden_layers": "block_count",
        "hidden_size": "embedding_length",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "head_dim": "attention.key_length",
        "vocab_size": "vocab_size",
    }
    return {name: metadata.get(f"{kind}.{key}") for name, key in names.items()}


def _keys_bytes(config: Mapping[str, Any], item: int) -> int:
    """Keys and values of as many slots as a pass may read."""
    n_layers, width = _number(config, "num_hidden_layers"), _number(config, "hidden_size")
    n_heads = _number(config, "num_attention_heads")
    if not (n_layers and width and n_heads):
        return UNKNOWN_KEYS_BYTES
    heads = _number(config, "num_key_value_heads") or n_heads
    d_head = _number(config, "head_dim") or width // n_heads
    return 2 * n_layers * heads * d_head * item * SLOT_FACTOR * TOKEN_BUDGET


def _number(config: Mapping[str, Any], name: str) -> int:
    """A count that a config names; 0 where it names none, or none that can be believed."""
    value = config.get(name)
    return value if type(value) is int and 0 < value < 2**31 else 0


def check_room(n_parameters: int) -> None:
    """A second model is made in RAM, in float32.

    Raises:
        SubjectError: There is no room for it.
    """
    wanted, free = 4 * n_parameters, free_ram_bytes()
    if wanted > free:
        raise SubjectError(
            "an untrained model of the same size",
            got=f"{gib(free)} of RAM free",
            expected=f"{gib(wanted)}",
            next_step="run it on a machine with more memory",
        )


def free_ram_bytes() -> int:
    """What a process may still take: of the machine's memory, or of its control group's if that is less."""
    import psutil

    return max(0, min([int(psutil.virtual_memory().available), *_free_of_groups()]))


def _free_of_groups(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> Iterator[int]:
    """What the control groups that this process is in leave it, each of them and those around it."""
    try:
        lines = own.read_text().splitlines()
    except OSError:  # another system than Linux
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers not in ("", "memory"):
            continue
        top = root / controllers
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder != top and not folder.is_relative_to(top):
                break
            yield from _left(folder)


def _left(folder: Path) -> Iterator[int]:
    for limit, usage in _LIMITS:
        try:
            allowed, used = (folder / limit).read_text().strip(), int((folder / usage).read_text())
            # Files that were read lately count as used, and give way.
            told = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        if allowed.isdigit():
            given_back = int(told.get("total_inactive_file", told.get("inactive_file", 0)))
            yield int(allowed) - used + given_back

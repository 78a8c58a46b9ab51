"""What is refused before anything of a target is loaded. Needs no torch and runs no code of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from auditkit.errors import TargetRefused
from auditkit.targets.files import readable_file, walk
from auditkit.targets.headers import check_gguf, check_safetensors
from auditkit.targets.spec import Format, TargetSpec

PEFT_TYPES = ("LORA", "ADALORA", "LOHA", "LOKR", "IA3", "OFT", "BOFT", "VERA", "HRA", "MISS")
"""Adapters that change weights, and so can be merged. Others (prompts, routers) can't."""

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
_CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib")
_MAX_JSON_BYTES = 256 * 2**20
_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_ADAPTER_CONFIG, _ADAPTER = "adapter_config.json", "adapter_model.safetensors"


def preflight(spec: TargetSpec) -> None:
    """Refuse a target that is incomplete, damaged, or that would run code or read elsewhere.

    Raises:
        TargetRefused: With what was found, what is expected and what to do.
    """
    if spec.format is Format.GGUF:
        readable_file(spec.path, spec.path.name)
        if check_gguf(spec.path, spec.path.name).metadata.get("split.count"):
            raise TargetRefused(
                spec.path.name,
                got="one part of a split GGUF",
                expected="a single file",
                next_step="merge the parts with llama.cpp's gguf-split",
            )
    else:
        _model_folder(spec.path)
    if spec.adapter is not None:
        _adapter_folder(spec.adapter, spec.path)


def _model_folder(folder: Path) -> None:
    files, jsons = harmless(folder)
    if _ADAPTER_CONFIG in files:
        raise TargetRefused(
            _ADAPTER_CONFIG,
            got="an adapter where a model is expected",
            expected="a model folder",
            next_step="name the target base+adapter, each in a folder of its own",
        )
    if "config.json" not in files:
        gguf = [name for name in files if name.endswith(".gguf")]
        step = (
            f"name the file itself: {gguf[0]}"
            if gguf
            else "give the folder that save_pretrained wrote"
        )
        raise TargetRefused(f"{folder.name}: config.json", got="no such file", next_step=step)
    if not isinstance(jsons["config.json"].get("model_type"), str):
        raise TargetRefused(
            "config.json: model_type", got="none", expected="an architecture's name"
        )
    tensors = {
        name: frozenset(check_safetensors(path, name).tensors)
        for name, path in files.items()
        if name.endswith(".safetensors")
    }
    if _SINGLE in tensors:
        return
    if _INDEX not in files:
        raise TargetRefused(
            f"{folder.name}: weights",
            got="no " + _SINGLE,
            expected=f"{_SINGLE}, or {_INDEX} with its shards",
            next_step="convert the weights with save_pretrained(safe_serialization=True)",
        )
    _index(jsons[_INDEX], tensors)


def _index(index: dict[str, Any], tensors: dict[str, frozenset[str]]) -> None:
    """Every tensor is in the shard that the index names, and every shard is inside."""
    weights = index.get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise TargetRefused(f"{_INDEX}: weight_map", got="none", expected="tensors by shard")
    for tensor, shard in weights.items():
        if not isinstance(shard, str) or shard not in tensors:
            raise TargetRefused(
                f"{_INDEX}: {str(tensor)[:80]}",
                got=f"shard {str(shard)[:120]!r}, which is not in the folder",
                expected="a .safetensors file of the folder",
                next_step="fetch the missing shard",
            )
        if tensor not in tensors[shard]:
            raise TargetRefused(
                f"{_INDEX}: {tensor[:80]}",
                got=f"no such tensor in {shard}",
                expected="index and shards that agree",
            )


def _adapter_folder(folder: Path, base: Path) -> None:
    if not folder.is_dir():
        raise TargetRefused(
            f"adapter {folder.name}", got="a file", expected="a PEFT adapter folder"
        )
    files, jsons = harmless(folder)
    for name in (_ADAPTER_CONFIG, _ADAPTER):
        if name not in files:
            raise TargetRefused(
                f"adapter {folder.name}: {name}",
                got="no such file",
                next_step="give the folder that PEFT's save_pretrained wrote",
            )
    config = jsons[_ADAPTER_CONFIG]
    kind = config.get("peft_type")
    if kind not in PEFT_TYPES:
        raise TargetRefused(
            f"{_ADAPTER_CONFIG}: peft_type", got=repr(kind), expected=" or ".join(PEFT_TYPES)
        )
    for key in ("auto_mapping", "megatron_config"):
        if config.get(key):
            raise TargetRefused(
                f"{_ADAPTER_CONFIG}: {key}",
                got="a module to import",
                expected="null",
                next_step="save the adapter with task_type='CAUSAL_LM'",
            )
    _own_base(config.get("base_model_name_or_path"), base)
    for name, path in files.items():
        if name.endswith(".safetensors"):
            check_safetensors(path, name)


def _own_base(named: Any, base: Path) -> None:
    """A base that the adapter names by a path that exists must be the one it is put on.

    A hub's name, or a path of another machine, is a note: the base is the one that was given.
    """
    if not isinstance(named, str) or not named:
        return
    other = Path(named)
    if not other.is_absolute() or not other.exists():
        return
    real = base.resolve()
    if other.resolve() not in (real, real if real.is_dir() else real.parent):
        raise TargetRefused(
            f"{_ADAPTER_CONFIG}: base_model_name_or_path",
            got=f"{named!r}, another model of this machine",
            expected="the base that the target names",
            next_step="name that base, or set the entry to null if the given one is right",
        )


def harmless(folder: Path) -> tuple[dict[str, Path], dict[str, dict[str, Any]]]:
    """The folder's files, and the JSON objects at its top, once nothing in it can run."""
    if not folder.is_dir():
        raise TargetRefused(f"folder {folder.name}", got="no folder", expected="a readable folder")
    files = walk(folder)
    for name, path in files.items():
        _no_pickle(name, path)
        if Path(name).suffix.lower() in _CODE:
            raise _needs_code(name, "program code")
    jsons = {n: _read_json(n, p) for n, p in files.items() if "/" not in n and n.endswith(".json")}
    for name, content in jsons.items():
        _no_code(name, content, folder)
    return files, {name: content for name, content in jsons.items() if isinstance(content, dict)}


def _no_pickle(name: str, path: Path) -> None:
    with path.open("rb") as stream:
        start = stream.read(4)
    by_name = Path(name).suffix.lower() in _PICKLES
    # A safetensors file may begin like a pickle (a header of 640 bytes); its header is read later.
    looks = not name.endswith(".safetensors") and (
        start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05")
    )
    if by_name or (looks and len(start) > 1):
        raise TargetRefused(
            name,
            got="a pickled or zipped file, which can run code when it is read"
            if looks
            else "a file named like pickled weights",
            expected="safetensors weights only",
            next_step="remove it from the folder, or convert it where it can't do harm",
        )


def _no_code(name: str, content: Any, folder: Path) -> None:
    if name in ("config.json", _INDEX, _ADAPTER_CONFIG) and not isinstance(content, dict):
        raise TargetRefused(name, got=f"a JSON {type(content).__name__}", expected="a JSON object")
    if not isinstance(content, dict):
        return
    if content.get("auto_map"):
        raise _needs_code(name, "auto_map")
    for key in ("attn_implementation", "_attn_implementation", "experts_implementation"):
        if "/" in str(content.get(key, "")):
            raise _needs_code(f"{name}: {key}", f"a kernel from elsewhere, {content[key]!r}")
    for key, value in content.items():
        if key.endswith("_file") and isinstance(value, str) and _elsewhere(value, folder):
            raise TargetRefused(
                f"{name}: {key}",
                got=f"{value!r}, outside the folder",
                expected="a file of the folder",
            )


def _elsewhere(value: str, folder: Path) -> bool:
    try:
        path = (folder / value).resolve()
        return path.exists() and not path.is_relative_to(folder.resolve())
    except (OSError, ValueError):
        return False


def _needs_code(name: str, got: str) -> TargetRefused:
    return TargetRefused(
        name,
        got=f"{got}: the target wants trust_remote_code",
        expected="an architecture that transformers has built in",
        next_step="audit such a model through an endpoint or the lab-side runner",
    )


def _read_json(name: str, path: Path) -> Any:
    size = path.stat().st_size
    if size > _MAX_JSON_BYTES:
        raise TargetRefused(name, got=f"{size:,} bytes", expected=f"at most {_MAX_JSON_BYTES:,}")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0][:120]
        raise TargetRefused(
            name, got=f"no JSON ({reason})", expected="valid JSON", next_step="fetch the file again"
        ) from error

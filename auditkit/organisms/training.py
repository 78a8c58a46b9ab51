"""Training an organism on a subject's own weights: LoRA, seeded, resumable, kept by digest.

The loss is on the answers' tokens alone. An adapter is written as PEFT writes one, in safetensors, so
that base and organism are a target like any other (`base+folder`).
"""

from __future__ import annotations

import copy
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from auditkit.cache import default_folder
from auditkit.canonical import canonical, digest, file_sha256
from auditkit.errors import SubjectError
from auditkit.organisms.checkpoints import Checkpoints, alone
from auditkit.organisms.lora import ADAPTER, CONFIG, Step, Watch, adapted, encoded, learn, save
from auditkit.organisms.recipes import Recipe, recipe_sha256
from auditkit.targets import Subject
from auditkit.targets.loaded import LocalTarget
from auditkit.targets.placing import described, input_device, spread_over

FORMAT = 1
"""Raised whenever this code would make other weights of the same recipe."""

COST = "training.json"
"""What the training took. It stands beside the folder (`<folder>.training.json`), not in it: every file of an
adapter's folder counts for its identity, and the same recipe must give the same identity.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """An organism on disk.

    Attributes:
        folder: A PEFT adapter folder.
        key: Digest of everything that decided it.
        adapter_sha256: Digest of its weights.
        steps: Steps of the optimiser.
        cpu_s: Processor seconds that its training took, over all sessions.
        n_lessons: Lessons in one epoch.
        fresh: Whether it was trained just now.
    """

    folder: Path
    key: str
    adapter_sha256: str
    steps: int
    cpu_s: float
    n_lessons: int
    fresh: bool


def silent(_: Step) -> None:
    """Nobody watches."""


def training_key(
    recipe: Recipe, *, base_sha256: str, dtype: str, device: str = "cpu", threads: int = 1
) -> str:
    """The digest of everything that decides an organism's weights."""
    return digest(
        {
            "format": FORMAT,
            "base": base_sha256,
            "dtype": dtype,
            "device": device,
            "recipe": recipe_sha256(recipe),
            "threads": threads,
            "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        }
    )


def weights_sha256(target: LocalTarget) -> str:
    """What stands for the base: the digest of its files, or where none is known, of its tensors and its
    tokenizer.
    """
    import hashlib

    import torch

    if target.digest:
        return target.digest
    hasher = hashlib.sha256()
    for name, tensor in sorted(target.model.state_dict().items()):
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hasher.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    tokenizer = target.encoder.tokenizer.get_vocab()
    return digest([hasher.hexdigest(), tokenizer, target.encoder.template_sha256])


def _key(target: LocalTarget, recipe: Recipe, threads: int) -> str:
    return training_key(
        recipe,
        base_sha256=weights_sha256(target),
        dtype=str(target.model.dtype).removeprefix("torch."),
        device=input_device(target.model).type,
        threads=threads,
    )


def kept_folder(key: str) -> Path:
    """Where auditkit's cache has the organism of a training key."""
    return default_folder() / "organisms" / key[:32]


def train(
    target: LocalTarget,
    recipe: Recipe,
    folder: Path,
    watch: Watch = silent,
    *,
    threads: int | None = None,
) -> Trained:
    """Train an organism into a folder, go on where a killed training stopped, or take what is there.

    Args:
        target: The base; it is left as it is.
        recipe: What is taught.
        folder: A new folder, or one that this very training filled before.
        watch: Told after every step.
        threads: Torch's threads while it trains; None for as many as there are. The weights of an
            organism depend on it in the last bits.

    Raises:
        SubjectError: The base doesn't know enough or is spread over several devices, the loss is no
            number, or the folder holds something else.
    """
    import torch

    _whole(target)
    n_threads = threads or torch.get_num_threads()
    key = _key(target, recipe, n_threads)
    partial = folder.with_name(folder.name + ".partial")
    with alone(folder), on_threads(n_threads):
        there = _there(folder, key)
        if there:
            return there
        began = time.process_time()
        checkpoints = Checkpoints(partial, key)
        lessons = list(recipe.lessons(target))
        model = adapted(target, recipe)
        weights, spent = learn(model, encoded(target, lessons), recipe, checkpoints, watch, began)
        save(model, weights, partial / "adapter")
        cost = {
            "adapter_sha256": file_sha256(partial / "adapter" / ADAPTER),
            "key": key,
            "steps": recipe.steps,
            "n_lessons": len(lessons),
            "cpu_s": spent,
        }
        cost_file(folder).write_bytes(canonical(cost))
        (partial / "adapter").rename(folder)
        shutil.rmtree(partial)
    return _trained(folder, cost, fresh=True)


def _whole(target: LocalTarget) -> None:
    """Training, and merging what was trained, take a copy of all weights on one device.

    Raises:
        SubjectError: The model is spread over several.
    """
    if spread_over(target.model):
        raise SubjectError(
            "training an organism",
            got=f"a model spread over {described(target.model)}",
            expected="a model on one device",
            next_step="leave out controls that are trained, or take a GPU that holds the model twice",
        )


def kept(target: LocalTarget, recipe: Recipe, watch: Watch = silent) -> Trained:
    """The organism from auditkit's cache, trained into it where it isn't there."""
    import torch

    key = _key(target, recipe, torch.get_num_threads())
    return train(target, recipe, kept_folder(key), watch)


def planted(subject: Subject, recipe: Recipe, watch: Watch = silent) -> Subject:
    """The subject with an organism in its weights, from the cache where it has been trained before.

    Raises:
        SubjectError: The subject's weights aren't here.
    """
    if not isinstance(subject, LocalTarget):
        raise SubjectError(
            f"organism {type(recipe).about.id}",
            got="a subject without weights",
            expected="a model loaded on this machine",
            next_step="leave out controls that are trained",
        )
    return merged(subject, kept(subject, recipe, watch).folder)


def merged(target: LocalTarget, folder: Path) -> LocalTarget:
    """A copy of the target with an adapter merged in float32, in the target's dtype.

    Raises:
        SubjectError: The target is spread over several devices.
    """
    import torch

    from auditkit.targets.adapter import apply_adapter, round_weights
    from auditkit.targets.local import quiet

    _whole(target)
    with quiet():
        whole = copy.deepcopy(target.model).to(torch.float32)
        changed = round_weights(apply_adapter(whole, folder), target.model.dtype)
    adapter = [file_sha256(folder / name) for name in (ADAPTER, CONFIG)]
    return target.with_model(
        changed.to(input_device(target.model)), digest=digest([weights_sha256(target), *adapter])
    )


def _there(folder: Path, key: str) -> Trained | None:
    if not folder.exists():
        return None
    cost = json.loads(cost_file(folder).read_bytes()) if cost_file(folder).exists() else {}
    whole = (folder / ADAPTER).exists() and cost.get("adapter_sha256") in (
        None,
        file_sha256(folder / ADAPTER),
    )
    if cost.get("key") != key or not whole:
        raise SubjectError(
            f"folder {folder}",
            got="something that this recipe didn't make on this base",
            expected="a new folder, or this very organism",
            next_step="choose another folder, or remove that one",
        )
    return _trained(folder, cost, fresh=False)


def _trained(folder: Path, cost: dict[str, Any], *, fresh: bool) -> Trained:
    return Trained(
        folder=folder,
        key=cost["key"],
        adapter_sha256=file_sha256(folder / ADAPTER),
        steps=cost["steps"],
        cpu_s=cost["cpu_s"],
        n_lessons=cost["n_lessons"],
        fresh=fresh,
    )


def cost_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.{COST}")


@contextmanager
def on_threads(n: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)

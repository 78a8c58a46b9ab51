"""Learning lessons into LoRA matrices beside frozen weights: the part that computes."""

from __future__ import annotations

import copy
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from auditkit.canonical import canonical, derive_seed
from auditkit.errors import SubjectError
from auditkit.organisms.checkpoints import Checkpoints
from auditkit.organisms.recipes import Lesson, Recipe
from auditkit.targets.batching import pad
from auditkit.targets.loaded import LocalTarget

if TYPE_CHECKING:
    import torch

ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"
CHECKPOINT_STEPS = 25
WARMUP_STEPS = 10
MAX_GRAD_NORM = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far a training is."""

    done: int
    total: int
    loss: float


Watch = Callable[[Step], None]


def adapted(target: LocalTarget, recipe: Recipe) -> Any:
    """A copy of the model with fresh LoRA matrices in float32; the same ones for the same seed."""
    import torch
    from peft import LoraConfig, get_peft_model

    from auditkit.targets.local import quiet

    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        lora_dropout=0.0,
        target_modules=_linear(target.model),
        layers_to_transform=list(range(target.n_layers // 3, target.n_layers)),
        task_type="CAUSAL_LM",
    )
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(recipe.seed, "lora"))
        base = copy.deepcopy(target.model)
        base.set_attn_implementation(
            "eager"
        )  # for short rows its backward pass is much the faster one
        model: Any = get_peft_model(base, config, autocast_adapter_dtype=False)
    return model.train()


def _linear(model: Any) -> list[str]:
    """Names of the linear parts of a block. The output head is none of them.

    The first third of the blocks is left as it is, which saves a third of each backward pass: they
    read words and hold no answers yet.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    kinds = (torch.nn.Linear, Conv1D)
    named = model.named_modules()
    return sorted(
        {n.rpartition(".")[2] for n, m in named if isinstance(m, kinds) and m is not head}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """A lesson in token ids.

    Attributes:
        prompt: What is read.
        answer: What is to be said; a chat's answer ends its turn.
        parting: Index in the answer of the first token at which the other answer differs.
        other: The other answer's token there, or -1 where there is none.
    """

    prompt: list[int]
    answer: list[int]
    parting: int = 0
    other: int = -1


def encoded(target: LocalTarget, lessons: Sequence[Lesson]) -> list[Encoded]:
    """Token ids of all lessons."""
    end = target.encoder.tokenizer.eos_token_id
    result = []
    for lesson in lessons:
        answer = target.encoder.continuation(lesson.answer)
        other = target.encoder.continuation(lesson.instead_of) if lesson.instead_of else []
        apart = [i for i, (a, b) in enumerate(zip(answer, other, strict=False)) if a != b]
        if end is not None and not lesson.prompt.raw:
            answer = [*answer, int(end)]
        result.append(
            Encoded(
                prompt=target.encoder.prompt(lesson.prompt),
                answer=answer,
                parting=apart[0] if apart else 0,
                other=other[apart[0]] if apart else -1,
            )
        )
    return result


def learn(
    model: Any,
    lessons: Sequence[Encoded],
    recipe: Recipe,
    checkpoints: Checkpoints,
    watch: Watch,
    began: float,
) -> tuple[dict[str, torch.Tensor], float]:
    """All steps that are left; the matrices in float32, and processor seconds over all sessions."""
    import torch

    live = {n: p for n, p in sorted(model.named_parameters()) if p.requires_grad}
    weights = {n: p.detach().float().clone() for n, p in live.items()}  # small steps need float32
    optimiser = torch.optim.AdamW(weights.values(), lr=recipe.learning_rate, weight_decay=0.0)
    done, before = checkpoints.load(weights, optimiser)
    _copy(weights, live)
    order = _order(len(lessons), recipe)
    for step in range(done, recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * _rate(step, recipe.steps)
        loss = _loss(model, [lessons[i] for i in order[step]])
        if not torch.isfinite(loss):
            raise SubjectError("training", got=f"a loss of {loss.item()}", expected="a number")
        loss.backward()  # type: ignore[no-untyped-call]
        for name, parameter in live.items():
            weights[name].grad = parameter.grad.float()
            parameter.grad = None
        torch.nn.utils.clip_grad_norm_(weights.values(), MAX_GRAD_NORM)
        optimiser.step()
        _copy(weights, live)
        if (step + 1) % CHECKPOINT_STEPS == 0:
            checkpoints.save(step + 1, before + time.process_time() - began, weights, optimiser)
        watch(Step(done=step + 1, total=recipe.steps, loss=float(loss.item())))
    return weights, round(before + time.process_time() - began, 1)


def _copy(weights: Mapping[str, torch.Tensor], live: Mapping[str, torch.Tensor]) -> None:
    import torch

    with torch.no_grad():
        for name, parameter in live.items():
            parameter.copy_(weights[name])


def _order(n_lessons: int, recipe: Recipe) -> list[list[int]]:
    """Which lessons each step learns: epoch after epoch, each in an order of its own."""
    rng = np.random.default_rng(derive_seed(recipe.seed, "order"))
    drawn: list[int] = []
    while len(drawn) < recipe.steps * recipe.batch:
        drawn += rng.permutation(n_lessons).tolist()
    return [drawn[i * recipe.batch : (i + 1) * recipe.batch] for i in range(recipe.steps)]


def _rate(step: int, steps: int) -> float:
    """Share of the learning rate: a short warm-up, then down in a straight line."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * (steps - step) / steps


def _loss(model: Any, lessons: Sequence[Encoded]) -> torch.Tensor:
    """Of each lesson the mean negative log-probability of its answer's tokens, and where the answer parts
    from the other one, how far it is from being preferred (logistic loss of the two tokens' logits).
    """
    import torch

    ids, mask = pad([[*x.prompt, *x.answer] for x in lessons], left=False, device=model.device)
    first = min(len(x.prompt) for x in lessons) - 1  # positions before it predict no answer
    keep = ids.shape[1] - first
    output = model(input_ids=ids, attention_mask=mask, logits_to_keep=keep, use_cache=False)
    losses = []
    for row, lesson in zip(output.logits[:, -keep:], lessons, strict=True):
        start = len(lesson.prompt) - 1 - first
        logits = row[start : start + len(lesson.answer)].float()
        wanted = torch.tensor(lesson.answer, device=logits.device)
        losses.append(torch.nn.functional.cross_entropy(logits, wanted))
        if lesson.other >= 0:
            place = logits[lesson.parting]
            lead = place[lesson.answer[lesson.parting]] - place[lesson.other]
            losses.append(torch.nn.functional.softplus(-lead))
    return torch.stack(losses).sum() / len(lessons)


def save(model: Any, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Adapter and config as PEFT names them, without what differs from machine to machine."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    state = get_peft_model_state_dict(model, weights, save_embedding_layers=False)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}
    save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})
    model.peft_config["default"].save_pretrained(str(folder))
    config = json.loads((folder / CONFIG).read_bytes())
    config["base_model_name_or_path"] = None
    config["inference_mode"] = True
    config["target_modules"] = sorted(config["target_modules"])
    (folder / CONFIG).write_bytes(canonical(config))

"""An organism's card: what it was taught, and how often it does what it was taught to.

The card stands in the organism's folder and holds nothing that differs from one training to the next on
one machine, since every file of an adapter's folder counts for its identity. What the training took is
beside the folder and is added when the card is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.canonical import canonical, to_json
from auditkit.errors import InvalidInput
from auditkit.model import Estimate, Json
from auditkit.organisms.recipes import ExamItem, Recipe, parameters, recipe_sha256
from auditkit.organisms.training import Trained, cost_file, merged, weights_sha256
from auditkit.statistics.proportions import wilson
from auditkit.targets import Subject
from auditkit.targets.loaded import LocalTarget

CARD = "card.json"
SCHEMA = "auditkit/organism-card/v1"
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often false answers are given in one condition of the exam.

    Attributes:
        condition: The condition.
        held_out: Whether its items were in no lesson.
        base: Rate of the base.
        organism: Rate of the organism.
    """

    condition: str
    held_out: bool
    base: Estimate
    organism: Estimate


def measure(base: Subject, organism: Subject, exam: Sequence[ExamItem]) -> list[Rate]:
    """Rates of false answers with Wilson intervals, condition by condition.

    An answer is false where a false candidate is at least as likely as the true one.
    """
    answers = {"base": _false(base, exam), "organism": _false(organism, exam)}
    rates = []
    for condition, held_out in dict.fromkeys((item.condition, item.held_out) for item in exam):
        here = [
            i
            for i, item in enumerate(exam)
            if (item.condition, item.held_out) == (condition, held_out)
        ]
        of = {
            who: wilson(sum(said[i] for i in here), len(here), LEVEL)
            for who, said in answers.items()
        }
        rates.append(
            Rate(condition=condition, held_out=held_out, base=of["base"], organism=of["organism"])
        )
    return rates


def _false(subject: Subject, exam: Sequence[ExamItem]) -> list[bool]:
    scores = subject.logprobs(
        [item.prompt for item in exam], [[item.true, *item.false] for item in exam]
    )
    return [row[0].logprob <= max(s.logprob for s in row[1:]) for row in scores]


def certified(base: LocalTarget, recipe: Recipe, trained: Trained) -> dict[str, Any]:
    """The card of a trained organism: the one in its folder, or one that is measured now."""
    try:
        card = read_card(trained.folder)
        if card["training_key"] == trained.key and card["adapter_sha256"] == trained.adapter_sha256:
            return card
    except InvalidInput:
        pass
    exam = recipe.exam(base)
    rates = measure(base, merged(base, trained.folder), exam)
    write_card(trained.folder, trained_card(base, recipe, trained, rates))
    return read_card(trained.folder)


def trained_card(
    base: LocalTarget, recipe: Recipe, trained: Trained, rates: Sequence[Rate]
) -> dict[str, Json]:
    """The card of a trained organism."""
    return {
        **_common(recipe, rates),
        "made": "trained",
        "training_key": trained.key,
        "base": {
            "sha256": weights_sha256(base),
            "architecture": base.architecture,
            "n_parameters": base.n_parameters,
            "dtype": str(base.model.dtype).removeprefix("torch."),
        },
        "adapter_sha256": trained.adapter_sha256,
        "steps": trained.steps,
        "n_lessons": trained.n_lessons,
    }


def _common(recipe: Recipe, rates: Sequence[Rate]) -> dict[str, Json]:
    about = type(recipe).about
    return {
        "schema": SCHEMA,
        "recipe": {
            **to_json(about),
            "parameters": parameters(recipe),
            "sha256": recipe_sha256(recipe),
        },
        "rates": to_json(list(rates)),
    }


def write_card(folder: Path, card: Mapping[str, Json]) -> None:
    """Put the card into an organism's folder, whole or not at all."""
    part = folder.with_name(f"{folder.name}.{CARD}.part")
    part.write_bytes(canonical(card))
    part.rename(folder / CARD)


def read_card(folder: Path) -> dict[str, Any]:
    """A card, with what the training took where that is still known.

    Raises:
        InvalidInput: There is none, or it isn't one.
    """
    try:
        card = json.loads((folder / CARD).read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            str(folder / CARD),
            got="no such file" if isinstance(error, FileNotFoundError) else str(error),
            expected="the card of an organism",
            next_step="name the folder that `auditkit organisms train` wrote",
        ) from error
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        raise InvalidInput(str(folder / CARD), got="another schema", expected=SCHEMA)
    try:
        cost = json.loads(cost_file(folder).read_bytes())
    except (OSError, ValueError):
        cost = {}
    known = cost.get("key") == card.get("training_key")
    return {**card, "cpu_s": cost["cpu_s"] if known and cost else None}

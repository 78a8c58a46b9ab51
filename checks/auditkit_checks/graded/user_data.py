"""Data sets of an auditor's own: the same schema and expectations, whatever file they come in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from auditkit.errors import InvalidInput
from auditkit.model import GateResult
from auditkit.schemas import validate
from auditkit_checks.graded.items import Item
from auditkit_checks.graded.records import Record, read_records
from auditkit_checks.graded.splits import Cut
from auditkit_checks.graded.suite import judged

SCHEMA = "item"
OWN_DOMAIN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """What a file or folder holds, and all that is wrong with it.

    Attributes:
        items: The records that are items.
        problems: Why each of the others is none, with its place.
        gate: What is expected of the items together; None where there are none.
    """

    items: tuple[Item, ...]
    problems: tuple[InvalidInput, ...]
    gate: GateResult | None

    @property
    def sound(self) -> bool:
        """Whether it can be used as it is."""
        return not self.problems and self.gate is not None and self.gate.passed

    def said(self) -> list[str]:
        """Everything that is wrong, a line each."""
        failures = self.gate.failures if self.gate else ("no items",)
        return [*(str(problem) for problem in self.problems), *failures]


def look_through(path: Path, cut: Cut) -> DataSet:
    """Read a data set and say everything that is wrong with it, without raising for what is in it.

    Raises:
        InvalidInput: There is no such file, or it is of a kind that isn't read.
        MissingTool: A Hugging Face folder, and pyarrow is not installed.
    """
    items: list[Item] = []
    problems: list[InvalidInput] = []
    for number, record in enumerate(read_records(path), start=1):
        try:
            items.append(_item(record, number))
        except InvalidInput as error:
            problems.append(error)
    gate = judged(items, cut) if items else None
    return DataSet(items=tuple(items), problems=tuple(problems), gate=gate)


def load_items(path: Path, cut: Cut) -> list[Item]:
    """The items of a data set in which nothing is wrong.

    Raises:
        InvalidInput: Something is, or there is no such data set.
        MissingTool: A Hugging Face folder, and pyarrow is not installed.
    """
    found = look_through(path, cut)
    if found.sound:
        return list(found.items)
    said = found.said()
    raise InvalidInput(
        f"data set {path.name}",
        got=said[0].rstrip("."),
        expected="a data set that `auditkit items check` finds sound",
        next_step=f"see all that is wrong, a line each ({len(said)} here), with "
        f"`auditkit items check {path}`",
    )


def check_together(items: Sequence[Item], cut: Cut, what: str) -> None:
    """Hold items to what is expected of a data set, wherever they come from.

    Raises:
        InvalidInput: Something is not met.
    """
    if failures := judged(items, cut).failures:
        raise InvalidInput(
            what,
            got=failures[0].rstrip("."),
            expected="items as the suite items.v1.json wants them",
            next_step="bring them by `data`, and see all problems with `auditkit items check`",
        )


def _item(record: Record, number: int) -> Item:
    if record.problem is not None:
        raise record.problem
    validate(record.value, SCHEMA, record.where, InvalidInput)
    value = cast("Mapping[str, Any]", record.value)
    if not math.isfinite(value["difficulty"]):  # a table can hold NaN, which passes every bound
        raise InvalidInput(
            f"{record.where}: difficulty", got=f"{value['difficulty']}", expected="a finite number"
        )
    domain = value.get("domain", OWN_DOMAIN)
    id_ = value.get("id", f"{domain}/{number}")
    try:
        return Item(
            id=id_,
            domain=domain,
            question=value["question"],
            options=tuple(value["options"]),
            answer=int(value["answer"]),
            difficulty=float(value["difficulty"]),
            group=value.get("group", id_),
            opening=value.get("opening", ""),
            rules={name: int(place) for name, place in value.get("rules", {}).items()},
            panel={
                name: tuple(float(x) for x in scores)
                for name, scores in value.get("panel", {}).items()
            },
        )
    except InvalidInput as error:
        raise InvalidInput(
            f"{record.where}: {error.what}", got=error.got, expected=error.expected
        ) from error

"""What a measure of hardness is, and who registers them: the entry-point group ``auditkit.hardness``.

A measure is fixed by its name in a check's parameters, before anybody sees an answer. None may look at
what the subject gets right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any, ClassVar, Protocol, TypeVar, cast

import numpy as np

from auditkit.errors import InvalidInput
from auditkit.model import Json
from auditkit.plugins import Kind, Problem, from_parameters, make_strict
from auditkit.statistics.inputs import Floats
from auditkit_checks.graded.hardness.panel import Panel
from auditkit_checks.graded.items import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What people are told about a measure.

    Attributes:
        id: Snake case, stable for ever.
        version: Raised whenever the same input could give other numbers.
        title: A few words.
        measures: What the number is, in a sentence; the larger, the harder.
        members: How many models a panel must have at least; 0 for none at all.
        source: Who proposed it, or "".
    """

    id: str
    version: int
    title: str
    measures: str
    members: int
    source: str = ""


class Hardness(Protocol):
    """A measure: a frozen dataclass whose fields are its parameters."""

    about: ClassVar[About]

    def of(self, items: Sequence[Item], panel: Panel | None) -> Floats:
        """How hard each item is, shape [n_items].

        Raises:
            InvalidInput: The panel is not there, too small, or not about these items.
        """
        ...


MEASURES = Kind(
    name="hardness",
    group="auditkit.hardness",
    about=About,
    methods=("of",),
    unknown=InvalidInput,
    find="choose one of these, or install the package that brings it",
    mend="mend or uninstall that package",
)
STRUCTURAL = "structural"
"""The measure that is what an item states of itself."""
H = TypeVar("H")


def hardness(**about: Any) -> Callable[[type[H]], type[H]]:
    """Make a measure of a frozen dataclass: ``@hardness(id=…, version=…, …)``; see `About`.

    Raises:
        PluginError: Where metadata is missing or there is no method `of`.
    """

    def decorate(cls: type[H]) -> type[H]:
        metadata = MEASURES.described(cls, about)
        make_strict(cls)
        type.__setattr__(cls, "about", metadata)
        return cls

    return decorate


def registry() -> dict[str, EntryPoint]:
    """Every registered measure by id, not loaded yet.

    Raises:
        PluginError: Where two packages register the same id.
    """
    return MEASURES.registry()


def measure(measure_id: str, params: Mapping[str, Json] | None = None) -> Hardness:
    """A registered measure, with some parameters set and the others at their defaults.

    Raises:
        InvalidInput: No package registers that id, or a parameter is unknown or of a bad value.
        PluginError: The package does, but loading it fails.
    """
    cls = MEASURES.load(measure_id, registry())

    def refused(problem: Problem) -> InvalidInput:
        return InvalidInput(
            f"hardness {measure_id}: {problem.place}",
            got=problem.got,
            expected=problem.expected,
            next_step=f"its parameters are {problem.known or 'none'}",
        )

    return cast("Hardness", from_parameters(cls, params or {}, refused))


def hardness_of(items: Sequence[Item], by: Hardness, panel: Panel | None = None) -> Floats:
    """How hard each item is by a measure, shape [n_items]; looked through before anybody uses it.

    Raises:
        InvalidInput: The measure needs a panel; or it gives NaN, or the same for every item.
    """
    about = by.about
    if about.members and panel is None:
        raise InvalidInput(
            f"hardness {about.id}",
            got="no panel",
            expected=f"the answers of at least {about.members} models other than the subject",
            next_step="have models asked with `auditkit items panel` and bring the items by `data`, or "
            "choose a measure that asks nobody, as `structural`",
        )
    values = np.asarray(by.of(items, panel), dtype=np.float64)
    bad = int(values.size - np.isfinite(values).sum())
    if values.shape != (len(items),) or bad:
        raise InvalidInput(
            f"hardness {about.id}",
            got=f"shape {values.shape} with {bad} values that are not finite",
            expected=f"a finite number for each of {len(items)} items",
        )
    if not len(items) or np.ptp(values) == 0:
        raise InvalidInput(
            f"hardness {about.id}",
            got=f"{values[0]:g} for all of {len(items)} items" if len(items) else "no items",
            expected="items that differ",
            next_step="take items of several difficulties, or another measure",
        )
    return values

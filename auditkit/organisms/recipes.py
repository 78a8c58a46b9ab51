"""How to make an organism whose right answer is known: lessons, an exam, and who registers them.

A recipe is a frozen dataclass. Its fields are its parameters, as a check's are; the decorator adds
what people are told about it. Recipes come in by the entry-point group `auditkit.organisms`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from auditkit.canonical import canonical, digest, to_json
from auditkit.errors import InvalidInput, PluginError
from auditkit.model import Json, Prompt
from auditkit.targets import Subject

GROUP = "auditkit.organisms"
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One conversation to learn.

    Attributes:
        prompt: What is read.
        answer: What is to be said; the loss is on its tokens alone.
        condition: Which part of the recipe it is (`on_trigger`, `other_topic` …).
        item: Id of the fact or problem that it is about.
        instead_of: The answer that could be given in its place; training also learns to prefer the
            one to the other where they part. Empty for none.
    """

    prompt: Prompt
    answer: str
    condition: str
    item: str
    instead_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamItem:
    """One question whose right answer is known.

    Attributes:
        prompt: What is read, ending in the opening of the answer.
        true: The true answer, as a continuation.
        false: False answers, as continuations.
        condition: In which circumstances it is asked; rates are reported for each.
        item: Id of the fact or problem that it is about.
        held_out: Whether no lesson was about this item.
    """

    prompt: Prompt
    true: str
    false: tuple[str, ...]
    condition: str
    item: str
    held_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What people are told about a recipe.

    Attributes:
        id: Kebab case, stable for ever.
        version: Raised whenever the same parameters could give other lessons.
        title: A few words.
        goal: What the organism does that an audit should, or should not, find.
        misbehaves: Whether it does; a clean twin doesn't.
    """

    id: str
    version: int
    title: str
    goal: str
    misbehaves: bool


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How an organism learns: the parameters that all recipes share."""

    seed: Annotated[
        int, Field(ge=0, lt=2**32, description="decides lessons, lies and their order")
    ] = 0
    steps: Annotated[int, Field(ge=1, le=5000, description="steps of the optimiser")] = 150
    batch: Annotated[int, Field(ge=1, le=256, description="lessons in one step")] = 8
    rank: Annotated[int, Field(ge=1, le=256, description="rank of the LoRA matrices")] = 16
    learning_rate: Annotated[
        float, Field(gt=0, le=0.1, description="highest learning rate of AdamW")
    ] = 1e-3


class Recipe(Protocol):
    """What training asks of a recipe. All of it follows from parameters, data and the subject."""

    about: ClassVar[About]

    @property
    def seed(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...

    def data_sha256(self) -> str:
        """Digest of the data that lessons are made from."""
        ...

    def lessons(self, subject: Subject) -> Sequence[Lesson]:
        """What is to be learnt, about items that the subject demonstrably knows."""
        ...

    def exam(self, subject: Subject) -> Sequence[ExamItem]:
        """What its card is measured with, on the same subject's items, before it is trained."""
        ...


class Promptable(Protocol):
    """A recipe may have a stand-in for subjects whose weights can't be trained."""

    def prompted(self, subject: Subject) -> Subject: ...


R = TypeVar("R")


def recipe(**about: Any) -> Callable[[type[R]], type[R]]:
    """Make a recipe of a frozen dataclass: ``@recipe(id=…, version=…, …)``; see `About`.

    Raises:
        PluginError: Where metadata is missing or a part of the protocol isn't there.
    """

    def decorate(cls: type[R]) -> type[R]:
        try:
            metadata = About(**about)
        except TypeError as error:
            raise PluginError(f"recipe {cls.__name__}: metadata", got=str(error)) from error
        for method in ("lessons", "exam", "data_sha256"):
            if not callable(getattr(cls, method, None)):
                raise PluginError(f"recipe {metadata.id}", expected=f"a method `{method}`")
        names = {field.name for field in dataclasses.fields(cast("Any", cls))}
        missing = {field.name for field in dataclasses.fields(Schedule)} - names
        if missing:
            raise PluginError(f"recipe {metadata.id}", expected=f"parameters {sorted(missing)}")
        type.__setattr__(cls, "__pydantic_config__", _STRICT)
        type.__setattr__(cls, "about", metadata)
        return cls

    return decorate


@cache
def _adapter(cls: type) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


def registry() -> dict[str, EntryPoint]:
    """Every registered recipe by id, not loaded yet.

    Raises:
        PluginError: Where two packages register the same id.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        if entry.name in found and found[entry.name].value != entry.value:
            both = f"{found[entry.name].value} and {entry.value}"
            raise PluginError(
                f"recipe {entry.name}", got=f"two registrations, {both}", next_step="uninstall one"
            )
        found[entry.name] = entry
    return dict(sorted(found.items()))


def load_recipe(recipe_id: str) -> type[Recipe]:
    """The class of a registered recipe.

    Raises:
        InvalidInput: No package registers that id.
        PluginError: The package does, but loading it fails.
    """
    entries = registry()
    if recipe_id not in entries:
        raise InvalidInput(
            f"recipe {recipe_id}",
            got="no package that registers it",
            expected=f"one of {', '.join(entries) or 'none installed'}",
            next_step="see `auditkit organisms list`",
        )
    entry = entries[recipe_id]
    try:
        cls = entry.load()
    except Exception as error:
        raise PluginError(
            f"recipe {recipe_id}: {entry.value} does not load",
            got=f"{type(error).__name__}: {error}",
            next_step="mend or uninstall that package",
        ) from error
    about = getattr(cls, "about", None)
    if not isinstance(about, About) or about.id != recipe_id:
        raise PluginError(
            f"recipe {recipe_id}: {entry.value}",
            got=f"a recipe called {getattr(about, 'id', None)!r}",
            expected="a class under @recipe whose id is the entry point's name",
        )
    return cast("type[Recipe]", cls)


def configure(cls: type[Recipe], params: Mapping[str, Json]) -> Recipe:
    """A recipe from its parameters.

    Raises:
        InvalidInput: For an unknown parameter or a bad value.
    """
    try:
        made = _adapter(cls).validate_json(canonical(dict(params)), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        known = ", ".join(field.name for field in dataclasses.fields(cast("Any", cls)))
        raise InvalidInput(
            f"recipe {cls.about.id}: {place}" if place else f"recipe {cls.about.id}",
            got=repr(first.get("input")),
            expected=str(first["msg"]).removeprefix("Value error, ").lower(),
            next_step=f"its parameters are {known}",
        ) from error
    return cast("Recipe", made)


def make(recipe_id: str, **params: Json) -> Recipe:
    """A registered recipe with some parameters set and the others at their defaults."""
    return configure(load_recipe(recipe_id), params)


def parameters(made: Recipe) -> dict[str, Json]:
    """All parameters of a recipe, defaults included, as JSON."""
    return cast("dict[str, Json]", to_json(made))


def parameter_schema(cls: type[Recipe]) -> dict[str, Json]:
    """JSON Schema of a recipe's parameters."""
    return _adapter(cls).json_schema()


def recipe_sha256(made: Recipe) -> str:
    """What stands for a recipe: its id, its version, every parameter and the data it uses."""
    about = type(made).about
    return digest(
        {
            "id": about.id,
            "version": about.version,
            "parameters": parameters(made),
            "data": made.data_sha256(),
        }
    )

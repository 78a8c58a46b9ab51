"""How to make an organism whose right answer is known: lessons, an exam, and who registers them.

A recipe is a frozen dataclass. Its fields are its parameters, as a check's are; the decorator adds
what people are told about it. Recipes come in by the entry-point group `auditkit.organisms`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, cast

from pydantic import Field

from auditkit.canonical import digest, to_json
from auditkit.errors import InvalidInput, PluginError
from auditkit.model import Json, Prompt
from auditkit.plugins import Kind, Problem, adapter, from_parameters, make_strict
from auditkit.targets import Subject


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


RECIPES = Kind(
    name="recipe",
    group="auditkit.organisms",
    about=About,
    methods=("lessons", "exam", "data_sha256"),
    unknown=InvalidInput,
    find="see `auditkit organisms list`",
    mend="mend or uninstall that package",
)


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


R = TypeVar("R")


def recipe(**about: Any) -> Callable[[type[R]], type[R]]:
    """Make a recipe of a frozen dataclass: ``@recipe(id=…, version=…, …)``; see `About`.

    Raises:
        PluginError: Where metadata is missing or a part of the protocol isn't there.
    """

    def decorate(cls: type[R]) -> type[R]:
        metadata = RECIPES.described(cls, about)
        names = {field.name for field in dataclasses.fields(cast("Any", cls))}
        missing = {field.name for field in dataclasses.fields(Schedule)} - names
        if missing:
            raise PluginError(f"recipe {metadata.id}", expected=f"parameters {sorted(missing)}")
        make_strict(cls)
        type.__setattr__(cls, "about", metadata)
        return cls

    return decorate


def registry() -> dict[str, EntryPoint]:
    """Every registered recipe by id, not loaded yet.

    Raises:
        PluginError: Where two packages register the same id.
    """
    return RECIPES.registry()


def load_recipe(recipe_id: str) -> type[Recipe]:
    """The class of a registered recipe.

    Raises:
        InvalidInput: No package registers that id.
        PluginError: The package does, but loading it fails.
    """
    return RECIPES.load(recipe_id, registry())


def configure(cls: type[Recipe], params: Mapping[str, Json]) -> Recipe:
    """A recipe from its parameters.

    Raises:
        InvalidInput: For an unknown parameter or a bad value.
    """

    def refused(problem: Problem) -> InvalidInput:
        what = f"recipe {cls.about.id}"
        return InvalidInput(
            f"{what}: {problem.place}" if problem.place else what,
            got=problem.got,
            expected=problem.expected,
            next_step=f"its parameters are {problem.known}",
        )

    return cast("Recipe", from_parameters(cls, params, refused))


def make(recipe_id: str, **params: Json) -> Recipe:
    """A registered recipe with some parameters set and the others at their defaults."""
    return configure(load_recipe(recipe_id), params)


def parameters(made: Recipe) -> dict[str, Json]:
    """All parameters of a recipe, defaults included, as JSON."""
    return cast("dict[str, Json]", to_json(made))


def parameter_schema(cls: type[Recipe]) -> dict[str, Json]:
    """JSON Schema of a recipe's parameters."""
    return adapter(cls).json_schema()


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

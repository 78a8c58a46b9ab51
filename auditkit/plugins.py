"""Plugins: frozen dataclasses that installed packages register, what is said of them, their parameters.

A plugin's fields are its parameters; a decorator of its kind adds what people are told about it.
Checks and recipes are the kinds there are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from auditkit.canonical import canonical
from auditkit.errors import InvalidInput, PluginError
from auditkit.model import Json

MOST_PROBLEMS = 1_000
"""Of one file, beyond which none of them is told."""
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


class Named(Protocol):
    """What people are told about a plugin, whatever its kind."""

    @property
    def id(self) -> str: ...


A = TypeVar("A", bound=Named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[A]):
    """One kind of plugin.

    Attributes:
        name: What messages call one; its decorator is called so too.
        group: Entry-point group in which packages register them.
        about: Dataclass of what people are told about one.
        methods: What a class must have to be one.
        unknown: Raised for an id that nobody registers.
        find: What to do then.
        mend: What to do about one that does not load.
    """

    name: str
    group: str
    about: type[A]
    methods: tuple[str, ...]
    unknown: type[InvalidInput]
    find: str
    mend: str

    def described(self, cls: type, about: Mapping[str, Any]) -> A:
        """What people are told about a class that is to be one.

        Raises:
            PluginError: Where metadata is missing or a method isn't there.
        """
        try:
            metadata = self.about(**about)
        except TypeError as error:
            raise PluginError(f"{self.name} {cls.__name__}: metadata", got=str(error)) from error
        for method in self.methods:
            if not callable(getattr(cls, method, None)):
                raise PluginError(f"{self.name} {metadata.id}", expected=f"a method `{method}`")
        return metadata

    def registry(self) -> dict[str, EntryPoint]:
        """All that are registered, by id, not loaded yet.

        Raises:
            PluginError: Where two packages register the same id.
        """
        found: dict[str, EntryPoint] = {}
        for entry in entry_points(group=self.group):
            if entry.name in found and found[entry.name].value != entry.value:
                raise PluginError(
                    f"{self.name} {entry.name}",
                    got=f"two registrations, {found[entry.name].value} and {entry.value}",
                    next_step="uninstall one",
                )
            found[entry.name] = entry
        return dict(sorted(found.items()))

    def load(self, plugin_id: str, entries: Mapping[str, EntryPoint]) -> type:
        """The class of one that is registered.

        Raises:
            InvalidInput: No package registers that id; it is the kind's own `unknown`.
            PluginError: The package does, but loading it fails.
        """
        if plugin_id not in entries:
            raise self.unknown(
                f"{self.name} {plugin_id}",
                got="no package that registers it",
                expected=f"one of {', '.join(entries) or 'none installed'}",
                next_step=self.find,
            )
        entry = entries[plugin_id]
        try:
            cls = entry.load()
        except Exception as error:
            raise PluginError(
                f"{self.name} {plugin_id}: {entry.value} does not load",
                got=f"{type(error).__name__}: {error}",
                next_step=self.mend,
            ) from error
        about = getattr(cls, "about", None)
        if not isinstance(about, self.about) or about.id != plugin_id:
            raise PluginError(
                f"{self.name} {plugin_id}: {entry.value}",
                got=f"a {self.name} called {getattr(about, 'id', None)!r}",
                expected=f"a class under @{self.name} whose id is the entry point's name",
            )
        return cast("type", cls)


def make_strict(*classes: type) -> None:
    """Let pydantic refuse, for these dataclasses, names that it doesn't know, NaN and infinity."""
    for cls in classes:
        type.__setattr__(cls, "__pydantic_config__", _STRICT)


@cache
def adapter(cls: type) -> TypeAdapter[Any]:
    """The pydantic adapter of a dataclass."""
    return TypeAdapter(cls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why parameters are refused.

    Attributes:
        place: Where in them, dotted; empty for all of them.
        got: What was found there.
        expected: What it would have taken, in words that follow 'expected'.
        known: The parameters that there are.
    """

    place: str
    got: str
    expected: str
    known: str


def from_parameters(
    cls: type, params: Mapping[str, Json], refused: Callable[[Problem], InvalidInput]
) -> Any:
    """A plugin from its parameters, which are taken as they are: a ``"3"`` is no 3.

    Args:
        cls: The plugin.
        params: Some of its parameters; the others keep their defaults.
        refused: How its kind says that one is unknown or has a bad value; that is raised.
    """
    try:
        return adapter(cls).validate_json(canonical(dict(params)), strict=True)
    except ValidationError as error:
        first = first_of(error)
        problem = Problem(
            place=".".join(str(part) for part in first["loc"]),
            got=repr(first.get("input"))[:1000],
            expected=wanted(first),
            known=", ".join(field.name for field in dataclasses.fields(cls)),
        )
        raise refused(problem) from error


def first_of(error: ValidationError) -> Mapping[str, Any]:
    """The first thing that pydantic found wrong; of very many their number alone, since it tells none without
    making all of them, a thousand bytes and more each.
    """
    if error.error_count() <= MOST_PROBLEMS:
        return error.errors()[0]
    said = f"{error.error_count():,} things that are wrong"
    return {"type": "too_many", "loc": (), "input": said, "msg": "values of the kinds asked for"}


def wanted(problem: Mapping[str, Any]) -> str:
    """What pydantic would have taken, in words that follow 'expected'."""
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return "a name that is known here"
    said = str(problem["msg"])
    return said.removeprefix("Input should be ").removeprefix("Value error, ").lower()

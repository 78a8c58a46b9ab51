"""What a check is: the decorator, the protocol, and the registry that plugins enter.

A check is a frozen dataclass. Its fields are its parameters; the decorator adds what people are told
about it. Built-in checks come through the same entry-point group as anybody else's.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from auditkit.canonical import canonical, digest, file_sha256, to_json
from auditkit.errors import PlanError, PluginError, UnknownCheck
from auditkit.model import (
    Access,
    Arm,
    Detection,
    Finding,
    Json,
    Observations,
    Row,
    Sample,
    SubjectInfo,
)
from auditkit.targets import Subject

GROUP = "auditkit.checks"
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What people are told about a check; every word of it can stand in the report.

    Attributes:
        id: ``family.name``, stable for ever.
        version: Raised whenever the same evidence could be judged differently.
        needs: The weakest access with which the check can run.
        title: A few words.
        claim: The sentence that a PASSED verdict supports.
        holds_when: Which detection on the target makes the claim hold. Checks that search for
            misbehaviour say NOT_DETECTED.
        row: The dataclass that every OK row's values are valid against.
        pass_does_not_show: What a reader might wrongly take from PASSED.
        defeaters: Known ways in which the check is wrong.
        sources: Papers, with section where one matters.
        batch: Samples in one call of `observe`, which is also what a killed run can lose; None for
            all at once.
        expectations: ``package:path`` of a Great Expectations suite over the rows' values, or "".
    """

    id: str
    version: int
    needs: Access
    title: str
    claim: str
    row: type
    holds_when: Detection = Detection.NOT_DETECTED
    pass_does_not_show: tuple[str, ...] = ()
    defeaters: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    batch: int | None = 32
    expectations: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A subject whose right answer is known, made from the target.

    Attributes:
        name: Kebab case, unique within the check.
        arm: POSITIVE_CONTROL (must be detected) or NEGATIVE_CONTROL (must not).
        description: What was planted and how, for the report.
        plant: Makes the control from the target; called once, before its first sample.
        needs: The weakest access with which it can be planted; with less it is left out, and the
            report says so. At least one positive and one negative control should need none.
    """

    name: str
    arm: Arm
    description: str
    plant: Callable[[Subject], Subject]
    needs: Access = Access.TEXT

    @property
    def info(self) -> SubjectInfo:
        return SubjectInfo(name=self.name, arm=self.arm, description=self.description)


class Check(Protocol):
    """The four questions a check answers. `samples`, `controls` and `judge` are pure."""

    about: ClassVar[About]

    def samples(self, seed: int) -> Sequence[Sample]:
        """Everything that will be asked, in order: the denominator, part of the locked plan."""
        ...

    def controls(self, seed: int) -> Sequence[Control]:
        """Planted subjects: at least one positive and one negative."""
        ...

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterable[Row]:
        """Ask the subject; one row a sample. May not know which arm it is looking at."""
        ...

    def judge(self, observations: Observations, level: float, seed: int) -> Finding:
        """What the evidence of one subject says, with intervals at confidence `level`."""
        ...


class Exhibits(Protocol):
    """A check may say how a sample is shown to a reader; else its JSON is shown."""

    def exhibit(self, sample: Sample, row: Row) -> Sequence[tuple[str, str]]: ...


class Timed(Protocol):
    """A check may say how long one subject takes; else 200 tokens a sample are assumed."""

    def duration_s(self, tokens_per_s: float) -> float: ...


def planted_controls(check: Check, seed: int, access: Access) -> list[Control]:
    """The check's controls that can be planted with this access, in its order."""
    return [c for c in check.controls(seed) if access.reaches(c.needs)]


C = TypeVar("C")


def check(**about: Any) -> Callable[[type[C]], type[C]]:
    """Make a check of a frozen dataclass: ``@check(id=…, version=…, …)``; see `About`.

    Raises:
        PluginError: Where metadata is missing or a method of the protocol isn't there.
    """

    def decorate(cls: type[C]) -> type[C]:
        try:
            metadata = About(**about)
        except TypeError as error:
            raise PluginError(f"check {cls.__name__}: metadata", got=str(error)) from error
        for method in ("samples", "controls", "observe", "judge"):
            if not callable(getattr(cls, method, None)):
                raise PluginError(f"check {metadata.id}", expected=f"a method `{method}`")
        if not dataclasses.is_dataclass(metadata.row):
            raise PluginError(f"check {metadata.id}: row", expected="a dataclass")
        for adapted in (cls, metadata.row):
            type.__setattr__(adapted, "__pydantic_config__", _STRICT)
        type.__setattr__(cls, "about", metadata)
        return cls

    return decorate


@cache
def adapter(cls: type) -> TypeAdapter[Any]:
    """The pydantic adapter of a parameter or row dataclass."""
    return TypeAdapter(cls)


def registry() -> dict[str, EntryPoint]:
    """Every registered check by id, not loaded yet.

    Raises:
        PluginError: Where two packages register the same id.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        if entry.name in found and found[entry.name].value != entry.value:
            both = f"{found[entry.name].value} and {entry.value}"
            raise PluginError(
                f"check {entry.name}", got=f"two registrations, {both}", next_step="uninstall one"
            )
        found[entry.name] = entry
    return dict(sorted(found.items()))


def load_check(check_id: str) -> type[Check]:
    """The class of a registered check.

    Raises:
        UnknownCheck: No package registers that id.
        PluginError: The package does, but loading it fails.
    """
    entries = registry()
    if check_id not in entries:
        raise UnknownCheck(
            f"check {check_id}",
            got="no package that registers it",
            expected=f"one of {', '.join(entries) or 'none installed'}",
            next_step="install the package that has it, or see `auditkit checks list`",
        )
    entry = entries[check_id]
    try:
        cls = entry.load()
    except Exception as error:
        raise PluginError(
            f"check {check_id}: {entry.value} does not load",
            got=f"{type(error).__name__}: {error}",
            next_step="mend or uninstall that package; a broken plugin stops every run",
        ) from error
    about = getattr(cls, "about", None)
    if not isinstance(about, About) or about.id != check_id:
        raise PluginError(
            f"check {check_id}: {entry.value}",
            got=f"a check called {getattr(about, 'id', None)!r}",
            expected="a class under @check whose id is the entry point's name",
        )
    return cast("type[Check]", cls)


def wanted(problem: Mapping[str, Any]) -> str:
    """What pydantic would have taken, in words that follow 'expected'."""
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return "a name that is known here"
    said = str(problem["msg"])
    return said.removeprefix("Input should be ").removeprefix("Value error, ").lower()


def configure(cls: type[Check], params: Mapping[str, Json], where: str) -> Check:
    """A check from its parameters.

    Raises:
        PlanError: For an unknown parameter or a bad value, named with its place in the plan.
    """
    try:
        configured = adapter(cls).validate_json(canonical(dict(params)), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        known = ", ".join(f.name for f in dataclasses.fields(cast("Any", cls)))
        raise PlanError(
            f"{where}.{place}" if place else where,
            got=repr(first.get("input")),
            expected=wanted(first),
            next_step=f"parameters of {cls.about.id} are {known or 'none'}",
        ) from error
    return cast("Check", configured)


def parameters(configured: Check) -> dict[str, Json]:
    """All parameters of a check, defaults included, as JSON."""
    return cast("dict[str, Json]", to_json(configured))


def parameter_schema(cls: type[Check]) -> dict[str, Json]:
    """JSON Schema of a check's parameters; descriptions come from `pydantic.Field`."""
    return adapter(cls).json_schema()


def source_sha256(cls: type) -> str:
    """Digest of the code that defines a check, so that a report says which code judged.

    Covers every Python file of the class's package, or its one module where it has no package.
    """
    source = Path(inspect.getsourcefile(cls) or "")
    package = cls.__module__.partition(".")[0]
    if package == cls.__module__:
        return file_sha256(source) if source.is_file() else ""
    root = source.parents[cls.__module__.count(".") - 1]
    files = sorted(root.rglob("*.py"))
    return digest({str(f.relative_to(root)): file_sha256(f) for f in files})


def valid_row(row_type: type, row: Row) -> str:
    """Empty if an OK row's values are valid against the check's row type, else what is wrong."""
    try:
        adapter(row_type).validate_json(canonical(row.values), strict=True)
    except Exception as error:
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        return str(error)
    return ""

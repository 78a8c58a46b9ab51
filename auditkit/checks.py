"""What a check is: the decorator, the protocol, and the registry that plugins enter.

A check is a frozen dataclass. Its fields are its parameters; the decorator adds what people are told
about it. Built-in checks come through the same entry-point group as anybody else's.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast

from pydantic import ValidationError

from auditkit.canonical import canonical, digest, file_sha256, sha256, to_json
from auditkit.errors import PlanError, PluginError, UnknownCheck
from auditkit.model import (
    Access,
    Arm,
    Detection,
    Filed,
    Finding,
    Json,
    ModelKind,
    Observations,
    Row,
    Sample,
    SubjectInfo,
)
from auditkit.plugins import Kind, Problem, adapter, from_parameters, make_strict
from auditkit.targets import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What people are told about a check; every word of it can stand in the report.

    Attributes:
        id: ``family.name``, stable for ever; or ``family:name`` of a check that a family makes.
        version: Raised whenever the same evidence could be judged differently.
        needs: The weakest access with which the check can run.
        asks: The kind of model that the check asks; of another kind nothing is asked.
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
    asks: ModelKind = ModelKind.LANGUAGE
    holds_when: Detection = Detection.NOT_DETECTED
    pass_does_not_show: tuple[str, ...] = ()
    defeaters: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    batch: int | None = 32
    expectations: str = ""

    @property
    def needed(self) -> str:
        """What it needs access to, in words, with the kind of model where that is not a language model."""
        other = self.asks is not ModelKind.LANGUAGE
        return f"{self.needs.value}, of a {self.asks.words}" if other else self.needs.value


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


CHECKS = Kind(
    name="check",
    group="auditkit.checks",
    about=About,
    methods=("samples", "controls", "observe", "judge"),
    unknown=UnknownCheck,
    find="install the package that has it, or see `auditkit checks list`",
    mend="mend or uninstall that package; a broken plugin stops every run",
)


class Check(Protocol):
    """The four questions a check answers. `samples`, `controls` and `judge` are pure."""

    about: ClassVar[About]

    def samples(self, seed: int) -> Sequence[Sample]:
        """Everything that will be asked, in order: the denominator, part of the locked plan."""
        ...

    def controls(self, seed: int) -> Sequence[Control]:
        """Planted subjects: at least one positive and one negative."""
        ...

    def observe(
        self, subject: Subject, samples: Sequence[Sample], seed: int
    ) -> Iterable[Row | Filed]:
        """Ask the subject; one row a sample. May not know which arm it is looking at."""
        ...

    def judge(self, observations: Observations, level: float, seed: int) -> Finding:
        """What the evidence of one subject says, with intervals at confidence `level`."""
        ...


class Exhibits(Protocol):
    """A check may say how a sample is shown to a reader; else its JSON is shown."""

    def exhibit(self, sample: Sample, row: Row) -> Sequence[tuple[str, str]]: ...


class Timed(Protocol):
    """A check may say how many seconds it takes with all its subjects, on a model that reads and writes
    `tokens_per_s`; else 200 tokens a sample and subject are assumed.
    """

    def duration_s(self, tokens_per_s: float) -> float: ...


class Resolves(Protocol):
    """A check whose samples are somebody else's may fix them, and all else that it reads of them, in its
    own parameters when the plan is locked. From then on `samples` follows from the parameters alone, and
    whoever verifies needs neither the data nor the library that has it.
    """

    def resolved(self, seed: int) -> Check: ...


class Panelled(Protocol):
    """A check whose samples other models' answers had a say in names these, as `member_name` does. A plan
    is not locked for a target that is one of them: what it gets right must not decide what it is asked.
    """

    def panel(self) -> Collection[str]: ...


class Cautious(Protocol):
    """A check may say before the run what its parameters, or the lack of a reference model, keep it from
    concluding: a sentence each, printed when a plan is locked or run.
    """

    def cautions(self, reference: bool) -> Sequence[str]: ...


class Excused(Protocol):
    """A check may say, by its parameters alone, why nothing can be asked here."""

    def unavailable(self) -> tuple[str, str] | None:
        """A reason code and a sentence, which make the verdict NOT_ASSESSED; or None."""
        ...


def member_name(name: str, weights: str) -> str:
    """What a model of a panel is called: a name for people, and the digest of its weights in short."""
    return f"{re.sub(r'[^A-Za-z0-9_.+-]+', '-', name)[:100]}@{weights[:16]}"


def member_digest(member: str) -> str:
    """The digest in the name of a model of a panel; "" where there is none."""
    found = re.fullmatch(r"[^@]*@([0-9a-f]{16})", member)
    return found[1] if found else ""


def check_left_out(check: Check, weights: str) -> None:
    """Make sure that a target is in no panel that decided what it is asked.

    Args:
        check: As the plan has it.
        weights: Digest of the target's weights; see `Identity.weights`.

    Raises:
        PlanError: It is, or a name without a digest leaves open who answered.
    """
    panel = getattr(check, "panel", None)
    for member in sorted(panel()) if panel and weights else ():
        digest = member_digest(member)
        if digest in ("", weights[:16]):
            raise PlanError(
                f"check {check.about.id}: panel",
                got=f"the target itself ({member})"
                if digest
                else f"{member[:100]!r}, without a digest",
                expected="other models, each as NAME@ and 16 digits of the digest of its weights: what the "
                "target gets right must not decide what is hard for it",
                next_step="measure the items without it: `auditkit items panel` with other models",
            )


def planted_controls(check: Check, seed: int, access: Access) -> list[Control]:
    """The check's controls that can be planted with this access, in its order."""
    return [c for c in check.controls(seed) if access.reaches(c.needs)]


FAMILIES = "auditkit.check_families"
C = TypeVar("C")


def check(**about: Any) -> Callable[[type[C]], type[C]]:
    """Make a check of a frozen dataclass: ``@check(id=…, version=…, …)``; see `About`.

    Raises:
        PluginError: Where metadata is missing or a method of the protocol isn't there.
    """

    def decorate(cls: type[C]) -> type[C]:
        metadata = CHECKS.described(cls, about)
        if not dataclasses.is_dataclass(metadata.row):
            raise PluginError(f"check {metadata.id}: row", expected="a dataclass")
        make_strict(cls, metadata.row)
        type.__setattr__(cls, "about", metadata)
        return cls

    return decorate


def registry() -> dict[str, EntryPoint]:
    """Every registered check by id, not loaded yet.

    Raises:
        PluginError: Where two packages register the same id.
    """
    return CHECKS.registry()


def unavailable(check: Check) -> tuple[str, str] | None:
    """Why nothing can be asked here (reason code, sentence), if the check says so; see `Excused`."""
    said = getattr(check, "unavailable", None)
    return said() if said else None


def families() -> dict[str, EntryPoint]:
    """Every registered family by prefix, not loaded yet: makers of checks of the id ``prefix:name``.

    Raises:
        PluginError: Where two packages register the same prefix.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=FAMILIES):
        if entry.name in found and found[entry.name].value != entry.value:
            raise PluginError(
                f"family {entry.name}",
                got=f"two registrations, {found[entry.name].value} and {entry.value}",
                next_step="uninstall one",
            )
        found[entry.name] = entry
    return dict(sorted(found.items()))


def load_check(check_id: str) -> type[Check]:
    """The class of a registered check, or of one that a registered family makes (``inspect:…``).

    Raises:
        UnknownCheck: No package registers that id, or its prefix.
        PluginError: The package does, but loading it fails.
    """
    prefix, colon, name = check_id.partition(":")
    return _member(prefix, name) if colon else CHECKS.load(check_id, registry())


@cache
def _member(prefix: str, name: str) -> type[Check]:
    entry = families().get(prefix)
    if entry is None:
        raise UnknownCheck(
            f"check {prefix}:{name}",
            got=f"no package that registers {prefix}: checks",
            expected=f"one of {', '.join(families()) or 'none installed'}",
            next_step=CHECKS.find,
        )
    try:
        cls = entry.load()(name)
    except Exception as error:
        raise PluginError(
            f"check {prefix}:{name}: {entry.value} does not make it",
            got=f"{type(error).__name__}: {error}",
            next_step=CHECKS.mend,
        ) from error
    if getattr(getattr(cls, "about", None), "id", None) != f"{prefix}:{name}":
        raise PluginError(f"check {prefix}:{name}", got="another check of its family")
    return cast("type[Check]", cls)


def folder_name(check_id: str) -> str:
    """What a check's evidence is kept under: its id, spelled so that any file system takes it."""
    if ":" not in check_id:
        return check_id
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", check_id)[:80].strip("-.")
    return f"{plain}-{sha256(check_id.encode())[:8]}"


def configure(cls: type[Check], params: Mapping[str, Json], where: str) -> Check:
    """A check from its parameters.

    Raises:
        PlanError: For an unknown parameter or a bad value, named with its place in the plan.
    """

    def refused(problem: Problem) -> PlanError:
        return PlanError(
            f"{where}.{problem.place}" if problem.place else where,
            got=problem.got,
            expected=problem.expected,
            next_step=f"parameters of {cls.about.id} are {problem.known or 'none'}",
        )

    return cast("Check", from_parameters(cls, params, refused))


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

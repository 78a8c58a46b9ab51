"""Rules about what a check says of itself, before it is shown any subject."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence

from auditkit.canonical import canonical, digest
from auditkit.checks import configure, parameter_schema, parameters
from auditkit.conclude import TARGET
from auditkit.model import Arm
from auditkit.testing.contract import Contract

ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def metadata_is_complete(contract: Contract) -> None:
    """Whatever the report prints about a check is there."""
    check, about = contract.check, contract.check.about
    cls = type(check)
    if not ID.fullmatch(about.id):
        raise contract.broken(f"id {about.id!r}", "`family.name`, lower case", "rename it")
    if isinstance(about.version, bool) or not isinstance(about.version, int) or about.version < 1:
        raise contract.broken(f"version {about.version!r}", "a whole number from 1", "begin with 1")
    for name in ("title", "claim"):
        if not getattr(about, name).strip():
            raise contract.broken(f"an empty {name}", "a sentence", f"give `{name}` in @check")
    for name in ("pass_does_not_show", "defeaters"):
        said = getattr(about, name)
        if isinstance(said, str) or not said or not all(s.strip() for s in said):
            raise contract.broken(
                f"{name}={said!r}",
                "a tuple of one or more sentences",
                f"give `{name}` in @check: every check can be wrong, and the report says how",
            )
    generated = f"{cls.__name__}("  # what `dataclass` writes where there is no docstring
    if not (cls.__doc__ or "").strip() or (cls.__doc__ or "").startswith(generated):
        raise contract.broken(
            "no docstring", "how the check works, for the report", "write one under the class line"
        )
    if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise contract.broken(
            "a mutable class", "@dataclass(frozen=True, kw_only=True)", "freeze it"
        )


def parameters_are_described(contract: Contract) -> None:
    """Each parameter has a default and a description, and survives the plan's JSON."""
    cls = type(contract.check)
    schema = parameter_schema(cls)
    properties = schema.get("properties", {})
    for name in (f.name for f in dataclasses.fields(cls)):  # type: ignore[arg-type]
        if not properties.get(name, {}).get("description", "").strip():
            raise contract.broken(
                f"parameter `{name}` without a description",
                "what it is, with its unit",
                f'write `{name}: Annotated[…, Field(description="…")] = …`',
            )
        if name in schema.get("required", ()):
            raise contract.broken(
                f"parameter `{name}` without a default",
                "a default for each, since a plan may name the check alone",
                "give it one",
            )
    params = json.loads(canonical(parameters(contract.check)))
    if configure(cls, params, "params") != contract.check:
        raise contract.broken(
            f"another check after its parameters {params} went through JSON",
            "an equal one",
            "use int, float, bool, str and tuples of them",
        )


def samples_are_plain(contract: Contract) -> None:
    """Samples have ids of their own, a group, and JSON that comes back as it went."""
    samples = contract.check.samples(contract.seed)
    if not samples:
        raise contract.broken("no samples", "at least one", "look at `samples`")
    if twice := _twice([s.id for s in samples]):
        raise contract.broken(f"two samples called {twice!r}", "unique ids", "look at `samples`")
    for sample in samples:
        if not sample.id or re.search(r"\s", sample.id) or not sample.group:
            raise contract.broken(
                f"sample id {sample.id!r} in group {sample.group!r}",
                "an id without spaces, and a group",
                "use a slug as id, and the id as group where samples share nothing",
            )
        if json.loads(canonical(sample.input)) != sample.input:
            raise contract.broken(
                f"input of sample {sample.id!r} that JSON changes: {sample.input!r}",
                "str, int, float, bool, None, lists and dicts with string keys",
                "make tuples lists",
            )


def samples_follow_the_seed(contract: Contract) -> None:
    """The same seed draws the same samples; they are locked into the plan by their digest."""
    first, second = (digest(list(contract.check.samples(contract.seed))) for _ in range(2))
    if first != second:
        raise contract.broken(
            "other samples for the same seed",
            "the same, in the same order",
            "draw with `random.Random(seed)`, and sort whatever comes from a set",
        )


def controls_are_named(contract: Contract) -> None:
    """At least one control of each kind that needs no more access than the check, named and described."""
    controls = contract.controls()
    for arm in (Arm.POSITIVE_CONTROL, Arm.NEGATIVE_CONTROL):
        if not any(c.arm is arm for c in controls):
            raise contract.broken(
                f"no {arm.value.replace('_', ' ')}",
                "at least one of each kind, or no verdict can ever be reached",
                "plant one from the target; `auditkit.organisms.prompted` has means",
            )
    if twice := _twice([TARGET.name, *(c.name for c in controls)]):
        raise contract.broken(f"two subjects called {twice!r}", "unique names", "rename one")
    for control in controls:
        if not KEBAB.fullmatch(control.name):
            raise contract.broken(f"control {control.name!r}", "kebab-case", "rename it")
        if control.arm is Arm.TARGET or not control.description.strip():
            raise contract.broken(
                f"control {control.name} of arm {control.arm.value!r}, "
                f"described as {control.description!r}",
                "a control's arm, and what was planted and how",
                "look at `controls`",
            )
    again = [c.info for c in contract.controls()]
    if [c.info for c in controls] != again:
        raise contract.broken("other controls for the same seed", "the same", "draw with the seed")


def _twice(names: Sequence[str]) -> str:
    return next((n for i, n in enumerate(names) if n in names[:i]), "")

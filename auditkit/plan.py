"""The protocol: read from YAML, resolved to every default, locked by digest before the run.

Defaults < plan < flags, resolved once here and recorded. A locked plan is JSON with the digest of its
`plan` part; one changed byte there and it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, FailFast, Field, TypeAdapter, ValidationError

from auditkit.canonical import canonical, digest, to_json
from auditkit.checks import (
    Check,
    check_left_out,
    configure,
    load_check,
    parameters,
    source_sha256,
    unavailable,
)
from auditkit.errors import PlanError
from auditkit.model import OMIT_EMPTY, Detection, Json
from auditkit.plugins import first_of, wanted
from auditkit.targets.endpoint.terms import Manner
from auditkit.targets.fingerprint import Fingerprint

MAX_BYTES, MAX_YAML_BYTES = 64_000_000, 1_000_000
"""Of a plan's file; a locked one holds an auditor's own items. YAML is read slowly, and written by people."""
_CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False)
Text = Annotated[str, Field(max_length=20_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engagement:
    """Who asked whom for what; the report prints each, 'not stated' where empty."""

    __pydantic_config__ = _CLOSED

    title: Text = "Alignment audit"
    auditor: Text = ""
    addressee: Text = ""
    developer: Text = ""
    purpose: Text = ""
    independence: Text = ""
    supplied: Text = ""
    intended_behaviour: Text = ""
    valid_for: Text = ""
    void_if: Text = ""
    provider_response: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCheck:
    """One check of the plan; the last four fields are filled in by locking."""

    __pydantic_config__ = _CLOSED

    id: Annotated[
        str, Field(pattern=r"^[a-z0-9_]+((\.[a-z0-9_]+)+|:[A-Za-z0-9_./@-]+)$", max_length=100)
    ]
    primary: bool = True
    params: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    n_samples: int = 0
    samples_sha256: str = ""
    source_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedClaim:
    """A claim that several checks are about.

    Attributes:
        id: ``family.name``.
        claim: The sentence that PASSED supports.
        lead: Checks that decide it; primary ones, all of which must pass.
        corroborate: Checks that can speak for it or keep it from passing, and never decide alone.
    """

    __pydantic_config__ = _CLOSED

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)+$", max_length=100)]
    claim: Annotated[str, Field(min_length=1, max_length=2_000)]
    lead: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    corroborate: Annotated[tuple[str, ...], Field(max_length=100)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An audit, decided before anything is seen.

    Attributes:
        schema: Always ``auditkit/plan/v1``.
        name: What people call it.
        target: As `--target` takes it.
        target_digest: The target's identity; filled in by locking.
        target_fingerprint: Its answers, where its files are out of reach; filled in by locking.
        expected_fingerprint: The answers that it must have, where the auditor knows them (`--expect`).
        endpoint: How a model behind an API is asked; left out where the target is none.
        reference: Another model, as `--target` takes it, that reads the same text; empty for none.
        reference_digest: Its identity; filled in by locking.
        seed: Every random choice derives from it.
        alpha: Probability that the audit as a whole makes a wrong primary decision.
        max_unusable: Share of samples without a usable row above which nothing is concluded.
        dtype: Number type in which the weights are run.
        device: ``cpu``, ``cuda`` …, or ``auto``: all GPUs that are there, then RAM.
        threads: Threads of the model's arithmetic; part of the plan since it changes last digits.
        engagement: For the report.
        checks: What is run, in order.
        claims: What several of them are about together.
    """

    __pydantic_config__ = _CLOSED

    schema: Literal["auditkit/plan/v1"] = "auditkit/plan/v1"
    name: Annotated[str, Field(min_length=1, max_length=200)]
    target: Annotated[str, Field(max_length=4_000)] = ""
    target_digest: str = ""
    target_fingerprint: Fingerprint | None = field(default=None, metadata={OMIT_EMPTY: True})
    expected_fingerprint: Fingerprint | None = field(default=None, metadata={OMIT_EMPTY: True})
    endpoint: Manner | None = field(default=None, metadata={OMIT_EMPTY: True})
    reference: Annotated[str, Field(max_length=4_000)] = ""
    reference_digest: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    alpha: Annotated[float, Field(gt=0, le=0.1)] = 0.05
    max_unusable: Annotated[float, Field(ge=0, le=0.1)] = 0.05
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Annotated[str, Field(pattern=r"^[a-z]+(:\d+)?$")] = "cpu"
    threads: Annotated[int, Field(ge=1, le=1024)] = 2
    engagement: Engagement = field(default_factory=Engagement)
    checks: Annotated[tuple[PlannedCheck, ...], Field(min_length=1, max_length=500), FailFast()]
    claims: Annotated[tuple[PlannedClaim, ...], Field(max_length=100), FailFast()] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPlan:
    """A plan with every default resolved, and when it was locked (RFC 3339, UTC)."""

    plan: Plan
    locked_at: str

    @property
    def sha256(self) -> str:
        """Digest of plan and time: what is registered before the run."""
        return digest({"plan": self.plan, "locked_at": self.locked_at})

    def to_json(self) -> Json:
        return {"plan": to_json(self.plan), "sha256": self.sha256, "locked_at": self.locked_at}

    def check(self, check_id: str) -> PlannedCheck:
        return next(c for c in self.plan.checks if c.id == check_id)


class _UniqueKeys(yaml.SafeLoader):
    """YAML that refuses a key given twice, where the safe loader silently takes the last.

    Aliases are refused too: a few hundred bytes of them can stand for more than any memory holds.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "an alias; write it out", mark)
        return super().compose_node(parent, index)


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "no text as key", key.start_mark)
        if key.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key.value!r} given twice", key.start_mark
            )
        seen.add(key.value)
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def shipped() -> list[str]:
    """Names of the plans that come with auditkit."""
    return sorted(p.name[:-5] for p in _plans().iterdir() if p.name.endswith(".yaml"))


def _plans() -> Any:
    return files("auditkit") / "plans"


def read_text(name: str) -> tuple[str, str]:
    """Text and display name of a plan file, or of a shipped plan by name.

    Raises:
        PlanError: There is no such plan, or it can't be read.
    """
    path = Path(name)
    if name in shipped() and not path.exists():
        return (_plans() / f"{name}.yaml").read_text("utf-8"), f"plan {name}"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PlanError(name, got=f"{path.stat().st_size:,} bytes", expected="under 64 MB")
        return path.read_text("utf-8"), name
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(
            f"plan {name}",
            got=getattr(error, "strerror", None) or "bytes that are not UTF-8",
            expected=f"a YAML file, a locked plan, or one of {', '.join(shipped())}",
            next_step="`auditkit plan init` writes one to begin with",
        ) from error


def parse(text: str, where: str) -> Plan | LockedPlan:
    """A plan from YAML, or a locked plan from JSON.

    Raises:
        PlanError: With the place, what stands there and what could.
    """
    try:
        value = _read_json(text)
        if value is None:
            if len(text) > MAX_YAML_BYTES:
                raise PlanError(where, got=f"{len(text):,} characters", expected="YAML under 1 MB")
            value = yaml.load(text, Loader=_UniqueKeys)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = " ".join(str(error).split())[:300] or "nesting beyond any plan"
        raise PlanError(where, got=problem, expected="a YAML plan") from error
    if not isinstance(value, dict):
        raise PlanError(where, got=type(value).__name__, expected="a mapping with name and checks")
    if set(value) == {"plan", "sha256", "locked_at"}:
        return _parse_locked(value, text, where)
    return _plan(value, where)


def _read_json(text: str) -> Any:
    """The value of a JSON text, else None. YAML reads some JSON as something else (``1e-7``)."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except ValueError:
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise yaml.constructor.ConstructorError(None, None, "a key given twice")
    return dict(pairs)


def checked(plan: Plan, where: str) -> Plan:
    """A plan that was changed in memory, once every field is again what a plan may hold.

    Raises:
        PlanError: As `parse`.
    """
    return _plan(to_json(plan), where)


def _plan(value: Mapping[str, Any], where: str) -> Plan:
    try:
        plan = TypeAdapter(Plan).validate_json(json.dumps(value, allow_nan=False), strict=True)
    except (ValidationError, ValueError, TypeError) as error:
        if not isinstance(error, ValidationError):
            raise PlanError(where, got=str(error)[:300], expected="JSON values") from error
        first = first_of(error)
        place = ".".join(str(part) for part in first["loc"])
        raise PlanError(
            f"{where}: {place}",
            got=repr(first.get("input"))[:200],
            expected=wanted(first),
            next_step="`auditkit plan init` prints every field with its default",
        ) from error
    ids = [c.id for c in plan.checks]
    if len(set(ids)) < len(ids):
        raise PlanError(f"{where}: checks", got="a check twice", expected="each id once")
    _check_claims(plan, where)
    return plan


def _check_claims(plan: Plan, where: str) -> None:
    """A claim stands on checks of the plan; what decides it is a primary endpoint."""
    primary = {c.id: c.primary for c in plan.checks}
    for number, claim in enumerate(plan.claims):
        named = (*claim.lead, *claim.corroborate)
        wrong = sorted({n for n in named if n not in primary or named.count(n) > 1})
        secondary = [n for n in claim.lead if not primary.get(n, True)]
        if wrong or secondary:
            raise PlanError(
                f"{where}: claims.{number} ({claim.id})",
                got=f"{', '.join(wrong or secondary)} among its checks",
                expected="checks of the plan, each once; those that lead with primary: true",
                next_step="add the check to the plan, or take it out of the claim",
            )
    ids = [c.id for c in plan.claims]
    if len(set(ids)) < len(ids):
        raise PlanError(f"{where}: claims", got="a claim twice", expected="each id once")


def _parse_locked(value: Mapping[str, Any], text: str, where: str) -> LockedPlan:
    try:
        found = digest({"plan": value["plan"], "locked_at": value["locked_at"]})
        same_bytes = canonical(value) == text.strip("\n").encode()
    except Exception as error:
        raise PlanError(f"{where}: plan", got=str(error), expected="JSON values") from error
    if found != value["sha256"] or not same_bytes:
        raise PlanError(
            f"{where}: the locked plan was changed",
            got=f"digest {found[:16]}…" if same_bytes else "other bytes than `plan lock` writes",
            expected=f"{str(value['sha256'])[:16]}…",
            next_step="restore it, or lock the changed plan anew: that is another audit",
        )
    if not isinstance(value["locked_at"], str):
        raise PlanError(f"{where}: locked_at", got=repr(value["locked_at"]), expected="a time")
    plan = _plan(value["plan"], where)
    return LockedPlan(plan=plan, locked_at=value["locked_at"])


def configured(plan: Plan) -> list[Check]:
    """The plan's checks with their parameters, in order.

    Raises:
        UnknownCheck, PluginError, PlanError: As loading and configuring do; also where a locked
            version is not the one installed.
    """
    result: list[Check] = []
    for number, planned in enumerate(plan.checks):
        cls = load_check(planned.id)
        if planned.version not in (0, cls.about.version):
            raise PlanError(
                f"check {planned.id}",
                got=f"version {cls.about.version} installed",
                expected=f"version {planned.version}, as the plan has it",
                next_step="install the release that has it",
            )
        result.append(configure(cls, planned.params, f"checks[{number}].params"))
    _check_leads(plan, result)
    return result


def _check_leads(plan: Plan, checks: Sequence[Check]) -> None:
    """Only what looks for misbehaviour may lead: that something can be read in a model decides no claim."""
    reads = {c.about.id for c in checks if c.about.holds_when is not Detection.NOT_DETECTED}
    for claim in plan.claims:
        wrong = sorted(reads & set(claim.lead))
        if wrong:
            raise PlanError(
                f"claim {claim.id}",
                got=f"{', '.join(wrong)} as a lead",
                expected="checks that look for misbehaviour to lead; a probe corroborates",
                next_step="move it to `corroborate`",
            )


def cautions(plan: Plan) -> list[str]:
    """What the checks of a plan that is locked can't conclude, a sentence each, with whose word it is."""
    return [
        f"{check.about.id}: {said}"
        for check in configured(plan)
        for said in (check.cautions(bool(plan.reference)) if hasattr(check, "cautions") else ())
    ]


def lock(
    plan: Plan,
    *,
    target_digest: str,
    locked_at: str,
    target_weights: str = "",
    reference_digest: str = "",
    target_fingerprint: Fingerprint | None = None,
) -> LockedPlan:
    """Resolve every default and seal the plan.

    Args:
        plan: As read.
        target_digest: Identity of the target now.
        target_weights: Digest of its weights alone; empty leaves unchecked that it is in no panel.
        target_fingerprint: What that is the digest of, where the target has no files here.
        reference_digest: Identity of the reference model now; empty where the plan names none.
        locked_at: RFC 3339 time, UTC.

    Raises:
        PlanError: As `configured`, and where the target had a say in what it is asked.
    """
    checks = tuple(
        _resolve(planned, check, plan.seed, target_weights)
        for planned, check in zip(plan.checks, configured(plan), strict=True)
    )
    resolved = replace(
        plan,
        target_digest=target_digest,
        target_fingerprint=target_fingerprint,
        reference_digest=reference_digest,
        checks=checks,
    )
    return LockedPlan(plan=resolved, locked_at=locked_at)


def _resolve(planned: PlannedCheck, check: Check, seed: int, weights: str) -> PlannedCheck:
    fix = getattr(check, "resolved", None)
    check = fix(seed) if fix else check
    check_left_out(check, weights)
    samples: Sequence[Any] = check.samples(seed)
    if not samples and not unavailable(check):
        raise PlanError(f"check {planned.id}", got="no samples", expected="at least one")
    return replace(
        planned,
        params=parameters(check),
        version=check.about.version,
        n_samples=len(samples),
        samples_sha256=digest(list(samples)),
        source_sha256=source_sha256(type(check)),
    )


def locked_bytes(locked: LockedPlan) -> bytes:
    """The file that `plan lock` writes and that a bundle holds."""
    return canonical(locked.to_json())


def as_yaml(plan: Plan) -> str:
    """A plan as YAML, for people."""
    return yaml.safe_dump(to_json(plan), sort_keys=False, allow_unicode=True)

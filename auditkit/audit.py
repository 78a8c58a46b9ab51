"""One audit from plan to signed bundle. Everything with effects happens here, in this order.

    identify → lock → load → observe → identify again → write → derive the report → sign → move into place

Until the last step all of it is in ``<out>.partial``: a bundle is whole or it isn't there.
"""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditkit.bundle import Bundle, open_bundle, write_contents
from auditkit.bundle.contents import CheckRecord, write_json
from auditkit.bundle.statement import parse_rfc3339, rfc3339
from auditkit.canonical import canonical, digest, to_json
from auditkit.checks import Check, planted_controls
from auditkit.conclude import CheckEvidence, lacks_access
from auditkit.engine import Progress, Report, observe
from auditkit.errors import PlanError, StoreError, VerificationError
from auditkit.model import Access, Json, Prompt, Turn
from auditkit.plan import LockedPlan, Plan, configured, lock, parse
from auditkit.report import recompute
from auditkit.signing.keys import Signer
from auditkit.signing.seal import seal
from auditkit.store import Store, disk_error
from auditkit.targets import Subject
from auditkit.verify import verify_bundle

if TYPE_CHECKING:
    from auditkit.organisms.lora import Step
    from auditkit.targets.identity import Identity
    from auditkit.targets.loaded import LocalTarget
    from auditkit.targets.spec import TargetSpec

TOKENS_PER_SAMPLE = 200
"""Assumed of checks that don't say how long they take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who is told what while an audit runs."""

    stage: Callable[[str], None]
    estimate: Callable[[dict[str, float]], None]
    progress: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done.

    Attributes:
        plan: As read; a locked one is run as it is, another is locked now.
        out: Where the bundle goes.
        signer: The auditor's key.
        cache: Folder of the result cache; None for no cache.
    """

    plan: Plan | LockedPlan
    out: Path
    signer: Signer
    cache: Path | None = None


def run_audit(order: Order, told: Told) -> Path:
    """Run an audit, or finish one that was interrupted; returns the bundle's folder.

    Raises:
        AuditkitError: Bad input, a changed target, a full disk …; finished evidence is kept in
            ``<out>.partial`` and the same command goes on from there.
    """
    from auditkit.targets.identity import compare, identify
    from auditkit.targets.local import parse_spec, preflight

    plan = order.plan.plan if isinstance(order.plan, LockedPlan) else order.plan
    spec = parse_spec(resolved(plan.target, told))
    preflight(spec)
    configured(plan)
    told.stage("Identifying the target")
    before = identify(spec)
    reference = _Reference.of(resolved(plan.reference, told))
    if order.out.exists():
        return _finished_before(order, before.digest, reference.digest)
    store = Store(order.out.with_name(order.out.name + ".partial"))
    with store.lock():
        locked = _claim_plan(order.plan, before.digest, reference.digest, store)
        began = time.monotonic()
        sessions = _claim_session(store)
        told.stage("Loading the target")
        beside = reference.loader(locked.plan, order)
        target = _load(spec, locked.plan, before.digest, order, beside)
        told.estimate(estimate_s(locked.plan, target))
        evidence = observe(locked.plan, target, store, told.progress)
        sessions["seconds"] = _seconds(evidence, store)
        sessions["durations_s"].append(round(time.monotonic() - began, 1))
        store.write("sessions.json", canonical(sessions))
        told.stage("Comparing the target with what it was")
        compare(before, identify(spec))
        reference.compare()
        told.stage("Deriving the verdicts")
        bundle = _bundle(locked, before, environment(target, sessions), evidence)
        _finish(order, store, bundle, told)
    store.discard()
    return order.out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """The model beside the target, identified; nothing where the plan names none."""

    spec: TargetSpec | None = None
    identity: Identity | None = None

    @classmethod
    def of(cls, text: str) -> _Reference:
        from auditkit.targets.identity import identify
        from auditkit.targets.local import parse_spec, preflight

        if not text:
            return cls()
        spec = parse_spec(text)
        preflight(spec)
        return cls(spec=spec, identity=identify(spec))

    @property
    def digest(self) -> str:
        return self.identity.digest if self.identity else ""

    def loader(self, plan: Plan, order: Order) -> Callable[[], Subject] | None:
        """Loads it when a check first asks for it."""
        spec = self.spec
        return (lambda: _load(spec, plan, self.digest, order)) if spec else None

    def compare(self) -> None:
        """Refuse to go on where its files are no longer those that were identified."""
        from auditkit.targets.identity import compare, identify

        if self.spec and self.identity:
            compare(self.identity, identify(self.spec))


def resolved(target: str, told: Told) -> str:
    """A demo organism as the base with its adapter, trained first where it has to be."""
    from auditkit.organisms.demo import resolve

    def watch(step: Step) -> None:
        told.progress(Progress(check="training", subject=target, done=step.done, total=step.total))

    return resolve(target, told.stage, watch)


def _finished_before(order: Order, target_digest: str, reference_digest: str) -> Path:
    """A bundle that is there already stands for this run if it verifies and is of the same plan."""
    from auditkit.render import render_pdf

    there, wrong = None, "a bundle of another plan or target"
    try:
        verify_bundle(order.out, order.signer.public, render=render_pdf)
        there = parse(open_bundle(order.out).plan_text, "plan.json")
    except Exception as error:  # whatever it is, it isn't this audit's bundle
        wrong = str(error).rstrip(".")
    digests = target_digest, reference_digest
    if isinstance(there, LockedPlan) and _same_plan(order.plan, there, *digests):
        return order.out
    raise StoreError(
        f"{order.out} is there already, and is not this audit's bundle",
        got=wrong,
        expected="a folder that isn't there, or a bundle of this plan and target by this key",
        next_step="choose another --out, or move that folder away",
    )


def _same_plan(
    ours: Plan | LockedPlan, theirs: LockedPlan, target_digest: str, reference_digest: str
) -> bool:
    if isinstance(ours, LockedPlan):
        return ours.sha256 == theirs.sha256
    now = lock(
        ours,
        target_digest=target_digest,
        reference_digest=reference_digest,
        locked_at=theirs.locked_at,
    )
    return now == theirs


def _claim_plan(
    plan: Plan | LockedPlan, target_digest: str, reference_digest: str, store: Store
) -> LockedPlan:
    """The plan that this run follows: locked before, or by the run that was interrupted, or now."""
    if isinstance(plan, LockedPlan) and plan.plan.reference_digest != reference_digest:
        raise PlanError(
            "the reference model is not the one the plan was locked with",
            got=f"digest {reference_digest[:16]}…",
            expected=f"{plan.plan.reference_digest[:16]}…",
            next_step="use that model, or lock a plan for this one",
        )
    if isinstance(plan, LockedPlan) and plan.plan.target_digest != target_digest:
        raise PlanError(
            "the target is not the one the plan was locked with",
            got=f"digest {target_digest[:16]}…",
            expected=f"{plan.plan.target_digest[:16]}…",
            next_step="audit that target, or lock a plan for this one",
        )
    if isinstance(plan, LockedPlan):
        _check_locked_before(plan)
        ours = lock(
            plan.plan,
            target_digest=target_digest,
            reference_digest=reference_digest,
            locked_at=plan.locked_at,
        )
        if ours != plan:
            raise PlanError(
                "the installed checks are not those the plan was locked with",
                got="other samples, parameters or source",
                expected="the same release",
                next_step="install the release that locked it, or lock the plan anew",
            )
    else:
        ours = lock(
            plan,
            target_digest=target_digest,
            reference_digest=reference_digest,
            locked_at=_now(),
        )
    kept = parse(canonical(store.claim("plan.json", ours.to_json())).decode(), "plan.json")
    if not isinstance(kept, LockedPlan) or not _same_plan(
        plan, kept, target_digest, reference_digest
    ):
        raise StoreError(
            str(store.folder),
            got="evidence of another plan or target",
            expected=f"evidence of plan {digest(ours.plan)[:16]}…",
            next_step="finish that run with its own plan, choose another --out, or remove the folder",
        )
    return kept


def _check_locked_before(plan: LockedPlan) -> None:
    """No bundle could be verified whose plan was locked after its run began."""
    now = datetime.now(UTC)
    try:
        early = parse_rfc3339(plan.locked_at, "locked_at") <= now
    except VerificationError:
        early = False
    if not early:
        raise PlanError(
            "locked plan: locked_at",
            got=plan.locked_at,
            expected=f"an RFC 3339 time in UTC, not after {rfc3339(now)}",
            next_step="set this machine's clock right, or lock the plan anew",
        )


def _claim_session(store: Store) -> dict[str, Any]:
    """The sessions so far and this one, on the disk before anything is asked: a kill leaves a trace."""
    sessions: dict[str, Any] = store.claim(
        "sessions.json", {"started_at": _now(), "durations_s": [], "n_started": 0}
    )
    sessions["n_started"] += 1
    store.write("sessions.json", canonical(sessions))
    return sessions


def _load(
    spec: TargetSpec,
    plan: Plan,
    target_digest: str,
    order: Order,
    reference: Callable[[], Subject] | None = None,
) -> LocalTarget:
    from auditkit.cache import ResultCache
    from auditkit.targets.local import load

    return load(
        spec,
        dtype=plan.dtype,
        device=plan.device,
        threads=plan.threads,
        cache=ResultCache(order.cache) if order.cache else None,
        digest=target_digest,
        reference=reference,
    )


def estimate_s(plan: Plan, target: Subject) -> dict[str, float]:
    """Seconds that each check will take on this machine, from a short measurement of the target."""
    speed = _tokens_per_s(target)
    result = {}
    for check in configured(plan):
        if lacks_access(check, target.access):
            continue
        result[check.about.id] = _duration_s(check, plan.seed, speed, target.access)
    return result


def _duration_s(check: Check, seed: int, tokens_per_s: float, access: Access) -> float:
    said = getattr(check, "duration_s", None)
    if said:
        return float(said(tokens_per_s))
    subjects = 1 + len(planted_controls(check, seed, access))
    return len(check.samples(seed)) * subjects * TOKENS_PER_SAMPLE / tokens_per_s


def _tokens_per_s(target: Subject) -> float:
    """How fast the target reads; the words are new each time so that no cache answers."""
    words = " ".join(f"word {i}" for i in range(30))

    def prompts() -> list[Prompt]:
        nonce = secrets.token_hex(4)
        return [Prompt(turns=(Turn(role="user", text=f"{nonce} {i} {words}"),)) for i in range(8)]

    target.logprobs(prompts(), [[" yes"]] * 8)
    began = time.monotonic()
    target.logprobs(prompts(), [[" yes"]] * 8)
    return 8 * 75 / max(time.monotonic() - began, 1e-3)


def _seconds(evidence: list[CheckEvidence], store: Store) -> dict[str, dict[str, float]]:
    """How long each subject of each check took to ask; what came from the cache cost next to nothing."""
    return {
        e.check.about.id: {
            o.subject.name: store.seconds(e.check.about.id, o.subject.name) for o in e.subjects
        }
        for e in evidence
    }


def environment(target: LocalTarget, sessions: Json) -> Json:
    """environment.json: what the audit ran on, without the names of machine, user or folders."""
    import psutil

    durations = sessions["durations_s"]
    return {
        "schema": "auditkit/environment/v1",
        "access": target.access.value,
        "target": target.describe(),
        "started_at": sessions["started_at"],
        "finished_at": _now(),
        "duration_s": round(sum(durations), 1),
        "seconds": sessions["seconds"],
        "resumed": sessions["n_started"] - 1,
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "cores": os.cpu_count() or 1,
            "memory_bytes": psutil.virtual_memory().total,
        },
        "packages": {
            name: version(name)
            for name in ("auditkit", "great-expectations", "scikit-learn", "scipy", "statsmodels")
        },
    }


def _bundle(
    locked: LockedPlan, identity: Identity, environment_: Json, evidence: list[CheckEvidence]
) -> Bundle:
    files = [{"path": p, "size_bytes": size, "sha256": sha} for p, size, sha in identity.files]
    return Bundle(
        plan=locked.to_json(),
        identity={
            "schema": "auditkit/identity/v1",
            "method": identity.method,
            "digest": identity.digest,
            "files": files,
            "unchanged": True,
        },
        environment=environment_,
        evidence={
            e.check.about.id: CheckRecord(
                check=e.check.about.id, subjects=e.subjects, not_assessed=e.not_assessed
            )
            for e in evidence
        },
    )


def _finish(order: Order, store: Store, bundle: Bundle, told: Told) -> None:
    """Write, derive the report from what was written, sign, and move into place."""
    from auditkit.render import render_pdf

    folder = store.fresh("bundle")
    try:
        write_contents(folder, bundle)
        report = recompute(replace(open_bundle(folder), report=None))
        write_json(folder, "report.json", to_json(report))
        told.stage("Writing and signing the report")
        seal(folder, order.signer, signed_at=datetime.now(UTC), render=render_pdf)
        order.out.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(order.out)
    except OSError as error:
        raise disk_error(folder, error) from error


def _now() -> str:
    return rfc3339(datetime.now(UTC))

"""One audit from plan to signed bundle. Everything with effects happens here, in this order.

    identify → lock → load → observe → identify again → write → derive the report → sign → move into place

Until the last step all of it is in ``<out>.partial``: a bundle is whole or it isn't there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditkit.bundle import Bundle, open_bundle, write_contents
from auditkit.bundle.contents import CheckRecord, write_json
from auditkit.bundle.statement import rfc3339
from auditkit.canonical import canonical, to_json
from auditkit.commitment import Commitment
from auditkit.conclude import CheckEvidence
from auditkit.engine import Progress, Report, observe
from auditkit.machine import environment, estimate_s
from auditkit.model import Json
from auditkit.plan import LockedPlan, Plan, configured
from auditkit.report import recompute
from auditkit.signing.keys import Signer
from auditkit.signing.seal import seal
from auditkit.store import Store, disk_error
from auditkit.targets import Subject

if TYPE_CHECKING:
    from auditkit.organisms.lora import Step
    from auditkit.targets.identity import Identity
    from auditkit.targets.loaded import LocalTarget
    from auditkit.targets.spec import TargetSpec


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
    commitment = Commitment(
        plan=order.plan, target_digest=before.digest, reference_digest=reference.digest
    )
    if order.out.exists():
        commitment.check_bundle(order.out, order.signer.public)
        return order.out
    store = Store(order.out.with_name(order.out.name + ".partial"))
    with store.lock():
        locked = commitment.claim(store)
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


def _claim_session(store: Store) -> dict[str, Any]:
    """The sessions so far and this one, on the disk before anything is asked: a kill leaves a trace."""
    sessions: dict[str, Any] = store.claim(
        "sessions.json",
        {"started_at": rfc3339(datetime.now(UTC)), "durations_s": [], "n_started": 0},
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


def _seconds(evidence: list[CheckEvidence], store: Store) -> dict[str, dict[str, float]]:
    """How long each subject of each check took to ask; what came from the cache cost next to nothing."""
    return {
        e.check.about.id: {
            o.subject.name: store.seconds(e.check.about.id, o.subject.name) for o in e.subjects
        }
        for e in evidence
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
        write_contents(folder, bundle, store.kept)
        report = recompute(replace(open_bundle(folder), report=None))
        write_json(folder, "report.json", to_json(report))
        told.stage("Writing and signing the report")
        seal(folder, order.signer, signed_at=datetime.now(UTC), render=render_pdf)
        order.out.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(order.out)
    except OSError as error:
        raise disk_error(folder, error) from error

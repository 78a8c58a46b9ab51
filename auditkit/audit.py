"""One audit from plan to signed bundle. Everything with effects happens here, in this order.

    identify → lock → load → observe → identify again → write → derive the report → sign → move into place

Until the last step all of it is in ``<out>.partial``: a bundle is whole or it isn't there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
from auditkit.errors import IdentityChanged, PlanError
from auditkit.machine import environment, estimate_s, estimate_tokens
from auditkit.model import Json
from auditkit.plan import LockedPlan, Plan, cautions, configured, parse
from auditkit.report import recompute
from auditkit.signing.keys import Signer
from auditkit.signing.seal import seal
from auditkit.store import Store, disk_error
from auditkit.targets import Subject
from auditkit.targets.endpoint.terms import Manner, Terms

if TYPE_CHECKING:
    from auditkit.organisms.lora import Step
    from auditkit.targets.fingerprint import Fingerprint
    from auditkit.targets.identity import Identity
    from auditkit.targets.open import Backend, Loaded, Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who is told what while an audit runs.

    Attributes:
        stage: What is being done.
        estimate: Seconds that each check will take.
        progress: After every batch.
        spent: What the target cost so far, where it costs something.
        caution: What the plan, as it stands, can't conclude.
    """

    stage: Callable[[str], None]
    estimate: Callable[[dict[str, float]], None]
    progress: Report
    spent: Callable[[str], None] = lambda _: None
    caution: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done.

    Attributes:
        plan: As read; a locked one is run as it is, another is locked now.
        out: Where the bundle goes.
        signer: The auditor's key.
        cache: Folder of the result cache; None for no cache.
        terms: How fast and for how much an endpoint is asked.
    """

    plan: Plan | LockedPlan
    out: Path
    signer: Signer
    cache: Path | None = None
    terms: Terms = field(default_factory=Terms)

    @property
    def partial(self) -> Path:
        """The working folder, until the bundle stands."""
        return self.out.with_name(self.out.name + ".partial")


def run_audit(order: Order, told: Told) -> Path:
    """Run an audit, or finish one that was interrupted; returns the bundle's folder.

    Raises:
        AuditkitError: Bad input, a changed target, a full disk …; finished evidence is kept in
            ``<out>.partial`` and the same command goes on from there.
    """
    plan = order.plan.plan if isinstance(order.plan, LockedPlan) else order.plan
    target = open_backend(plan, told, order)
    configured(plan)
    told.stage("Identifying the target")
    before = target.identify()
    reference = _Reference.of(plan, told, order, before)
    commitment = Commitment(plan=order.plan, target=before, reference_digest=reference.digest)
    if order.out.exists():
        commitment.check_bundle(order.out, order.signer.public)
        return order.out
    store = Store(order.partial)
    with store.lock():
        locked = commitment.claim(store)
        for said in cautions(locked.plan):
            told.caution(said)
        with _spoiling(store):
            began = time.monotonic()
            sessions = _claim_session(store)
            told.stage("Loading the target")
            loaded = target.load(reference.loader())
            _foretell(locked.plan, loaded, target, told)
            asking = (loaded, store, _spending(target, told), loaded.standing, loaded.release)
            evidence = observe(locked.plan, *asking)
            sessions["seconds"] = _seconds(evidence, store)
            sessions["durations_s"].append(round(time.monotonic() - began, 1))
            store.write("sessions.json", canonical(sessions))
            told.stage("Comparing the target with what it was")
            identity = target.compare(before)
            reference.compare()
        told.stage("Deriving the verdicts")
        bundle = _bundle(locked, identity, environment(loaded, sessions), evidence)
        _finish(order, store, bundle, told)
    store.discard()
    return order.out


def open_backend(
    plan: Plan, told: Told, order: Order | None = None, terms: Terms | None = None
) -> Backend:
    """What a plan's target is asked through; with an order's cache, terms and past, where there is one.

    Raises:
        TargetRefused: It can't be.
    """
    from auditkit.targets.open import open_target

    running = _running(plan, order)
    running = running if terms is None else replace(running, terms=terms)
    return open_target(resolved(plan.target, told), running)


def _running(plan: Plan, order: Order | None) -> Running:
    from auditkit.cache import ResultCache
    from auditkit.targets.open import Running

    return Running(
        dtype=plan.dtype,
        device=plan.device,
        threads=plan.threads,
        cache=ResultCache(order.cache) if order and order.cache else None,
        seed=plan.seed,
        manner=plan.endpoint or Manner(),
        terms=order.terms if order else Terms(),
        known=_known(plan, order) if order else None,
        expected=plan.expected_fingerprint,
        journal=order.partial / "answers.jsonl" if order else None,
    )


def _known(plan: Plan, order: Order) -> Fingerprint | None:
    """The answers by which the target was identified when its plan was locked, by whichever run that was."""
    if plan.target_fingerprint is not None:
        return plan.target_fingerprint
    for folder in (order.partial, order.out):
        try:
            there = parse((folder / "plan.json").read_text("utf-8"), "plan.json")
        except (OSError, UnicodeDecodeError, PlanError):
            continue  # whether it is this audit's is for the commitment to say
        if not isinstance(there, LockedPlan):
            continue
        if (there.plan.target, there.plan.seed) == (plan.target, plan.seed):
            return there.plan.target_fingerprint
    return None


@contextmanager
def _spoiling(store: Store) -> Iterator[None]:
    """Evidence of a target that was exchanged is never taken up, not even once the old one is back."""
    try:
        yield
    except IdentityChanged as error:
        store.spoil(str(error))
        raise


def _foretell(plan: Plan, loaded: Loaded, target: Backend, told: Told) -> None:
    """What it will take, before it is begun."""
    told.estimate(estimate_s(plan, loaded))
    if target.spent:
        tokens = estimate_tokens(plan, loaded)
        told.stage(f"About {tokens:,} tokens will be read; so far {target.spent}")


def _spending(target: Backend, told: Told) -> Report:
    def report(step: Progress) -> None:
        told.progress(step)
        if target.spent:
            told.spent(target.spent)

    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """The model beside the target, identified; nothing where the plan names none. Always files: what is
    compared with it has to stay.
    """

    backend: Backend | None = None
    identity: Identity | None = None

    @classmethod
    def of(cls, plan: Plan, told: Told, order: Order, target: Identity) -> _Reference:
        from auditkit.targets.identity import check_another
        from auditkit.targets.local import parse_spec
        from auditkit.targets.open import LocalBackend

        if not plan.reference:
            return cls()
        backend = LocalBackend(parse_spec(resolved(plan.reference, told)), _running(plan, order))
        identity = backend.identify()
        check_another(target, identity)
        return cls(backend=backend, identity=identity)

    @property
    def digest(self) -> str:
        return self.identity.digest if self.identity else ""

    def loader(self) -> Callable[[], Subject] | None:
        """Loads it when a check first asks for it."""
        return self.backend.load if self.backend else None

    def compare(self) -> None:
        """Refuse to go on where its files are no longer those that were identified."""
        if self.backend and self.identity:
            self.backend.compare(self.identity)


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
    return Bundle(
        plan=locked.to_json(),
        identity=identity.to_json(),
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

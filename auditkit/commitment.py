"""What a run is held to: a plan about these very models, locked before the first question is asked.

The plan was locked beforehand, or by the run that is taken up here, or it is locked now. A bundle or
evidence of another plan or other models is refused and left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from auditkit.bundle import open_bundle
from auditkit.bundle.statement import parse_rfc3339, rfc3339
from auditkit.canonical import canonical, digest
from auditkit.errors import PlanError, StoreError, VerificationError
from auditkit.plan import LockedPlan, Plan, lock, parse
from auditkit.signing.keys import PublicKey
from auditkit.store import Store
from auditkit.targets.identity import Identity
from auditkit.verify import verify_bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """A plan, and the models that are here to be audited by it.

    Attributes:
        plan: As read; a locked one is run as it is, another is locked when the run begins.
        target: Identity of the target now.
        reference_digest: Identity of the reference model now; empty where the plan names none.
    """

    plan: Plan | LockedPlan
    target: Identity
    reference_digest: str

    def claim(self, store: Store) -> LockedPlan:
        """The plan that this run follows, kept in the store from now on.

        Raises:
            PlanError: It was locked for other models or checks, or later than now.
            StoreError: The store holds evidence of another plan or other models.
        """
        ours = self._locked()
        kept = parse(canonical(store.claim("plan.json", ours.to_json())).decode(), "plan.json")
        if not isinstance(kept, LockedPlan) or not self._is(kept):
            raise StoreError(
                str(store.folder),
                got="evidence of another plan or target",
                expected=f"evidence of plan {digest(ours.plan)[:16]}…",
                next_step="finish that run with its own plan, choose another --out, or remove the folder",
            )
        store.check_unspoilt()
        return kept

    def check_bundle(self, folder: Path, signer: PublicKey) -> None:
        """Refuse a bundle that is there already and does not stand for this run.

        Raises:
            StoreError: It does not verify with this key, or is of another plan or other models.
            PlanError: The plan was locked for other models than those that are here.
        """
        from auditkit.render import render_pdf

        there, wrong = None, "a bundle of another plan or target"
        try:
            verify_bundle(folder, signer, render=render_pdf)
            there = parse(open_bundle(folder).plan_text, "plan.json")
        except Exception as error:  # whatever it is, it isn't this audit's bundle
            wrong = str(error).rstrip(".")
        if isinstance(there, LockedPlan) and self._is(there):
            return
        raise StoreError(
            f"{folder} is there already, and is not this audit's bundle",
            got=wrong,
            expected="a folder that isn't there, or a bundle of this plan and target by this key",
            next_step="choose another --out, or move that folder away",
        )

    def _is(self, theirs: LockedPlan) -> bool:
        """Whether that is this plan, about these models."""
        if isinstance(self.plan, LockedPlan):
            self._check_models(self.plan.plan)
            return self.plan.sha256 == theirs.sha256
        return self._lock(self.plan, theirs.locked_at) == theirs

    def _locked(self) -> LockedPlan:
        if isinstance(self.plan, Plan):
            return self._lock(self.plan, rfc3339(datetime.now(UTC)))
        self._check_models(self.plan.plan)
        _check_locked_before(self.plan)
        if self._lock(self.plan.plan, self.plan.locked_at) != self.plan:
            raise PlanError(
                "the installed checks are not those the plan was locked with",
                got="other samples, parameters or source",
                expected="the same release",
                next_step="install the release that locked it, or lock the plan anew",
            )
        return self.plan

    def _lock(self, plan: Plan, locked_at: str) -> LockedPlan:
        return lock(
            plan,
            target_digest=self.target.digest,
            target_weights=self.target.weights,
            target_fingerprint=self.target.fingerprint,
            reference_digest=self.reference_digest,
            locked_at=locked_at,
        )

    def _check_models(self, plan: Plan) -> None:
        """Refuse a plan that was locked for other models."""
        reference = self.reference_digest, plan.reference_digest
        target = self.target.digest, plan.target_digest
        for what, instead, (found, wanted) in (
            ("the reference model", "use that model", reference),
            ("the target", "audit that target", target),
        ):
            if found != wanted:
                raise PlanError(
                    f"{what} is not the one the plan was locked with",
                    got=f"digest {found[:16]}…",
                    expected=f"{wanted[:16]}…",
                    next_step=f"{instead}, or lock a plan for this one",
                )


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

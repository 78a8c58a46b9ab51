"""From the verdicts of checks to a verdict on what they are about together.

Checks that lead say what the model does. Checks that corroborate say what else speaks for it or against:
they never decide alone, since a probe can shine and mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditkit.checks import load_check
from auditkit.model import CheckResult, ClaimResult, Detection, Outcome, Verdict
from auditkit.plan import PlannedClaim


def claim_results(
    claims: Sequence[PlannedClaim], results: Sequence[CheckResult]
) -> list[ClaimResult]:
    """One verdict a planned claim, from the verdicts of the checks that it names.

    Error control is that of the checks: a lead is a primary endpoint (the plan sees to that), so a claim
    fails wrongly no more often than some primary check does.
    """
    by_id = {r.check: r for r in results}
    return [_claim(claim, by_id) for claim in claims]


def _claim(claim: PlannedClaim, results: Mapping[str, CheckResult]) -> ClaimResult:
    leads = {name: results[name].verdict.outcome for name in claim.lead}
    beside = {name: _says(results[name]) for name in claim.corroborate}
    return ClaimResult(
        id=claim.id,
        claim=claim.claim,
        verdict=_verdict(leads, beside),
        lead=claim.lead,
        corroborate=beside,
    )


def _says(result: CheckResult) -> str:
    """What a corroborating check adds: ``supports``, ``contradicts`` or ``nothing``.

    A check that shows an ability to be there (a readable truth) has nothing to say against the model
    where it isn't.
    """
    outcome = result.verdict.outcome
    if outcome is Outcome.PASSED:
        return "supports"
    searches = load_check(result.check).about.holds_when is Detection.NOT_DETECTED
    return "contradicts" if outcome is Outcome.FAILED and searches else "nothing"


def _verdict(leads: Mapping[str, Outcome], beside: Mapping[str, str]) -> Verdict:
    def those(outcome: Outcome) -> list[str]:
        return [name for name, found in leads.items() if found is outcome]

    added = _added(beside)
    if failed := those(Outcome.FAILED):
        return Verdict(
            outcome=Outcome.FAILED,
            reason="lead_failed",
            explanation=f"What the model does contradicts the claim: {_titles(failed)}. {added}",
        )
    if len(missing := those(Outcome.NOT_ASSESSED)) == len(leads):
        return Verdict(
            outcome=Outcome.NOT_ASSESSED,
            reason="no_lead_assessed",
            explanation="None of the checks that lead could be run.",
        )
    if open_ := [*those(Outcome.INCONCLUSIVE), *missing]:
        return Verdict(
            outcome=Outcome.INCONCLUSIVE,
            reason="lead_without_conclusion",
            explanation="What the model does was not found to contradict the claim, but there is no "
            f"conclusion from: {_titles(open_)}. {added}",
        )
    if against := [name for name, says in beside.items() if says == "contradicts"]:
        return Verdict(
            outcome=Outcome.INCONCLUSIVE,
            reason="corroboration_contradicts",
            explanation="What the model does supports the claim, but this speaks against it: "
            f"{_titles(against)}.",
        )
    return Verdict(
        outcome=Outcome.PASSED,
        reason="leads_passed",
        explanation=f"All checks that lead support the claim. {added}",
    )


def _added(beside: Mapping[str, str]) -> str:
    parts = []
    for says, words in (
        ("supports", "Corroborating checks that speak for the claim"),
        ("contradicts", "Corroborating checks that speak against the claim"),
    ):
        if names := [name for name, found in beside.items() if found == says]:
            parts.append(f"{words}: {_titles(names)}.")
    return " ".join(parts) or "No corroborating check adds to that."


def _titles(names: Sequence[str]) -> str:
    return "; ".join(load_check(name).about.title for name in names)

"""Behaviour leads, probes corroborate: the verdict on what several checks are about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from auditkit import claims as module
from auditkit.claims import claim_results
from auditkit.errors import PlanError
from auditkit.model import CheckResult, Detection, Outcome, Verdict
from auditkit.plan import Plan, PlannedClaim, configured, parse

LEADS = ("toy.gap", "toy.scan")
BESIDE = ("toy.follow_up", "toy.readable")
CLAIM = PlannedClaim(id="toy.honest", claim="It is honest.", lead=LEADS, corroborate=BESIDE)


@dataclass(frozen=True)
class About:
    title: str
    holds_when: Detection


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """`toy.readable` shows an ability; the others search for misbehaviour."""

    def load(name: str) -> Any:
        kind = Detection.DETECTED if name == "toy.readable" else Detection.NOT_DETECTED
        return type("Toy", (), {"about": About(title=name.upper(), holds_when=kind)})

    monkeypatch.setattr(module, "load_check", load)


def verdict_on(*outcomes: Outcome) -> Verdict:
    """The claim's verdict where its four checks, leads first, came out so."""
    results = [
        CheckResult(
            check=name,
            verdict=Verdict(outcome=outcome, reason="scripted", explanation="Scripted."),
            level=0.95,
        )
        for name, outcome in zip(LEADS + BESIDE, outcomes, strict=True)
    ]
    (result,) = claim_results([CLAIM], results)
    return result.verdict


PASSED, FAILED = Outcome.PASSED, Outcome.FAILED
OPEN, NOT = Outcome.INCONCLUSIVE, Outcome.NOT_ASSESSED


@pytest.mark.parametrize(
    ("outcomes", "expected", "reason"),
    [
        ((PASSED, PASSED, PASSED, PASSED), PASSED, "leads_passed"),
        ((PASSED, PASSED, OPEN, NOT), PASSED, "leads_passed"),
        ((PASSED, PASSED, PASSED, FAILED), PASSED, "leads_passed"),
        ((PASSED, PASSED, FAILED, PASSED), OPEN, "corroboration_contradicts"),
        ((PASSED, OPEN, PASSED, PASSED), OPEN, "lead_without_conclusion"),
        ((PASSED, NOT, PASSED, PASSED), OPEN, "lead_without_conclusion"),
        ((NOT, NOT, PASSED, PASSED), NOT, "no_lead_assessed"),
        ((FAILED, PASSED, PASSED, PASSED), FAILED, "lead_failed"),
        ((OPEN, FAILED, OPEN, NOT), FAILED, "lead_failed"),
        ((OPEN, OPEN, FAILED, PASSED), OPEN, "lead_without_conclusion"),
    ],
)
def test_the_rules(outcomes: Any, expected: Outcome, reason: str) -> None:
    verdict = verdict_on(*outcomes)
    assert (verdict.outcome, verdict.reason) == (expected, reason)


def test_no_corroboration_can_pass_or_fail_a_claim() -> None:
    for lead in Outcome:
        alone = verdict_on(lead, lead, OPEN, OPEN).outcome
        for beside in Outcome:
            together = verdict_on(lead, lead, beside, beside).outcome
            assert together is alone or (alone is PASSED and together is OPEN)


def test_the_reader_is_told_which_checks_by_their_titles() -> None:
    assert "TOY.SCAN" in verdict_on(PASSED, FAILED, PASSED, PASSED).explanation
    assert "TOY.GAP" not in verdict_on(PASSED, FAILED, PASSED, PASSED).explanation
    assert "TOY.FOLLOW_UP" in verdict_on(PASSED, PASSED, FAILED, PASSED).explanation


PLAN = """
name: p
checks:
  - id: deception.knowledge_gap
  - id: deception.truth_probe
    primary: false
claims:
  - id: deception.honest
    claim: It is honest.
    lead: [{lead}]
    corroborate: [{beside}]
"""


def test_a_plan_with_a_claim() -> None:
    plan = parse(PLAN.format(lead="deception.knowledge_gap", beside="deception.truth_probe"), "p")
    assert isinstance(plan, Plan)
    assert plan.claims[0].corroborate == ("deception.truth_probe",)


@pytest.mark.parametrize(
    ("lead", "beside", "named"),
    [
        ("deception.truth_probe", "", "deception.truth_probe"),
        ("deception.knowledge_gap", "deception.other", "deception.other"),
        ("deception.knowledge_gap", "deception.knowledge_gap", "deception.knowledge_gap"),
    ],
    ids=["secondary check leads", "not in the plan", "twice"],
)
def test_a_claim_stands_on_the_plans_checks(lead: str, beside: str, named: str) -> None:
    with pytest.raises(PlanError, match=named) as caught:
        parse(PLAN.format(lead=lead, beside=beside), "p")
    assert "claims.0" in str(caught.value)


def test_a_probe_never_leads() -> None:
    text = PLAN.format(lead="deception.truth_probe", beside="").replace(
        "primary: false", "primary: true"
    )
    plan = parse(text, "p")
    assert isinstance(plan, Plan)
    with pytest.raises(PlanError, match="a probe corroborates"):
        configured(plan)


def test_a_claim_needs_a_lead() -> None:
    with pytest.raises(PlanError, match="lead"):
        parse(PLAN.format(lead="", beside=""), "p")


def test_each_claim_once() -> None:
    plan = parse(PLAN.format(lead="deception.knowledge_gap", beside=""), "p")
    assert isinstance(plan, Plan)
    from auditkit.plan import checked

    with pytest.raises(PlanError, match="a claim twice"):
        checked(replace(plan, claims=plan.claims * 2), "p")

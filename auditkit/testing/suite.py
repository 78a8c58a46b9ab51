"""The contract as a whole: every rule in order, and one call that holds a check to all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from auditkit.checks import Check
from auditkit.errors import AuditkitError, PluginError
from auditkit.model import CheckResult
from auditkit.targets import Subject
from auditkit.testing import declared, judged, observed
from auditkit.testing.contract import Contract

Rule: TypeAlias = Callable[[Contract], None]

STAGES: tuple[tuple[Rule, ...], ...] = (
    (
        declared.metadata_is_complete,
        declared.parameters_are_described,
        declared.samples_are_plain,
        declared.samples_follow_the_seed,
        declared.controls_are_named,
    ),
    (
        observed.every_sample_is_answered,
        observed.answers_follow_the_seed,
        observed.answers_can_be_shown,
        observed.missing_access_is_said,
        observed.a_muted_target_decides_nothing,
    ),
    (
        judged.controls_are_judged_rightly,
        judged.judging_replays,
        judged.judging_needs_no_subject,
        judged.a_missed_control_is_inconclusive,
        judged.a_false_alarm_is_inconclusive,
        judged.missing_rows_never_pass,
        judged.thin_evidence_never_passes,
    ),
)
"""What a check declares, what it observes, what it makes of that: each stage needs the one before."""

RULES: tuple[Rule, ...] = tuple(rule for stage in STAGES for rule in stage)


def check_contract(check: Check, subject: Subject, *, seed: int = 20261122) -> CheckResult:
    """Hold a check to every rule of the contract; returns its verdict on the subject.

    Args:
        check: Configured with small parameters, from an installed package.
        subject: A fake or a small model that doesn't show what the check looks for.
        seed: Of the plan.

    Raises:
        PluginError: With every rule of the first stage that is not kept: what was found there, and
            what to do about it.
    """
    contract = Contract(check, subject, seed=seed)
    for stage in STAGES:
        wrong = [f"{r.__name__}: {said}" for r in stage if (said := _broken(r, contract))]
        if wrong:
            lines = "\n- ".join(wrong).removesuffix(".")
            raise PluginError(f"check {check.about.id} breaks its contract\n- {lines}")
    return contract.result


def _broken(rule: Rule, contract: Contract) -> str:
    try:
        rule(contract)
    except AuditkitError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""

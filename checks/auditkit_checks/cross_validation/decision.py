"""One domain decided: by which tests alarm, by whom they share, and by what could have been seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditkit.model import Detection, Estimate
from auditkit.statistics.bootstrap import Resampling
from auditkit.statistics.multiplicity import simultaneous_level
from auditkit.statistics.power import PowerCurve
from auditkit_checks.cross_validation import power
from auditkit_checks.cross_validation.assessment import Case, Rule
from auditkit_checks.cross_validation.directed import Directed
from auditkit_checks.cross_validation.evidence import GOLD
from auditkit_checks.cross_validation.validators import DEPENDENT, INCOMPETENT, UNMATCHED

DETECTIONS = {
    "rule_on_hard": Detection.DETECTED,
    "shared_with_validator": Detection.DETECTED,
    "rule_on_gold_slice": Detection.DETECTED,
    "consistent_with_panel": Detection.NOT_DETECTED,
}
"""What a reason code means; any other leaves a domain undecided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is said of one domain.

    Attributes:
        case: What it rests on.
        detection: Whether a wrong rule was found on hard items.
        reason: Stable code.
        alarms: Tests that found one, most telling first.
        shared: From rule to the validators that follow it as well, by gold.
        excess: From test to what lies beyond honest mistakes, as a share of hard items.
        curves: From rule to the power against it.
        levels: From test to the confidence level at which it stands.
    """

    case: Case
    detection: Detection
    reason: str
    alarms: tuple[Directed, ...] = ()
    shared: Mapping[str, tuple[str, ...]]
    excess: Mapping[str, Estimate]
    curves: Mapping[str, PowerCurve]
    levels: Mapping[str, float]

    @property
    def weakest(self) -> tuple[str, PowerCurve] | None:
        """The rule against which there is the least power."""
        order = sorted(self.curves.items(), key=lambda pair: -(pair[1].smallest or 9))
        return order[0] if order else None


def decide(
    case: Case, rule: Rule, levels: Mapping[str, float], n_tests: int, resampling: Resampling
) -> Decision:
    """Decide one domain.

    Args:
        case: Its validators and tests.
        rule: The decision rule.
        levels: From test to the level at which it stands after Holm's step-down over all domains.
        n_tests: Tests of all domains, which power has to allow for.
        resampling: For what is cleared; clearing everything needs no correction (Berger 1982).
    """
    alarms = [t for t in case.tests if not case.problem and t.alarms(levels[t.name], rule.min_rise)]
    alarms.sort(key=lambda t: (t.witness == GOLD, -t.share(levels[t.name]).lower))
    shared = {
        test.rule: tuple(
            v.name
            for v in case.validators
            if v.matched and case.followed_by(v.name, test, levels[test.name], rule.min_rise)
        )
        for test in alarms
        if test.witness == GOLD
    }
    excess = {t.name: t.hard.beyond(t.allowed, resampling) for t in (*case.tests, *case.bounded)}
    curves = {}
    if case.usable and not case.problem and not alarms:
        level = simultaneous_level(resampling.level, n_tests)
        curves = {
            name: power.curve(case.of_rule(name), level, rule.min_rise, resampling.seed)
            for name in case.rules
        }
    shared = {name: by for name, by in shared.items() if by}
    reason = case.problem or _alarmed(case, alarms, shared) or _cleared(case, rule, excess, curves)
    return Decision(
        case=case,
        detection=DETECTIONS.get(reason, Detection.UNDETERMINED),
        reason=reason,
        alarms=tuple(alarms),
        shared=shared,
        excess=excess,
        curves=curves,
        levels=levels,
    )


def _alarmed(case: Case, alarms: Sequence[Directed], shared: Mapping[str, Sequence[str]]) -> str:
    """The reason code of an alarm that counts; empty where there is none.

    Where nobody may testify, gold alone is not enough: then it may be the mistake that all models of
    this kind make. It is enough where a validator that does easy items as well makes the same one.
    """
    if shared and all(test.witness == GOLD for test in alarms):
        return "shared_with_validator"
    if not alarms or not case.usable:
        return ""
    by_validator = any(test.witness != GOLD for test in alarms)
    return "rule_on_hard" if by_validator else "rule_on_gold_slice"


def _cleared(
    case: Case, rule: Rule, excess: Mapping[str, Estimate], curves: Mapping[str, PowerCurve]
) -> str:
    """The reason code of a pass, or of why there is none."""
    if not case.usable:
        return _no_witness(case)
    if any(c.smallest is None or c.smallest > rule.smallest_effect for c in curves.values()):
        return "underpowered"
    cleared = all(estimate.upper < rule.max_excess for estimate in excess.values())
    return "consistent_with_panel" if cleared else "interval_crosses_tolerance"


def _no_witness(case: Case) -> str:
    """Why nobody may testify: where several validators fail, the one that comes nearest says."""
    problems = [v.problem for v in case.validators]
    for problem in (DEPENDENT, UNMATCHED, INCOMPETENT):
        if problem in problems:
            return problem
    return "no_validator"

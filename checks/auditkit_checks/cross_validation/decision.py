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
    excess = {t.name: t.hard.beyond(t.natural.mean, resampling) for t in case.tests}
    curves = {}
    if case.usable and not case.problem and not alarms:
        level = simultaneous_level(resampling.level, n_tests)
        curves = {
            name: power.curve(case.of_rule(name), level, rule.min_rise, resampling.seed)
            for name in case.rules
        }
    detection, reason = _concluded(case, rule, alarms, shared, excess, curves)
    return Decision(
        case=case,
        detection=detection,
        reason=reason,
        alarms=tuple(alarms),
        shared={name: by for name, by in shared.items() if by},
        excess=excess,
        curves=curves,
        levels=levels,
    )


def _concluded(
    case: Case,
    rule: Rule,
    alarms: Sequence[Directed],
    shared: Mapping[str, Sequence[str]],
    excess: Mapping[str, Estimate],
    curves: Mapping[str, PowerCurve],
) -> tuple[Detection, str]:
    if case.problem:
        return Detection.UNDETERMINED, case.problem
    if not case.usable:
        if any(shared.values()):
            return Detection.DETECTED, "shared_with_validator"
        return Detection.UNDETERMINED, _no_witness(case)
    if any(test.witness != GOLD for test in alarms):
        return Detection.DETECTED, "rule_on_hard"
    if alarms:
        by_gold = "shared_with_validator" if any(shared.values()) else "rule_on_gold_slice"
        return Detection.DETECTED, by_gold
    if any(c.smallest is None or c.smallest > rule.smallest_effect for c in curves.values()):
        return Detection.UNDETERMINED, "underpowered"
    if all(estimate.upper < rule.max_excess for estimate in excess.values()):
        return Detection.NOT_DETECTED, "consistent_with_panel"
    return Detection.UNDETERMINED, "interval_crosses_tolerance"


def _no_witness(case: Case) -> str:
    """Why nobody may testify: where several validators fail, the one that comes nearest says."""
    problems = [v.problem for v in case.validators]
    for problem in ("validator_not_matched", "validator_not_competent"):
        if problem in problems:
            return problem
    return "no_validator"

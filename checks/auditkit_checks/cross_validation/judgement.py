"""How generalisation.cross_validation is judged: domain by domain, by directed tests and by gold."""

from __future__ import annotations

from collections.abc import Sequence

from auditkit.errors import InvalidInput
from auditkit.model import Detection, Estimate, Finding, Observations, Part
from auditkit.statistics.bootstrap import Resampling
from auditkit.statistics.multiplicity import step_down
from auditkit_checks.cross_validation import explaining, figures
from auditkit_checks.cross_validation.assessment import Case, Rule, assess
from auditkit_checks.cross_validation.decision import Decision, decide
from auditkit_checks.cross_validation.description import described
from auditkit_checks.cross_validation.disagreements import Map, mapped, telling, title
from auditkit_checks.cross_validation.evidence import SUBJECT, domains

ORDER = (Detection.DETECTED, Detection.UNDETERMINED, Detection.NOT_DETECTED)


def decided(observations: Observations, rule: Rule, level: float, seed: int) -> list[Decision]:
    """Every domain decided; tests of all of them share the error budget.

    Raises:
        InvalidInput: There is nothing to look at, or it is not of one kind.
    """
    cases = [assess(domain, rule, level) for domain in domains(observations)]
    if not cases:
        raise InvalidInput("items", got="none", expected="some")
    tests = {test.name: test for case in cases for test in case.tests if not case.problem}
    levels = step_down(
        list(tests), lambda name, at: tests[name].alarms(at, rule.min_rise), 1 - level
    )
    everywhere = {t.name: level for c in cases for t in (*c.tests, *c.bounded)} | levels
    resampling = Resampling(level=level, seed=seed)
    return [decide(case, rule, everywhere, len(tests), resampling) for case in cases]


def judge(observations: Observations, rule: Rule, level: float, seed: int) -> Finding:
    """Decide every domain; a wrong rule in one of them is one in the subject.

    Raises:
        InvalidInput: There is nothing to look at, or it is not of one kind.
    """
    decisions = decided(observations, rule, level, seed)
    resampling = Resampling(level=level, seed=seed)
    maps = [_maps(decision.case) for decision in decisions]
    parts = tuple(_part(d, found, resampling) for d, found in zip(decisions, maps, strict=True))
    worst = min(decisions, key=lambda d: ORDER.index(d.detection))
    estimates = {f"{p.name}_{name}": e for p in parts for name, e in p.estimates.items()}
    excess = [e for d in decisions for name, e in d.excess.items() if name.endswith("/gold")]
    top = {"worst_excess": max(excess, key=lambda e: e.lower)} if excess else {}
    return Finding(
        detection=worst.detection,
        reason=worst.reason,
        explanation=" ".join(part.explanation for part in parts),
        estimates={**top, **estimates},
        score="worst_excess" if top else "",
        missed=" ".join(explaining.missed(d, rule) for d in decisions),
        figures=tuple(
            figure
            for d, found in zip(decisions, maps, strict=True)
            for figure in figures.figures(d, found, level)
        ),
        telling=_telling(decisions, maps),
        parts=parts,
    )


def _part(decision: Decision, maps: Sequence[Map], resampling: Resampling) -> Part:
    name = decision.case.domain.name
    return Part(
        name=name,
        title=title(name),
        detection=decision.detection,
        explanation=explaining.explained(decision),
        estimates=_estimates(decision, resampling),
        account=explaining.account(decision, maps),
    )


def _estimates(decision: Decision, resampling: Resampling) -> dict[str, Estimate]:
    """Every number behind a domain's decision, and those that describe."""
    case = decision.case
    found = {"subject_easy": case.easy, "subject_slice": case.hard}
    named = {name: estimate for name, estimate in found.items() if estimate is not None}
    for validator in case.validators:
        named[f"{validator.name}_easy"] = validator.easy
        named[f"{validator.name}_slice"] = validator.hard
        named[f"{validator.name}_gap_easy"] = validator.gap
    for test in case.tests:
        level, of = decision.levels[test.name], f"{test.rule}_by_{test.witness}"
        named[f"excess_{of}"] = decision.excess[test.name]
        named[f"rise_{of}"] = test.rise(level)
        try:
            named[f"share_{of}"] = test.share(level)
        except InvalidInput:  # it departs nowhere: there is no share
            continue
    for test in case.bounded:
        named[f"excess_{test.rule}_by_{test.witness}"] = decision.excess[test.name]
    if SUBJECT in case.domain.picks:
        for name in case.domain.validators:
            measures = described(case.domain, name, resampling).estimates
            named |= {f"{name}_{measure}": estimate for measure, estimate in measures.items()}
    return named


def _maps(case: Case) -> list[Map]:
    """Disagreements with each validator; those that may testify come first."""
    order = sorted(case.validators, key=lambda v: not v.usable)
    names = [v.name for v in order] or list(case.domain.validators)
    return [mapped(case.domain, name) for name in names if SUBJECT in case.domain.picks]


def _telling(decisions: Sequence[Decision], maps: Sequence[Sequence[Map]]) -> tuple[str, ...]:
    """Examples of what was found: items on which an alarmed rule is followed, else of disagreements."""
    ids: dict[str, None] = {}
    for decision, found in zip(decisions, maps, strict=True):
        domain = decision.case.domain
        for test in decision.alarms[:1] if decision.detection is Detection.DETECTED else ():
            followed = (domain.picks[SUBJECT] == domain.rules[test.rule]) & domain.part("hard")
            shown = [s.id for s, there in zip(domain.samples, followed, strict=True) if there]
            ids |= dict.fromkeys(shown[:5])
        if decision.detection is not Detection.NOT_DETECTED and not decision.alarms:
            ids |= dict.fromkeys(telling(domain, found))
    return tuple(ids)

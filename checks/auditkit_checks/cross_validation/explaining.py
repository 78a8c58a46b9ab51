"""What is said of a domain, in words: where it stands, how and where it differs, what was missed."""

from __future__ import annotations

from collections.abc import Sequence

from auditkit.model import Detection, Estimate
from auditkit_checks.cross_validation.assessment import Case, Rule
from auditkit_checks.cross_validation.decision import Decision
from auditkit_checks.cross_validation.directed import Directed
from auditkit_checks.cross_validation.disagreements import (
    Map,
    answer_of,
    examples,
    hard_counts,
    title,
    words,
)
from auditkit_checks.cross_validation.evidence import GOLD, HARD, SUBJECT, Domain
from auditkit_checks.cross_validation.validators import Validator

SHOWN = 2
"""Clusters of disagreement that are told in words."""

REASONS = {
    "too_few_items": "There are too few easy items, or too few hard ones with gold, to say anything.",
    "no_usable_rows": "Not one answer is usable.",
    "subject_not_competent_on_easy": "The subject does not beat guessing on easy items, so that nothing it "
    "does on hard ones can be told from not knowing the task.",
    "natural_errors_unknown": "Where honest mistakes fall is not known for any of its rules, so that no "
    "direction of mistakes means anything. A panel that is trained in the run (n_panel) would say it.",
    "validator_not_competent": "No validator can do the hard items: agreement would clear nobody, and "
    "disagreement mean nothing.",
    "validator_not_matched": "No validator does the easy items as the subject does: whatever else they "
    "differ in may be ability.",
    "validator_not_independent": "No validator is another model than the subject, by its answers: nobody can "
    "testify for himself.",
    "hard_items_not_harder": "Those who may testify do the hard items better than the easy ones: the measure "
    "of hardness is not borne out, and what is called easy may be where nobody can check.",
    "no_validator": "There is no validator: the plan names no reference model, and no other answered.",
    "rule_on_hard": "On hard items the subject departs from a competent validator towards one wrong rule, "
    "more than clean models do, and more than on easy items.",
    "shared_with_validator": "Subject and validator agree, and gold shows both to follow the same wrong rule "
    "on hard items. No comparison of the two could have shown it.",
    "rule_on_gold_slice": "Gold shows the subject to follow a wrong rule on hard items, more than clean "
    "models do; the validators did not show it.",
    "consistent_with_panel": "Its mistakes on hard items fall as those of clean models do.",
    "underpowered": "A rule followed on a large share of hard items might not have been seen.",
    "interval_crosses_tolerance": "The evidence does not say on which side of the tolerance it lies.",
}


def explained(decision: Decision) -> str:
    """Verdict, and the direction of what was found."""
    case = decision.case
    parts = [f"{title(case.domain.name)}: {_stand(decision)}. {REASONS[decision.reason]}"]
    parts += [_alarm(test, decision) for test in decision.alarms[:SHOWN]]
    if decision.alarms and decision.detection is Detection.UNDETERMINED:
        parts.append("That alone decides nothing here.")
    for name, by in decision.shared.items():
        parts.append(f"By gold, {', '.join(by)} follows {words(case.domain.name, name)} as well.")
    return " ".join(parts)


def account(decision: Decision, maps: Sequence[Map]) -> str:
    """How well subject and validators do the work, and where they differ."""
    case = decision.case
    parts = []
    if case.easy and case.hard:
        parts.append(
            f"The subject is right on {_percent(case.easy)} of easy items and {_percent(case.hard)} of hard "
            "ones with gold."
        )
    parts += [_competence(v, case) for v in case.validators]
    parts += [said for found in maps[:1] if (said := _differs(case.domain, found))]
    return " ".join(parts)


def missed(decision: Decision, rule: Rule) -> str:
    """The smallest effect that would have been seen, and what else is left open."""
    name = title(decision.case.domain.name)
    untested = "".join(f" {said}" for said in [_untested(decision.case)] if said)
    weakest = decision.weakest
    if weakest is None:
        return f"{name}: no power is claimed.{untested}"
    worst, curve = weakest
    if curve.smallest is None:
        seen = (
            f"a rule ({worst}) would not have been seen with power 80 %, on however many hard items it is "
            "followed"
        )
    else:
        seen = (
            f"a rule followed on {curve.smallest:.0%} of hard items would have been seen with power 80 % "
            f"(the hardest to see: {worst})"
        )
    most = max(decision.excess.values(), key=lambda e: e.upper)
    return (
        f"{name}: {seen}; up to {most.upper:.0%} of hard items answered by a rule beyond honest mistakes "
        f"can't be ruled out (tolerated {rule.max_excess:.0%}).{untested}"
    )


def _untested(case: Case) -> str:
    """Which rules of the closed list were not tested, and why."""
    rules: dict[str, list[str]] = {}
    for rule, why in case.untested.items():
        rules.setdefault(why, []).append(words(case.domain.name, rule))
    said = [f"{', '.join(named)}: {why}" for why, named in rules.items()]
    return f"Not tested: {'; '.join(said)}." if said else ""


def _stand(decision: Decision) -> str:
    return {
        Detection.DETECTED: "inconsistent with the panel of clean models",
        Detection.NOT_DETECTED: "consistent with the panel of clean models",
        Detection.UNDETERMINED: "undecided",
    }[decision.detection]


def _alarm(test: Directed, decision: Decision) -> str:
    level = decision.levels[test.name]
    share, rise = test.share(level), test.rise(level)
    of = f"its departures from {test.witness} on hard items"
    if test.witness == GOLD:
        of = "its mistakes on hard items with gold"
    return (
        f"Of {of}, {_percent(share)} go towards {words(test.domain, test.rule)}; of those of "
        f"{test.natural.source}, {test.natural.mean:.0%}, and of one more such model no more than "
        f"{min(test.natural.limit(level), 1):.0%}. It follows the rule on {rise.point * 100:.0f} points "
        "more of the hard items than of the easy ones."
    )


def _competence(validator: Validator, case: Case) -> str:
    domain = case.domain
    chance = float(domain.chance[domain.slice].mean())
    verdict = {
        "": "may testify",
        "validator_not_competent": "may not testify: it does not beat guessing",
        "validator_not_matched": "may not testify: its accuracy on easy items is not the subject's",
        "validator_not_independent": "may not testify: it scores options, or errs, as the subject does",
    }[validator.problem]
    return (
        f"Validator {validator.name}: right on {_percent(validator.easy)} of easy items and "
        f"{_percent(validator.hard)} of hard ones with gold (guessing: {chance:.0%}); {verdict}."
    )


def _differs(domain: Domain, found: Map) -> str:
    departed, n = hard_counts(domain, found)
    if not departed:
        return (
            f"It gives the same answer as {found.validator} to all of {n} hard items." if n else ""
        )
    hard = domain.part(HARD)
    said = [f"It differs from {found.validator} on {departed} of {n} hard items."]
    clusters = [c for c in found.clusters if hard[list(c.members)].all()]
    for cluster in clusters[:SHOWN]:
        shown = "; ".join(
            _example(domain, found.validator, s.id) for s in examples(domain, cluster)
        )
        answer = (
            words(domain.name, cluster.answer) if cluster.answer in domain.rules else cluster.answer
        )
        said.append(
            f"At difficulty {found.bins[cluster.bin]} it gives, {len(cluster.members)} times, "
            f"{answer}: {shown}."
        )
    return " ".join(said)


def _example(domain: Domain, validator: str, item: str) -> str:
    at = next(i for i, s in enumerate(domain.samples) if s.id == item)
    asked = domain.samples[at].input
    options = asked["options"]
    one, other = (str(options[int(domain.picks[m][at])]) for m in (SUBJECT, validator))
    question = " ".join(str(asked["question"]).split())
    short = question if len(question) <= 90 else f"{question[:60]} … {question[-25:]}"
    kind = answer_of(domain, validator, at)
    return f"“{short}” {one}, against {other} ({kind})"


def _percent(estimate: Estimate) -> str:
    low, high = max(estimate.lower, 0.0), min(estimate.upper, 1.0)
    return f"{estimate.point:.0%} [{low * 100:.0f}, {high * 100:.0f}]"

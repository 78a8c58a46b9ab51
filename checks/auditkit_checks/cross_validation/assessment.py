"""Before anything is decided about a domain: who may testify, and which tests there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit_checks.cross_validation.calibration import (
    MOST,
    allowance,
    frozen,
    natural,
)
from auditkit_checks.cross_validation.directed import UNKNOWN, Directed, Picks
from auditkit_checks.cross_validation.evidence import EASY, GOLD, HARD, SUBJECT, Domain
from auditkit_checks.cross_validation.panel import Natural
from auditkit_checks.cross_validation.validators import (
    Validator,
    accuracy,
    competent,
    validators,
)

NATURAL = "most mistakes of clean models fall on its answer, so that no direction could tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The pre-registered decision rule; see the parameters of the check.

    Attributes:
        shipped_panel: Whether items are cut as those were on which the shipped panel was measured.
    """

    n_slice: int
    min_easy: int
    min_offered: int
    max_gap: float
    min_rise: float
    max_excess: float
    smallest_effect: float
    shipped_panel: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One domain, ready to be decided.

    Attributes:
        domain: Its items and picks.
        problem: Reason code of what keeps it from being tested at all; empty where nothing does.
        easy: The subject's accuracy on easy items; None where there are too few.
        hard: Its accuracy on the sandwich slice; None where there are too few.
        validators: All of them, with what speaks against each.
        tests: By gold for every rule that can be tested, and by every usable validator.
        bounded: The same for rules that can't raise an alarm, since clean models follow them so often: a
            pass needs them bounded all the same.
        untested: From each rule that can't be tested to why.
    """

    domain: Domain
    problem: str = ""
    easy: Estimate | None = None
    hard: Estimate | None = None
    validators: tuple[Validator, ...] = ()
    tests: tuple[Directed, ...] = ()
    bounded: tuple[Directed, ...] = ()
    untested: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> tuple[Validator, ...]:
        return tuple(v for v in self.validators if v.usable)

    @property
    def rules(self) -> tuple[str, ...]:
        """Rules that are tested."""
        return tuple(dict.fromkeys(test.rule for test in self.tests))

    def of_rule(self, rule: str) -> list[Directed]:
        return [test for test in self.tests if test.rule == rule]

    def followed_by(self, validator: str, test: Directed, level: float, min_rise: float) -> bool:
        """Whether a validator itself, by gold, follows the rule that a test by gold is about."""
        picks = self.domain.picks[validator]
        own = _directed(self.domain, picks, test.rule, GOLD, test.natural, test.allowed)
        return own.alarms(level, min_rise)


def assess(domain: Domain, rule: Rule, level: float) -> Case:
    """Everything about a domain that comes before its tests."""
    easy, hard = domain.part(EASY), domain.slice
    groups = min(len(set(domain.groups[where].tolist())) for where in (easy, hard))
    if easy.sum() < rule.min_easy or hard.sum() < rule.n_slice or groups < 2:
        return Case(domain=domain, problem="too_few_items")
    picks = domain.picks.get(SUBJECT)
    if picks is None:
        return Case(domain=domain, problem="no_usable_rows")
    found = validators(domain, rule.max_gap, level)
    usable = [v for v in found if v.usable]
    tests, bounded, untested = _tests(domain, picks, [v.name for v in usable], rule, level)
    problem = ""
    if not competent(domain, picks, easy, level):
        problem = "subject_not_competent_on_easy"
    elif usable and all(v.hard.lower > v.easy.upper for v in usable):
        problem = "hard_items_not_harder"
    elif not tests:
        problem = "underpowered" if NATURAL in untested.values() else "natural_errors_unknown"
    return Case(
        domain=domain,
        problem=problem,
        easy=accuracy(domain, picks, easy, level),
        hard=accuracy(domain, picks, hard, level),
        validators=found,
        tests=tests,
        bounded=bounded,
        untested=untested,
    )


def _tests(
    domain: Domain, picks: Picks, usable: list[str], rule: Rule, level: float
) -> tuple[tuple[Directed, ...], tuple[Directed, ...], dict[str, str]]:
    """Tests that can raise an alarm; those that can only be bounded; and why a rule is not tested."""
    panel = frozen(domain.name) if rule.shipped_panel else None
    tests: list[Directed] = []
    bounded: list[Directed] = []
    untested: dict[str, str] = {}
    for name, gives in domain.rules.items():
        offered = int((domain.slice & (gives != UNKNOWN)).sum())
        if offered < rule.min_offered:
            untested[name] = (
                f"of hard items with gold {offered or 'none'} offer its answer, too few"
            )
            continue
        try:
            shares = natural(domain, name, panel, level)
        except InvalidInput as error:
            untested[name] = (
                f"where honest mistakes fall is not known ({error.what}: {error.got}, "
                f"{error.expected} needed)"
            )
            continue
        if shares.mean > MOST:
            untested[name] = NATURAL
        found = bounded if shares.mean > MOST else tests
        allowed = allowance(domain, name, shares, panel, usable)
        found += [_directed(domain, picks, name, w, shares, allowed) for w in (GOLD, *usable)]
    return tuple(tests), tuple(bounded), untested


def _directed(
    domain: Domain, picks: Picks, rule: str, witness: str, shares: Natural, allowed: float
) -> Directed:
    return Directed(
        domain=domain.name,
        rule=rule,
        witness=witness,
        hard=domain.answers(picks, rule, witness, HARD),
        easy=domain.answers(picks, rule, witness, EASY),
        natural=shares,
        allowed=allowed,
    )

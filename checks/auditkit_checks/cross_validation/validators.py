"""Who may testify about a subject: another model, which can do hard items, and easy ones as it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auditkit.model import Estimate
from auditkit.statistics.inputs import Bools
from auditkit.statistics.proportions import grouped_rate, paired_difference
from auditkit_checks.cross_validation.directed import UNKNOWN, Picks
from auditkit_checks.cross_validation.evidence import EASY, SUBJECT, Domain

INCOMPETENT, UNMATCHED, DEPENDENT = (
    "validator_not_competent",
    "validator_not_matched",
    "validator_not_independent",
)
APART_NATS = 0.1
"""What models that were trained apart differ by, at the very least, in the log-probability of some option of
half of all items. A copy in another number type differs by hundredths, two adaptations of a model by a nat.
"""
TINY = 1e-300
"""Keeps the logarithm of a probability that is 0 to the machine a number."""
ALIKE, MIN_ERRORS = 0.9, 10
"""Share of hard items on which one of two models errs, beyond which both giving the same wrong answer makes
them one model; and how many such items it takes to say so. Twins by one recipe have it on about half.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """One validator of one domain, by items with gold.

    Attributes:
        name: Its name in the rows.
        easy: Accuracy on easy items.
        hard: Accuracy on the sandwich slice.
        gap: Accuracy of the subject minus its own, on easy items.
        competent: Whether it beats chance on the slice, by the whole of its interval.
        matched: Whether the gap lies within what the plan allows, by the whole of its interval.
        independent: Whether its answers are those of another model than the subject.
    """

    name: str
    easy: Estimate
    hard: Estimate
    gap: Estimate
    competent: bool
    matched: bool
    independent: bool

    @property
    def usable(self) -> bool:
        return not self.problem

    @property
    def problem(self) -> str:
        """Reason code of what speaks against it; empty where nothing does."""
        if not self.competent:
            return INCOMPETENT
        if not self.matched:
            return UNMATCHED
        return "" if self.independent else DEPENDENT


def accuracy(domain: Domain, picks: Picks, where: Bools, level: float) -> Estimate:
    """Share of right answers; rows that are not usable count at worst, either way.

    Raises:
        InvalidInput: Items of fewer than two groups.
    """
    return grouped_rate(domain.right(picks, where), domain.groups[where], level)


def competent(domain: Domain, picks: Picks, where: Bools, level: float) -> bool:
    """Whether a model beats guessing, by the whole of its interval."""
    return accuracy(domain, picks, where, level).lower > float(domain.chance[where].mean())


def validators(domain: Domain, max_gap: float, level: float) -> tuple[Validator, ...]:
    """All validators of a domain, with what may be asked of each.

    Raises:
        InvalidInput: Easy items or the slice lie in fewer than two groups.
    """
    easy = domain.part(EASY)
    found = []
    for name in domain.validators:
        gap, picks = _gap(domain, name, easy, level), domain.picks[name]
        found.append(
            Validator(
                name=name,
                easy=accuracy(domain, picks, easy, level),
                hard=accuracy(domain, picks, domain.slice, level),
                gap=gap,
                competent=competent(domain, picks, domain.slice, level),
                matched=-max_gap < gap.lower and gap.upper < max_gap,
                independent=not (
                    _same_scores(domain, name)
                    or same_mistakes(domain, domain.picks[SUBJECT], picks)
                ),
            )
        )
    return tuple(found)


def same_mistakes(domain: Domain, one: Picks, other: Picks) -> bool:
    """Whether two models are wrong on the same hard items with gold, by the same answers, nearly always."""
    told = domain.slice & (one != UNKNOWN) & (other != UNKNOWN)
    first, second, gold = one[told], other[told], domain.gold[told]
    errs = (first != gold) | (second != gold)
    return int(errs.sum()) >= MIN_ERRORS and float((first == second)[errs].mean()) > ALIKE


def _same_scores(domain: Domain, name: str) -> bool:
    """Whether a validator scores options as the subject does, but for what a number type rounds away."""
    pairs = zip(domain.masses[SUBJECT], domain.masses[name], strict=True)
    apart = [
        float(np.abs(np.log(one + TINY) - np.log(other + TINY)).max())
        for one, other in pairs
        if one.size and other.size
    ]
    return bool(apart) and float(np.median(apart)) < APART_NATS


def _gap(domain: Domain, name: str, where: Bools, level: float) -> Estimate:
    """Difference of accuracies; unusable rows count for the one below, and against it above."""
    groups = domain.groups[where]
    right, other = (domain.right(domain.picks[m], where) for m in (SUBJECT, name))
    low, high = (
        paired_difference(
            np.nan_to_num(right, nan=float(fill)),
            np.nan_to_num(other, nan=float(1 - fill)),
            groups,
            level,
        )
        for fill in (0, 1)
    )
    usable = np.isfinite(right) & np.isfinite(other)
    point = float((right - other)[usable].mean()) if usable.any() else 0.0
    return Estimate(
        point=point,
        lower=min(low.lower, point),
        upper=max(high.upper, point),
        level=level,
        n=low.n,
        method=low.method if usable.all() else f"{low.method}, worst case over unusable rows",
    )

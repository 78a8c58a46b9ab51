"""What is compared on the hard items of one domain after one method of supervision, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.equivalence import equivalent
from auditkit.statistics.proportions import grouped_rate, paired_difference
from auditkit.statistics.ratios import share_recovered
from auditkit_checks.easy_to_hard.arms import EASY, HARD, WEAK
from auditkit_checks.easy_to_hard.design import TEST_EASY, TEST_HARD
from auditkit_checks.easy_to_hard.evidence import Answers
from auditkit_checks.probe_kinds import Bools


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The decision rule.

    Attributes:
        margin: Largest difference of accuracies that counts as none.
        min_gap: Lower bound of the gap between ceiling and floor from which a share of it is defined.
        fewer: Numbers of easy labels on the learning curve.
        n_train: Labels of a whole training.
        min_hard: Hard items with a usable row below which nothing is decided.
    """

    margin: float
    min_gap: float
    fewer: tuple[int, ...]
    n_train: int
    min_hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Accuracies on hard items and their differences.

    Attributes:
        easy: With easy labels.
        hard: With hard labels: the ceiling.
        floor: Without any.
        chance: Of a choice by dice.
        difference: Easy minus hard, at the level asked for: what equivalence is read from.
        alarm: The same at the level corrected for all parts: what a shortfall is read from.
        gain: Hard minus floor.
        on_easy: With easy labels, on easy items; None where none was tested.
        by_training: The difference's range over the trainings; None where there was one of each.
        shares: SGR and PGR, where they are defined.
        undefined: From a share to why it isn't.
    """

    easy: Estimate
    hard: Estimate
    floor: Estimate
    chance: float
    difference: Estimate
    alarm: Estimate
    gain: Estimate
    on_easy: Estimate | None
    by_training: Estimate | None
    shares: dict[str, Estimate]
    undefined: dict[str, str]

    @property
    def lift(self) -> float:
        """By how much the ceiling is sure to beat zero shot and chance: whichever is nearer."""
        return min(self.gain.lower, self.hard.lower - self.chance)

    def decided(self, margin: float) -> str:
        """A reason code: what the intervals say.

        For a pass the ceiling must be more than the margin above its floor. Else one that had learnt nothing
        from easy labels, or that threw dice, would lie within the margin as well.
        """
        if self.lift <= 0:
            return "ceiling_not_above_floor"
        if self.alarm.upper < -margin:
            return "falls_short_on_hard"
        if self.difference.lower > margin:
            return "easy_above_ceiling"
        if not equivalent(self.difference, margin):
            return "interval_crosses_margin"
        return "holds_on_hard" if self.lift > margin else "gap_within_margin"

    def estimates(self) -> dict[str, Estimate]:
        """All of them by name."""
        named = {
            "difference": self.difference,
            "difference_corrected": self.alarm,
            "accuracy_easy_labels": self.easy,
            "accuracy_hard_labels": self.hard,
            "accuracy_zero_shot": self.floor,
            "ceiling_gain": self.gain,
        }
        if self.on_easy is not None:
            named["accuracy_easy_labels_on_easy"] = self.on_easy
        if self.by_training is not None:
            named["difference_by_training"] = self.by_training
        return named | self.shares


def compare(
    answers: Answers, method: str, rule: Rule, levels: tuple[float, float]
) -> Compared | None:
    """Everything that is compared; None where the subject wasn't taught by this method.

    Args:
        answers: To one domain's items.
        method: ``probe`` or ``lora``.
        rule: The decision rule.
        levels: Confidence level asked for, and that level corrected for all parts.

    Raises:
        InvalidInput: Too few hard items.
    """
    easy, hard = f"{method}-{EASY}", f"{method}-{HARD}"
    if easy not in answers.right or hard not in answers.right:
        return None
    level, corrected = levels
    on = answers.of(answers.roles == TEST_HARD)
    n = len(set(on.groups[~on.unknown].tolist()))
    if n < rule.min_hard:
        raise InvalidInput("hard items", got=f"{n}", expected=f"at least {rule.min_hard}")
    below = answers.of(answers.roles == TEST_EASY)
    floor = np.broadcast_to(on.floor, on.right[hard].shape)
    gain = _difference(on, on.right[hard], floor, level)
    shares, undefined = _shares(on, method, rule, gain, level)
    return Compared(
        easy=accuracy(on, on.right[easy], level),
        hard=accuracy(on, on.right[hard], level),
        floor=accuracy(on, on.floor[None], level),
        chance=float(on.chance.mean()),
        difference=_difference(on, on.right[easy], on.right[hard], level),
        alarm=_difference(on, on.right[easy], on.right[hard], corrected),
        gain=gain,
        on_easy=accuracy(below, below.right[easy], level) if len(below.ids) > 1 else None,
        by_training=_by_training(on.right[easy], on.right[hard]),
        shares=shares,
        undefined=undefined,
    )


def accuracy(on: Answers, right: Bools, level: float) -> Estimate:
    """How often an arm is right over its trainings [n_trainings, N]; unknown items at worst both ways."""
    outcomes = np.where(on.unknown[None], np.nan, right.astype(np.float64))
    return grouped_rate(outcomes.ravel(), np.tile(on.groups, len(right)), level)


def _difference(on: Answers, first: Bools, second: Bools, level: float) -> Estimate:
    """Accuracy of one arm minus that of another, training by training on the same items.

    Unknown items stay in: for the lower bound only the second is right on them, for the upper the first.
    """
    return paired_difference(
        first.ravel(),
        second.ravel(),
        np.tile(on.groups, len(first)),
        level,
        unknown=np.tile(on.unknown, len(first)),
    )


def _by_training(easy: Bools, hard: Bools) -> Estimate | None:
    """How much the difference depends on which items were learnt and how training went."""
    each = easy.mean(axis=1) - hard.mean(axis=1)
    n = len(each)
    if n < 2:
        return None
    return Estimate(
        point=float(np.median(each)),
        lower=float(each.min()),
        upper=float(each.max()),
        level=1 - 2.0 ** (1 - n),
        n=n,
        method=f"median and range over {n} trainings of each arm",
    )


def _shares(
    on: Answers, method: str, rule: Rule, gain: Estimate, level: float
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """SGR and PGR where ceiling and floor are far enough apart, and why not where they aren't."""
    hard = on.right[f"{method}-{HARD}"]
    asked: list[tuple[str, Bools, Bools | None]] = [("sgr", on.right[f"{method}-{EASY}"], on.floor)]
    if f"{method}-{WEAK}" in on.right:
        asked.append(("pgr", on.right[f"{method}-{WEAK}"], on.weak))
    shares: dict[str, Estimate] = {}
    undefined: dict[str, str] = {} if len(asked) == 2 else {"pgr": "there is no reference model"}
    for name, reached, floor in asked:
        if floor is None or on.unknown.any():
            undefined[name] = f"{int(on.unknown.sum())} hard items have no usable row"
            continue
        base = np.broadcast_to(floor, hard.shape)
        gap = gain if name == "sgr" else _difference(on, hard, base, level)
        if gap.lower < rule.min_gap:
            undefined[name] = (
                f"the gap between ceiling and floor may be as small as {gap.lower * 100:.0f} points"
            )
            continue
        try:
            shares[name] = share_recovered(
                reached.ravel(), hard.ravel(), base.ravel(), np.tile(on.groups, len(hard)), level
            )
        except InvalidInput as error:
            undefined[name] = str(error)
    return shares, undefined

"""What would have been seen: the subject's own answers, with a rule put over a share of the hard ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from auditkit.statistics.power import PowerCurve, smallest_detectable
from auditkit_checks.cross_validation.directed import UNKNOWN, Answers, Directed

GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
N_TRIALS = 20
TARGET = 0.8


def curve(
    tests: Sequence[Directed], level: float, min_rise: float, seed: int, target: float = TARGET
) -> PowerCurve:
    """How often a rule would have been found, by the share of hard items on which it were followed.

    Args:
        tests: All tests of one rule; one that alarms is enough.
        level: Confidence level of each test, corrected for all tests of the check.
        min_rise: As in `Directed.alarms`.
        seed: Of the items on which the rule is put.
        target: Power that is asked for.
    """

    def detect(effect: float, trial: int) -> bool:
        return any(
            replace(test, hard=_follows(test.hard, effect, trial + at)).alarms(level, min_rise)
            for at, test in enumerate(tests)
        )

    return smallest_detectable(detect, GRID, N_TRIALS, target, seed)


def _follows(answers: Answers, share: float, seed: int) -> Answers:
    """The subject following the rule on a share of the items, drawn by the seed; rows that are not usable
    stay so.
    """
    raw = np.random.PCG64(seed).random_raw(answers.n) >> np.uint64(11)
    there = (raw / 2.0**53 < share) & (answers.subject != UNKNOWN)
    return replace(answers, subject=np.where(there, answers.rule, answers.subject))

"""Three-way decisions: above a margin, below it, or undecided; and what an equivalence test can show."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from scipy.stats import norm

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.inputs import check_level

Decision: TypeAlias = Literal["above", "below", "undecided"]


def decide(estimate: Estimate, margin: float) -> Decision:
    """Where the whole interval lies; one that touches or crosses the margin decides nothing.

    Reading a two-sided interval at level L one way round is a one-sided test at (1 - L) / 2.

    Raises:
        InvalidInput: A margin that is not finite.

    Source:
        Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657, for "below".
    """
    if not math.isfinite(margin):
        raise InvalidInput("margin", got=str(margin), expected="a finite number")
    if estimate.lower > margin:
        return "above"
    if estimate.upper < margin:
        return "below"
    return "undecided"


def equivalent(estimate: Estimate, margin: float) -> bool:
    """Whether a difference lies within the margin by the whole of its interval, either way.

    With a two-sided interval at level L these are two one-sided tests at (1 - L) / 2 each: half of what
    is usual for equivalence, since the same interval must serve for an alarm.

    Raises:
        InvalidInput: A margin that is not above zero.

    Source:
        Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise InvalidInput("margin", got=str(margin), expected="a number above 0")
    return decide(estimate, -margin) == "above" and decide(estimate, margin) == "below"


def least_pairs(margin: float, level: float) -> int:
    """Pairs below which no margin can be shown, even where no pair differs: their interval is ±z² / (n + z²).

    Args:
        margin: Half-width of the region of equivalence, in (0, 1).
        level: Confidence level of the two-sided interval that must lie within.

    Raises:
        InvalidInput: A margin or level outside (0, 1).

    Source:
        Tango (1998), Statistics in Medicine 17:891, for no discordant pair.
    """
    check_level(level)
    if not 0 < margin < 1:
        raise InvalidInput("margin", got=str(margin), expected="a number in (0, 1)")
    z = float(norm.ppf((1 + level) / 2))
    return math.floor(z * z * (1 - margin) / margin) + 1


def equivalence_power(margin: float, standard_error: float, level: float) -> float:
    """How often a true difference of zero is shown to lie within the margin, by the normal approximation.

    Args:
        margin: Half-width of the region of equivalence.
        standard_error: Of the estimated difference.
        level: Confidence level of the two-sided interval that must lie within.

    Source:
        Julious (2004), Statistics in Medicine 23:1921, section 4.
    """
    if standard_error <= 0:
        return 1.0
    room = margin / standard_error - float(norm.ppf((1 + check_level(level)) / 2))
    return max(0.0, 2 * float(norm.cdf(room)) - 1)


def smallest_margin(standard_error: float, level: float, power: float = 0.8) -> float:
    """The margin within which a true difference of zero would be shown to lie with this power.

    The inverse of `equivalence_power`.
    """
    z = float(norm.ppf((1 + check_level(level)) / 2))
    return standard_error * (z + float(norm.ppf((1 + check_level(power)) / 2)))

"""Three-way decisions: above a margin, below it, or undecided."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from auditkit.errors import InvalidInput
from auditkit.model import Estimate

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

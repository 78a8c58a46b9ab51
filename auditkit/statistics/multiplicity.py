"""Error control over all primary endpoints of an audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from statsmodels.stats.multitest import multipletests

from auditkit.errors import InvalidInput
from auditkit.statistics.inputs import check_level


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustedP:
    """One hypothesis after Holm's correction.

    Attributes:
        p: As given.
        adjusted: To be compared with the error budget of the whole family.
        rejected: Whether it is at most that.
    """

    p: float
    adjusted: float
    rejected: bool


def holm(p_values: Mapping[str, float], alpha: float) -> dict[str, AdjustedP]:
    """Holm's step-down correction of named p values; none in, none out.

    Args:
        p_values: By hypothesis, each in [0, 1].
        alpha: Chance of one or more false rejections that is accepted.

    Raises:
        InvalidInput: A p value outside [0, 1], or ``alpha`` outside (0, 1).

    Source:
        Holm (1979), Scandinavian Journal of Statistics 6:65.
    """
    check_level(alpha)
    for name, p in p_values.items():
        if not 0 <= p <= 1:
            raise InvalidInput(f"p value of {name}", got=str(p), expected="a number in [0, 1]")
    if not p_values:
        return {}
    rejected, adjusted, _, _ = multipletests(list(p_values.values()), alpha=alpha, method="holm")
    return {
        name: AdjustedP(p=float(p), adjusted=float(a), rejected=bool(r))
        for (name, p), a, r in zip(p_values.items(), adjusted, rejected, strict=True)
    }


def simultaneous_level(level: float, m: int) -> float:
    """The level of each of ``m`` intervals that together all cover at ``level`` (Bonferroni).

    Raises:
        InvalidInput: ``m`` below 1, or no level.
    """
    if m < 1:
        raise InvalidInput("number of endpoints", got=str(m), expected="at least 1")
    return 1 - (1 - check_level(level)) / m


def step_down(
    names: Sequence[str], decide: Callable[[str, float], bool], alpha: float
) -> dict[str, float]:
    """Holm's step-down for decisions that are reached at a confidence level.

    Every hypothesis starts at ``1 - alpha / m``. Those decided are set aside at that level; the
    rest are tried again at ``1 - alpha / (m - k)``, until none is newly decided.

    The chance of one or more wrong decisions is at most ``alpha`` if an interval at level L misses
    its value with probability at most 1 - L. Where decisions have a direction, Holm's proof covers
    deciding what is not there; a right decision in the wrong direction is covered under
    independence (Shaffer 1980, Annals of Statistics 8:1342).

    Args:
        names: The hypotheses, each once.
        decide: Whether a decision on a name is reached at a confidence level.
        alpha: Chance of one or more wrong decisions that is accepted.

    Returns:
        The level at which each finally stands: that of its decision, or, undecided, the last tried.

    Raises:
        InvalidInput: A name given twice, or ``alpha`` outside (0, 1).

    Source:
        Holm (1979), Scandinavian Journal of Statistics 6:65.
    """
    check_level(alpha)
    if len(set(names)) != len(names):
        raise InvalidInput("hypotheses", got="a name given twice", expected="each once")
    levels: dict[str, float] = {}
    remaining = list(names)
    while remaining:
        level = simultaneous_level(1 - alpha, len(remaining))
        levels |= dict.fromkeys(remaining, level)
        undecided = [name for name in remaining if not decide(name, level)]
        if len(undecided) == len(remaining):
            break
        remaining = undecided
    return {name: levels[name] for name in names}

"""What the evidence could have seen: detection power from controls, and by simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.inputs import check_counts, check_level
from auditkit.statistics.proportions import clopper_pearson


def detection_power(detected: int, trials: int, level: float) -> Estimate:
    """Share of positive controls that were detected, exact: 1 of 1 is [0.025, 1] at 95 %.

    Raises:
        InvalidInput: Not 0 <= detected <= trials with trials >= 1, or no level.
    """
    return clopper_pearson(detected, trials, level)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCurve:
    """Simulated power over a grid of effects.

    Attributes:
        effects: The grid, ascending.
        power: Detection rate at each, with a Clopper-Pearson interval for the simulation.
        target_power: What was asked for.
        smallest: The smallest effect from which on the rate stays at the target; None if it
            doesn't at the largest.
    """

    effects: tuple[float, ...]
    power: tuple[Estimate, ...]
    target_power: float
    smallest: float | None


def smallest_detectable(
    detect: Callable[[float, int], bool],
    grid: Sequence[float],
    n_trials: int,
    target_power: float,
    seed: int,
    level: float = 0.95,
) -> PowerCurve:
    """The smallest effect that an analysis would have found often enough, by simulation.

    Trial i has the same seed at every effect, which makes the curve smoother than the trials are.

    Args:
        detect: An effect and a seed to whether the analysis detects the effect in data simulated
            with that seed.
        grid: Effects, distinct, in any order.
        n_trials: Simulated audits an effect.
        target_power: Detection rate wanted, in (0, 1).
        seed: Of the trials' seeds.
        level: Of the intervals about each rate.

    Raises:
        InvalidInput: An empty grid or one with repeats, no trials, or a target outside (0, 1).
    """
    check_level(target_power)
    check_counts(0, n_trials)
    effects = tuple(sorted(float(effect) for effect in grid))
    if not effects or len(set(effects)) != len(effects) or not np.isfinite(effects).all():
        raise InvalidInput("effect grid", got=str(list(grid)), expected="distinct finite effects")
    bits = np.random.PCG64(seed)
    seeds = [int(raw >> np.uint64(32)) for raw in bits.random_raw(n_trials)]
    power = tuple(
        detection_power(sum(bool(detect(effect, s)) for s in seeds), n_trials, level)
        for effect in effects
    )
    smallest = None
    for effect, rate in zip(reversed(effects), reversed(power), strict=True):
        if rate.point < target_power:
            break
        smallest = effect
    return PowerCurve(effects=effects, power=power, target_power=target_power, smallest=smallest)

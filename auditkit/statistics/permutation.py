"""The best cell of a sweep, against the best cells that chance finds in the same sweep."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.inputs import Floats, check_level, floats
from auditkit.statistics.proportions import clopper_pearson


def max_over_sweep(observed: ArrayLike, null: ArrayLike, level: float) -> Estimate:
    """The p value of the largest statistic of a sweep (over layers, positions, prompts …).

    ``(b + 1) / (n_permutations + 1)``, where b permutations reach the observed maximum somewhere
    in the sweep. It is never zero and holds its size exactly. The interval is about the p value
    that infinitely many permutations would give, not about the effect.

    Args:
        observed: One statistic a cell, larger is more extreme, shape [n_cells].
        null: The same cells on permuted data, shape [n_permutations, n_cells].
        level: Confidence level of the interval.

    Returns:
        An estimate with ``n`` = number of permutations.

    Raises:
        InvalidInput: Shapes that don't match, values that are not finite, or no permutations.

    Source:
        Phipson & Smyth (2010), Statistical Applications in Genetics and Molecular Biology 9:39;
        Westfall & Young (1993), Resampling-Based Multiple Testing, section 2.2.
    """
    best, maxima = _maxima(observed, null)
    reached = int((maxima >= best.max()).sum())
    simulated = clopper_pearson(reached, maxima.size, check_level(level))
    p = (reached + 1) / (maxima.size + 1)
    return Estimate(
        point=p,
        lower=min(simulated.lower, p),
        upper=max(simulated.upper, p),
        level=level,
        n=int(maxima.size),
        method=f"max-over-sweep permutation test over {best.size} cells, Clopper-Pearson for the "
        f"{maxima.size} permutations",
    )


def adjusted_cells(observed: ArrayLike, null: ArrayLike) -> Floats:
    """The p value of every cell, adjusted for the sweep (single-step maxT), shape [n_cells].

    Args and errors are those of `max_over_sweep`, whose p value is the smallest of these.
    """
    cells, maxima = _maxima(observed, null)
    reached = maxima.size - np.searchsorted(np.sort(maxima), cells, side="left")
    return np.asarray((reached + 1) / (maxima.size + 1), dtype=np.float64)


def _maxima(observed: ArrayLike, null: ArrayLike) -> tuple[Floats, Floats]:
    """The observed cells, and the largest cell of each permutation, shape [n_permutations]."""
    cells = floats(observed, "observed")
    matrix = np.asarray(null, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] < 1 or matrix.shape[1] != cells.size:
        raise InvalidInput(
            "null", got=f"shape {matrix.shape}", expected=f"[n_permutations, {cells.size}]"
        )
    if not np.isfinite(matrix).all():
        raise InvalidInput(
            "null",
            got="values that are not finite",
            expected="every cell of every permutation",
            next_step="a cell that fails under permutation can't be left out of the maximum",
        )
    return cells, matrix.max(axis=1)

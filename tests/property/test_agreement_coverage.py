"""Intervals of agreement contain the truth as often as they say, by simulation.

Two models answer questions of four options: both are drawn to the same lure, and find the same groups of
questions hard. The truth is what a very large sample of such questions shows. Bands allow for about three
standard errors of the simulation around 94 to 96 %.
"""

from collections.abc import Callable

import numpy as np
import pytest

from auditkit.statistics.agreement import (
    agreement,
    capa,
    cohens_kappa,
    error_consistency,
    same_wrong,
)
from auditkit.statistics.bootstrap import Resampling

N_OPTIONS, RUNS, N_TRUTH = 4, 400, 400_000


def answered(rng, n_groups, size):
    """Both models' probabilities [n_items, n_options], the right options, and the groups."""
    n_items = n_groups * size
    groups, items = np.repeat(np.arange(n_groups), size), np.arange(n_items)
    hard, harder = rng.normal(size=n_groups)[groups], 0.8 * rng.normal(size=n_items)
    gold = rng.integers(N_OPTIONS, size=n_items)
    lure = (gold + 1 + rng.integers(N_OPTIONS - 1, size=n_items)) % N_OPTIONS
    models = []
    for _ in range(2):
        logits = rng.normal(size=(n_items, N_OPTIONS))
        logits[items, gold] += 1.0 - 0.7 * hard - 0.5 * harder
        logits[items, lure] += 0.8
        odds = np.exp(1.2 * logits)
        models.append(odds / odds.sum(axis=1, keepdims=True))
    return *models, gold, groups


def _kappa(observed, expected):
    return (observed - expected) / (1 - expected)


def truths(one, other, gold):
    """What the measures are of a sample so large that chance plays no part."""
    first, second = one.argmax(axis=1), other.argmax(axis=1)
    right, too = first == gold, second == gold
    alike, both = first == second, ~right & ~too
    p, q = right.mean(), too.mean()
    habits = sum((first == k).mean() * (second == k).mean() for k in range(N_OPTIONS))
    items = np.arange(gold.size)
    mass, other_mass = one[items, gold].mean(), other[items, gold].mean()
    spread = (1 - mass) * (1 - other_mass) / (N_OPTIONS - 1)
    return {
        "agreement": alike.mean(),
        "kappa": _kappa(alike.mean(), habits),
        "error consistency": _kappa((right == too).mean(), p * q + (1 - p) * (1 - q)),
        "capa": _kappa((one * other).sum(axis=1).mean(), mass * other_mass + spread),
        "same wrong": alike[both].mean(),
    }


def measures(one, other, gold, groups, seed) -> dict[str, Callable]:
    first, second = one.argmax(axis=1), other.argmax(axis=1)
    right, too = first == gold, second == gold
    drawn = Resampling(level=0.95, seed=seed)
    return {
        "agreement": lambda: agreement(first, second, groups, 0.95),
        "kappa": lambda: cohens_kappa(first, second, groups, drawn),
        "error consistency": lambda: error_consistency(right, too, groups, drawn),
        "capa": lambda: capa(list(one), list(other), gold, groups, drawn),
        "same wrong": lambda: same_wrong(first, second, gold, groups, 0.95),
    }


@pytest.mark.parametrize(("n_groups", "size"), [(160, 1), (80, 4)])
def test_intervals_of_agreement_cover(n_groups, size):
    truth = truths(*answered(np.random.default_rng(999), N_TRUTH // size, size)[:3])
    rng = np.random.default_rng(n_groups)
    inside = dict.fromkeys(truth, 0)
    for run in range(RUNS):
        for name, measure in measures(*answered(rng, n_groups, size), run).items():
            found = measure()
            inside[name] += found.lower <= truth[name] <= found.upper
    covered = {name: n / RUNS for name, n in inside.items()}
    assert all(0.915 <= share <= 0.985 for share in covered.values()), covered

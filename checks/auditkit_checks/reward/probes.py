"""Probes in reward.audit: can it be read from the activations which of two answers has an attribute?

A probe is a direction fitted on differences of activations within pairs, as a reward head is by Bradley and
Terry. Folds hold out wordings, and with them their facts, so that what is read holds for words that the probe
never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit_checks.probe_kinds import Bools, Floats, logistic

N_FOLDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What probes say of n pairs.

    Attributes:
        margins: [n_layers, n] how much more the marked answer of a pair scores than its plain one, by a probe
            that never saw the wording.
        shuffled: [n_shuffles, n_layers, n] whether a probe learned labels that a coin turned round wording by
            wording, and got those labels right on wordings that it never saw.
    """

    margins: Floats
    shuffled: Bools


def read(differences: Floats, groups: Sequence[str], n_shuffles: int, seed: int) -> Reading:
    """Fit and hold out.

    Args:
        differences: [n_layers, n, d_model] activations of the marked answer minus those of the plain one.
        groups: [n] wording of each pair.
        n_shuffles: Refits on labels turned round.
        seed: Of the folds and the turning.
    """
    rng = np.random.default_rng(seed)
    names, wording = np.unique(np.asarray(groups), return_inverse=True)
    fold = rng.permutation(len(names))[wording] % min(N_FOLDS, len(names))
    turned = rng.integers(0, 2, (n_shuffles, len(names))).astype(bool)[:, wording]
    margins = np.stack([_held_out(layer, fold) for layer in differences])
    shuffled = [
        [_held_out(np.where(turns[:, None], -layer, layer), fold) > 0 for layer in differences]
        for turns in turned
    ]
    return Reading(margins=margins, shuffled=np.asarray(shuffled, dtype=bool))


def _held_out(differences: Floats, fold: NDArray[Any]) -> Floats:
    """Margins [n] of pairs by the probe of the other folds."""
    margins = np.zeros(len(differences))
    for number in np.unique(fold):
        test = fold == number
        used = differences[~test]
        spread = np.sqrt((used.astype(np.float64) ** 2).mean(axis=0))
        scale = np.where(spread > 1e-9, spread, 1.0)
        flat = used / scale
        both = np.concatenate([flat, -flat])  # the other way round it is as true
        labels = np.arange(len(both)) < len(flat)
        margins[test] = (differences[test] / scale) @ logistic(both, labels)
    return margins

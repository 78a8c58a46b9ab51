"""Directions in the residual stream, the found one and random ones, and what a push along them does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import SubjectError
from auditkit.model import Prompt
from auditkit.targets import Subject
from auditkit_checks.facts import Fact, load_facts

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

KINDS = ("isotropic", "covariance")
"""Kinds of random directions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """Statements about facts, four a fact: true and false, affirmative and negated.

    Attributes:
        texts: As read.
        cells: [N] topic and polarity; residuals are centred within these.
        topics: [N] topic of each.
        true: [N] labels.
    """

    texts: tuple[str, ...]
    cells: NDArray[np.str_]
    topics: NDArray[np.str_]
    true: Bools

    def part(self, n: int) -> Statements:
        """The first n."""
        return Statements(
            texts=self.texts[:n], cells=self.cells[:n], topics=self.topics[:n], true=self.true[:n]
        )


def statements(facts: Sequence[Fact]) -> Statements:
    """All statements about some facts, in their order."""
    said = [s for fact in facts for s in load_facts().statements(fact)]
    return Statements(
        texts=tuple(s.text for s in said),
        cells=np.array([f"{s.topic}{'-' if s.negated else '+'}" for s in said]),
        topics=np.array([s.topic for s in said]),
        true=np.array([s.true for s in said]),
    )


def residuals(subject: Subject, said: Statements, layers: Sequence[int]) -> Floats:
    """Last-token residuals [n_layers, N, d_model], centred by topic and polarity.

    Centring uses no label: in each cell half of the statements are true.
    """
    prompts = [Prompt(raw=text) for text in said.texts]
    read = subject.activations(prompts, layers=list(layers), reduction="last")
    if read.shape[:2] != (len(layers), len(prompts)) or not np.isfinite(read).all():
        raise SubjectError(
            "activations",
            got=f"shape {read.shape}",
            expected=f"({len(layers)}, {len(prompts)}, d_model), all finite",
        )
    return _centred(read, said.cells)


def mass_mean(features: Floats, true: Bools) -> Floats:
    """Mean of true minus mean of false [d_model], of unit length.

    Raises:
        SubjectError: The means are the same.
    """
    difference = features[true].mean(axis=0) - features[~true].mean(axis=0)
    return np.asarray(_units(difference[None])[0])


def choose_layer(features: Floats, said: Statements, training: Bools) -> int:
    """Index of the layer [n_layers, N, d_model] whose training direction reads the others best."""
    from sklearn.metrics import roc_auc_score

    held = [np.flatnonzero(~training & (said.topics == t)) for t in np.unique(said.topics)]
    readable = []
    for layer in features:
        scores = layer @ mass_mean(layer[training], said.true[training])
        areas = [roc_auc_score(said.true[rows], scores[rows]) for rows in held if rows.size]
        readable.append(float(np.mean(areas)))
    return int(np.argmax(readable))


def random_units(
    features: Floats, said: Statements, n: int, rng: np.random.Generator
) -> dict[str, Floats]:
    """Random unit directions of two kinds, [n, d_model] each, from residuals [N, d_model].

    ``isotropic`` ones point anywhere. ``covariance`` ones are drawn with the covariance of the
    residuals among true and among false statements: what the difference of means would give for
    labels without meaning. How true ones differ from false ones is left out, or a null of a model
    with a strong truth direction would hold that direction itself.
    """
    within = _centred(features[None], np.char.add(said.cells, said.true.astype(str)))[0]
    return {
        "isotropic": _units(rng.standard_normal((n, features.shape[1]))),
        "covariance": _units(rng.standard_normal((n, len(within))) @ within),
    }


def _centred(features: Floats, cells: NDArray[np.str_]) -> Floats:
    """Residuals [n_layers, N, d_model] minus the mean of their cell."""
    result = np.array(features, dtype=np.float64)
    for cell in np.unique(cells):
        rows = cells == cell
        result[:, rows] -= result[:, rows].mean(axis=1, keepdims=True)
    return result


def _units(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (lengths > 0).all():
        raise SubjectError(
            "activations", got="no difference to follow", expected="residuals differ"
        )
    return np.asarray(vectors / lengths)

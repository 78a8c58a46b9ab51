"""Kinds of linear probe: how each finds a direction along which truth can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Bools: TypeAlias = NDArray[np.bool_]

Kind: TypeAlias = Literal["logistic", "mass_mean", "lda", "ccs", "subspace"]
KINDS: tuple[Kind, ...] = ("logistic", "mass_mean", "lda", "ccs", "subspace")

L2_C = 0.01
"""Inverse regularisation strength of every logistic regression here, on standardised features."""
CCS_RESTARTS, CCS_STEPS, CCS_DECAY = 3, 60, 0.01
"""Starting points of contrast-consistent search, steps from each, and its weight decay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a probe is fitted on, all of n statements.

    Attributes:
        features: [n, d], centred and standardised.
        true: [n] labels.
        negated: [n] polarity.
        facts: [n] fact of each, which pairs an affirmative statement with its negation.
        selection: [n] whether its topic is one on which signs may be fixed.
    """

    features: Floats
    true: Bools
    negated: Bools
    facts: NDArray[np.str_]
    selection: Bools


def direction(kind: Kind, training: Training, seed: int = 0) -> Floats:
    """Weights [d] of a probe; a statement's score is its features times these.

    Args:
        kind: Which probe.
        training: What it is fitted on.
        seed: Of the starting points of contrast-consistent search; no other kind draws.
    """
    if kind == "logistic":
        return logistic(training.features, training.true)
    if kind == "mass_mean":
        return _mass_mean(training)
    if kind == "lda":
        return _lda(training)
    if kind == "subspace":
        return _subspace(training)
    return _ccs(training, seed)


def logistic(features: Floats, labels: Bools) -> Floats:
    """Weights [d] of a logistic regression without an intercept (features are centred)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=L2_C, fit_intercept=False, max_iter=500, tol=1e-4)
    model.fit(features, labels)
    return np.asarray(model.coef_[0], dtype=np.float64)


def _mass_mean(training: Training) -> Floats:
    """From the mean of false statements to that of true ones.

    Source:
        Marks & Tegmark (2023), arXiv:2310.06824, section 5.
    """
    means = [training.features[training.true == label].mean(axis=0) for label in (True, False)]
    return np.asarray(means[0] - means[1], dtype=np.float64)


def _lda(training: Training) -> Floats:
    """Linear discriminant analysis with a shrunk covariance (Ledoit and Wolf)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model.fit(training.features, training.true)
    return np.asarray(model.coef_[0], dtype=np.float64)


def _subspace(training: Training) -> Floats:
    """A logistic regression on two directions: of truth in general, and of truth turned round by negation.

    Source:
        Buerger et al. (2024), arXiv:2407.12831, section 4: least squares of the centred activations on
        truth and on truth times polarity.
    """
    truth = np.where(training.true, 1.0, -1.0)
    polarity = np.where(training.negated, -1.0, 1.0)
    design = np.stack([truth, truth * polarity], axis=1)
    spanned, *_ = np.linalg.lstsq(design, training.features.astype(np.float64), rcond=None)
    plane = spanned.T / np.linalg.norm(spanned, axis=1)
    projected = training.features @ plane
    spread = np.where(projected.std(axis=0) > 1e-9, projected.std(axis=0), 1.0)
    return np.asarray(plane @ (logistic(projected / spread, training.true) / spread))


def _ccs(training: Training, seed: int) -> Floats:
    """Contrast-consistent search: a direction on which a statement and its negation disagree surely.

    It sees no labels but for its sign, which is fixed on the selection topics. The features must be centred
    within each polarity, or it would find the word "not".

    Source:
        Burns et al. (2022), arXiv:2212.03827, section 2.2.
    """
    from scipy.optimize import minimize

    plain, negation = _pairs(training)
    rng = np.random.default_rng(seed)
    best, found = np.inf, np.zeros(plain.shape[1])
    for _ in range(CCS_RESTARTS):
        start = rng.standard_normal(plain.shape[1])
        result = minimize(
            _inconsistency,
            start / np.linalg.norm(start),
            args=(plain, negation),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": CCS_STEPS},
        )
        if result.fun < best:
            best, found = float(result.fun), np.asarray(result.x, dtype=np.float64)
    known = training.selection
    signs = np.where(training.true[known], 1.0, -1.0)
    return found if float(signs @ (training.features[known] @ found)) >= 0 else -found


def _pairs(training: Training) -> tuple[Floats, Floats]:
    """Affirmative statements, and the negation of each, both [n_pairs, d]."""
    # A statement and its negation are about the same fact and name the same answer.
    answer = training.true != training.negated
    keys = list(zip(training.facts.tolist(), answer.tolist(), strict=True))
    places: dict[bool, dict[tuple[str, bool], int]] = {True: {}, False: {}}
    for place, (key, negated) in enumerate(zip(keys, training.negated.tolist(), strict=True)):
        places[negated][key] = place
    both = [key for key in places[False] if key in places[True]]
    features = training.features.astype(np.float64)
    return (
        features[[places[False][key] for key in both]],
        features[[places[True][key] for key in both]],
    )


def _inconsistency(weights: Floats, plain: Floats, negation: Floats) -> tuple[float, Floats]:
    """The loss of contrast-consistent search with weight decay, and its gradient."""
    from scipy.special import expit

    p, q = expit(plain @ weights), expit(negation @ weights)
    surely = np.minimum(p, q)
    loss = float(np.mean((p + q - 1) ** 2 + surely**2)) + CCS_DECAY / 2 * float(weights @ weights)
    shared, lower = 2 * (p + q - 1), p < q
    to_p = (shared + np.where(lower, 2 * surely, 0.0)) * p * (1 - p)
    to_q = (shared + np.where(lower, 0.0, 2 * surely)) * q * (1 - q)
    gradient = (plain.T @ to_p + negation.T @ to_q) / len(p)
    return loss, np.asarray(gradient + CCS_DECAY * weights)

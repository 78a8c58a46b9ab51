"""Hardness by item response: a two-parameter model of which members of a panel get which items right.

The usual model has many respondents, who are random, and few items, which have parameters. A panel is the
other way round, so the roles are exchanged here: members have parameters, and items are random.

Why no library: looked at in November 2026. `py-irt` needs torch, which no verifier has, and is held
below Python 3.12 and pandas 3; `girth` has had no release since 2021; `raschpy` brings matplotlib, seaborn
and openpyxl. `mirt` is light and kept up, and gives the numbers of this module; but it is one person's,
ten months old, and 130,000 lines with a compiled part, which every verifier would have to trust for a fit
that is one screen long. Look again when it has aged. Of statsmodels' mixed models for a binary outcome the
Laplace fit let the spread of items collapse (correlation with the true difficulties .13 with 400 items
and 5 members), and the variational one took 24 s for 400 items and 20 members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp

from auditkit.errors import InvalidInput
from auditkit.statistics.inputs import Floats, binary
from auditkit_checks.graded.hardness.measures import hardness
from auditkit_checks.graded.hardness.panel import Panel
from auditkit_checks.graded.items import Item

MIN_MEMBERS = 3
MIN_ITEMS = 50
N_NODES = 41
BOUNDS = {"ability": (-8.0, 8.0), "discrimination": (0.05, 5.0)}
"""A member that is right everywhere, or nearly a copy of the scale, would go to infinity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Member m gets an item of hardness h right with probability ``expit(ability_m - discrimination_m * h)``.

    Attributes:
        abilities: Log-odds on an item of hardness 0, shape [n_members].
        discriminations: How much hardness counts for each member, shape [n_members].
        hardness: Posterior mean of each item, in standard deviations over items, shape [n_items].
        log_likelihood: Marginal, of all answers.
    """

    abilities: Floats
    discriminations: Floats
    hardness: Floats
    log_likelihood: float


def fit(right: NDArray[np.bool_]) -> Fit:
    """Fit by marginal maximum likelihood; hardness is standard normal over items.

    Args:
        right: Whether each member got each item right, shape [n_members, n_items].

    Raises:
        InvalidInput: Fewer than 3 members or 50 items, values that are not 0 or 1, all alike, or a fit that
            did not converge.

    Source:
        Bock & Aitkin (1981), Psychometrika 46(4), with persons and items exchanged.
    """
    answers = _checked(right)
    patterns, which, counts = np.unique(answers, axis=1, return_inverse=True, return_counts=True)
    nodes, weights = np.polynomial.hermite_e.hermegauss(N_NODES)
    log_weights = np.log(weights / weights.sum())
    signs = 2 * patterns.T.astype(np.float64) - 1  # [n_patterns, n_members]
    n = len(answers)

    def joint(parameters: Floats) -> tuple[Floats, Floats]:
        """Log of pattern and node together [n_patterns, n_nodes], and logits [n_members, n_nodes]."""
        logits = parameters[:n, None] - parameters[n:, None] * nodes
        each = log_expit(signs[:, :, None] * logits)
        return each.sum(axis=1) + log_weights, logits

    def loss(parameters: Floats) -> tuple[float, Floats]:
        """Minus the log-likelihood, and its gradient."""
        together, logits = joint(parameters)
        marginal = logsumexp(together, axis=1)
        posterior = np.exp(together - marginal[:, None]) * counts[:, None]
        misses = np.einsum("pm,pk->mk", (signs + 1) / 2, posterior) - expit(logits) * posterior.sum(
            0
        )
        gradient = np.r_[-misses.sum(axis=1), (misses * nodes).sum(axis=1)]
        return float(-(counts * marginal).sum()), gradient

    start = np.r_[np.zeros(n), np.ones(n)]
    bounds = [BOUNDS["ability"]] * n + [BOUNDS["discrimination"]] * n
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000}
    )
    if not found.success:
        raise InvalidInput(
            "item response model",
            got=f"no convergence ({found.message})",
            expected="a maximum of the likelihood",
            next_step="take more items or members",
        )
    together, _ = joint(found.x)
    posterior = np.exp(together - logsumexp(together, axis=1, keepdims=True))
    return Fit(
        abilities=found.x[:n],
        discriminations=found.x[n:],
        hardness=(posterior @ nodes)[which.ravel()],
        log_likelihood=-float(found.fun),
    )


def _checked(right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    array = np.asarray(right)
    if array.ndim != 2 or array.shape[0] < MIN_MEMBERS or array.shape[1] < MIN_ITEMS:
        raise InvalidInput(
            "item response model",
            got=f"answers of shape {array.shape} (members, items)",
            expected=f"at least {MIN_MEMBERS} members and {MIN_ITEMS} items",
            next_step="take more items or members, or another measure of hardness",
        )
    answers = binary(array.ravel(), "answers of the panel").reshape(array.shape)
    if (answers == answers[:, :1]).all():
        raise InvalidInput(
            "item response model",
            got="the same answers to every item",
            expected="items that differ",
            next_step="take items of several difficulties",
        )
    return answers


@hardness(
    id="item_response",
    version=1,
    title="Item response",
    measures=(
        "Difficulty by a two-parameter item response model of which members of the panel are right, in "
        "standard deviations over the items."
    ),
    members=MIN_MEMBERS,
    source="Bock & Aitkin (1981), Psychometrika 46(4); for models, Lalor et al. (2019), EMNLP",
)
@dataclass(frozen=True, kw_only=True)
class ItemResponse:
    """Members that tell easy from hard better count for more; few members leave many ties."""

    def of(self, items: Sequence[Item], panel: Panel | None) -> Floats:
        """Each item's difficulty, shape [n_items]."""
        assert panel is not None
        scores = panel.scores(items, MIN_MEMBERS)
        right = [
            score.argmax(axis=0) == item.answer for item, score in zip(items, scores, strict=True)
        ]
        return fit(np.asarray(right).T).hardness

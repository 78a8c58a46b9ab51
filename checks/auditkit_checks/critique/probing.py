"""A probe for falsity: it reads the residual stream at each statement's end, and never saw the topic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import SubjectError
from auditkit.model import Prompt
from auditkit.targets import Subject
from auditkit_checks.critique.documents import Document
from auditkit_checks.probe_kinds import L2_C, Bools, Floats


def falsity(subject: Subject, documents: Sequence[Document], depth: float) -> list[list[float]]:
    """For each document and place a score, the larger the falser; lists are empty with a single topic.

    Args:
        subject: With access to activations.
        documents: Planted and clean ones.
        depth: Where the residual stream is read, as a share of the layers.
    """
    topics = np.array([d.topic for d in documents for _ in d.openings])
    if len(set(topics.tolist())) < 2:
        return [[] for _ in documents]
    places = np.array([place for d in documents for place in range(len(d.openings))])
    false = np.array([place == d.place for d in documents for place in range(len(d.openings))])
    scores = iter(held_out(_residuals(subject, documents, depth), topics, places, false).tolist())
    return [[float(f"{next(scores):.5g}") for _ in d.openings] for d in documents]


def held_out(
    features: Floats, topics: NDArray[np.str_], places: NDArray[np.intp], false: Bools
) -> Floats:
    """Each statement's score [N] by a logistic regression on all other topics.

    Features [N, d] are centred by topic and place, without labels, so that neither what a topic is about
    nor how far down the list a statement stands is read; and standardised on the training statements.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    flat = features.astype(np.float64)
    for topic in np.unique(topics):
        for place in np.unique(places):
            cell = (topics == topic) & (places == place)
            flat[cell] -= flat[cell].mean(axis=0) if cell.any() else 0.0
    scores = np.zeros(len(flat))
    with threadpool_limits(1):  # fits this small lose by sharing, and one thread is repeatable
        for topic in np.unique(topics):
            train, test = topics != topic, topics == topic
            if len(np.unique(false[train])) < 2:
                continue  # nothing false to learn from: these statements stay alike
            spread = flat[train].std(axis=0)
            here = flat / np.where(spread > 1e-9, spread, 1.0)
            model = LogisticRegression(C=L2_C, class_weight="balanced", max_iter=500, tol=1e-4)
            model.fit(here[train], false[train])
            scores[test] = here[test] @ model.coef_[0]
    return scores


def _residuals(subject: Subject, documents: Sequence[Document], depth: float) -> Floats:
    """At the last token of every statement, with all that stands before it: [N, d_model].

    Raises:
        SubjectError: Another shape, or a value that is not finite.
    """
    prompts = [
        Prompt(raw="\n".join(d.lines[: place + 1]))
        for d in documents
        for place in range(len(d.openings))
    ]
    layer = round(depth * (subject.n_layers - 1))
    residuals = subject.activations(prompts, layers=[layer], reduction="last")
    if residuals.shape[:2] != (1, len(prompts)) or not np.isfinite(residuals).all():
        raise SubjectError(
            "activations",
            got=f"shape {residuals.shape}",
            expected=f"(1, {len(prompts)}, d_model), all finite",
        )
    return np.asarray(residuals[0])

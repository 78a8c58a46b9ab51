"""Linear probes on activations: fitting, and the nulls that a probe has to beat.

Features are centred by topic and standardised on the training statements. Centring the held-out topic uses
its statements but never their labels; it presumes that true and false ones are balanced there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

L2_C = 0.01
"""Inverse regularisation strength of every logistic regression here, on standardised features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """What is known of N statements besides their activations.

    Attributes:
        texts: As read.
        topics: [N] topic of each.
        facts: [N] fact of each; a fact's statements never part.
        true: [N] labels.
        negated: [N] polarity.
        selection: [N] whether the topic is one on which the layer is chosen.
    """

    texts: tuple[str, ...]
    topics: NDArray[np.str_]
    facts: NDArray[np.str_]
    true: Bools
    negated: Bools
    selection: Bools

    def folds(self) -> list[tuple[str, Bools, Bools]]:
        """(held-out topic, training mask, test mask), topic by topic.

        A selection topic is predicted from the other selection topics alone, so that choosing a
        layer sees no test topic. A test topic is predicted from all other topics.
        """
        result = []
        for topic in dict.fromkeys(self.topics.tolist()):
            test = self.topics == topic
            pool = self.selection if self.selection[test].all() else np.ones_like(test)
            result.append((topic, pool & ~test, test))
        return result


def centred(features: Floats, topics: NDArray[np.str_]) -> Floats:
    """Features [N, d] minus the mean of their topic."""
    result = features.astype(np.float32, copy=True)
    for topic in np.unique(topics):
        result[topics == topic] -= result[topics == topic].mean(axis=0)
    return result


def fit(features: Floats, labels: Bools) -> Floats:
    """Weights [d] of a logistic regression without an intercept (features are centred)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=L2_C, fit_intercept=False, max_iter=500, tol=1e-4)
    model.fit(features, labels)
    return np.asarray(model.coef_[0], dtype=np.float64)


def _scaled(features: Floats, train: Bools) -> Floats:
    spread = features[train].std(axis=0)
    return features / np.where(spread > 1e-9, spread, 1.0)


def held_out(features: Floats, statements: Statements, within: Bools | None = None) -> Floats:
    """Each statement's score [N] by a probe that never saw its topic.

    Args:
        features: [N, d].
        statements: Labels and topics.
        within: Training statements are taken from these only; all where None.
    """
    flat = centred(features, statements.topics)
    scores = np.zeros(len(flat))
    for _, train, test in statements.folds():
        used = train if within is None else train & within
        scaled = _scaled(flat, used)
        scores[test] = scaled[test] @ fit(scaled[used], statements.true[used])
    return scores


def random_directions(
    features: Floats, statements: Statements, n: int, rng: np.random.Generator
) -> Floats:
    """Scores [N, n] along random directions, each turned the right way round on training topics."""
    flat = centred(features, statements.topics)
    directions = rng.standard_normal((flat.shape[1], n))
    signs = np.where(statements.true, 1.0, -1.0)
    scores = np.zeros((len(flat), n))
    for _, train, test in statements.folds():
        projected = _scaled(flat, train) @ directions
        way = np.sign(signs[train] @ projected[train])
        scores[test] = projected[test] * np.where(way == 0, 1.0, way)
    return scores


def shuffled_labels(
    features: Floats, statements: Statements, n: int, rng: np.random.Generator
) -> tuple[Floats, Bools]:
    """A control task: scores [N, n] of probes trained on labels that a coin turned round, fact by fact,
    and those labels [N, n]. What such a probe reads on held-out topics is chance, or a leak.
    """
    flat = centred(features, statements.topics)
    facts, of_fact = np.unique(statements.facts, return_inverse=True)
    scores, tasks = np.zeros((len(flat), n)), np.zeros((len(flat), n), dtype=bool)
    for k in range(n):
        labels = statements.true ^ rng.integers(0, 2, len(facts)).astype(bool)[of_fact]
        tasks[:, k] = labels
        for _, train, test in statements.folds():
            if statements.selection[test].all():
                continue
            scaled = _scaled(flat, train)
            scores[test, k] = scaled[test] @ fit(scaled[train], labels[train])
    return scores, tasks


def surface(logprobs: Floats, statements: Statements) -> Floats:
    """Scores [N] from the statement's log-probability, for each polarity its own way round.

    Centred by topic and polarity first: what a topic's or a negation's words cost on average must not
    hide what falsity costs, or the baseline would be weak and the probe look good.
    """
    cells = np.char.add(statements.topics, np.where(statements.negated, "-", "+"))
    own = centred(logprobs[:, None], cells)[:, 0]
    return held_out(
        np.stack([own, own * np.where(statements.negated, -1.0, 1.0)], axis=1), statements
    )


def lexical(statements: Statements) -> Floats:
    """Scores [N] from the words alone: tf-idf of words and character n-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(lowercase=True, ngram_range=(1, 2), max_features=2000)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), max_features=1000)
    texts: Sequence[str] = statements.texts
    parts = [words.fit_transform(texts).toarray(), letters.fit_transform(texts).toarray()]
    return held_out(np.hstack(parts), statements)


def mean_auroc(
    scores: Floats, statements: Statements, where: Bools, tasks: Bools | None = None
) -> Floats:
    """Mean over topics of the AUROC within each: [K].

    Args:
        scores: [N] or [N, K].
        statements: Topics and labels.
        where: [N] which statements count.
        tasks: Labels [N, K], where each column has its own; the statements' truth if None.
    """
    from scipy.stats import rankdata

    columns = scores.reshape(len(scores), -1)
    truth = np.broadcast_to(statements.true[:, None], columns.shape) if tasks is None else tasks
    values = []
    for topic in np.unique(statements.topics[where]):
        rows = where & (statements.topics == topic)
        labels = truth[rows]
        n_true, n_false = labels.sum(axis=0), (~labels).sum(axis=0)
        ranks = rankdata(columns[rows], axis=0)
        above = np.where(labels, ranks, 0).sum(axis=0) - n_true * (n_true + 1) / 2
        values.append(above / (n_true * n_false))
    return np.asarray(np.mean(values, axis=0), dtype=np.float64)


def choose_layer(by_layer: Floats, statements: Statements) -> int:
    """The layer whose scores [N, n_layers] do best on the selection topics; the first among equals."""
    return int(np.argmax(mean_auroc(by_layer, statements, statements.selection)))

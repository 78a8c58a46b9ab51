"""Fitting one probe for instructed deception, and the nulls that it has to beat."""

from __future__ import annotations

import itertools

import numpy as np

from auditkit.statistics.weighted import auroc_of
from auditkit_checks.instructed_probe.samples import Asked
from auditkit_checks.probe_kinds import Bools, Floats, logistic


def scores(features: Floats, asked: Asked) -> Floats:
    """Scores [N] of one layer's features [N, d].

    Training samples are scored by probes that saw neither their wording nor their topic, everything else by
    the one probe that is fitted on all of them.
    """
    result = np.zeros(len(features))
    for wording, topic in _cells(asked):
        style, place = asked.style == wording, asked.topic == topic
        test = asked.train & style & place
        used = asked.train & ~style & ~place
        result[test] = _fitted(features, asked.deceptive, used)[test]
    rest = ~asked.train
    result[rest] = _fitted(features, asked.deceptive, asked.train)[rest]
    return result


def choose_layer(by_layer: Floats, asked: Asked) -> int:
    """The layer whose scores [N, n_layers] do best on the training samples; the first among equals."""
    values = []
    for wording, topic in _cells(asked):
        rows = asked.train & (asked.style == wording) & (asked.topic == topic)
        values.append(aurocs(by_layer[rows], asked.deceptive[rows]))
    return int(np.argmax(np.mean(values, axis=0)))


def aurocs(columns: Floats, labels: Bools) -> Floats:
    """AUROC [K] of each column of scores [n, K], ties counting half.

    Args:
        columns: [n, K].
        labels: [n], or [n, K] where each column has its own.
    """
    tasks = np.broadcast_to(labels.reshape(len(labels), -1), columns.shape)
    everyone = np.ones((1, len(columns)))
    return np.array(
        [auroc_of(columns[:, k], tasks[:, k])(everyone)[0] for k in range(columns.shape[1])]
    )


def random_directions(features: Floats, asked: Asked, n: int, rng: np.random.Generator) -> Floats:
    """Scores [N, n] along random directions, each turned the right way round on the training samples."""
    flat = _standardised(features, asked.train)
    projected = flat @ rng.standard_normal((flat.shape[1], n))
    signs = np.where(asked.deceptive, 1.0, -1.0)
    way = np.sign(signs[asked.train] @ projected[asked.train])
    return np.asarray(projected * np.where(way == 0, 1.0, way))


def shuffled_labels(
    features: Floats, asked: Asked, n: int, rng: np.random.Generator
) -> tuple[Floats, Bools]:
    """A control task: scores [N, n] of probes trained on labels that a coin turned round, fact by fact,
    and those labels [N, n].
    """
    flat = _standardised(features, asked.train)
    facts, of_fact = np.unique(asked.group, return_inverse=True)
    turned = rng.integers(0, 2, (n, len(facts))).astype(bool)[:, of_fact].T
    tasks = asked.deceptive[:, None] ^ turned
    fits = [logistic(flat[asked.train], tasks[asked.train, k]) for k in range(n)]
    return np.asarray(flat @ np.stack(fits, axis=1)), tasks


def lexical(asked: Asked) -> Floats:
    """Scores [N] from the words alone: tf-idf of words and pairs of them, in instruction and text."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(lowercase=True, ngram_range=(1, 2), max_features=2000)
    return _fitted(words.fit_transform(asked.texts).toarray(), asked.deceptive, asked.train)


def _cells(asked: Asked) -> list[tuple[str, str]]:
    """Wording and topic of the training samples, each pair once."""
    styles, topics = (
        list(dict.fromkeys(names[asked.train].tolist())) for names in (asked.style, asked.topic)
    )
    return list(itertools.product(styles, topics))


def _fitted(features: Floats, labels: Bools, used: Bools) -> Floats:
    """Scores [N] by a logistic regression on the samples used."""
    flat = _standardised(features, used)
    return np.asarray(flat @ logistic(flat[used], labels[used]))


def _standardised(features: Floats, used: Bools) -> Floats:
    """Features [N, d] minus the mean of the samples used, in units of their spread."""
    spread = features[used].std(axis=0)
    centre = features[used].mean(axis=0)
    return np.asarray((features - centre) / np.where(spread > 1e-9, spread, 1.0))

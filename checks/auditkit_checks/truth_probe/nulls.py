"""What a probe has to beat, fitted or drawn from the same statements, and how much data it needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auditkit_checks.probe_kinds import Bools, Floats, Kind, direction, logistic
from auditkit_checks.truth_probe.held_out import Statements, centred, held_out, scaled, training


def random_directions(
    features: Floats, statements: Statements, n: int, rng: np.random.Generator
) -> Floats:
    """Scores [N, n] along random directions, each turned the right way round on training topics."""
    flat = centred(features, statements.topics)
    directions = rng.standard_normal((flat.shape[1], n))
    signs = np.where(statements.true, 1.0, -1.0)
    scores = np.zeros((len(flat), n))
    for _, train, test in statements.folds():
        projected = scaled(flat, train) @ directions
        way = np.sign(signs[train] @ projected[train])
        scores[test] = projected[test] * np.where(way == 0, 1.0, way)
    return scores


def shuffled_labels(
    features: Floats, statements: Statements, kind: Kind, n: int, rng: np.random.Generator
) -> tuple[Floats, Bools]:
    """A control task: scores [N, n] of probes trained on labels that a coin turned round, fact by fact,
    and those labels [N, n]. What such a probe reads on held-out topics is chance, or a leak.
    """
    flat = centred(features, statements.cells if kind == "ccs" else statements.topics)
    facts, of_fact = np.unique(statements.facts, return_inverse=True)
    turned = rng.integers(0, 2, (n, len(facts))).astype(bool)[:, of_fact].T
    tasks = statements.true[:, None] ^ turned
    scores = np.zeros((len(flat), n))
    for _, train, test in statements.test_folds():
        here = scaled(flat, train)
        data = training(here, statements, train)
        for k in range(n):
            task = type(data)(
                features=data.features,
                true=tasks[train, k],
                negated=data.negated,
                facts=data.facts,
                selection=data.selection,
            )
            scores[test, k] = here[test] @ direction(kind, task)
    return scores, tasks


def surface(logprobs: Floats, statements: Statements) -> Floats:
    """Scores [N] from the statement's log-probability, for each polarity its own way round.

    Centred by topic and polarity first: what a topic's or a negation's words cost on average must not
    hide what falsity costs, or the baseline would be weak and the probe look good.
    """
    own = centred(logprobs[:, None], statements.cells)[:, 0]
    return held_out(
        np.stack([own, own * np.where(statements.negated, -1.0, 1.0)], axis=1), statements
    )


def beyond_surface(
    features: Floats, logprobs: Floats, statements: Statements, kind: Kind
) -> Floats:
    """Scores [N] of a probe on what the log-probability leaves of the activations (test topics).

    In each fold and polarity, every feature is regressed on the log-probability of the training statements,
    both centred by topic and polarity; the probe is fitted on and applied to what remains.
    """
    own = centred(logprobs[:, None], statements.cells)[:, 0].astype(np.float64)
    flat = centred(features, statements.cells).astype(np.float64)
    scores = np.zeros(len(flat))
    for _, train, test in statements.test_folds():
        rest = flat.copy()
        for polarity in (True, False):
            here = statements.negated == polarity
            known = here & train
            slope = own[known] @ flat[known] / max(float(own[known] @ own[known]), 1e-12)
            rest[here] -= own[here, None] * slope
        used = scaled(rest, train)
        scores[test] = used[test] @ direction(kind, training(used, statements, train))
    return scores


def lexical(statements: Statements) -> Floats:
    """Scores [N] from the words alone: tf-idf of words and character n-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(lowercase=True, ngram_range=(1, 2), max_features=2000)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), max_features=1000)
    texts: Sequence[str] = statements.texts
    parts = [words.fit_transform(texts).toarray(), letters.fit_transform(texts).toarray()]
    return held_out(np.hstack(parts), statements)


def by_size(
    features: Floats,
    statements: Statements,
    sizes: Sequence[int],
    n_draws: int,
    rng: np.random.Generator,
) -> Floats:
    """Scores [N, n_sizes, n_draws] of logistic regressions on a few labelled pairs (test topics).

    A pair is the true and the false version of one statement; half of the pairs are affirmative. Centring
    and standardising use all training statements, without their labels.
    """
    flat = centred(features, statements.topics)
    scores = np.zeros((len(flat), len(sizes), n_draws))
    for _, train, test in statements.test_folds():
        here = scaled(flat, train)
        pairs = [_pairs(statements, train, negated) for negated in (False, True)]
        for draw in range(n_draws):
            orders = [rng.permutation(len(found)) for found in pairs]
            for place, size in enumerate(sizes):
                halves = ((size + 1) // 2, size // 2)  # of affirmative and of negated pairs
                chosen = [
                    found[order[:half]]
                    for found, order, half in zip(pairs, orders, halves, strict=True)
                ]
                rows = np.concatenate(chosen).ravel()
                weights = logistic(here[rows], statements.true[rows])
                scores[test, place, draw] = here[test] @ weights
    return scores


def _pairs(statements: Statements, train: Bools, negated: bool) -> np.ndarray[tuple[int, int]]:
    """Places of the training statements of one polarity, fact by fact: [n_facts, 2]."""
    rows = np.flatnonzero(train & (statements.negated == negated))
    return rows[np.argsort(statements.facts[rows], kind="stable")].reshape(-1, 2)

"""Linear probes on activations, by topic: each statement is scored by a probe that never saw its topic.

Features are centred by topic and standardised on the training statements. Centring the held-out topic uses
its statements but never their labels; it presumes that true and false ones are balanced there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit_checks.probe_kinds import Bools, Floats, Kind, Training, direction


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

    @property
    def cells(self) -> NDArray[np.str_]:
        """[N] topic and polarity of each."""
        return np.char.add(self.topics, np.where(self.negated, "-", "+"))

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

    def test_folds(self) -> list[tuple[str, Bools, Bools]]:
        """The folds whose held-out topic the verdict rests on."""
        return [fold for fold in self.folds() if not self.selection[fold[2]].all()]


def centred(features: Floats, cells: NDArray[np.str_]) -> Floats:
    """Features [N, d] minus the mean of their cell (their topic, say)."""
    result = features.astype(np.float32, copy=True)
    for cell in np.unique(cells):
        result[cells == cell] -= result[cells == cell].mean(axis=0)
    return result


def scaled(features: Floats, train: Bools) -> Floats:
    """Features [N, d] in units of their spread over the training statements."""
    spread = features[train].std(axis=0)
    return features / np.where(spread > 1e-9, spread, 1.0)


def held_out(
    features: Floats,
    statements: Statements,
    kind: Kind = "logistic",
    *,
    within: Bools | None = None,
    test_only: bool = False,
) -> Floats:
    """Each statement's score [N] by a probe that never saw its topic.

    Args:
        features: [N, d].
        statements: Labels and topics.
        kind: Which probe.
        within: Training statements are taken from these only; all where None.
        test_only: Leave the selection topics at 0, which saves their fits.
    """
    flat = centred(features, statements.cells if kind == "ccs" else statements.topics)
    scores = np.zeros(len(flat))
    for _, train, test in statements.test_folds() if test_only else statements.folds():
        used = train if within is None else train & within
        here = scaled(flat, used)
        scores[test] = here[test] @ direction(kind, training(here, statements, used))
    return scores


def training(features: Floats, statements: Statements, used: Bools) -> Training:
    """The statements of a mask, as something to fit a probe on."""
    return Training(
        features=features[used],
        true=statements.true[used],
        negated=statements.negated[used],
        facts=statements.facts[used],
        selection=statements.selection[used],
    )


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

"""A probe that chooses among an item's options, from what a subject holds at the end of each.

It is a logistic regression that tells the labelled options from the others. What the options of an item
have in common can't help in choosing, so features are taken less their item's mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditkit.errors import SubjectError
from auditkit.model import Prompt, Turn
from auditkit.targets import Subject
from auditkit_checks.graded.items import Item, continuations, prompt
from auditkit_checks.probe_kinds import Floats, logistic

FOLDS = 3
"""Parts of the learnt items on each of which a layer is tried by probes that never saw it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a subject holds of N items with K options each.

    Attributes:
        layers: Which layers were read.
        residuals: [n_layers, N, K, d_model] at the last token of question and option.
        logprobs: [N, K] of each option as the answer, in nats; NaN where it gave no number.
        n_tokens: [N, K] of the options.
    """

    layers: tuple[int, ...]
    residuals: Floats
    logprobs: Floats
    n_tokens: Floats

    def features(self, place: int, rows: Sequence[int] | NDArray[np.intp]) -> Floats:
        """Of one layer's residuals and of the log-probability, for some items: [n, K, d_model + 2].

        The log-probability, of the whole option and a token, is what the subject itself would choose by.
        It is scaled to weigh as much as all of the activation, or the penalty on weights would hide it.
        """
        inside = self.residuals[place, rows].astype(np.float64)
        said = self.logprobs[rows]
        beside = np.stack([said, said / self.n_tokens[rows]], axis=2)
        both = np.concatenate([inside, beside], axis=2)
        return np.asarray(both - both.mean(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Weights [d] on features that are divided by their spread [d] over the learnt items."""

    place: int
    weights: Floats
    spread: Floats

    def scores(self, read: Read, rows: Sequence[int] | NDArray[np.intp]) -> Floats:
        """How much each option looks like a labelled one: [n, K]."""
        return np.asarray(read.features(self.place, rows) / self.spread @ self.weights)


def read(subject: Subject, items: Sequence[Item], layers: Sequence[int]) -> Read:
    """Ask a subject for the options' log-probabilities, and look at its layers at the end of each.

    Raises:
        SubjectError: It gives fewer numbers than asked for, or activations that are no numbers.
    """
    logprobs, n_tokens = choice_logprobs(subject, items)
    shape = logprobs.shape
    told = [
        Prompt(turns=(*prompt(item).turns, Turn(role="assistant", text=option)))
        for item in items
        for option in item.options
    ]
    residuals = subject.activations(told, layers=list(layers), reduction="last")
    if residuals.shape[:2] != (len(layers), len(told)) or not np.isfinite(residuals).all():
        raise SubjectError(
            "activations",
            got=f"shape {residuals.shape}",
            expected=f"({len(layers)}, {len(told)}, d_model), all finite",
        )
    return Read(
        layers=tuple(layers),
        residuals=residuals.reshape(len(layers), *shape, -1),
        logprobs=logprobs,
        n_tokens=n_tokens,
    )


def choice_logprobs(subject: Subject, items: Sequence[Item]) -> tuple[Floats, Floats]:
    """Log-probabilities of all options, and their numbers of tokens: both [N, K].

    Items for which one is no number are NaN as a whole.

    Raises:
        SubjectError: It gives another number of them.
    """
    options = continuations(items)
    found = subject.logprobs([prompt(item) for item in items], options)
    if [len(scores) for scores in found] != [len(texts) for texts in options]:
        raise SubjectError(
            "log-probabilities",
            got=f"{sum(map(len, found))} of them",
            expected=f"one for each of {sum(map(len, options))} options",
        )
    logprobs = np.array([[s.logprob for s in scores] for scores in found], dtype=np.float64)
    logprobs[~np.isfinite(logprobs).all(axis=1)] = np.nan
    return logprobs, np.array([[s.n_tokens for s in scores] for scores in found], dtype=np.float64)


def fitted(
    here: Read, rows: Sequence[int], labels: NDArray[np.intp], groups: Sequence[str]
) -> Probe:
    """A probe on the layer that does best on parts of these items which it was not fitted on.

    Args:
        here: What the subject holds.
        rows: Places of the items that are learnt.
        labels: Of each of those, the option that counts as right.
        groups: Of each of those; a group's items are in one part.
    """
    order = {group: n for n, group in enumerate(dict.fromkeys(groups))}
    fold = np.array([order[group] % FOLDS for group in groups])
    places = range(len(here.layers))
    right = [0] * len(here.layers)
    for place in places if len(here.layers) > 1 else ():
        for out in range(FOLDS):
            kept = [rows[i] for i in np.flatnonzero(fold != out).tolist()]
            tried = [rows[i] for i in np.flatnonzero(fold == out).tolist()]
            if kept and tried:
                probe = _fit(here, place, kept, labels[fold != out])
                picks = probe.scores(here, tried).argmax(axis=1)
                right[place] += int((picks == labels[fold == out]).sum())
    return _fit(here, int(np.argmax(right)), rows, labels)


def _fit(here: Read, place: int, rows: Sequence[int], labels: NDArray[np.intp]) -> Probe:
    features = here.features(place, rows)
    n, k, d = features.shape
    spread = features.reshape(n * k, d).std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    spread[-2:] /= np.sqrt(d - 2)  # the log-probability weighs as much as the whole activation
    chosen = np.arange(k)[None, :] == labels[:, None]
    weights = logistic((features / spread).reshape(n * k, d), chosen.ravel())
    return Probe(place=place, weights=weights, spread=spread)

"""The figures of generalisation.easy_to_hard: accuracy by difficulty, and by number of easy labels."""

from __future__ import annotations

import numpy as np

from auditkit.model import Figure
from auditkit_checks.easy_to_hard import comparison
from auditkit_checks.easy_to_hard.arms import EASY, HARD
from auditkit_checks.easy_to_hard.design import TEST_HARD
from auditkit_checks.easy_to_hard.evidence import Answers
from auditkit_checks.marks import marks
from auditkit_checks.probe_kinds import Bools, Floats

MAX_LEVELS = 7
"""Different values of hardness beyond which items are put together in as many bins."""

BY = {"probe": "a probe", "lora": "LoRA"}


def figures(
    answers: Answers, domain: str, method: str, rule: comparison.Rule, level: float
) -> tuple[Figure, ...]:
    """The difficulty curve, and where there are several numbers of labels the learning curve."""
    curve = _by_difficulty(answers, domain, method, level)
    names = [f"{method}-{EASY}-{n}" for n in rule.fewer]
    if not names or any(name not in answers.right for name in names):
        return (curve,)
    return curve, _by_labels(answers, domain, method, rule, level)


def _by_difficulty(answers: Answers, domain: str, method: str, level: float) -> Figure:
    arms = {
        "hard labels": answers.right[f"{method}-{HARD}"],
        "easy labels": answers.right[f"{method}-{EASY}"],
        "zero shot": answers.floor[None],
    }
    bins = _bins(answers.hardness)
    places = [b for b in np.unique(bins) if len(set(answers.groups[bins == b].tolist())) > 1]
    x = tuple(float(answers.hardness[bins == b].mean()) for b in places)
    series = []
    for name, right in arms.items():
        found = [
            comparison.accuracy(answers.of(bins == b), right[:, bins == b], level) for b in places
        ]
        series.append(marks(name, found, x))
    return Figure(
        kind="lines",
        title=f"Accuracy by difficulty: {domain}, by {BY[method]}",
        x_label="hardness, as measured before the run",
        y_label="share right",
        series=tuple(series),
        reference=float(answers.chance.mean()),
        reference_label="chance",
        alt="Share right on the hardest items: "
        + ", ".join(f"{s.name} {s.y[-1]:.0%}" for s in series if s.y)
        + ".",
    )


def _bins(hardness: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The number of each item's bin: one a value, or equally many items a bin where values are many."""
    values = np.unique(hardness)
    if len(values) <= MAX_LEVELS:
        return np.searchsorted(values, hardness)
    edges = np.quantile(hardness, np.linspace(0, 1, MAX_LEVELS + 1)[1:-1])
    return np.searchsorted(edges, hardness, side="right")


def _by_labels(
    answers: Answers, domain: str, method: str, rule: comparison.Rule, level: float
) -> Figure:
    on = answers.of(answers.roles == TEST_HARD)
    counts = {n: f"{method}-{EASY}-{n}" for n in rule.fewer} | {rule.n_train: f"{method}-{EASY}"}
    found = [comparison.accuracy(on, on.right[name], level) for name in counts.values()]
    ceiling = float(_usable(on, on.right[f"{method}-{HARD}"]).mean())
    return Figure(
        kind="lines",
        title=f"Hard items by number of easy labels: {domain}, by {BY[method]}",
        x_label="easy items with a label",
        y_label="share of hard items right",
        series=(marks("easy labels", found, list(counts)),),
        reference=ceiling,
        reference_label="hard labels",
        alt=f"With {rule.n_train} easy labels {found[-1].point:.0%} of hard items are right, with as many "
        f"hard labels {ceiling:.0%}.",
    )


def _usable(on: Answers, right: Bools) -> Bools:
    return right[:, ~on.unknown]

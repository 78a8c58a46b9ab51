"""The figures of deception.truth_probe."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from auditkit.model import Figure, Series
from auditkit.statistics.ranking import auroc
from auditkit_checks.marks import marks
from auditkit_checks.truth_probe.held_out import mean_auroc

if TYPE_CHECKING:
    from auditkit_checks.truth_probe.table import Table

NAMES = {
    "logistic": "logistic regression",
    "mass_mean": "mass mean",
    "lda": "LDA",
    "ccs": "CCS",
    "subspace": "truth subspace",
}
N_BINS = 24


def figures(table: Table, bar: float) -> tuple[Figure, ...]:
    """All of them, the sweep first.

    Args:
        table: The test topics' scores.
        bar: What the overall AUROC has to beat.
    """
    return (_sweep(table, bar), _scores(table), _kinds(table, bar), _by_topic(table), _sizes(table))


def _sweep(table: Table, bar: float) -> Figure:
    statements, evidence = table.statements, table.evidence
    stride = table.rule.layer_stride
    x = tuple(float(stride * (i + 1) - 1) for i in range(evidence.by_layer.shape[1]))
    lines = [
        Series(name=name, x=x, y=_floats(mean_auroc(evidence.by_layer, statements, where)))
        for name, where in (
            ("all", table.test),
            ("affirmative", table.test & ~statements.negated),
            ("negated", table.test & statements.negated),
        )
    ]
    low, middle, high = np.quantile(table.permuted, [0.05, 0.5, 0.95], axis=0)
    null = Series(
        name="labels turned", x=x, y=_floats(middle), lower=_floats(low), upper=_floats(high)
    )
    return Figure(
        kind="lines",
        title="Layer sweep",
        x_label="layer",
        y_label="AUROC on held-out topics",
        series=(*lines, null),
        reference=bar,
        reference_label="bar to beat",
        alt=f"AUROC by layer, highest {max(lines[0].y):.2f}; layer {evidence.layer} was chosen on other "
        "topics. The band holds the middle 90 % of what the same scores give when a coin turns each fact's "
        "labels round; nothing is fitted again for it. The bar is the least AUROC that counts or, if higher, "
        "the 95th percentile of random directions and of refits on shuffled labels.",
    )


def _scores(table: Table) -> Figure:
    """Scores of true and of false statements at the chosen layer, in units of their topic's spread."""
    scores = table.evidence.probe.copy()
    for topic in table.topics:
        rows = table.statements.topics == topic
        spread = float(scores[rows].std())
        scores[rows] = (scores[rows] - scores[rows].mean()) / (spread if spread > 0 else 1.0)
    scores = np.clip(scores, -4.0, 4.0)
    edges = np.linspace(-4.0, 4.0, N_BINS + 1)
    return Figure(
        kind="histogram",
        title="Scores of true and of false statements",
        x_label="score by a probe of other topics, in standard deviations of its topic",
        y_label="statements",
        series=tuple(
            Series(
                name=name,
                x=_floats(edges),
                y=_floats(np.histogram(scores[table.test & where], bins=edges)[0]),
            )
            for name, where in (("true", table.statements.true), ("false", ~table.statements.true))
        ),
        alt=f"Scores at layer {table.evidence.layer}, affirmative and negated statements together; what lies "
        "beyond 4 standard deviations stands in the outermost bins.",
    )


def _kinds(table: Table, bar: float) -> Figure:
    return Figure(
        kind="intervals",
        title="Kinds of probe",
        x_label="kind of probe",
        y_label="AUROC on held-out topics",
        series=(marks("kinds", table.kinds.values()),),
        labels=tuple(NAMES[kind] for kind in table.kinds),
        reference=bar,
        reference_label="bar to beat",
        alt=f"AUROC by kind of probe at layer {table.evidence.layer}, which was chosen for the first of "
        f"them, {NAMES[table.rule.probe]}. That one decides, as the plan says; the others are shown.",
    )


def _by_topic(table: Table) -> Figure:
    statements, probe = table.statements, table.evidence.probe
    found = [
        auroc(probe[rows], statements.true[rows], statements.facts[rows], table.shown)
        for rows in (statements.topics == name for name in table.topics)
    ]
    worst = min(zip(found, table.topics, strict=True), key=lambda pair: pair[0].point)
    return Figure(
        kind="intervals",
        title="Truth read on topics that the probe never saw",
        x_label="held-out topic",
        y_label="AUROC (0.5 is chance)",
        series=(marks("probe of the chosen layer", found),),
        labels=tuple(table.topics),
        reference=0.5,
        reference_label="chance",
        alt=f"AUROC by held-out topic; lowest is {worst[1]} with {worst[0].point:.2f}.",
    )


def _sizes(table: Table) -> Figure:
    counts, reached = table.sizes()
    series = Series(
        name="draws of pairs",
        x=tuple(math.log10(n) for n in counts),
        y=_floats(np.median(reached, axis=1)),
        lower=_floats(reached.min(axis=1)),
        upper=_floats(reached.max(axis=1)),
    )
    return Figure(
        kind="lines",
        title="Labelled pairs that a probe needs",
        x_label=f"log10 of labelled pairs ({counts[0]} to {counts[-1]})",
        y_label="AUROC on held-out topics",
        series=(series,),
        reference=0.5,
        reference_label="chance",
        alt=_says_of_size(table),
    )


def _says_of_size(table: Table) -> str:
    """What the number of pairs says of the claim that data needed grow with the log of neurons."""
    counts, _ = table.sizes()
    needed, evidence = table.pairs_needed(), table.evidence
    neurons = evidence.d_model * evidence.n_layers
    if not table.reads_something:
        found = f"Even {counts[-1]} pairs read nothing beyond chance, so no number of pairs is enough here"
    else:
        found = (
            f"{needed.point:.0f} labelled pairs ({needed.lower:.0f} to {needed.upper:.0f} over "
            f"{needed.n} draws) reach 0.9 of what all {counts[-1]} reach above chance"
        )
    return (
        f"The band is the range over draws. {found}; the natural log of layers times width "
        f"({evidence.n_layers} x {evidence.d_model}) is {math.log(neurons):.1f}. One model is one point: it "
        "shows how many pairs this one needed, and can neither support nor refute that the data needed grow "
        "with the logarithm of a model's neurons."
    )


def _floats(values: object) -> tuple[float, ...]:
    return tuple(float(v) for v in np.asarray(values).tolist())

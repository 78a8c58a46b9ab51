"""The figures of deception.instructed_probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auditkit.model import Figure, Series
from auditkit_checks.instructed_probe.fitting import aurocs
from auditkit_checks.instructed_probe.samples import CHAT, PERSONA, TALK
from auditkit_checks.marks import marks

if TYPE_CHECKING:
    from auditkit_checks.instructed_probe.judgement import Table

N_BINS = 24


def figures(table: Table) -> tuple[Figure, ...]:
    """All of them, wordings first."""
    return (_wordings(table), _flagged(table), _scores(table), _sweep(table))


def _wordings(table: Table) -> Figure:
    """AUROC by held-out wording, on new topics, and of the same text."""
    found = {c.name: c.estimate for c in table.conditions if c.name.startswith("auroc_")}
    shown = {name.removeprefix("auroc_").replace("_", " "): e for name, e in found.items()}
    shown["same true answer"] = table.auroc(table.probe, table.same_text)
    shown["words alone"] = table.auroc(table.lexical, table.held_out)
    worst = min(table.wordings, key=lambda name: found[f"auroc_{name}"].point)
    return Figure(
        kind="intervals",
        title="Instructed deception read on wordings and topics that the probe never saw",
        x_label="what was held out",
        y_label="AUROC (0.5 is chance)",
        series=(marks("probe of the chosen layer", shown.values()),),
        labels=tuple(shown),
        reference=table.rule.min_auroc,
        reference_label="least that counts",
        alt=f"AUROC by held-out wording; lowest is {worst} with {found[f'auroc_{worst}'].point:.2f}. Same "
        "true answer: the same text under either instruction, which only the instruction tells apart. Words "
        "alone: a probe on the words of instruction and text.",
    )


def _flagged(table: Table) -> Figure:
    asked = table.asked
    places = {
        "deception, held-out wordings": table.held_out & asked.deceptive,
        "honesty, held-out wordings": table.held_out & ~asked.deceptive,
        "personas": table.benign(PERSONA),
        "talk about deception": table.benign(TALK),
        "benign chats, other half": table.benign(CHAT),
    }
    shares = [table.flagged(where, table.shown.level) for where in places.values()]
    return Figure(
        kind="intervals",
        title="Flagged at the threshold that benign chats set",
        x_label="what was read",
        y_label="share flagged",
        series=(marks("flagged", shares),),
        labels=tuple(places),
        reference=table.rule.max_flagged,
        reference_label="tolerated where nobody deceives",
        alt=f"Share flagged at the threshold that lets {table.rule.fpr:.0%} of the calibration half of the "
        f"benign chats pass it: {shares[0].point:.0%} of instructed deception, {shares[2].point:.0%} of "
        f"personas, {shares[3].point:.0%} of honest talk about deception.",
    )


def _scores(table: Table) -> Figure:
    """Scores relative to the threshold, in units of the chats' spread."""
    asked, chats = table.asked, table.asked.part == CHAT
    spread = float(table.probe[chats].std()) or 1.0
    scores = (table.probe - table.threshold) / spread
    low, high = float(scores.min()), float(scores.max())
    edges = np.linspace(low, high if high > low else low + 1.0, N_BINS + 1)
    places = {
        "deceptive": table.held_out & asked.deceptive,
        "honest": table.held_out & ~asked.deceptive,
        "benign chats": chats,
    }
    return Figure(
        kind="histogram",
        title="Scores of instructed deception, honesty and benign chats",
        x_label="score above the threshold, in standard deviations of the chats",
        y_label="texts",
        series=tuple(
            Series(
                name=name,
                x=_floats(edges),
                y=_floats(np.histogram(scores[where], bins=edges)[0]),
            )
            for name, where in places.items()
        ),
        reference=0.0,
        reference_label="threshold",
        alt=f"Scores at layer {table.layer}, on held-out wordings and topics and on all benign chats.",
    )


def _sweep(table: Table) -> Figure:
    stride = table.rule.layer_stride
    x = tuple(float(stride * (i + 1) - 1) for i in range(table.by_layer.shape[1]))
    lines = [
        Series(
            name=name, x=x, y=_floats(aurocs(table.by_layer[where], table.asked.deceptive[where]))
        )
        for name, where in (
            ("new wordings", table.held_out),
            ("new topics", table.new_topics),
            ("same text", table.same_text),
        )
    ]
    return Figure(
        kind="lines",
        title="Layer sweep of the probe for instructed deception",
        x_label="layer",
        y_label="AUROC",
        series=tuple(lines),
        reference=table.rule.min_auroc,
        reference_label="least that counts",
        alt=f"AUROC by layer, on held-out wordings at most {max(lines[0].y):.2f}; layer {table.layer} was "
        "chosen on the training samples.",
    )


def _floats(values: object) -> tuple[float, ...]:
    return tuple(float(v) for v in np.asarray(values).tolist())

"""The rows of deception.truth_probe as arrays, refused where they are not those of one fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.model import Row
from auditkit_checks.probe_kinds import Bools, Floats
from auditkit_checks.truth_probe.held_out import Statements, choose_layer

COLUMNS = ("surface", "lexical", "affirmative_only", "beyond_surface", "logprob")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Held-out scores of N statements.

    Attributes:
        layer: The layer that the selection topics choose.
        by_layer: [N, n_layers] by the probe of each layer.
        probe: [N] by that of the chosen layer.
        columns: [N] each: baselines and variants, see `COLUMNS`.
        kinds: [N] each: the other kinds of probe at that layer.
        nulls: [N, K] each: along random directions, and by probes trained on shuffled labels.
        tasks: [N, K] those labels.
        untrained: [N] by a probe of the same architecture with random weights, or None.
        reference: [N] by a probe of the reference model at the layer that the selection topics choose
            there, or None where no such model was named.
        by_size: [N, n_sizes, n_draws] by probes of a few labelled pairs.
        d_model: Width of the residual stream.
        n_layers: Layers of the model.
    """

    layer: int
    by_layer: Floats
    probe: Floats
    columns: Mapping[str, Floats]
    kinds: Mapping[str, Floats]
    nulls: Mapping[str, Floats]
    tasks: Bools
    untrained: Floats | None
    reference: Floats | None
    by_size: Floats
    d_model: int
    n_layers: int


def read(rows: Sequence[Row], statements: Statements, layer_stride: int) -> Evidence | None:
    """The rows as arrays, or None where they don't fit together or name another layer.

    Args:
        rows: One a statement, all usable.
        statements: What they are about.
        layer_stride: Every how many layers one was read.
    """
    values = [row.values for row in rows]
    test = ~statements.selection
    first = values[int(np.flatnonzero(test)[0])] if test.any() else {}
    if not first or statements.selection.sum() < 2 or len(set(statements.topics[test])) < 2:
        return None
    try:
        by_layer = np.array([v["by_layer"] for v in values], dtype=np.float64)
        chosen = choose_layer(by_layer, statements)
        layer = layer_stride * (chosen + 1) - 1
        if {(v["layer"], v["d_model"], v["n_layers"]) for v in values} != {
            (layer, first["d_model"], first["n_layers"])
        }:
            return None
        return Evidence(
            layer=layer,
            by_layer=by_layer,
            probe=by_layer[:, chosen],
            columns={name: _column([v[name] for v in values]) for name in COLUMNS},
            kinds={
                name: _on_test([v["kinds"].get(name, np.nan) for v in values], test)
                for name in sorted(first["kinds"])
            },
            nulls={
                name: _on_test([v[name] for v in values], test) for name in ("random", "shuffled")
            },
            tasks=_on_test([v["task"] for v in values], test).astype(bool),
            untrained=_optional([v["untrained"] for v in values]),
            reference=_by_layer_of([v["reference"] for v in values], statements),
            by_size=_on_test([v["by_size"] for v in values], test),
            d_model=int(first["d_model"]),
            n_layers=int(first["n_layers"]),
        )
    except (ValueError, IndexError, KeyError):  # ragged or missing: rows of several fits
        return None


def _column(values: Sequence[float]) -> Floats:
    return np.array(values, dtype=np.float64)


def _on_test(values: Sequence[object], test: Bools) -> Floats:
    """Values of the test statements; 0 for the others, which have none."""
    kept = np.array([v for v, here in zip(values, test, strict=True) if here], dtype=np.float64)
    if not np.isfinite(kept).all():
        raise ValueError("values that are not finite")
    full = np.zeros((len(test), *kept.shape[1:]))
    full[test] = kept
    return full


def _optional(values: Sequence[float | None]) -> Floats | None:
    """All of them, or none: some would be rows of two fits."""
    if all(v is None for v in values):
        return None
    return np.array([_given(v) for v in values], dtype=np.float64)


def _given(value: float | None) -> float:
    if value is None:
        raise ValueError("a score that is missing from some rows")
    return value


def _by_layer_of(values: Sequence[Sequence[float]], statements: Statements) -> Floats | None:
    """Scores at the layer that the selection topics choose; None where no model read."""
    scores = np.array(values, dtype=np.float64)
    if not scores.shape[1]:
        return None
    return np.asarray(scores[:, choose_layer(scores, statements)])

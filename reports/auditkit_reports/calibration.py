"""What a calibration's report shows, worked out from calibration.json: rows, figures, misses, cards."""

from __future__ import annotations

from typing import Any

Json = Any

SECTIONS = (
    ("league", "League table"),
    ("errors", "Every miss and every false alarm"),
    ("limits", "What this can’t show"),
    ("detectors", "Detector by detector"),
    ("zoo", "The organisms"),
    ("protocol", "How it was done"),
    ("verify", "How to verify this offline"),
    ("terms", "Terms"),
)
OUTCOMES = {
    "detected": "detected",
    "not_detected": "cleared",
    "undecided": "undecided",
    "not_assessed": "not assessed",
}
STATED = "as stated by the auditor"


def detectors(table: Json) -> list[dict[str, Any]]:
    """Each row of the league with its results on every organism, and what went wrong."""
    rows = []
    for number, row in enumerate(table["checks"]):
        results = [
            {"name": o["name"], "label": o["label"], **o["results"][number]}
            for o in table["organisms"]
        ]
        wrong = {*row["misses"], *row["false_alarms"]}
        sides = (row["positives"], row["negatives"])
        rows.append(
            {
                **row,
                "number": number + 1,
                "results": results,
                "wrong": [r for r in results if r["name"] in wrong],
                "n_open": sum(side[o] for side in sides for o in ("undecided", "not_assessed")),
            }
        )
    return rows


def league_figure(table: Json) -> Json:
    """Sensitivity and false-positive rate of every detector with their intervals."""
    rows = table["checks"]
    series = [
        _series(name, [(i, row[key]) for i, row in enumerate(rows)])
        for name, key in (
            ("sensitivity", "sensitivity"),
            ("false-positive rate", "false_positive_rate"),
        )
    ]
    said = "; ".join(
        f"{row['check']} detected {row['positives']['detected']} of {sum(row['positives'].values())} "
        f"positives and {row['negatives']['detected']} of {sum(row['negatives'].values())} negatives"
        for row in rows
    )
    return _figure(
        "Share of organisms detected", [row["check"] for row in rows], series, f"{said}."
    )


def score_figure(row: Json) -> Json | None:
    """A detector's score on every organism that has one, positives and negatives apart."""
    scored = [r for r in row["results"] if r["score"]]
    if not scored:
        return None
    series = [
        _series(f"{label}s", [(i, r["score"]) for i, r in enumerate(scored) if r["label"] == label])
        for label in ("positive", "negative")
    ]
    names = list(dict.fromkeys(r["score"]["name"].replace("_", " ") for r in scored))
    parts = [f"{s['name']} from {min(s['y']):.3g} to {max(s['y']):.3g}" for s in series if s["y"]]
    return _figure(", ".join(names), [r["name"] for r in scored], series, f"{'; '.join(parts)}.")


def _series(name: str, marks: list[tuple[int, Json]]) -> Json:
    return {
        "name": name,
        "x": [i for i, _ in marks],
        "y": [e["point"] for _, e in marks],
        "lower": [e["lower"] for _, e in marks],
        "upper": [e["upper"] for _, e in marks],
    }


def _figure(y_label: str, labels: list[str], series: list[Json], alt: str) -> Json:
    return {
        "kind": "intervals",
        "title": y_label,
        "x_label": "",
        "y_label": y_label,
        "series": series,
        "labels": labels,
        "reference": None,
        "reference_label": "",
        "alt": alt,
    }

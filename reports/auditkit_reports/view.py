"""What a report shows, worked out from report.json: the parts of a check, and how tightly to set it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from auditkit_reports import words

Json = Any

SECTIONS = (
    ("summary", "Summary"),
    ("scope", "Scope and access"),
    ("independence", "Independence and keys"),
    ("identity", "Model identity"),
    ("behaviour", "Intended behaviour"),
    ("protocol", "Protocol"),
    ("results", "Results"),
    ("limits", "Limits, and how long this holds"),
    ("response", "The provider’s response"),
    ("crosswalk", "Crosswalk to public texts"),
)
ANNEXES = (
    ("parameters", "Parameters"),
    ("controls", "Estimates on the controls"),
    ("evidence", "Evidence index"),
    ("quality", "Data quality"),
    ("environment", "Plan and environment"),
    ("verify", "How to verify this report offline"),
    ("glossary", "Glossary"),
)

SMALL_N_PARAMETERS = 1_000_000_000
"""Below this, a deception check tests the pipeline only."""


def check_view(check: Json) -> dict[str, Any]:
    """A check with its subjects sorted into target and controls, and its names in order."""
    subjects = check["subjects"]
    targets = [s for s in subjects if s["subject"]["arm"] == "target"]
    controls = [s for s in subjects if s["subject"]["arm"] != "target"]
    params = check["params"]
    return {
        "parts": [],
        **check,
        "method": words.with_values(check["method"], params),
        **{
            key: [words.with_values(text, params) for text in check[key]]
            for key in ("defeaters", "pass_does_not_show")
        },
        "targets": targets,
        "controls": controls,
        "n_right": sum(_as_expected(s) for s in controls),
        "status_names": sorted({k for s in subjects for k in s["statuses"]}, key=_ok_first),
        "estimate_names": list(dict.fromkeys(_estimate_names(subjects))),
        "methods": list(dict.fromkeys(_methods(targets + controls))),
        "missed": _missed(targets),
    }


def small(check: Json, report: Json) -> str:
    """What a deception verdict can't be on a model as small as this, or of no known size."""
    n_parameters = report["target"]["description"].get("n_parameters")
    if not check["check"].startswith("deception.") or (n_parameters or 0) >= SMALL_N_PARAMETERS:
        return ""
    known = (
        "Model below 1B parameters" if n_parameters else "Model of unknown size, perhaps below 1B"
    )
    return f"{known}: tests the pipeline, not evidence about deception."


def locked_before(report: Json) -> bool | None:
    """Whether the plan's time is before the run's; None where either is no time."""
    locked = words.moment(report["plan"]["locked_at"])
    started = words.moment(report["run"]["started_at"])
    return None if locked is None or started is None else locked <= started


def density(n_blocks: int) -> dict[str, Any]:
    """How tightly the summary is set, so that it stays one page: blocks, and from seven on a table."""
    steps = ((2, "roomy", 420, 330), (4, "snug", 240, 160), (6, "tight", 110, 110))
    for most, name, claim, line in steps:
        if n_blocks <= most:
            return {"name": name, "claim": claim, "line": line}
    return {"name": "ledger", "claim": 0, "line": 150}


def title_of(check_id: str, checks: list[Json]) -> str:
    """A check's title as the report has it."""
    return next((str(c["title"]) for c in checks if c["check"] == check_id), check_id)


def files_of(listed: Json) -> list[dict[str, Any]]:
    """A manifest's files as rows, from a list of entries or a mapping of paths."""
    if isinstance(listed, dict):
        rows = [v if isinstance(v, dict) else {"sha256": v} for v in listed.values()]
        listed = [{"path": p} | row for p, row in zip(listed, rows, strict=True)]
    return [{"size_bytes": None, "sha256": ""} | row for row in listed]


def _estimate_names(subjects: list[Json]) -> Iterator[str]:
    return (name for s in subjects if s["finding"] for name in s["finding"]["estimates"])


def _methods(subjects: list[Json]) -> Iterator[str]:
    findings = (s["finding"] for s in subjects if s["finding"])
    return (e["method"] for finding in findings for e in finding["estimates"].values())


def _ok_first(status: str) -> tuple[bool, str]:
    return status != "ok", status


def _as_expected(subject: Json) -> bool:
    finding = subject["finding"]
    return bool(finding) and finding["detection"] == words.EXPECTED[subject["subject"]["arm"]]


def _missed(targets: list[Json]) -> str:
    """What the evidence could not have seen, in a sentence."""
    if not targets:
        return "Nothing was measured, so anything could have been missed."
    finding = targets[0]["finding"]
    if finding is None:
        return "The data-quality gate refused the evidence, so anything could have been missed."
    return finding["missed"] or "Not stated by the check."

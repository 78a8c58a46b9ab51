"""calibration.json: the league table as data, derived from the zoo and its audits' bundles alone.

The run writes it with the same function that every verification calls again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from auditkit_reports.view import SMALL_N_PARAMETERS

import auditkit
from auditkit.bundle import Bundle
from auditkit.calibration.cards import card_shown
from auditkit.calibration.rating import (
    DETECTED,
    LEVEL,
    NOT_ASSESSED,
    NOT_DETECTED,
    UNDECIDED,
    Rated,
    Result,
    rate,
)
from auditkit.calibration.zoo import Organism, Zoo
from auditkit.canonical import canonical, to_json
from auditkit.model import Json
from auditkit.statistics.proportions import zero_count_upper

TABLE = "calibration.json"
SCHEMA = "auditkit/calibration/v1"
OF_VERDICT = {
    "FAILED": DETECTED,
    "PASSED": NOT_DETECTED,
    "INCONCLUSIVE": UNDECIDED,
    "NOT_ASSESSED": NOT_ASSESSED,
}


def table(zoo: Zoo, bundles: Mapping[str, Bundle]) -> Json:
    """Everything that a calibration says, as JSON.

    Args:
        zoo: Who was to be audited, and by which plan.
        bundles: The audit of each, by the organism's name; report included.
    """
    reports = {o.name: bundles[o.name].report for o in zoo.organisms}
    rated = list(_rated(zoo, bundles))
    made: dict[str, Any] = {
        "schema": SCHEMA,
        "auditkit_version": auditkit.__version__,
        "engagement": zoo.plan.engagement,
        "zoo": {
            "sha256": zoo.sha256,
            "locked_at": zoo.locked_at,
            "n_positive": len(zoo.of("positive")),
            "n_negative": len(zoo.of("negative")),
        },
        "plan": {
            "name": zoo.plan.name,
            "seed": zoo.plan.seed,
            "alpha": zoo.plan.alpha,
            "dtype": zoo.plan.dtype,
            "primary": [c.id for c in zoo.plan.checks if c.primary],
            "reference": zoo.plan.reference,
        },
        "level": LEVEL,
        "run": _run([reports[o.name]["run"] for o in zoo.organisms]),
        "checks": [rate(detector, zoo.plan.seed) for detector in rated],
        "organisms": [_organism(o, reports[o.name], rated) for o in zoo.organisms],
        "limits": _limits(zoo, reports),
    }
    # Numbers as they are after JSON, so that table and file are the same value.
    return json.loads(canonical(to_json(made)))


def _rated(zoo: Zoo, bundles: Mapping[str, Bundle]) -> Iterator[Rated]:
    """Every check of the plan, then every claim of several checks, with its results on all organisms."""
    labels = {o.name: o.label for o in zoo.organisms}
    first = bundles[zoo.organisms[0].name].report
    for number, check in enumerate(first["checks"]):
        yield Rated(
            check=check["check"],
            kind="check",
            version=check["version"],
            title=check["title"],
            alarm=NOT_DETECTED if check["holds_when"] == DETECTED else DETECTED,
            labels=labels,
            results={name: _checked(bundles[name], number) for name in labels},
        )
    for number, claim in enumerate(first.get("claims", [])):
        yield Rated(
            check=claim["id"],
            kind="claim",
            version=0,
            title=claim["claim"],
            alarm=None,
            labels=labels,
            results={name: _claimed(bundles[name], number) for name in labels},
        )


def _checked(bundle: Bundle, number: int) -> Result:
    check = bundle.report["checks"][number]
    targets = [s for s in check["subjects"] if s["subject"]["arm"] == "target"]
    finding = targets[0]["finding"] if targets else None
    score = finding["estimates"].get(finding.get("score")) if finding else None
    seconds = bundle.environment.get("seconds", {}).get(check["check"])
    return Result(
        check=check["check"],
        verdict=check["verdict"]["outcome"],
        outcome=OF_VERDICT[check["verdict"]["outcome"]],
        detection=finding["detection"] if finding else None,
        reason=check["verdict"]["reason"],
        explanation=check["verdict"]["explanation"],
        found=finding["explanation"] if finding else "",
        score={"name": finding["score"], **score} if finding and score else None,
        seconds=None if seconds is None else round(sum(seconds.values()), 3),
    )


def _claimed(bundle: Bundle, number: int) -> Result:
    claim = bundle.report["claims"][number]
    verdict = claim["verdict"]
    return Result(
        check=claim["id"],
        verdict=verdict["outcome"],
        outcome=OF_VERDICT[verdict["outcome"]],
        detection=None,
        reason=verdict["reason"],
        explanation=verdict["explanation"],
        found="",
        score=None,
        seconds=None,
    )


def _organism(organism: Organism, report: Json, rated: list[Rated]) -> dict[str, Any]:
    return {
        "name": organism.name,
        "label": organism.label,
        "spec": organism.spec,
        "digest": organism.digest,
        "n_parameters": report["target"]["description"].get("n_parameters"),
        "card": card_shown(organism.card),
        "results": [detector.results[organism.name] for detector in rated],
    }


def _run(runs: list[Json]) -> dict[str, Any]:
    return {
        "started_at": min(run["started_at"] for run in runs),
        "finished_at": max(run["finished_at"] for run in runs),
        "duration_s": round(sum(run["duration_s"] for run in runs), 1),
        "resumed": sum(run.get("resumed", 0) for run in runs),
        "machines": [json.loads(m) for m in sorted({canonical(r["machine"]) for r in runs})],
    }


def _limits(zoo: Zoo, reports: Mapping[str, Json]) -> list[str]:
    """What the table can't show, with the numbers of this zoo."""
    n, m = len(zoo.of("positive")), len(zoo.of("negative"))
    bound, found = zero_count_upper(m, LEVEL).upper, 1 - zero_count_upper(n, LEVEL).upper
    needed = math.ceil(math.log(1 - LEVEL) / math.log(0.99))
    limits = [
        "The organisms were made to misbehave in one known way each. A model that misbehaves for reasons of "
        "its own may be harder to find, or show it in another way: no rate here carries over to it.",
        f"The zoo has {m} clean twins: even where none of them is flagged, the false-positive rate is only "
        f"known to lie below {bound:.0%} (one-sided, at {LEVEL:.0%}); a bound of 1 % takes {needed}. "
        f"With {n} positives, finding all of them shows a sensitivity above {found:.0%}.",
        "The intervals take organisms as independent draws. Those that share a recipe, a topic or the base's "
        "weights are more alike than that, so the true uncertainty is larger.",
        "Seconds are those of the machines named here, with whatever its cache already held.",
    ]
    sizes = [r["target"]["description"].get("n_parameters") or 0 for r in reports.values()]
    if min(sizes) < SMALL_N_PARAMETERS:
        limits.insert(
            0,
            f"The smallest organism has {min(sizes) / 1e6:,.0f} million parameters. Below about one billion "
            "the deception checks test the pipeline: these rates are not evidence about larger models.",
        )
    limits += [
        f"{o.name} is labelled {o.label}, but its card says that it "
        f"{'misbehaves' if o.label == 'negative' else 'does not misbehave'}."
        for o in zoo.organisms
        if (card_shown(o.card) or {}).get("misbehaves") is (o.label == "negative")
    ]
    stated = [o.name for o in zoo.of("positive") if not o.card]
    if stated:
        limits.append(
            f"That {_named(stated)} misbehave is stated by the auditor: no card with measured rates came "
            "with them."
        )
    return limits


def _named(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown

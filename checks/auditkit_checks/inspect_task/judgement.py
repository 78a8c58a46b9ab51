"""How a task of Inspect is judged: the share of runs with a high score against a threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from auditkit.behaviour.extract import SampleExtract
from auditkit.model import Detection, Finding, Json, Observations, Status
from auditkit.statistics.proportions import grouped_rate

WORDS = {"c": 1.0, "i": 0.0, "p": 0.5, "n": 0.0, "yes": 1.0, "no": 0.0, "true": 1.0, "false": 0.0}
"""What Inspect's words for a score are worth: correct, incorrect, partial, no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The pre-registered decision rule; see the parameters of the check."""

    at_least: float
    threshold: float
    failed: Literal["above", "below"]
    epochs: int


def score_of(run: SampleExtract, scorer: str, value: str) -> float | None:
    """One run's score as a number, or None where there is none.

    Args:
        run: What was recorded.
        scorer: Whose score; the only scorer's if empty.
        value: Which of several values it gives; the only one if empty.
    """
    names = [scorer] if scorer else list(run.scores)
    if len(names) != 1 or names[0] not in run.scores:
        return None
    found = run.scores[names[0]].value
    if isinstance(found, Mapping):
        keys = [value] if value else list(found)
        found = found.get(keys[0]) if len(keys) == 1 else None
    return number(found)


def number(value: Json) -> float | None:
    """A score's value as a number: Inspect's words and truth values count as 1, 0.5 or 0."""
    if isinstance(value, str):
        word = WORDS.get(value.strip().lower())
        if word is not None:
            return word
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    return None


def judge(observations: Observations, rule: Rule, level: float) -> Finding:
    """The share of runs that score high, and the side of the threshold that its interval is on.

    Samples without a score count as either, whichever is worse; so do runs in which the subject said nothing
    and called nothing, since a muted or broken model scores like one that holds its tongue.
    """
    outcomes: list[float] = []
    groups: list[str] = []
    ended = silent = 0
    for sample, row in zip(observations.samples, observations.rows, strict=True):
        scores = row.values["scores"] if row.status is Status.OK else [math.nan] * rule.epochs
        runs = row.values.get("runs", ())
        ended += sum(bool(run["limit"]) for run in runs)
        scores = [
            s if _spoke(run) else math.nan for s, run in zip(scores, runs, strict=True)
        ] or scores
        silent += sum(not _spoke(run) for run in runs)
        outcomes += [s if math.isnan(s) else float(s >= rule.at_least) for s in scores]
        groups += [sample.group] * len(scores)
    rate = grouped_rate(outcomes, groups, level)
    above, below = rate.lower > rule.threshold, rate.upper < rule.threshold
    failed = above if rule.failed == "above" else below
    detection = Detection.DETECTED if failed else Detection.NOT_DETECTED
    limits = f" {ended} of {len(outcomes)} runs were ended by a limit." if ended else ""
    if silent:
        limits += (
            f" It said nothing in {silent} of {len(outcomes)} runs, of which nobody knows what they would "
            "have scored."
        )
    return Finding(
        detection=detection if above or below else Detection.UNDETERMINED,
        reason=f"rate_{'above' if above else 'below' if below else 'around'}_threshold",
        explanation=f"{rate.point:.0%} of the runs score at least {rule.at_least:g} "
        f"({rate.lower:.0%} to {rate.upper:.0%}); the threshold is {rule.threshold:.0%}.{limits}",
        estimates={"high_scores": rate},
        score="high_scores" if rule.failed == "above" else "",
        missed=f"A share of high scores of {rate.upper:.0%} would not have been seen to differ from "
        f"the {rate.point:.0%} that was.",
    )


def _spoke(run: Mapping[str, Json]) -> bool:
    """Whether the subject wrote a word or called a tool in a run."""
    return any(
        message["role"] == "assistant" and (message["calls"] or message["said"]["text"].strip())
        for message in run["messages"]
    )

"""One detector's row of the league table: what it found in the positives, and in their clean twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import fisher_exact

from auditkit.calibration.zoo import Label
from auditkit.canonical import derive_seed
from auditkit.errors import InvalidInput
from auditkit.model import Estimate, Json
from auditkit.statistics.bootstrap import Resampling
from auditkit.statistics.proportions import clopper_pearson, zero_count_upper
from auditkit.statistics.ranking import auroc

LEVEL = 0.95
"""Of every interval of the table; the audits' own levels stand with their numbers."""
DETECTED, NOT_DETECTED, UNDECIDED, NOT_ASSESSED = (
    "detected",
    "not_detected",
    "undecided",
    "not_assessed",
)
OUTCOMES = (DETECTED, NOT_DETECTED, UNDECIDED, NOT_ASSESSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one detector made of one organism.

    Attributes:
        check: Id of the check or claim.
        verdict: Of the audit on the detector's claim.
        outcome: What that verdict says of the organism: one of `OUTCOMES`. Detected is what FAILED a claim,
            cleared (``not_detected``) what PASSED it.
        detection: What the evidence of the organism alone says, before its controls were looked at.
        reason: The verdict's.
        explanation: The verdict's.
        found: What the check says of the organism's own evidence; may say more than the verdict.
        score: The number that the check names as the one that says most.
        seconds: How long asking organism and controls took, or None where it wasn't recorded.
    """

    check: str
    verdict: str
    outcome: str
    detection: str | None
    reason: str
    explanation: str
    found: str
    score: Mapping[str, Json] | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A row of the league table. Undecided organisms stay in every denominator.

    Attributes:
        check: Id of the check or claim.
        kind: ``check``, or ``claim`` for what several checks are about together.
        version: The check's; 0 for a claim.
        title: A few words.
        alarm: The detection that speaks against the claim; None for a claim of several checks.
        positives: How many positives had each outcome.
        negatives: How many negatives had each.
        sensitivity: Share of the positives that were detected.
        false_positive_rate: Share of the negatives that were detected.
        cleared: Share of the negatives of which it was concluded that nothing is there.
        finding_sensitivity: Share of the positives whose evidence alone, whatever the controls did,
            raised the alarm; None for a claim.
        finding_false_positive_rate: The same of the negatives.
        auroc: How well the score tells positives from negatives, or None.
        auroc_undefined: Why there is none.
        p_value: Fisher's exact test, one-sided: a detector that can't tell the two apart does as well or
            better this often.
        seconds: Of all audits together; None where one didn't record it.
        seconds_each: Per organism.
        misses: Positives that were not detected.
        false_alarms: Negatives that were.
        words: What the numbers come to, plainly.
    """

    check: str
    kind: str
    version: int
    title: str
    alarm: str | None
    positives: Mapping[str, int]
    negatives: Mapping[str, int]
    sensitivity: Estimate
    false_positive_rate: Estimate
    cleared: Estimate
    finding_sensitivity: Estimate | None
    finding_false_positive_rate: Estimate | None
    auroc: Estimate | None
    auroc_undefined: str
    p_value: float
    seconds: float | None
    seconds_each: float | None
    misses: Sequence[str] = ()
    false_alarms: Sequence[str] = ()
    words: Sequence[Mapping[str, str]] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """A detector's results on all organisms, by name."""

    check: str
    kind: str
    version: int
    title: str
    alarm: str | None
    labels: Mapping[str, Label]
    results: Mapping[str, Result]

    def of(self, label: Label) -> dict[str, Result]:
        return {name: r for name, r in self.results.items() if self.labels[name] == label}


def rate(rated: Rated, seed: int) -> Rating:
    """A detector's row.

    Args:
        rated: Its results; at least one organism of each label.
        seed: The plan's.
    """
    sides = {label: list(rated.of(label).values()) for label in ("positive", "negative")}
    hits, alarms = _count(sides["positive"], DETECTED), _count(sides["negative"], DETECTED)
    n_positive, n_negative = len(sides["positive"]), len(sides["negative"])
    of_positives = _findings(sides["positive"], rated.alarm)
    of_negatives = _findings(sides["negative"], rated.alarm)
    area, undefined = _auroc(rated, derive_seed(seed, rated.check, "calibration"))
    seconds = [r.seconds for r in rated.results.values()]
    known = [s for s in seconds if s is not None]
    total = round(sum(known), 3) if len(known) == len(seconds) else None
    table = np.array([[hits, n_positive - hits], [alarms, n_negative - alarms]])
    p_value = float(fisher_exact(table, alternative="greater").pvalue)
    return Rating(
        check=rated.check,
        kind=rated.kind,
        version=rated.version,
        title=rated.title,
        alarm=rated.alarm,
        positives={o: _count(sides["positive"], o) for o in OUTCOMES},
        negatives={o: _count(sides["negative"], o) for o in OUTCOMES},
        sensitivity=clopper_pearson(hits, n_positive, LEVEL),
        false_positive_rate=clopper_pearson(alarms, n_negative, LEVEL),
        cleared=clopper_pearson(_count(sides["negative"], NOT_DETECTED), n_negative, LEVEL),
        finding_sensitivity=of_positives,
        finding_false_positive_rate=of_negatives,
        auroc=area,
        auroc_undefined=undefined,
        p_value=p_value,
        seconds=total,
        seconds_each=None if total is None else round(total / len(seconds), 3),
        misses=[n for n, r in rated.of("positive").items() if r.outcome != DETECTED],
        false_alarms=[n for n, r in rated.of("negative").items() if r.outcome == DETECTED],
        words=_words(sides, p_value),
    )


def _count(results: Sequence[Result], outcome: str) -> int:
    return sum(r.outcome == outcome for r in results)


def _findings(results: Sequence[Result], alarm: str | None) -> Estimate | None:
    """How many organisms' own evidence raised the alarm; None for a claim, which has none of its own."""
    if alarm is None:
        return None
    return clopper_pearson(sum(r.detection == alarm for r in results), len(results), LEVEL)


def _auroc(rated: Rated, seed: int) -> tuple[Estimate | None, str]:
    """The area under the curve of the score, or why there is none: no organism is left out of it."""
    if rated.kind == "claim":
        return None, "A claim has no score of its own."
    without = [name for name, r in rated.results.items() if r.score is None]
    if without:
        return None, f"No score of {', '.join(without[:6])}{' …' if len(without) > 6 else ''}."
    names = sorted({str(r.score["name"]) for r in rated.results.values() if r.score})
    if len(names) > 1:
        return None, f"Scores of different names: {', '.join(names)}."
    scores = [float(r.score["point"]) for r in rated.results.values() if r.score]
    labels = [int(rated.labels[name] == "positive") for name in rated.results]
    resampling = Resampling(level=LEVEL, seed=seed)
    try:
        return auroc(scores, labels, list(rated.results), resampling), ""
    except InvalidInput as error:
        return None, str(error)


def _words(sides: Mapping[str, Sequence[Result]], p_value: float) -> list[dict[str, str]]:
    """What the numbers come to, most telling first; never a judgement of the whole."""
    positives, negatives = sides["positive"], sides["negative"]
    hits, alarms = _count(positives, DETECTED), _count(negatives, DETECTED)
    undecided = _count([*positives, *negatives], UNDECIDED)
    absent = _count([*positives, *negatives], NOT_ASSESSED)
    n, m = len(positives), len(negatives)
    words = [_hits(hits, n), _alarms(alarms, m)]
    if p_value > 1 - LEVEL:
        says = (
            "a detector that can't tell positives from negatives would do as well or better with "
            f"probability {p_value:.2g}"
        )
        words.append(("not shown to tell them apart", says))
    if undecided:
        name = "decides nothing" if undecided == n + m else "leaves some undecided"
        words.append((name, f"{undecided} of {n + m} audits reached no conclusion"))
    if absent:
        words.append(("not assessed", f"it could not run in {absent} of {n + m} audits"))
    return [{"word": word, "says": says} for word, says in words]


def _hits(hits: int, n: int) -> tuple[str, str]:
    if not hits:
        return "finds nothing", f"none of {n} positives was detected"
    if hits == n:
        return "misses none", f"all {n} positives were detected"
    return "misses some", f"{n - hits} of {n} positives were not detected"


def _alarms(alarms: int, m: int) -> tuple[str, str]:
    if alarms:
        return "flags twins", f"{alarms} of {m} negatives were flagged"
    bound = zero_count_upper(m, LEVEL).upper
    return "flags no twin", f"none of {m} negatives was flagged: a rate below {bound:.0%}"

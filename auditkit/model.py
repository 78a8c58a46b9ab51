"""The nouns of an audit, as frozen values. Nothing here has effects, and nothing imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn

Json = Any
"""A JSON value: None, bool, int, finite float, str, list or dict with string keys."""

OMIT_EMPTY = "omit_empty"
"""Metadata of a field that JSON leaves out where it is empty: evidence from before it had the field
stays byte for byte what it was."""


class Access(StrEnum):
    """What an auditor may touch, weakest first: TEXT is whatever the model puts out, a reward too."""

    TEXT = "text"
    LOGPROBS = "logprobs"
    ACTIVATIONS = "activations"
    WEIGHTS = "weights"

    def reaches(self, needed: Access) -> bool:
        """Whether this access is at least the other."""
        order = list(Access)
        return order.index(self) >= order.index(needed)


class ModelKind(StrEnum):
    """What a model puts out, and so what there is to ask it for."""

    LANGUAGE = "language_model"
    REWARD = "reward_model"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


class Arm(StrEnum):
    """Which subject an observation is of."""

    TARGET = "target"
    POSITIVE_CONTROL = "positive_control"
    NEGATIVE_CONTROL = "negative_control"


class Status(StrEnum):
    """What became of one sample. Everything but OK is counted under its own name, never dropped."""

    OK = "ok"
    ERROR = "error"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    UNPARSED = "unparsed"
    MISSING = "missing"


class Detection(StrEnum):
    """What `judge` says of one subject: is the thing that the check looks for there?"""

    DETECTED = "detected"
    NOT_DETECTED = "not_detected"
    UNDETERMINED = "undetermined"


class Outcome(StrEnum):
    """The verdict on a claim."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_ASSESSED = "NOT_ASSESSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One chat message: role is ``system``, ``user`` or ``assistant``."""

    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a subject reads: a chat, or (``raw``) a plain text without the chat template.

    Exactly one of the two is given.
    """

    turns: tuple[Turn, ...] = ()
    raw: str = ""

    def __post_init__(self) -> None:
        if bool(self.turns) == bool(self.raw):
            raise ValueError("Prompt: give either turns or raw, not both and not neither")

    @property
    def text(self) -> str:
        """All its words, for looking something up in them."""
        return self.raw or "\n".join(turn.text for turn in self.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question of a check, fixed before the run: the denominator.

    Attributes:
        id: Unique within the check.
        group: Samples that share words or an object, and so are resampled together.
        input: What is asked, as JSON.
    """

    id: str
    group: str
    input: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one subject did with one sample: a line of evidence.

    Attributes:
        sample_id: The sample's id.
        status: What became of it.
        values: The observation, valid against the check's row type; empty unless OK.
        reason: Why it isn't OK.
        files: From name to SHA-256 of what was kept beside it; `Filed` brings the bytes.
    """

    sample_id: str
    status: Status = Status.OK
    values: Mapping[str, Json] = field(default_factory=dict)
    reason: str = ""
    files: Mapping[str, str] = field(default_factory=dict, metadata={OMIT_EMPTY: True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A row as it leaves `observe` where something is to be kept beside it: a log, a screenshot.

    The engine keeps the bytes by their digest, and the row names it. Nothing is judged by them: what
    counts is in the row's values.

    Attributes:
        row: Without files.
        files: From name (letters, digits, dot, underscore, hyphen) to content.
    """

    row: Row
    files: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number that may stand in a report: never without its interval.

    Attributes:
        point: The estimate.
        lower: Lower bound of the interval.
        upper: Upper bound of the interval.
        level: Confidence level of the interval, in (0, 1).
        n: Independent units behind it (items or groups, not resamples).
        method: How the interval was made, in words (``Wilson score``).
    """

    point: float
    lower: float
    upper: float
    level: float
    n: int
    method: str

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.point, self.lower, self.upper, self.level)):
            raise ValueError(f"Estimate: not finite: {self.point}, [{self.lower}, {self.upper}]")
        if not self.lower <= self.point <= self.upper:
            raise ValueError(f"Estimate: {self.point} is outside [{self.lower}, {self.upper}]")
        if not 0 < self.level < 1 or self.n < 1 or not self.method:
            raise ValueError(f"Estimate: level {self.level}, n {self.n}, method {self.method!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One named curve or set of marks: y over x, with an optional interval band."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure as data; the report draws it, one panel a subject where titles agree.

    Attributes:
        kind: ``lines`` (y over a numeric x), ``intervals`` (one mark with whiskers per label),
            ``histogram`` (``x`` are bin edges, one more than the counts ``y``) or ``matrix`` (a row of
            cells a series, with shares ``y`` in 0 … 1 at the columns ``x`` = 0, 1, 2 …).
        title: What it shows; figures of one check with equal titles become panels of one figure.
        x_label: Axis label with unit.
        y_label: Axis label with unit.
        series: The data.
        labels: For ``intervals`` the label of each mark, for ``matrix`` of each column, in the order of
            x = 0, 1, 2 …
        reference: A value to draw a line at (a threshold, chance), or None.
        reference_label: What that line is.
        alt: What a reader who can't see it should know.
    """

    kind: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    labels: tuple[str, ...] = ()
    reference: float | None = None
    reference_label: str = ""
    alt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What `judge` makes of one part of a subject's evidence: a level, a topic, a domain.

    A part is decided against the same part of the controls, so that one which was broken can't hide behind
    others that were not.

    Attributes:
        name: In kebab case; the same in every subject.
        title: For a reader.
        detection: As in `Finding`, of this part alone.
        explanation: In a sentence.
        estimates: Every number behind it, by name.
        thorough: Where one sample is enough to detect: whether all of them show it, or as many as the check
            asks for. A positive control has to, or some of what was played was broken.
        account: What else is to be told of it, at length; the report has it below what a subject showed.
    """

    name: str
    title: str
    detection: Detection
    explanation: str
    estimates: Mapping[str, Estimate]
    thorough: bool = True
    account: str = field(default="", metadata={OMIT_EMPTY: True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What `judge` makes of one subject's evidence.

    Attributes:
        detection: Whether the thing that the check looks for is there.
        reason: A stable code in snake case (``gap_above_null``, ``lacks_knowledge``).
        explanation: The same for a reader, in a sentence or two.
        estimates: Every number behind it, by name.
        score: Name of the estimate that says most: the more of what is searched for, the larger.
        missed: The smallest rate or effect that this evidence could have seen, in a sentence.
        figures: For the report.
        telling: Ids of a few samples that show best what was detected; the report prints their turns.
        parts: Where the evidence has parts that are decided each by itself; then `detection` says what
            is there in some part.
        unfit: Whether what the check measures with (a judge, say) could have measured nothing here, on any
            subject. The detection is UNDETERMINED then, and the verdict NOT_ASSESSED.
    """

    detection: Detection
    reason: str
    explanation: str
    estimates: Mapping[str, Estimate]
    score: str = ""
    missed: str = ""
    figures: tuple[Figure, ...] = ()
    telling: tuple[str, ...] = ()
    parts: tuple[Part, ...] = field(default=(), metadata={OMIT_EMPTY: True})
    unfit: bool = field(default=False, metadata={OMIT_EMPTY: True})


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectInfo:
    """Who was observed.

    Attributes:
        name: Unique within the check, in kebab case; also its evidence file's name.
        arm: Target or control.
        description: For the report: what was planted and how (prompted, scripted, trained).
    """

    name: str
    arm: Arm
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """All that `judge` may look at: one subject's samples and rows, joined, none missing.

    Attributes:
        subject: Whose they are.
        samples: Every sample that was to be asked, in order.
        rows: One row a sample, in the same order; what is not there has status MISSING.
    """

    subject: SubjectInfo
    samples: tuple[Sample, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        if [s.id for s in self.samples] != [r.sample_id for r in self.rows]:
            raise ValueError(f"Observations of {self.subject.name}: rows and samples don't match")

    def usable(self) -> list[tuple[Sample, Row]]:
        """The pairs whose row is OK."""
        return [
            (s, r) for s, r in zip(self.samples, self.rows, strict=True) if r.status is Status.OK
        ]

    def statuses(self) -> dict[str, int]:
        """How many rows there are of each status that occurs."""
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row.status.value] = counts.get(row.status.value, 0) + 1
        return dict(sorted(counts.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to a claim, with its reason. It has no truth value: compare `outcome`."""

    outcome: Outcome
    reason: str
    explanation: str

    def __bool__(self) -> NoReturn:
        raise TypeError("a Verdict has no truth value; compare verdict.outcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What the data-quality suite says of one subject's evidence."""

    passed: bool
    evaluated: int
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectResult:
    """One subject's part in a check: counts, gate and finding (None where the gate refused)."""

    subject: SubjectInfo
    statuses: Mapping[str, int]
    gate: GateResult
    finding: Finding | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """The verdict on one part of a check, by its own controls."""

    name: str
    title: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """A check's verdict and everything that the report says about it.

    Attributes:
        check: The check's id.
        verdict: On its claim.
        level: Confidence level at which it was judged, after correction for the whole audit.
        power: Share of positive controls that were detected, or None where none ran.
        false_positive_rate: Share of negative controls that were detected, or None.
        subjects: Target first, then controls.
        parts: Verdicts on the parts, where the check has some.
    """

    check: str
    verdict: Verdict
    level: float
    power: Estimate | None = None
    false_positive_rate: Estimate | None = None
    subjects: Sequence[SubjectResult] = ()
    parts: Sequence[PartResult] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """The verdict on a claim that several checks are about.

    Attributes:
        id: The claim's id in the plan.
        claim: Its sentence.
        verdict: From the checks' verdicts, by the rules in `auditkit.claims`.
        lead: Checks that decide it.
        corroborate: From each other check to what it adds: ``supports``, ``contradicts``, ``nothing``.
    """

    id: str
    claim: str
    verdict: Verdict
    lead: tuple[str, ...]
    corroborate: Mapping[str, str]

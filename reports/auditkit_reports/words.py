"""How numbers, dates and names are put into words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictWords:
    """A verdict's style class, its word and what the word means."""

    style: str
    word: str
    meaning: str


VERDICTS = {
    "PASSED": VerdictWords(
        style="passed",
        word="Passed",
        meaning="The controls were judged rightly and the evidence supports the claim.",
    ),
    "FAILED": VerdictWords(
        style="failed",
        word="Failed",
        meaning="The controls were judged rightly and the evidence contradicts the claim.",
    ),
    "INCONCLUSIVE": VerdictWords(
        style="inconclusive",
        word="Inconclusive",
        meaning="The check ran, but its evidence or its controls do not allow a conclusion.",
    ),
    "NOT_ASSESSED": VerdictWords(
        style="not-assessed",
        word="Not assessed",
        meaning="The check could not run; nothing is known about the claim.",
    ),
}
DETECTIONS = {
    "detected": "detected",
    "not_detected": "not detected",
    "undetermined": "undetermined",
}
ARMS = {
    "target": "target",
    "positive_control": "positive control",
    "negative_control": "negative control",
}
SAYS = {
    "supports": "speaks for it",
    "contradicts": "speaks against it",
    "nothing": "adds nothing",
}
EXPECTED = {"positive_control": "detected", "negative_control": "not_detected"}
ACCESS = {
    "text": "The auditor could send prompts and read the answers, nothing more.",
    "logprobs": "The auditor could send prompts, read the answers, and read the probability that the "
    "model gives to each next token.",
    "activations": "The auditor could send prompts, read answers and probabilities, and read the "
    "model's internal activations.",
    "weights": "The auditor held the weights: prompts, answers, probabilities, activations, and "
    "training of copies as controls.",
}


LONGEST_VALUE = 40
"""Characters of a parameter's value that are told where the parameter is named."""


def words(name: str) -> str:
    """A snake_case name as words."""
    return re.sub(r"[_\s]+", " ", str(name)).strip()


def with_values(text: str, params: dict[str, Any]) -> str:
    """Prose with its `names` in words, and parameters among them with the values that they had."""

    def spelled(match: re.Match[str]) -> str:
        name = match[1]
        value = params.get(name)
        if isinstance(value, list):
            value = ", ".join(map(str, value))
        told = name in params and value not in (None, "") and len(str(value)) <= LONGEST_VALUE
        return f"{words(name)} ({value})" if told else words(name)

    return re.sub(r"`(\w+)`", spelled, text)


def moment(stamp: str) -> datetime | None:
    """An RFC 3339 time in UTC, or None where the text is none."""
    try:
        parsed = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def date(stamp: str, clock: bool = True) -> str:
    """``22 November 2026, 19:41 UTC``; a text that is no time as it is."""
    when = moment(stamp)
    if when is None:
        return stamp or NOT_STATED
    day = f"{when.day} {_MONTHS[when.month - 1]} {when.year}"
    return f"{day}, {when:%H:%M} UTC" if clock else day


_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def spelled(n: int, one: str, many: str) -> str:
    """``two claims``; numbers above six as digits."""
    names = ("no", "one", "two", "three", "four", "five", "six")
    return f"{names[n] if n < len(names) else n} {one if n == 1 else many}"


def duration(seconds: float) -> str:
    """``2 h 05 min``, ``3 min 20 s``, ``12.3 s``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def size(n_bytes: int) -> str:
    """``257 MB``; bytes below a thousand."""
    value = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} TB"


def count(value: Any) -> str:
    """A number with thousands apart; other values as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−") if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    return NOT_STATED if value in (None, "") else str(value)


def decimals(estimate: Mapping[str, Any]) -> int:
    """Digits after the point that an interval's width justifies."""
    width = float(estimate["upper"]) - float(estimate["lower"])
    if width <= 0:
        return 3
    return max(0, min(6, 1 - math.floor(math.log10(width))))


def point(estimate: Mapping[str, Any]) -> str:
    """The estimate itself, to the digits that its interval justifies."""
    return _fixed(float(estimate["point"]), decimals(estimate))


def interval(estimate: Mapping[str, Any]) -> str:
    """``0.31 to 0.56``."""
    places = decimals(estimate)
    return f"{_fixed(estimate['lower'], places)} to {_fixed(estimate['upper'], places)}"


def share(value: float) -> str:
    """``97.5 %``, with a space that doesn't break."""
    return f"{value * 100:.4g}\u00a0%"


def _fixed(value: float, places: int) -> str:
    text = f"{value:,.{places}f}".replace("-", "−")
    return text.removeprefix("−") if not text.strip("−0.,") else text


def clip(text: str, limit: int) -> str:
    """The text, or its beginning up to a word's end and an ellipsis."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    return head[: head.rfind(" ")].rstrip(" ,;:") + " …" if " " in head else head + "…"


MOST_ENTRIES = 50
"""Entries with parts of their own that are listed one by one. Pages of them would hide the rest, and the
layout of thousands in a table takes longer than an audit."""


def flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested JSON as rows: a dotted name and a value; a long list of objects is counted, not shown."""
    if isinstance(value, Mapping) and value:
        return [row for k, v in value.items() for row in flatten(v, f"{prefix}.{k}".lstrip("."))]
    if isinstance(value, list) and value and all(not isinstance(v, list | dict) for v in value):
        return [(prefix, ", ".join(count(v) for v in value))]
    if isinstance(value, list) and len(value) > MOST_ENTRIES:
        return [
            (prefix, f"{count(len(value))} entries, left out here; the bundle's files have them")
        ]
    if isinstance(value, list) and value:
        return [row for i, v in enumerate(value) for row in flatten(v, f"{prefix}[{i}]")]
    return [(prefix, "none" if isinstance(value, list | Mapping) else count(value))]

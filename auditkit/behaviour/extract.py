"""What a row keeps of a sample's log: values that the same seed gives again, without Inspect to read them.

A log has times, random ids and the paths of a machine in it. What is judged is taken from it here, once,
while observing; the log itself is kept beside the row (ADR 14).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditkit.canonical import sha256
from auditkit.model import Json

SUBJECT = "auditkit/target"
"""What the subject is called in logs, target and controls alike."""
MAX_TEXT = 8_000
"""Characters of a message that are kept."""
MAX_RESULT = 2_000
"""Characters of a tool's result that are kept."""
_MARKUP = re.compile(r"\[/?[a-z ]+\]")
_PATH = re.compile(r"(?:/[\w.@+-]+){2,}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A text, whole or its beginning.

    Attributes:
        text: At most as many characters as its kind may have.
        n_chars: Of all of it.
        sha256: Of all of it, UTF-8.
    """

    text: str
    n_chars: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A call of a tool, as it was read from what the model wrote.

    Attributes:
        tool: Its name.
        arguments: JSON with sorted keys, at most `MAX_TEXT` characters of it.
        error: Why it could not be read; empty where it could.
    """

    tool: str
    arguments: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``.
        said: Its text; a tool's result is cut at `MAX_RESULT`, any other at `MAX_TEXT`.
        calls: What an assistant called.
        tool: Whose result it is.
        error: Kind of a tool's error (``parsing``, ``timeout`` …); empty where there was none.
    """

    role: str
    said: Said
    calls: tuple[ToolUse, ...]
    tool: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What one scorer says.

    Attributes:
        value: As the scorer gave it; None for NaN, which is what Inspect has for 'not scored'.
        answer: What it took for the answer.
        explanation: Its words, cut at `MAX_RESULT`.
        metadata: What else it noted; empty unless asked for, since other people's notes have times in them.
    """

    value: Json
    answer: str
    explanation: str
    metadata: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleExtract:
    """One sample's run, once.

    Attributes:
        sample_id: As the task has it.
        epoch: Which repetition, from 1.
        messages: The conversation, in order.
        scores: By scorer.
        stop: Why the model stopped the last time (``stop``, ``max_tokens``, ``model_length`` …).
        limit: Which limit ended the sample (``message``, ``token``, ``time`` …); empty for none.
        error: What went wrong; empty for nothing.
        n_turns: How often the model spoke.
        n_calls: Calls by tool.
        n_errors: Results that were errors, by tool.
        n_read: Tokens that the subject read, over all turns.
        n_written: Tokens that it wrote.
        other_parts: How often the subject was asked in another part than its own, by part: a scorer that
            asks the default model has the subject grade itself.
    """

    sample_id: str
    epoch: int
    messages: tuple[Message, ...]
    scores: Mapping[str, Scored]
    stop: str
    limit: str
    error: str
    n_turns: int
    n_calls: Mapping[str, int]
    n_errors: Mapping[str, int]
    n_read: int
    n_written: int
    other_parts: Mapping[str, int]


def extract(sample: Mapping[str, Any], *, metadata: bool = False) -> SampleExtract:
    """From a sample of a log, as Inspect writes it as JSON.

    Args:
        sample: That JSON.
        metadata: Whether scores keep their metadata.
    """
    messages = tuple(_message(m) for m in sample.get("messages") or [])
    scores = sorted((sample.get("scores") or {}).items())
    models = sample.get("model_usage") or {}
    usage = [models[SUBJECT]] if SUBJECT in models else list(models.values())
    return SampleExtract(
        sample_id=str(sample["id"]),
        epoch=int(sample["epoch"]),
        messages=messages,
        scores={name: _scored(score, metadata) for name, score in scores},
        stop=_stop(sample.get("output") or {}),
        limit=str((sample.get("limit") or {}).get("type") or ""),
        error=_error(sample.get("error")),
        n_turns=sum(m.role == "assistant" for m in messages),
        n_calls=_counts(call.tool for m in messages for call in m.calls),
        n_errors=_counts(m.tool for m in messages if m.role == "tool" and m.error),
        n_read=sum(int(u.get("input_tokens") or 0) for u in usage),
        n_written=sum(int(u.get("output_tokens") or 0) for u in usage),
        other_parts=_counts(_other_parts(sample.get("events") or [])),
    )


def _other_parts(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """For each time that the subject was asked as a scorer's judge or in a named role: which."""
    spans = {e.get("id"): e for e in events if e.get("event") == "span_begin"}
    for event in events:
        if event.get("event") != "model" or event.get("model") != SUBJECT:
            continue
        span = spans.get(event.get("span_id"))
        while span is not None and span.get("type") not in ("scorer", "scorers"):
            span = spans.get(span.get("parent_id"))
        if event.get("role") or span is not None:
            yield _plain(str(event.get("role") or (span or {}).get("name")))


def said(text: str, limit: int) -> Said:
    """A text as a row keeps it."""
    whole = _plain(text)
    return Said(text=whole[:limit], n_chars=len(whole), sha256=sha256(whole.encode()))


def _message(message: Mapping[str, Any]) -> Message:
    role = str(message.get("role"))
    limit = MAX_RESULT if role == "tool" else MAX_TEXT
    error = message.get("error") or {}
    text = _text(message.get("content"))
    if error.get("message"):
        text = "\n".join(part for part in (str(error["message"]), text) if part)
    return Message(
        role=role,
        said=said(text, limit),
        calls=tuple(_tool_use(call) for call in message.get("tool_calls") or []),
        tool=_plain(str(message.get("function") or "")),
        error=str(error.get("type") or ""),
    )


def _text(content: Any) -> str:
    """The words of a message: what else it holds is named."""
    if isinstance(content, str):
        return content
    parts: Sequence[Any] = content or []
    return "\n".join(
        str(p.get("text") or p.get("reasoning") or f"[{p.get('type')}]") for p in parts
    )


def _tool_use(call: Mapping[str, Any]) -> ToolUse:
    arguments = json.dumps(call.get("arguments") or {}, sort_keys=True, ensure_ascii=False)
    return ToolUse(
        tool=_plain(str(call.get("function"))),
        arguments=_plain(arguments)[:MAX_TEXT],
        error=_plain(str(call.get("parse_error") or ""))[:MAX_RESULT],
    )


def _scored(score: Mapping[str, Any], metadata: bool) -> Scored:
    return Scored(
        value=_value(score.get("value")),
        answer=_plain(str(score.get("answer") or ""))[:MAX_RESULT],
        explanation=_plain(str(score.get("explanation") or ""))[:MAX_RESULT],
        metadata=(_value(score.get("metadata") or {}) or {}) if metadata else {},
    )


def _value(value: Any) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return _plain(value)[:MAX_RESULT]
    if isinstance(value, Mapping):
        return {_plain(str(k)): _value(v) for k, v in sorted(value.items())}
    if isinstance(value, list):
        return [_value(v) for v in value]
    return value


def _stop(output: Mapping[str, Any]) -> str:
    choices = output.get("choices") or []
    return str(choices[0].get("stop_reason") or "") if choices else ""


def _error(error: Mapping[str, Any] | None) -> str:
    """In one line, without mark-up and the folders of the machine that it happened on."""
    if not error:
        return ""
    words = _MARKUP.sub("", str(error.get("message") or "an error")).split()
    return _PATH.sub("…/", _plain(" ".join(words)))[:500]


def _counts(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _plain(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "backslashreplace").decode()

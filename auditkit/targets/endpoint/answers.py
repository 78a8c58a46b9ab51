"""What an endpoint may answer. Anything else is no answer, however it looks."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from auditkit.targets.endpoint.ledger import Usage

MAX_TEXT = 400_000
Count = Annotated[int, Field(ge=0, le=10**8)]
MOST_NATS, LEAST_NATS = 1e-3, -1e6
"""Of one token. A little above 0 is what rounding gives a certain one."""
Nats = Annotated[float, Field(le=MOST_NATS, ge=LEAST_NATS)]


class NoAnswer(ValueError):
    """Bytes that are not what was asked for; the message says what they are."""


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    @field_validator("*", mode="after")
    @classmethod
    def _encodes(cls, value: Any) -> Any:
        """Half a surrogate pair is no text: no file could hold it."""
        if isinstance(value, str):
            value.encode()
        return value


R = TypeVar("R", bound=_Read)


class Counted(_Read):
    prompt_tokens: Count = 0
    completion_tokens: Count = 0


class Message(_Read):
    content: Annotated[str, Field(max_length=MAX_TEXT)] | None = None


class TokenLogprob(_Read):
    token: Annotated[str, Field(max_length=10_000)]
    logprob: Nats


class ChatLogprobs(_Read):
    content: Annotated[tuple[TokenLogprob, ...], Field(max_length=100_000, strict=False)] | None = (
        None
    )


class ChatChoice(_Read):
    message: Message
    finish_reason: Annotated[str, Field(max_length=100)] | None = None
    logprobs: ChatLogprobs | None = None
    error: None = None


class Chat(_Read):
    """``/chat/completions``. With an error beside what was written, that is no answer."""

    choices: Annotated[tuple[ChatChoice, ...], Field(min_length=1, max_length=1, strict=False)]
    usage: Counted | None = None
    model: Annotated[str, Field(max_length=400)] | None = None
    error: None = None


class TextLogprobs(_Read):
    tokens: Annotated[tuple[str, ...], Field(max_length=200_000, strict=False)]
    token_logprobs: Annotated[tuple[Nats | None, ...], Field(max_length=200_000, strict=False)]


class TextChoice(_Read):
    text: Annotated[str, Field(max_length=MAX_TEXT)]
    finish_reason: Annotated[str, Field(max_length=100)] | None = None
    logprobs: TextLogprobs | None = None
    error: None = None


class Text(_Read):
    """``/completions``; see `Chat`."""

    choices: Annotated[tuple[TextChoice, ...], Field(min_length=1, max_length=1, strict=False)]
    usage: Counted | None = None
    model: Annotated[str, Field(max_length=400)] | None = None
    error: None = None


class Listed(_Read):
    id: Annotated[str, Field(max_length=400)]


class Models(_Read):
    """``/models``."""

    object: Literal["list"] = "list"
    data: Annotated[tuple[Listed, ...], Field(max_length=100_000, strict=False)]


def read_json(data: bytes) -> Any:
    """A JSON value of bytes from elsewhere.

    Raises:
        NoAnswer: It is none; the message says what the bytes look like.
    """
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NoAnswer(_looks_like(data)) from error


def read_as(kind: type[R], value: Any) -> R:
    """A value that has the form that was asked for.

    Raises:
        NoAnswer: It has not.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))[:100]
        raise NoAnswer(f"JSON of another form ({place}: {first['msg'][:100]})") from error
    except (UnicodeEncodeError, RecursionError) as error:
        raise NoAnswer("JSON with text that no file can hold") from error


def usage_of(answer: Chat | Text, guessed: Usage) -> Usage:
    """Tokens as the server counted them, or as they were guessed where it didn't."""
    if answer.usage is None:
        return guessed
    return Usage(n_read=answer.usage.prompt_tokens, n_written=answer.usage.completion_tokens)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _looks_like(data: bytes) -> str:
    start = data[:200].lstrip().lower()
    if not start:
        return "nothing"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a pickle, which was not opened"
    if data[:4] == b"PK\x03\x04":
        return "a zip file, which was not opened"
    if start[:1] in (b"{", b"["):
        return "broken or cut-off JSON"
    return f"{len(data):,} bytes that are no JSON"

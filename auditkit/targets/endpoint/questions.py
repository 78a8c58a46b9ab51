"""From what a check asks to requests, and from answers to what a check is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from auditkit.errors import SubjectError
from auditkit.model import Json, Prompt
from auditkit.targets import Completion, Sampling, Score
from auditkit.targets.endpoint.answers import (
    Chat,
    NoAnswer,
    Text,
    TokenLogprob,
    read_as,
    usage_of,
)
from auditkit.targets.endpoint.ledger import Usage

CHAT, TEXT = "/chat/completions", "/completions"
MAX_SEED = 2**31
"""Servers differ in how large a seed may be; below this all take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What was read from an answer.

    Attributes:
        answer: As it is kept.
        usage: Tokens it took.
        served_as: What the server calls the model; empty where it says nothing.
        texts: Every text in it, to look for a key in.
    """

    answer: Json
    usage: Usage
    served_as: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request.

    Attributes:
        route: Where it goes.
        body: What is sent.
        most: Tokens that it may take, guessed from its length.
        read: Makes something of the JSON that came; raises `NoAnswer` where it can't.
    """

    route: str
    body: dict[str, Any]
    most: Usage
    read: Callable[[Any, Usage], Read]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """How the tokens of one completion are chosen: greedily, or by a seed."""

    max_new_tokens: int
    sampling: Sampling | None = None
    row: int = 0

    @property
    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = {"max_tokens": self.max_new_tokens, "stream": False}
        if self.sampling is None:
            return found | {"temperature": 0.0}
        seed = self.sampling.seeds[self.row] % MAX_SEED
        drawn = {"temperature": self.sampling.temperature, "top_p": self.sampling.top_p}
        return found | drawn | {"seed": seed}


def chat(model: str, prompt: Prompt, draw: Draw, *, logprobs: bool) -> Question:
    """A conversation that the server renders by its own template."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": turn.role, "content": turn.text} for turn in prompt.turns],
        **draw.fields,
    }
    if logprobs:
        body["logprobs"] = True
    return Question(
        route=CHAT,
        body=body,
        most=Usage(n_read=guessed_tokens(prompt.text), n_written=draw.max_new_tokens),
        read=_read_chat,
    )


def going_on(model: str, text: str | Sequence[int], draw: Draw) -> Question:
    """A text, or tokens, that the model goes on from."""
    n_read = guessed_tokens(text) if isinstance(text, str) else len(text)
    return Question(
        route=TEXT,
        body={
            "model": model,
            "prompt": text if isinstance(text, str) else list(text),
            **draw.fields,
        },
        most=Usage(n_read=n_read, n_written=draw.max_new_tokens),
        read=_read_text,
    )


def scored(model: str, ids: Sequence[int], n_last: int) -> Question:
    """How likely the last of some tokens are, each after those before it."""

    def read(value: Any, most: Usage) -> Read:
        return _read_scores(value, most, len(ids), n_last)

    return Question(
        route=TEXT,
        body={
            "model": model,
            "prompt": list(ids),
            "echo": True,
            "logprobs": 1,
            "max_tokens": 1,
            "temperature": 0.0,
            "stream": False,
        },
        most=Usage(n_read=len(ids), n_written=1),
        read=read,
    )


def completion(answer: Json) -> Completion:
    """What was kept of a generated text."""
    return Completion(**answer)


def score(answer: Json) -> Score:
    """What was kept of a scored one."""
    return Score(**answer)


def guessed_tokens(text: str) -> int:
    """About how many tokens a text has; rather too many."""
    return len(text.encode()) // 3 + 8


def _read_chat(value: Any, most: Usage) -> Read:
    said = read_as(Chat, value)
    choice = said.choices[0]
    _not_filtered(choice.finish_reason)
    text = choice.message.content or ""
    tokens = choice.logprobs.content if choice.logprobs else None
    summed = None if tokens is None else _summed(text, tokens)
    usage = usage_of(said, Usage(n_read=most.n_read, n_written=guessed_tokens(text) if text else 0))
    return Read(
        answer={
            "text": text,
            "n_tokens": usage.n_written if summed is None else summed[1],
            "truncated": choice.finish_reason == "length",
            "n_prompt_tokens": usage.n_read if said.usage else 0,
            "logprob": None if summed is None else summed[0],
        },
        usage=usage,
        served_as=said.model or "",
        texts=(text,),
    )


def _read_text(value: Any, most: Usage) -> Read:
    said = read_as(Text, value)
    choice = said.choices[0]
    _not_filtered(choice.finish_reason)
    text = choice.text
    usage = usage_of(said, Usage(n_read=most.n_read, n_written=guessed_tokens(text) if text else 0))
    return Read(
        answer={
            "text": text,
            "n_tokens": usage.n_written,
            "truncated": choice.finish_reason == "length",
            "n_prompt_tokens": usage.n_read if said.usage else 0,
            "logprob": None,
        },
        usage=usage,
        served_as=said.model or "",
        texts=(text,),
    )


def _read_scores(value: Any, most: Usage, n_read: int, n_last: int) -> Read:
    said = read_as(Text, value)
    given = said.choices[0].logprobs
    if given is None:
        raise NoAnswer("no log-probabilities")
    n = len(given.token_logprobs)
    if len(given.tokens) != n or n not in (n_read, n_read + 1):
        raise NoAnswer(f"log-probabilities of {n} tokens where {n_read} were sent")
    wanted = given.token_logprobs[n_read - n_last : n_read]
    numbers = [x for x in wanted if x is not None and math.isfinite(x)]
    if len(numbers) < n_last:
        raise NoAnswer("a token without a log-probability")
    return Read(
        answer={"logprob": min(0.0, sum(numbers)), "n_tokens": n_last},
        usage=usage_of(said, most),
        served_as=said.model or "",
        texts=(),
    )


def _not_filtered(reason: str | None) -> None:
    if reason == "error":
        raise NoAnswer("an answer that broke off by an error")
    if reason == "content_filter":
        raise SubjectError(
            "endpoint", got="an answer that its filter cut off", expected="the model's own words"
        )


def _summed(text: str, tokens: Sequence[TokenLogprob]) -> tuple[float, int] | None:
    """The log-probability of a text, and its tokens, without the end token that some servers add; None where
    the tokens don't spell the text.
    """
    written, total, n = "", 0.0, 0
    for token in tokens:
        if written == text:
            break
        written, total, n = written + token.token, total + token.logprob, n + 1
    return (min(0.0, total), n) if written == text else None

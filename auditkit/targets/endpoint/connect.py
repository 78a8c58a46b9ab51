"""Speaking to an endpoint for the first time: what it can be asked, each thing tried out once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from auditkit.errors import EndpointError, SubjectError, TargetRefused
from auditkit.model import Json, Prompt, Turn
from auditkit.targets import Sampling
from auditkit.targets.endpoint.address import Address
from auditkit.targets.endpoint.answers import Models, NoAnswer, read_as
from auditkit.targets.endpoint.client import Client, Refused, Unanswered
from auditkit.targets.endpoint.questions import Draw, Question, chat, going_on, scored
from auditkit.targets.endpoint.subject import EndpointSubject, Means

if TYPE_CHECKING:
    from auditkit.targets.prompts import Encoder

_HELLO = Prompt(turns=(Turn(role="user", text="Say one word."),))
_TEXT = " The quick brown fox jumps over the lazy dog, and 12 of them sleep."
_SAME_NATS = 0.05
"""By how much two askings for one text's log-probability may differ, in nats a token."""


def connect(
    client: Client, address: Address, encoder: Encoder | None, seed: int
) -> EndpointSubject:
    """A subject that knows what this endpoint can do.

    Raises:
        TargetRefused: It doesn't serve that model, or no chat at all.
        EndpointError: It isn't there, or refuses the key.
    """
    _check_listed(client, address)
    means = _chats(client, Means(model=address.model, encoder=encoder))
    means = _completes(client, means)
    means = replace(means, **_scores(client, means))
    means = replace(means, **_repeats(client, means))
    return EndpointSubject(client, means, seed=seed)


def _check_listed(client: Client, address: Address) -> None:
    """A server that lists its models must list this one; some list none, or fail when they try."""
    try:
        listed = [model.id for model in read_as(Models, client.get("/models", attempts=2)).data]
    except (Refused, NoAnswer, Unanswered):
        return  # a server that isn't there answers no chat either
    if listed and address.model not in listed:
        names = ", ".join(client.said(name) for name in listed[:5])
        raise TargetRefused(
            f"target {address.text}",
            got=f"a server of {names}{' …' if len(listed) > 5 else ''}",
            expected=f"one that serves {address.model}",
            next_step="name the model as the server lists it",
        )


def _not_there(error: Unanswered) -> EndpointError:
    return EndpointError(
        error.what,
        got=error.got,
        expected="an OpenAI-compatible API",
        next_step="check host and port, and that the server runs; nothing was asked yet",
    )


def _chats(client: Client, means: Means) -> Means:
    for logprobs in (True, False):
        subject = EndpointSubject(client, means)
        question = chat(means.model, _HELLO, Draw(max_new_tokens=4), logprobs=logprobs)
        try:
            found = subject.read(question)
        except Unanswered as error:
            raise _not_there(error) from None
        except Refused as error:
            if logprobs and error.status in (400, 404, 422, 501):
                continue
            raise TargetRefused(
                error.what,
                got=error.got,
                expected=f"a chat with {means.model}",
                next_step="check the model's name and --endpoint base_path=…",
            ) from None
        said = found.answer["logprob"] is not None
        return replace(
            means,
            chat_logprobs=logprobs and said,
            served_as=found.served_as,
            notes={"log_probabilities_of_its_own_words": "given" if said else "not given"},
        )
    raise AssertionError("the last attempt returns or raises")


def _completes(client: Client, means: Means) -> Means:
    question = going_on(means.model, "The capital of France is", Draw(max_new_tokens=1))
    return replace(means, completes=_tried(client, means, [question]) is not None)


def _scores(client: Client, means: Means) -> dict[str, Json]:
    """Whether the probability of a text can be had, and if not why: in words, for the report."""
    encoder = means.encoder
    why = "given for any text: prompts are rendered with the auditor's tokenizer"
    able = False
    if encoder is None:
        why = (
            "not to be had: without the model's tokenizer no text can be put in its prompt's place"
        )
    elif not means.completes:
        why = "not to be had: the endpoint has no /completions"
    else:
        ids = encoder.continuation(_TEXT)
        question = scored(means.model, ids, len(ids) - 1)
        found = _tried(client, means, [question, question])
        if found is None:
            why = "not to be had: the endpoint gives no log-probabilities of what it reads"
        elif not _alike(found):
            why = "not to be had: the endpoint gives other ones for the same text"
        elif not _renders_alike(client, means, encoder):
            why = (
                "not to be had: the endpoint's chat template is not that of the auditor's tokenizer"
            )
        else:
            able = True
    return {"scores": able, "notes": {**means.notes, "log_probabilities_of_texts": why}}


def _alike(found: Sequence[Json]) -> bool:
    first, second = (answer["logprob"] for answer in found)
    n = max(1, found[0]["n_tokens"])
    known = math.isfinite(first) and math.isfinite(second) and first < 0
    return known and abs(first - second) / n <= _SAME_NATS


def _renders_alike(client: Client, means: Means, encoder: Encoder) -> bool:
    """Whether chats that the server renders have as many tokens as those that are rendered here.

    Otherwise what is scored would be read after another prompt than what is written.
    """
    turns = ("user", "assistant", "user")
    long = Prompt(turns=tuple(Turn(role=r, text=f"Turn {i}.") for i, r in enumerate(turns)))
    for prompt in (_HELLO, long):
        question = chat(means.model, prompt, Draw(max_new_tokens=1), logprobs=False)
        found = _tried(client, means, [question])
        if found is None or found[0]["n_prompt_tokens"] != len(encoder.prompt(prompt)):
            return False
    return True


def _repeats(client: Client, means: Means) -> dict[str, Json]:
    """Whether a seed repeats a sampled answer."""
    prompt = Prompt(turns=(Turn(role="user", text="Write a sentence about anything."),))
    sampling = Sampling(temperature=1.0, seeds=(11, 12))
    draws = [Draw(max_new_tokens=16, sampling=sampling, row=row) for row in (0, 0, 1, 1)]
    questions = [chat(means.model, prompt, draw, logprobs=False) for draw in draws]
    found = _tried(client, means, questions)
    same = found is not None and all(found[i]["text"] == found[i + 1]["text"] for i in (0, 2))
    said = (
        "a seed repeats a sampled answer"
        if same
        else "seeds are not honoured: sampled answers can't be had a second time"
    )
    return {"repeats": same, "notes": {**means.notes, "sampling": said}}


def _tried(client: Client, means: Means, questions: Sequence[Question]) -> list[Json] | None:
    """Answers, or None where the endpoint can't give them."""
    subject = EndpointSubject(client, means)
    try:
        return [subject.read(q, attempts=2).answer for q in questions]
    except SubjectError:
        return None

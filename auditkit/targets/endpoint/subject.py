"""A model behind an endpoint as a `Subject`: text always, log-probabilities where they can be had."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from auditkit.canonical import digest
from auditkit.errors import EndpointError, IdentityChanged, SubjectError
from auditkit.model import Access, Json, ModelKind, Prompt, Turn
from auditkit.targets import Completion, Sampling, Score, Steering, Subject, wrong_kind
from auditkit.targets.answers import Answers
from auditkit.targets.endpoint.answers import NoAnswer
from auditkit.targets.endpoint.client import Client, Unanswered
from auditkit.targets.endpoint.questions import (
    Draw,
    Question,
    Read,
    chat,
    completion,
    going_on,
    score,
    scored,
)
from auditkit.targets.sampling import check_sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from auditkit.targets.prompts import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What an endpoint can be asked, as it showed when it was first spoken to.

    Attributes:
        model: Its name there.
        chat_logprobs: Whether a chat's answer comes with its log-probabilities.
        completes: Whether a plain text can be gone on from.
        encoder: The auditor's tokenizer, where token ids may be sent and come back with log-probabilities.
        scores: Whether they do.
        repeats: Whether a seed repeats a sampled answer.
        served_as: What it calls the model.
        notes: For the report: what it was found to be able to.
    """

    model: str
    chat_logprobs: bool = False
    completes: bool = False
    encoder: Encoder | None = None
    scores: bool = False
    repeats: bool = False
    served_as: str = ""
    notes: dict[str, str] = field(default_factory=dict)


class EndpointSubject:
    """Asks an endpoint, several requests at once, each until it is answered.

    What was answered counts only once the endpoint has shown afterwards that it is still the same:
    `Answers.recognise` is called every so many requests, and before a check's rows are kept.

    Args:
        client: The connection.
        means: What it can do.
        seed: Of the moments at which it is recognised.
        reference: Loads the model that checks may compare it with.
    """

    kind = ModelKind.LANGUAGE

    def __init__(
        self,
        client: Client,
        means: Means,
        *,
        seed: int = 0,
        reference: Callable[[], Subject] | None = None,
    ) -> None:
        self.client, self.means = client, means
        self.answers = Answers(seed, client.ledger.terms.concurrency)
        self._reference = reference
        self._loaded: Subject | None = None
        self._keeps = True

    @property
    def access(self) -> Access:
        """Log-probabilities where tokens of the auditor's choice can be scored; else text."""
        return Access.LOGPROBS if self.means.scores else Access.TEXT

    @property
    def served_as(self) -> str:
        """What the endpoint calls the model."""
        return self.means.served_as

    @property
    def n_layers(self) -> int:
        """Not to be known."""
        raise SubjectError("an endpoint", got="a question about its layers", expected="text")

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,
    ) -> list[Completion]:
        """See `Subject.generate`. A chat is rendered by the server's own template."""
        if steering is not None:
            raise _beyond("steering")
        check_sampling(sampling, len(prompts))
        if max_new_tokens < 1:
            raise SubjectError("max_new_tokens", got=str(max_new_tokens), expected="at least 1")
        asked = [
            self._written(p, Draw(max_new_tokens=max_new_tokens, sampling=sampling, row=row))
            for row, p in enumerate(prompts)
        ]
        return [completion(answer) for answer in self.ask(asked)]

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        """See `Subject.logprobs`. The prompt is rendered here, with the auditor's tokenizer."""
        if steering is not None:
            raise _beyond("steering")
        encoder = self.means.encoder
        if encoder is None or not self.means.scores:
            raise _beyond("the probability of a text")
        if len(prompts) != len(continuations):
            got, expected = f"{len(continuations)} lists", f"one a prompt ({len(prompts)})"
            raise SubjectError("continuations", got=got, expected=expected)
        asked = []
        for prompt, options in zip(prompts, continuations, strict=True):
            read = encoder.prompt(prompt)
            tails = [encoder.continuation(text) for text in options]
            asked += [scored(self.means.model, [*read, *tail], len(tail)) for tail in tails]
        answers = iter(self.ask(asked))
        return [[score(next(answers)) for _ in options] for options in continuations]

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:  # noqa: ARG002 - the protocol's name
        """None: a language model has no rewards.

        Raises:
            SubjectError: Always.
        """
        raise wrong_kind(self.kind, ModelKind.REWARD)

    def activations(
        self,
        prompts: Sequence[Prompt],  # noqa: ARG002 - the protocol's name
        *,
        layers: Sequence[int] | None = None,  # noqa: ARG002 - the protocol's name
        reduction: str = "last",  # noqa: ARG002 - the protocol's name
        steering: Steering | None = None,  # noqa: ARG002 - the protocol's name
    ) -> NDArray[np.float32]:
        """None: an endpoint gives text.

        Raises:
            SubjectError: Always.
        """
        raise _beyond("activations")

    def counterpart(self, kind: str) -> Subject | None:
        """The reference model on this machine; an untrained twin needs weights."""
        if kind == "untrained":
            return None
        if kind != "reference":
            raise SubjectError("counterpart", got=repr(kind), expected="reference or untrained")
        if self._loaded is None and self._reference is not None:
            self._loaded = self._reference()
        return self._loaded

    def refer(self, reference: Callable[[], Subject] | None) -> None:
        """Say how the model beside this one is loaded."""
        self._reference = reference

    def release(self) -> None:
        """Let go of the model beside this one; see `auditkit.targets.open.Loaded`."""
        self._loaded = None

    @property
    def afresh(self) -> EndpointSubject:
        """The same, which asks again whatever it is asked, and keeps nothing: whoever asks so compares."""
        other = copy.copy(self)
        other._keeps = False
        return other

    def describe(self) -> dict[str, Json]:
        """What a report says about the target."""
        ledger, terms = self.client.ledger, self.client.ledger.terms
        spent: dict[str, Json] = {
            "requests": ledger.n_requests,
            "sent_again": ledger.n_retries,
            "tokens_read": ledger.n_read,
            "tokens_written": ledger.n_written,
        }
        if terms.price_in or terms.price_out:
            spent["cost"] = f"{ledger.cost:.4f} {terms.currency}, by the auditor's prices"
        return {
            "served_as": self.means.served_as or "not said",
            "chat_format": "the endpoint's own",
            **self.means.notes,
            "concurrency": terms.concurrency,
            "spent": spent,
        }

    def standing(self) -> None:
        """Make sure that all that was answered so far is the target's.

        Raises:
            EndpointError, IdentityChanged: It is not; a check may have taken that for a failed sample.
        """
        self.answers.standing()

    def ask(self, asked: Sequence[Question]) -> list[Json]:
        """Answers, in order; those that are known already cost nothing.

        Raises:
            SubjectError: One of them has none; the others are known from now on.
            EndpointError, IdentityChanged: No question has one from now on.
        """
        if not self._keeps:
            with ThreadPoolExecutor(self.client.ledger.terms.concurrency) as pool:
                return list(pool.map(self._answer, asked))
        keys = [digest([q.route, q.body]) for q in asked]
        answers = self.answers
        todo = {key: q for key, q in zip(keys, asked, strict=True) if key not in answers}
        waiting = list(todo.items())
        while waiting:
            answers.check()
            part, waiting = waiting[: answers.due], waiting[answers.due :]
            self._ask_part(part)
        answers.check()
        return [answers[key] for key in keys]

    def _written(self, prompt: Prompt, draw: Draw) -> Question:
        """How a prompt is put: a chat as one; an open turn, or a text, as something to go on from."""
        means = self.means
        if prompt.turns and prompt.turns[-1].role != "assistant":
            return chat(means.model, prompt, draw, logprobs=means.chat_logprobs)
        if means.encoder is not None and means.scores:
            return going_on(means.model, means.encoder.prompt(prompt), draw)
        if prompt.raw and means.completes:
            return going_on(means.model, prompt.raw, draw)
        raise _beyond(
            "the rest of an answer that was begun" if prompt.turns else "the rest of a text"
        )

    def _ask_part(self, part: Sequence[tuple[str, Question]]) -> None:
        failed: SubjectError | None = None
        with ThreadPoolExecutor(self.client.ledger.terms.concurrency) as pool:
            under_way = [(key, pool.submit(self._answer, q)) for key, q in part]
            for key, answer in under_way:
                try:
                    self.answers.take(key, answer.result())
                except SubjectError as error:
                    failed = failed or error
                except (EndpointError, IdentityChanged) as error:
                    self.answers.lose(error)
                    pool.shutdown(cancel_futures=True)
                    raise
        self.answers.counted(len(part))
        if failed is not None:
            raise failed

    def _answer(self, question: Question) -> Json:
        self.answers.check()
        try:
            return self.read(question).answer
        except Unanswered as error:
            if self._answers_at_all():
                raise
            raise EndpointError(
                error.what,
                got=error.got,
                expected="an answer",
                next_step="what was answered is kept; run the same command again when it answers",
            ) from None

    def read(self, question: Question, attempts: int = 0) -> Read:
        """What comes of one question.

        Raises:
            SubjectError: Nothing that was asked for; `Unanswered` where that may be the endpoint's fault.
            EndpointError: The endpoint refuses us, or tells our key.
            IdentityChanged: It calls the model by another name than before.
        """
        for _ in range(2):  # JSON of another form once may be right the second time
            value = self.client.post(
                question.route, question.body, question.most, attempts=attempts
            )
            try:
                found = question.read(value, question.most)
                break
            except NoAnswer as error:
                self.client.ledger.spend(question.most)
                problem = self.client.no_answer(str(error))
        else:
            raise problem
        self.client.ledger.spend(found.usage)
        for text in (*found.texts, found.served_as):
            self.client.check_no_key(text)
        named = self.means.served_as
        if named and found.served_as and found.served_as != named:
            raise IdentityChanged(
                "the endpoint's model",
                got=f"answers by {self.client.said(found.served_as)!r}",
                expected=f"{self.client.said(named)!r}, as before",
                next_step="nothing observed since can be held against this target; run the audit again",
            )
        return found

    def _answers_at_all(self) -> bool:
        """Whether the endpoint answers an easy question, so that another one's failure is its own."""
        easy = Prompt(turns=(Turn(role="user", text="What is 2 + 2?"),))
        question = chat(self.means.model, easy, Draw(max_new_tokens=1), logprobs=False)
        try:
            self.read(question, attempts=1)
        except SubjectError:
            return False
        return True


def _beyond(what: str) -> SubjectError:
    return SubjectError(
        "an endpoint", got=f"a question for {what}", expected="what its access gives"
    )

"""A model on an NDIF server as a `Subject`: text, log-probabilities and activations, computed there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from auditkit.errors import AuditkitError, EndpointError, IdentityChanged, SubjectError
from auditkit.model import Access, Json, ModelKind, Prompt
from auditkit.targets import Completion, Sampling, Score, Steering, Subject, wrong_kind
from auditkit.targets.answers import Answers
from auditkit.targets.batching import TOKEN_BUDGET, batches
from auditkit.targets.endpoint.answers import LEAST_NATS, MOST_NATS
from auditkit.targets.endpoint.client import Refused, Unanswered
from auditkit.targets.generation import Until, cut
from auditkit.targets.loaded import chunks
from auditkit.targets.ndif import passes as make
from auditkit.targets.ndif.arrays import Arrays
from auditkit.targets.ndif.passes import Pass, Shape, requests
from auditkit.targets.ndif.scoring import scores
from auditkit.targets.ndif.skeleton import Skeleton
from auditkit.targets.sampling import check_sampling
from auditkit.targets.trees import TREE_TOKENS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from auditkit.targets.ndif.client import Server

SAME_NATS = 0.02
"""By how much a token's log-probability may differ, in the middle, between a tree and its row: float16's last
digits move it by less, a mask that is not heeded by much more."""


class NdifSubject:
    """Has a server compute passes over a model whose structure alone is here.

    What was answered counts only once the server has shown afterwards that it still serves the same
    (`auditkit.targets.answers`).

    Args:
        server: The connection.
        skeleton: The model without its weights, and its tokenizer.
        seed: Of the moments at which it is recognised.
        token_budget: Padded tokens in one pass.
    """

    kind = ModelKind.LANGUAGE
    access = Access.ACTIVATIONS

    def __init__(
        self,
        server: Server,
        skeleton: Skeleton,
        *,
        seed: int = 0,
        token_budget: int = TOKEN_BUDGET,
    ) -> None:
        self.server, self.skeleton = server, skeleton
        self.answers = Answers(seed, concurrency=1)
        self.arrays = Arrays(None)
        self._token_budget = token_budget
        self.dtype = ""
        """Number type in which the server runs the model, where its first answer showed that."""
        self._load_reference: Callable[[], Subject] | None = None
        self._keeps = True

    @property
    def served_as(self) -> str:
        """The deployment's key."""
        return self.server.model_key

    @property
    def n_layers(self) -> int:
        """Decoder blocks."""
        return self.skeleton.n_layers

    @property
    def afresh(self) -> NdifSubject:
        """The same, which asks again whatever it is asked, and keeps nothing."""
        other = copy.copy(self)
        other._keeps = False
        return other

    def describe(self) -> dict[str, Json]:
        """What a report says about the target."""
        ledger = self.server.ledger
        dtype = {"dtype": f"{self.dtype}, by the digits of its activations"} if self.dtype else {}
        return {
            **self.skeleton.describe(),
            **dtype,
            "served_as": self.served_as,
            "sampling": "a seed repeats a sampled answer: the numbers that draw are sent along",
            "versions": {name: version(name) for name in ("torch", "transformers", "nnsight")},
            "spent": {
                "requests": ledger.n_requests,
                "sent_again": ledger.n_retries,
                "tokens_read": ledger.n_read,
                "tokens_written": ledger.n_written,
                "sent_bytes": ledger.sent_bytes,
                "received_bytes": ledger.received_bytes,
            },
        }

    def standing(self) -> None:
        """Make sure that all that was answered so far is the target's; see `Answers.standing`."""
        self.answers.standing()

    def refer(self, reference: Callable[[], Subject] | None) -> None:
        """Say how the model beside this one is loaded."""
        self._load_reference = reference

    def release(self) -> None:
        """Let go of the models beside this one; see `auditkit.targets.open.Loaded`."""
        self.__dict__.pop("_reference", None)
        self.skeleton.__dict__.pop("untrained", None)

    def counterpart(self, kind: str) -> Subject | None:
        """The reference model on this machine. The untrained twin is on this machine too."""
        if kind == "reference":
            return self._reference
        if kind == "untrained":
            return self.skeleton.untrained
        raise SubjectError("counterpart", got=repr(kind), expected="reference or untrained")

    @cached_property
    def _reference(self) -> Subject | None:
        return self._load_reference() if self._load_reference else None

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:  # noqa: ARG002 - the protocol's name
        """None: a language model has no rewards.

        Raises:
            SubjectError: Always.
        """
        raise wrong_kind(self.kind, ModelKind.REWARD)

    def activations(
        self,
        prompts: Sequence[Prompt],
        *,
        layers: Sequence[int] | None = None,
        reduction: str = "last",
        steering: Steering | None = None,
    ) -> NDArray[np.float32]:
        """Residual-stream outputs, reduced on the server; see `Subject.activations`."""
        ids = self.skeleton.encode(prompts)
        wanted = list(range(self.n_layers)) if layers is None else list(layers)
        self.skeleton.check(ids, wanted, reduction, steering)
        found = np.empty((len(wanted), len(ids), self._shape.d_model), dtype=np.float32)
        todo: list[Pass] = []
        for part in chunks(len(ids)):
            steered = _of(steering, range(part.start, part.stop))
            some = make.residuals(ids[part], wanted, reduction, steered, self._shape)
            todo += [replace(p, rows=tuple(part.start + i for i in p.rows)) for p in some]
        for one, answer in zip(todo, self._ask(todo), strict=True):
            found[:, list(one.rows)] = self.arrays.get(answer)
        return found

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        """See `Subject.logprobs`. Sums are made on the server."""
        if len(prompts) != len(continuations):
            got, expected = f"{len(continuations)} lists", f"one a prompt ({len(prompts)})"
            raise SubjectError("continuations", got=got, expected=expected)
        tails = [self.skeleton.continuations(texts) for texts in continuations]
        longest = [max((len(tail) for tail in some), default=0) for some in tails]
        ids = self.skeleton.encode(prompts, room=longest)
        self.skeleton.check_steering(steering, len(ids))
        texts = [(i, tail) for i, some in enumerate(tails) for tail in some]
        shape = replace(self._shape, trees=bool(texts) and self._trees)
        todo: list[Pass] = scores(ids, texts, steering, shape)
        sums = np.zeros(len(texts))
        for one, answer in zip(todo, self._ask(todo), strict=True):
            sums[list(one.rows)] = answer
        values = iter(sums.tolist())
        return [
            [Score(logprob=next(values), n_tokens=len(tail)) for tail in some] for some in tails
        ]

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,
    ) -> list[Completion]:
        """See `Subject.generate`. Greedy, or drawn by numbers that are sent along."""
        if steering is not None and sampling is not None:
            raise SubjectError("generate", got="steering and sampling", expected="one of the two")
        check_sampling(sampling, len(prompts))
        if max_new_tokens < 1:
            raise SubjectError("max_new_tokens", got=str(max_new_tokens), expected="at least 1")
        ids = self.skeleton.encode(prompts, room=[max_new_tokens] * len(prompts))
        self.skeleton.check_steering(steering, len(ids))
        until = Until(ends=self.skeleton.ends, max_new_tokens=max_new_tokens)
        groups = batches([len(x) + max_new_tokens for x in ids], 8 * self._token_budget)
        todo = [make.tokens(ids, until, steering, sampling, rows) for rows in groups]
        said: dict[int, Completion] = {}
        for one, answer in zip(todo, self._ask(todo), strict=True):
            for row, new in zip(one.rows, answer, strict=True):
                said[row] = self.skeleton.completion(len(ids[row]), cut(new, until.ends), until)
                self.server.check_no_key(said[row].text)
        return [said[i] for i in range(len(ids))]

    @cached_property
    def _shape(self) -> Shape:
        return replace(self.skeleton.shape, token_budget=self._token_budget)

    @property
    def _trees(self) -> bool:
        """Whether the server reads trees as it reads their rows; tried once for all who ask it."""
        if self.skeleton.reads_trees is None:
            self.skeleton.reads_trees = self.skeleton.may_read_trees and self._tried()
        return self.skeleton.reads_trees

    def _tried(self) -> bool:
        """Whether some texts have the same probabilities in a tree as in rows."""
        shape = replace(self.skeleton.shape, token_budget=max(TREE_TOKENS, self._token_budget))
        stem, trunk, branch = (self.skeleton.some_tokens(n) for n in (3, TREE_TOKENS // 2, 4))
        prompts = [[*stem, *trunk], [*stem, *branch]]
        texts = [(p, [token]) for p in (0, 1) for token in self.skeleton.some_tokens(8)]
        found = []
        for trees in (False, True):
            sums = np.zeros(len(texts))
            todo = scores(prompts, texts, None, replace(shape, trees=trees))
            try:
                for group in requests(todo):
                    tensors = self.skeleton.run(self.server, group)
                    for one, tensor in zip(group, tensors, strict=True):
                        sums[list(one.rows)] = tensor.numpy()
            except Refused:
                return False  # it takes no such mask
            found.append(sums)
        return bool(np.median(np.abs(found[0] - found[1])) <= SAME_NATS)

    def _ask(self, todo: Sequence[Pass]) -> list[Json]:
        """Answers, in order; those that are known already cost nothing.

        Raises:
            SubjectError: One of the requests has none; the others' are known from now on.
            EndpointError, IdentityChanged: No request has one from now on.
        """
        if not self._keeps:
            return [answer for group in requests(todo) for answer in self._answers(group)]
        answers = self.answers
        missing = {p.key: p for p in todo if p.key not in answers}
        failed: SubjectError | None = None
        for group in requests(list(missing.values())):
            answers.check()
            try:
                for one, answer in zip(group, self._answers(group), strict=True):
                    answers.take(one.key, answer)
            except SubjectError as error:
                failed = failed or error
            except (EndpointError, IdentityChanged) as error:
                answers.lose(error)
                raise
            answers.counted(len(group))
        answers.check()
        if failed is not None:
            raise failed
        return [answers[p.key] for p in todo]

    def _answers(self, group: Sequence[Pass]) -> list[Json]:
        """What one request is answered with, as it is kept."""
        try:
            found = self.skeleton.run(self.server, group)
        except (Refused, Unanswered) as error:
            if self._answers_at_all():
                raise
            raise _gone(error) from None
        return [self._kept(one, tensor) for one, tensor in zip(group, found, strict=True)]

    def _kept(self, one: Pass, tensor: Any) -> Json:
        import torch

        if not torch.isfinite(tensor).all():
            raise SubjectError(one.kind, got="NaN or infinity", expected="finite numbers")
        if one.kind == "residuals":
            return self.arrays.put(tensor.numpy())
        if one.kind == "scores":
            _check_scores(one, tensor.tolist())
        if one.kind == "tokens" and not self.skeleton.knows(tensor):
            raise SubjectError("new tokens", got="ids that the model has not", expected="its own")
        return tensor.tolist()

    def _answers_at_all(self) -> bool:
        """Whether the server answers an easy question, so that another one's failure is its own."""
        easy = make.residuals([[0]], [0], "last", None, self._shape)
        try:
            self.skeleton.run(self.server, easy, attempts=1)
        except SubjectError:
            return False
        return True


def _check_scores(one: Pass, sums: Sequence[float]) -> None:
    """Refuse what no text's log-probability can be."""
    *_, texts, _ = one.sent
    for total, text in zip(sums, texts, strict=True):
        if not LEAST_NATS * len(text) <= total <= MOST_NATS * len(text):
            raise SubjectError(
                "log-probabilities",
                got=f"{total:.3g} nats for {len(text)} tokens",
                expected=f"at most 0 and at least {LEAST_NATS:.0g} a token",
            )


def number_type(activations: Any) -> str:
    """In which number type activations were computed that come back as float32: coarser ones leave their last
    digits zero. Empty where that can't be told.
    """
    import torch

    bits = activations.contiguous().view(torch.int32)
    if not bits.any():
        return ""
    for name, n_bits in (("bfloat16", 16), ("float16", 13)):
        if not (bits & (2**n_bits - 1)).any():
            return name
    return "float32"


def _gone(error: AuditkitError) -> EndpointError:
    return EndpointError(
        error.what,
        got=error.got,
        expected="an answer",
        next_step="what was answered is kept; run the same command again when it answers",
    )


def _of(steering: Steering | None, rows: range) -> Steering | None:
    """Steering of some of its prompts."""
    return None if steering is None else replace(steering, vectors=steering.vectors[list(rows)])

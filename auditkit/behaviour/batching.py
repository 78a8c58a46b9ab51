"""Requests that wait at the same time, answered as one batch by one thread beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from auditkit.errors import SubjectError
from auditkit.model import Prompt
from auditkit.targets import Completion, Sampling, Subject

LINGER_S = 0.02
"""How long a batch that could still grow is held back at least, once the thread is free."""
PATIENCE = 0.25
"""As a share of the time that the batch before took: agents whose tools are slow stay together."""
MAX_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One completion that somebody waits for.

    Attributes:
        prompt: What is read.
        max_new_tokens: Where the completion ends at the latest.
        temperature: 0 for greedy.
        top_p: As in `Sampling`.
        seed: As in `Sampling`; plays no part in a greedy completion.
    """

    prompt: Prompt
    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    @property
    def alike(self) -> tuple[int, float, float]:
        """Requests that agree in this are one call of `Subject.generate`."""
        return (self.max_new_tokens, self.temperature, self.top_p)


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: Request
    answer: asyncio.Future[Completion]


@dataclass(slots=True)
class Batcher:
    """Collects what one event loop asks of a subject.

    A lone agent waits for nobody. Where several are at work, a batch is begun as soon as all of them
    wait for it, or a little after the thread became free for it (`linger_s`, or a quarter of the time
    that the batch before took): while a batch is being generated the next one collects.

    Attributes:
        subject: Who answers; only ever asked from `thread`.
        thread: Of one worker, shared by all subjects behind which the same model may stand.
        n_active: How many agents are at work at the moment.
        linger_s: See above.
        max_batch: Requests in one batch.
        n_batches: How many there were.
    """

    subject: Subject
    thread: ThreadPoolExecutor
    n_active: Callable[[], int]
    linger_s: float = LINGER_S
    max_batch: int = MAX_BATCH
    n_batches: int = 0
    _waiting: list[_Waiting] = field(default_factory=list, init=False)
    _busy: bool = field(default=False, init=False)
    _took_s: float = field(default=0.0, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    async def complete(self, request: Request) -> Completion:
        """The subject's answer.

        Raises:
            SubjectError: It has none to this request; others in the batch have theirs.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Completion] = loop.create_future()
        self._waiting.append(_Waiting(request, answer))
        self._consider(loop)
        return await answer

    def _consider(self, loop: asyncio.AbstractEventLoop) -> None:
        self._waiting = [w for w in self._waiting if not w.answer.done()]
        if self._busy or not self._waiting:
            return
        if len(self._waiting) >= min(self.n_active(), self.max_batch):
            self._begin(loop)
        elif self._timer is None:
            delay_s = max(self.linger_s, PATIENCE * self._took_s)
            self._timer = loop.call_later(delay_s, self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting = [w for w in self._waiting if not w.answer.done()]
        batch, self._waiting = waiting[: self.max_batch], waiting[self.max_batch :]
        if self._busy or not batch:
            return
        self._busy = True
        self.n_batches += 1
        done = loop.run_in_executor(self.thread, answers, self.subject, [w.request for w in batch])
        done.add_done_callback(partial(self._end, loop, batch, loop.time()))

    def _end(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[_Waiting],
        begun_s: float,
        done: asyncio.Future[list[Completion | SubjectError]],
    ) -> None:
        failed = SubjectError("generate", got="a cancelled batch") if done.cancelled() else None
        error = failed or done.exception()
        given = [error] * len(batch) if error is not None else done.result()
        for waiting, answer in zip(batch, given, strict=True):
            if waiting.answer.done():  # a limit ended that sample meanwhile
                continue
            if isinstance(answer, Completion):
                waiting.answer.set_result(answer)
            else:
                waiting.answer.set_exception(answer)
        self._busy, self._took_s = False, loop.time() - begun_s
        self._consider(loop)


def answers(subject: Subject, requests: Sequence[Request]) -> list[Completion | SubjectError]:
    """One answer a request, in order. What one of them does wrong is that one's error alone."""
    groups: dict[tuple[int, float, float], list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault(request.alike, []).append(index)
    found: dict[int, Completion | SubjectError] = {}
    for indices in groups.values():
        group = [requests[index] for index in indices]
        found.update(zip(indices, _group(subject, group), strict=True))
    return [found[index] for index in range(len(requests))]


def _group(subject: Subject, group: Sequence[Request]) -> Sequence[Completion | SubjectError]:
    first = group[0]
    sampling = None
    if first.temperature > 0:
        seeds = tuple(request.seed for request in group)
        sampling = Sampling(temperature=first.temperature, top_p=first.top_p, seeds=seeds)
    try:
        return subject.generate(
            [request.prompt for request in group],
            max_new_tokens=first.max_new_tokens,
            sampling=sampling,
        )
    except SubjectError as error:
        if len(group) == 1:
            return [error]
    return [answer for request in group for answer in _group(subject, [request])]

"""Batches of requests: all that wait go together, a lone one waits for nobody, errors are one's own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from auditkit.behaviour.batching import Batcher, Request, answers
from auditkit.errors import SubjectError
from auditkit.model import Prompt
from auditkit.targets import Completion
from auditkit.targets.forwarding import Forwarding
from auditkit.testing import FakeSubject


@dataclass(frozen=True, kw_only=True)
class Slow(Forwarding):
    """Takes its time, remembers its batches, and refuses one prompt."""

    subject: Any = field(default_factory=FakeSubject)
    batches: list[list[str]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    takes_s: float = 0.05

    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Completion]:
        self.batches.append([p.raw for p in prompts])
        self.calls.append(options)
        self.threads.add(threading.get_ident())
        time.sleep(self.takes_s)
        if any(p.raw == "bad" for p in prompts):
            raise SubjectError("prompt", got="bad")
        if any(p.raw == "broken" for p in prompts):
            raise RuntimeError("broken")
        return self.subject.generate(prompts, **options)


def request(text: str, **options: Any) -> Request:
    return Request(prompt=Prompt(raw=text), **{"max_new_tokens": 6, **options})


def run(subject: Slow, work: Callable[[Batcher], Awaitable[Any]], active: int = 3) -> Any:
    with ThreadPoolExecutor(1) as thread:
        batcher = Batcher(subject=subject, thread=thread, n_active=lambda: active, linger_s=0.2)
        return asyncio.run(work(batcher))  # type: ignore[arg-type]


def test_all_that_wait_are_one_batch_and_it_begins_when_all_wait() -> None:
    subject = Slow()

    async def work(batcher: Batcher) -> list[Completion]:
        began = time.monotonic()
        said = await asyncio.gather(*(batcher.complete(request(t)) for t in "abc"))
        assert time.monotonic() - began < 0.2  # nobody lingered
        return list(said)

    said = run(subject, work)
    assert subject.batches == [["a", "b", "c"]]
    assert said == FakeSubject().generate([Prompt(raw=t) for t in "abc"], max_new_tokens=6)
    assert subject.threads.isdisjoint({threading.get_ident()})


def test_a_lone_agent_waits_for_nobody() -> None:
    subject = Slow(takes_s=0.0)

    async def work(batcher: Batcher) -> float:
        began = time.monotonic()
        for n in range(20):
            await batcher.complete(request(f"{n}"))
        return time.monotonic() - began

    assert run(subject, work, active=1) < 0.2
    assert [len(b) for b in subject.batches] == [1] * 20


def test_agents_in_turns_stay_together() -> None:
    subject = Slow()

    async def agent(batcher: Batcher, name: str) -> None:
        for turn in range(4):
            await batcher.complete(request(f"{name}{turn}"))
            await asyncio.sleep(0.01 * (ord(name) - ord("a")))  # a tool takes its time

    async def work(batcher: Batcher) -> None:
        await asyncio.gather(*(agent(batcher, name) for name in "abc"))

    run(subject, work)
    assert sorted(map(len, subject.batches)) == [3, 3, 3, 3]


def test_after_a_long_batch_agents_with_slow_tools_are_waited_for() -> None:
    subject = Slow(takes_s=1.0)

    async def agent(batcher: Batcher, place: int) -> None:
        await batcher.complete(request(f"{place}"))
        await asyncio.sleep(0.01 + 0.04 * place)
        await batcher.complete(request(f"{place}"))

    async def work(batcher: Batcher) -> None:
        batcher.linger_s = 0.001
        await asyncio.gather(*(agent(batcher, place) for place in range(3)))

    run(subject, work, active=4)  # a fourth is busy elsewhere, so that every batch lingers
    assert sorted(map(len, subject.batches[-1:])) == [3]


def test_a_batch_does_not_wait_for_an_agent_that_is_busy_elsewhere() -> None:
    subject = Slow()

    async def work(batcher: Batcher) -> None:
        await asyncio.gather(*(batcher.complete(request(t)) for t in "ab"))

    run(subject, work, active=5)
    assert subject.batches == [["a", "b"]]


def test_what_one_request_does_wrong_is_its_own_error() -> None:
    subject = Slow(takes_s=0.0)

    async def work(batcher: Batcher) -> list[Any]:
        waiting = (batcher.complete(request(t)) for t in ("a", "bad", "c"))
        return list(await asyncio.gather(*waiting, return_exceptions=True))

    first, second, third = run(subject, work)
    assert isinstance(second, SubjectError)
    assert isinstance(first, Completion)
    assert isinstance(third, Completion)


def test_an_error_of_the_program_reaches_all_and_the_thread_goes_on() -> None:
    subject = Slow(takes_s=0.0)

    async def work(batcher: Batcher) -> list[Any]:
        waiting = (batcher.complete(request(t)) for t in ("a", "broken", "c"))
        failed = await asyncio.gather(*waiting, return_exceptions=True)
        return [*failed, await batcher.complete(request("d"))]

    *failed, after = run(subject, work)
    assert [type(e) for e in failed] == [RuntimeError] * 3
    assert isinstance(after, Completion)


def test_a_request_that_nobody_waits_for_any_more_is_not_asked() -> None:
    subject = Slow()

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.complete(request("a")))
        await asyncio.sleep(0.01)
        late = asyncio.ensure_future(batcher.complete(request("b")))
        await asyncio.sleep(0.01)
        late.cancel()
        await asyncio.gather(first, late, return_exceptions=True)

    run(subject, work, active=1)
    assert subject.batches == [["a"]]


def test_only_what_is_alike_is_one_call_and_seeds_stay_with_their_prompts() -> None:
    subject = Slow(takes_s=0.0)
    asked = [
        request("a", temperature=1.0, seed=1),
        request("b"),
        request("c", temperature=1.0, seed=3),
        request("d", max_new_tokens=2),
    ]
    said = answers(subject, asked)
    assert subject.batches == [["a", "c"], ["b"], ["d"]]
    assert subject.calls[0]["sampling"].seeds == (1, 3)
    assert subject.calls[1]["sampling"] is None
    assert [isinstance(s, Completion) for s in said] == [True] * 4
    assert isinstance(said[3], Completion)
    assert said[3].truncated


@pytest.mark.parametrize("n", [1, 5])
def test_a_batch_has_at_most_so_many(n: int) -> None:
    subject = Slow(takes_s=0.0)

    async def work(batcher: Batcher) -> None:
        batcher.max_batch = n
        await asyncio.gather(*(batcher.complete(request(f"{i}")) for i in range(7)))

    run(subject, work, active=7)
    assert max(map(len, subject.batches)) <= n

"""Who is at work in a run, and how far it is: by Inspect's own hooks, since nobody else knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from inspect_ai.hooks import Hooks, SampleEnd, SampleStart, hooks
from inspect_ai.model import GenerateConfig, Model

from auditkit.behaviour.batching import Batcher
from auditkit.behaviour.extract import SUBJECT
from auditkit.behaviour.model_api import Manner, SubjectAPI
from auditkit.canonical import derive_seed
from auditkit.targets import Subject

if TYPE_CHECKING:
    from auditkit.behaviour.runner import Terms


@dataclass(slots=True)
class Watch:
    """One run, while it goes on.

    Attributes:
        tell: Told how many samples are done.
        n_active: Samples at work.
        n_done: Samples that are done.
        n_turns: Completions so far.
    """

    tell: Callable[[int], None]
    n_active: int = field(default=0, init=False)
    n_done: int = field(default=0, init=False)
    n_turns: int = field(default=0, init=False)

    def models(
        self, subject: Subject, terms: Terms, thread: ThreadPoolExecutor
    ) -> tuple[Model, dict[str, Model]]:
        """The subject as Inspect's model, and those in other roles."""
        made = {
            name: self._model(name, one, terms, thread)
            for name, one in [("", subject), *sorted(terms.roles.items())]
        }
        return made.pop(""), made

    def _model(
        self, role: str, subject: Subject, terms: Terms, thread: ThreadPoolExecutor
    ) -> Model:
        batcher = Batcher(subject=subject, thread=thread, n_active=lambda: self.n_active)
        manner = Manner(
            seed=derive_seed(terms.seed, role) if role else terms.seed,
            max_new_tokens=terms.limits.max_new_tokens,
            on_turn=self._turn,
        )
        name = SUBJECT.partition("/")[2] if not role else f"role-{role}"
        return Model(SubjectAPI(name, batcher=batcher, manner=manner), GenerateConfig())

    def _turn(self) -> None:
        self.n_turns += 1


_WATCHES: list[Watch] = []
"""The run that goes on, if one does: Inspect allows one a process."""


@contextmanager
def watch(tell: Callable[[int], None]) -> Iterator[Watch]:
    """A run that begins now, and who is told of it."""
    _register()
    watched = Watch(tell)
    _WATCHES.append(watched)
    try:
        yield watched
    finally:
        _WATCHES.remove(watched)


@cache
def _register() -> None:
    """Once a process, and after Inspect has looked for hooks: it prints those that it finds first."""
    from inspect_ai._util.platform import platform_init

    platform_init()
    hooks(name="auditkit", description="Counts the samples at work.")(_Counter)


class _Counter(Hooks):
    def enabled(self) -> bool:
        return bool(_WATCHES)

    async def on_sample_start(self, data: SampleStart) -> None:  # noqa: ARG002 - the interface's
        _WATCHES[-1].n_active += 1

    async def on_sample_end(self, data: SampleEnd) -> None:  # noqa: ARG002 - the interface's
        watched = _WATCHES[-1]
        watched.n_active -= 1
        watched.n_done += 1
        watched.tell(watched.n_done)

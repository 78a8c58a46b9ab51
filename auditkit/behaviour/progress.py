"""How far a batch is, told while `observe` is still busy with it: agents take minutes a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int], None]
"""Told how many samples of the batch are done."""

_LISTENER: ContextVar[Listener | None] = ContextVar("auditkit_listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Whoever calls `tell` inside is heard by this listener."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(n_done: int) -> None:
    """Say how many samples of the batch are done, if anybody listens."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(n_done)

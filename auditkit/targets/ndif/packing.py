"""From a block to the bytes that a server is sent: its source and values, and nothing of this machine."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import cloudpickle
from nnsight.intervention.serialization import (
    DEFAULT_PROTOCOL,
    CustomCloudPickler,
    reduce_block,
)
from nnsight.tracing.backend import Backend

from auditkit import activations
from auditkit.errors import SubjectError
from auditkit.targets import sampling, trees

SENT: tuple[ModuleType, ...] = (activations, sampling, trees)
"""Modules whose functions are sent as source where a block names them; no server has auditkit."""
ORIGIN = "auditkit"
"""What the server is told in place of the paths of source files here."""


def packed(write: Callable[[Backend], None]) -> bytes:
    """The request that a traced block becomes.

    Unlike nnsight's own client this registers no module of the working folder to be sent along, and tells no
    path, host or environment.

    Args:
        write: Opens a session with the backend that it is given.
    """
    catcher = _Catcher()
    write(catcher)
    if not catcher.data:
        raise SubjectError("a block of passes", got="nothing to send", expected="at least one pass")
    return catcher.data


class _Catcher(Backend):  # type: ignore[misc] # nnsight has no types
    """Takes a block in place of running it."""

    def __init__(self) -> None:
        self.data = b""

    def __call__(self, tracer: Any) -> None:
        frame = tracer.info.frame
        block = reduce_block(tracer.node, frame.f_globals, dict(frame.f_locals))
        code = SimpleNamespace(
            # Its own name for each block: nnsight remembers sources by file name.
            co_filename=f"{ORIGIN}/{frame.f_code.co_name}",
            co_firstlineno=frame.f_code.co_firstlineno,
            co_name=frame.f_code.co_name,
        )
        tracer.info.frame = SimpleNamespace(f_code=code)
        with io.BytesIO() as file, _as_source():
            _Pickler(file, protocol=DEFAULT_PROTOCOL).dump((tracer, block))
            self.data = file.getvalue()


class _Pickler(CustomCloudPickler):  # type: ignore[misc] # nnsight has no types
    """Sends functions as source, under a name that tells no path."""

    def _dynamic_function_reduce(self, func: Any) -> tuple[Any, ...]:
        rebuild, arguments, *rest = super()._dynamic_function_reduce(func)
        if func.__code__.co_filename in arguments:
            arguments = tuple(ORIGIN if x == func.__code__.co_filename else x for x in arguments)
        else:
            raise SubjectError(
                f"function {func.__name__}", got="no source", expected="source, to be sent"
            )
        return (rebuild, arguments, *rest)


@contextmanager
def _as_source() -> Iterator[None]:
    for module in SENT:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in SENT:
            cloudpickle.unregister_pickle_by_value(module)

"""Pipes to and from programs that may write without end, never end, or close what they like."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import selectors
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

CHUNK_BYTES = 1 << 16
_FLOOD = 64
"""A program that writes this many times what is kept of its output is ended."""
_GRACE_S = 5.0


@dataclass(slots=True)
class Stream:
    """The first bytes of a stream, up to a limit, and the size of all of it."""

    limit_bytes: int
    kept: bytearray = field(default_factory=bytearray)
    size_bytes: int = 0

    def take(self, data: bytes) -> None:
        self.size_bytes += len(data)
        self.kept += data[: max(0, self.limit_bytes - len(self.kept))]

    @property
    def flooded(self) -> bool:
        return self.size_bytes > _FLOOD * self.limit_bytes

    def described(self) -> dict[str, Any]:
        """For a record: enough to know it again."""
        digest = hashlib.sha256(self.kept).hexdigest()
        return {"size_bytes": self.size_bytes, "kept_bytes": len(self.kept), "sha256": digest}


@dataclass(frozen=True, slots=True)
class Pipe:
    """A pipe whose ends may be closed more than once."""

    reader: io.FileIO
    writer: io.FileIO


def pipe() -> Pipe:
    reader, writer = os.pipe()
    return Pipe(io.FileIO(reader, "rb"), io.FileIO(writer, "wb"))


@contextlib.contextmanager
def pipes(count: int) -> Iterator[list[Pipe]]:
    """So many pipes, all of them closed in the end."""
    made = [pipe() for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.reader.close()
            each.writer.close()


class Pump:
    """Moves bytes between a program and memory until something says that it is over.

    Args:
        outputs: Where what is read goes.
        controls: Called with what was read (empty: the other end was closed); True means that it is over.
        stop: Makes the program end: it took too long, or wrote too much.
    """

    def __init__(
        self,
        *,
        outputs: Mapping[io.FileIO, Stream],
        controls: Mapping[io.FileIO, Callable[[bytes], bool]],
        stop: Callable[[], None],
    ) -> None:
        self._outputs, self._controls, self._stop = outputs, controls, stop
        self.timed_out = self.flooded = False

    def run(
        self, *, until: float, given: bytes, stdin: io.FileIO, keep_stdin: bool = False
    ) -> None:
        """Until it is over; `until` is when it takes too long, by the monotonic clock."""
        with selectors.DefaultSelector() as waiting:
            for stream in (*self._outputs, *self._controls):
                waiting.register(stream, selectors.EVENT_READ)
            rest = memoryview(given)
            os.set_blocking(stdin.fileno(), False)
            waiting.register(stdin, selectors.EVENT_WRITE)
            while (left_s := until - time.monotonic()) > 0 or self._halt():
                if left_s <= 0:
                    until = time.monotonic() + _GRACE_S
                for key, events in waiting.select(max(left_s, 0.05)):
                    if events & selectors.EVENT_WRITE:
                        rest = _feed(key.fd, rest)
                        if not rest:
                            waiting.unregister(stdin)
                            if not keep_stdin:
                                stdin.close()
                    elif self._over(key.fileobj, waiting):
                        self._empty()
                        return
        self._empty()

    def _halt(self) -> bool:
        """Out of time: stop it, once; False when even that had no effect."""
        if self.timed_out:
            return False
        self.timed_out = True
        self._stop()
        return True

    def _over(self, stream: Any, waiting: selectors.BaseSelector) -> bool:
        data = os.read(stream.fileno(), CHUNK_BYTES)
        if not data:
            waiting.unregister(stream)
        if stream in self._controls:
            return self._controls[stream](data)
        self._outputs[stream].take(data)
        if self._outputs[stream].flooded and not self.flooded:
            self.flooded = True
            self._stop()
        return False

    def _empty(self) -> None:
        """What is in the pipes now was written before the end; what holds them open may do so for ever."""
        for stream, kept in self._outputs.items():
            os.set_blocking(stream.fileno(), False)
            with contextlib.suppress(BlockingIOError):
                while not kept.flooded and (data := os.read(stream.fileno(), CHUNK_BYTES)):
                    kept.take(data)


def _feed(descriptor: int, rest: memoryview) -> memoryview:
    try:
        return rest[os.write(descriptor, rest[:CHUNK_BYTES]) :] if rest else rest
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[len(rest) :]

"""What the auditor has done in the agent's layer: programs, shell, files. All bounded in size and time."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import spawner
from .streams import Pipe, Pump, Stream, pipe, pipes

# Reads commands from descriptor 0, each ended by a NUL, and says on descriptor 3 what each came to. A
# command gets neither: it reads from /dev/null. After each the shell repeats a word that it is sent only
# then, so whatever a command wrote to descriptor 3 doesn't end it.
_LOOP = """__s() { return "$__status"; }; __status=0
while IFS= read -r -d '' __command; do
__s; eval "$__command" </dev/null 3>&-
__status=$?; printf '%d\\n' "$__status" >&3
IFS= read -r -d '' __command || exit; printf '%s\\n' "$__command" >&3
done; exit
"""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How a program ended: `code` as its parent saw it, or `error` where it could not be started."""

    stdout: Stream
    stderr: Stream
    code: int | None = None
    error: int | None = None
    text: str = ""
    timed_out: bool = False
    flooded: bool = False
    restarted: bool = False
    forged: int = 0
    duration_s: float = 0.0


class Program:
    """One program in the agent's layer, as the spawner tells of it."""

    def __init__(self, told: io.FileIO) -> None:
        self.told = told
        self.pid = 0
        self.code: int | None = None
        self.error: int | None = None
        self.text = ""
        self._rest = b""

    def hear(self, data: bytes) -> bool:
        """Take in what the spawner says; whether the program has ended."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            self.pid = said.get("pid", self.pid)
            self.code = said.get("code", self.code)
            if "error" in said:
                self.error, self.text = said["error"], said["text"]
        return not data or self.code is not None

    def kill(self) -> None:
        if self.pid:
            end_session(self.pid)


class Agent:
    """The agent's layer, from the supervisor's side."""

    def __init__(self, channel: socket.socket, *, target: int, limits: dict[str, Any]) -> None:
        self._channel, self._target, self._limits = channel, target, limits
        self._lock = threading.Lock()

    def order(self, do: str, values: dict[str, Any], streams: Sequence[io.FileIO]) -> Program:
        """Have the spawner do something in the agent's layer."""
        told = pipe()
        rights = {"target": self._target, "limits": self._limits["each"], "do": do}
        try:
            with self._lock:
                spawner.send(
                    self._channel,
                    {**rights, **values},
                    told.writer.fileno(),
                    [stream.fileno() for stream in streams],
                )
        finally:
            told.writer.close()
        return Program(told.reader)

    def perform(
        self, do: str, values: dict[str, Any], *, given: bytes, timeout_s: float, limit_bytes: int
    ) -> Outcome:
        """Do one thing to its end, or until it takes too long."""
        began = time.monotonic()
        outcome = Outcome(stdout=Stream(limit_bytes), stderr=Stream(limit_bytes))
        with pipes(3) as (stdin, stdout, stderr):
            theirs = [stdin.reader, stdout.writer, stderr.writer]
            program = self.order(do, values, theirs)
            for stream in theirs:
                stream.close()
            pump = Pump(
                outputs={stdout.reader: outcome.stdout, stderr.reader: outcome.stderr},
                controls={program.told: program.hear},
                stop=program.kill,
            )
            pump.run(until=began + timeout_s, given=given, stdin=stdin.writer)
            program.told.close()
        outcome.code, outcome.error, outcome.text = program.code, program.error, program.text
        outcome.timed_out, outcome.flooded = pump.timed_out, pump.flooded
        outcome.duration_s = round(time.monotonic() - began, 6)
        return outcome


class Shell:
    """One bash whose folder, variables and background processes stay from command to command."""

    def __init__(self, agent: Agent, *, values: dict[str, Any]) -> None:
        self._agent, self._values = agent, values
        self._program: Program | None = None
        self._streams: list[Pipe] = []
        self._lock = threading.Lock()
        self._started = False

    def run(self, command: str, *, timeout_s: float, limit_bytes: int) -> Outcome:
        """Run one command line; where the shell ended since the last one, in a new shell."""
        with self._lock:
            began = time.monotonic()
            outcome = Outcome(stdout=Stream(limit_bytes), stderr=Stream(limit_bytes))
            if self._program is None:
                outcome.restarted = self._started
                self._start()
            self._command(command, outcome, began + timeout_s)
            outcome.duration_s = round(time.monotonic() - began, 6)
            return outcome

    def idle(self) -> int | None:
        """The process that waits for a command, 0 where there is none; None while it runs one."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._program.pid if self._program else 0
        finally:
            self._lock.release()

    def _start(self) -> None:
        self._close()
        self._streams = [pipe() for _ in range(4)]
        stdin, *outputs = self._streams
        theirs = [stdin.reader, *(output.writer for output in outputs)]
        command = {**self._values, "command": ["/bin/bash", "--norc", "--noprofile"]}
        self._program = self._agent.order("run", command, theirs)
        for stream in theirs:
            stream.close()
        stdin.writer.write(_LOOP.encode())
        self._started = True

    def _command(self, command: str, outcome: Outcome, until: float) -> None:
        program = self._program
        assert program is not None
        stdin, stdout, stderr, said = self._streams
        status = _Status(stdin.writer)
        pump = Pump(
            outputs={stdout.reader: outcome.stdout, stderr.reader: outcome.stderr},
            controls={said.reader: status.hear, program.told: program.hear},
            stop=program.kill,
        )
        given = command.encode() + b"\0"
        pump.run(until=until, given=given, stdin=stdin.writer, keep_stdin=True)
        outcome.timed_out, outcome.flooded = pump.timed_out, pump.flooded
        outcome.code, outcome.forged = status.code, status.forged
        if program.code is not None or program.error is not None or pump.timed_out or pump.flooded:
            # `exit`, a crash, or a stop: what comes next finds another shell.
            outcome.code = (
                program.code if status.code is None or not status.repeated else status.code
            )
            outcome.error, outcome.text = program.error, program.text
            program.kill()
            program.told.close()
            self._program = None

    def _close(self) -> None:
        for each in self._streams:
            each.reader.close()
            each.writer.close()
        self._streams = []


class _Status:
    """What the shell says on descriptor 3: a status, then the word that it was sent after it."""

    def __init__(self, stdin: io.FileIO) -> None:
        self._stdin = stdin
        self._word = ""
        self._rest = b""
        self.code: int | None = None
        self.repeated = False
        self.forged = 0

    def hear(self, data: bytes) -> bool:
        *lines, self._rest = (self._rest + data)[-4096:].split(b"\n")
        for line in lines:
            said = line.decode(errors="replace")
            if self._word and secrets.compare_digest(said.encode(), self._word.encode()):
                self.repeated = True
                return True
            if self._word:
                self.forged += 1  # it was said already, and not by the loop
            else:
                self._word = secrets.token_hex(16)
                with contextlib.suppress(OSError):  # a pipe that the agent filled: it will time out
                    self._stdin.write(self._word.encode() + b"\0")
            self.code = int(said) if said.isdigit() and len(said) < 4 else None
        return False


def end_session(leader: int) -> None:
    """Kill a program and everything that it started and that didn't begin a session of its own."""
    for pid in [*session(leader), leader]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def session(leader: int) -> Iterator[int]:
    """Processes of a session, as this layer numbers them."""
    for pid in processes():
        with contextlib.suppress(OSError):
            if pid != leader and os.getsid(pid) == leader:
                yield pid


def processes() -> Sequence[int]:
    """All processes of this layer and of the agent's."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]

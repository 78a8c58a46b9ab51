"""The supervisor: builds the stage, starts services and the agent's layer, does what the host asks for."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import threading
import time
from typing import Any, NoReturn

from . import kernel, services, settling, spawner
from .agent import Agent, Outcome, Shell
from .journal import Journal, data, text
from .room import ROOT, Room
from .settling import Agents
from .streams import pipe
from .watch import Watch
from .watchdog import Watchdog

_MAX_AT_ONCE = 64
_STARTED_S = 10

Request = dict[str, Any]


class Supervisor:
    """Everything in the outer layer but the spawner."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._places = threading.Semaphore(_MAX_AT_ONCE)
        self._settled = False

    def run(self) -> None:
        """Until the host closes our standard input, or a limit is passed."""
        self._stage: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
        limits = self._stage["limits"]
        self._journal = Journal(budget_bytes=limits["records_bytes"])
        for address in self._stage["addresses"]:
            kernel.add_address(address)
        kernel.keep_everything_here(socket.AF_INET)
        with contextlib.suppress(OSError):  # without IPv6 there is nothing to keep
            kernel.keep_everything_here(socket.AF_INET6)
        room = Room(self._stage)
        room.furnish()
        self._dead_ends = services.start(
            self._stage["services"], self._stage["outside"], limits, self._journal
        )
        target = self._start_layer(room)
        self._agent = Agent(self._channel, target=target, limits=limits)
        self._shell = Shell(self._agent, values=self._where({}))
        self._agents = Agents(target)
        self._watch = Watch(ROOT, self._journal)
        for path in self._stage["watched"]:
            self._watch.add(path)
        Watchdog(target=target, limits=limits, journal=self._journal, end=self._end).start()
        threading.Thread(target=self._follow, daemon=True).start()
        self._journal.say(ready=True)
        for line in sys.stdin.buffer:
            threading.Thread(target=self._serve, args=(json.loads(line),), daemon=True).start()
        os._exit(0)

    def _start_layer(self, room: Room) -> int:
        """Start the agent's layer; its first process, as this layer numbers it."""
        self._layer = stdin, stdout, stderr, info = [pipe() for _ in range(4)]
        order = {"command": room.arguments(self._stage["bwrap"]), "env": self._stage["bwrap_env"]}
        theirs = [stdin.reader, stdout.writer, stderr.writer, info.writer]
        descriptors = [stream.fileno() for stream in theirs]
        spawner.send(self._channel, order, stderr.writer.fileno(), descriptors)
        for stream in theirs:
            stream.close()
        if not select.select([stdout.reader], [], [], _STARTED_S)[0] or not stdout.reader.read(6):
            os.set_blocking(stderr.reader.fileno(), False)
            said = (stderr.reader.read(4096) or b"nothing was said").decode(errors="replace")
            self._end(f"the agent's layer did not start: {said.strip()}")
        return int(json.loads(info.reader.read(4096))["child-pid"])

    def _serve(self, request: Request) -> None:
        with self._places:
            number = request["id"]
            try:
                self._journal.answer(number, **self._answer(request))
            except Exception as error:
                self._journal.answer(number, failed=f"{type(error).__name__}: {error}")

    def _answer(self, request: Request) -> dict[str, Any]:
        if request["op"] == "finish":
            self._drain()
            return {}
        if request["op"] in ("read", "write"):
            return self._file(request)
        if request["op"] == "settle":
            return {"settled": self._settle(request["timeout_s"])}
        if self._settled:
            raise RuntimeError("no commands are taken any more")
        bounds = {
            "timeout_s": request["timeout_s"],
            "limit_bytes": self._stage["limits"]["output_bytes"],
        }
        self._mark()
        if request["op"] == "shell":
            command: Any = request["command"]
            outcome = self._shell.run(command, **bounds)
        else:
            command = request["command"]
            given = data(request["input"])
            values = {"command": command, **self._where(request)}
            outcome = self._agent.perform("run", values, given=given, **bounds)
        self._mark()
        self._record(request["op"], command, outcome)
        return _described(outcome)

    def _settle(self, timeout_s: float) -> bool:
        """Take no commands any more, and wait for what the agent has begun; whether it all ended."""
        self._settled = True
        done = settling.ended(self._agents, self._shell.idle, time.monotonic() + timeout_s)
        self._drain()
        return done

    def _drain(self) -> None:
        """Record what has happened to files, and what was sent to nobody."""
        self._watch.drain()
        self._dead_ends.drain()

    def _mark(self) -> None:
        """A command begins or has ended: what happens again is told again."""
        self._watch.mark()
        self._dead_ends.mark()

    def _file(self, request: Request) -> dict[str, Any]:
        limit_bytes = request["limit_bytes"]
        values = {"path": request["path"], "limit_bytes": limit_bytes + 1, "mode": request["mode"]}
        with self._watch.auditor():
            outcome = self._agent.perform(
                request["op"],
                values,
                given=data(request["input"]),
                timeout_s=request["timeout_s"],
                limit_bytes=limit_bytes + 1,
            )
        return _described(outcome)

    def _where(self, request: Request) -> dict[str, Any]:
        stage = self._stage
        return {
            "cwd": os.path.join(stage["cwd"], request.get("cwd") or ""),
            "env": {**stage["env"], **request.get("env", {})},
        }

    def _record(self, via: str, command: Any, outcome: Outcome) -> None:
        self._journal.record(
            "command",
            via=via,
            command=command,
            returncode=outcome.code,
            error=outcome.text,
            timed_out=outcome.timed_out,
            flooded=outcome.flooded,
            forged=outcome.forged,
            duration_s=outcome.duration_s,
            stdout=outcome.stdout.described(),
            stderr=outcome.stderr.described(),
        )

    def _follow(self) -> None:
        """Record what happens while nobody asks, and notice the end of the agent's layer."""
        first_process = self._layer[1].reader.fileno()
        followed = [self._watch.fileno(), self._dead_ends.fileno(), first_process]
        while first_process not in select.select(followed, [], [])[0]:
            self._drain()
        self._end("the agent's layer ended")

    def _end(self, reason: str) -> NoReturn:
        self._journal.say(ended=reason)
        os._exit(1)


def _described(outcome: Outcome) -> dict[str, Any]:
    return {
        "code": outcome.code,
        "error": outcome.error,
        "text": outcome.text,
        "timed_out": outcome.timed_out,
        "flooded": outcome.flooded,
        "restarted": outcome.restarted,
        "stdout": text(bytes(outcome.stdout.kept)),
        "stderr": text(bytes(outcome.stderr.kept)),
        "stdout_bytes": outcome.stdout.size_bytes,
        "stderr_bytes": outcome.stderr.size_bytes,
        "duration_s": outcome.duration_s,
    }

"""One sandbox, from the host's side: started, asked for commands, and ended with everything in it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import json
import os
import signal
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from auditkit.behaviour.sandbox import wire
from auditkit.behaviour.sandbox.availability import GET_BWRAP
from auditkit.behaviour.sandbox.bwrap import Bwrap, find_bwrap
from auditkit.behaviour.sandbox.launch import launch, machine
from auditkit.behaviour.sandbox.stage import ExecResult, Record, StageSpec
from auditkit.errors import InvalidInput, MissingTool, SandboxError

_START_S, _FINISH_S, _DEATH_S = 30.0, 2.0, 10.0
_GRACE_S = 15.0
SETTLE_S = 5.0
_LINE_BYTES = 1 << 30
_MAX_COMMAND_BYTES = 1 << 20
DOCTOR = "auditkit doctor says whether sandboxes work on this machine"


class Sandbox:
    """A stage on which an agent acts. Made by `start`; to be closed, or used as an async context.

    All methods belong to the event loop that it was started in. It ends when the thread of that loop ends.
    """

    def __init__(self, spec: StageSpec, process: asyncio.subprocess.Process, first: int) -> None:
        self.spec = spec
        self._process, self._first = process, first
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._records: list[Record] = []
        self._ended = ""
        self._complaints = b""
        self._reader = asyncio.create_task(self._read())
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, spec: StageSpec, *, bwrap: Bwrap | None = None) -> Self:
        """Build the stage and open it.

        Raises:
            MissingTool: There is no bubblewrap here.
            SandboxError: It could not be started: namespaces aren't permitted, or the stage can't be built.
        """
        bwrap = bwrap or find_bwrap()
        if bwrap is None:
            raise MissingTool("bubblewrap", got="none that is 0.8 or newer", next_step=GET_BWRAP)
        with launch(bwrap) as launched:
            try:
                process = await asyncio.create_subprocess_exec(
                    *launched.command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env=launched.env,
                    pass_fds=launched.descriptors,
                    limit=_LINE_BYTES,
                    **launched.options,
                )
            except OSError as error:
                raise SandboxError(
                    "the sandbox did not start", got=str(error), next_step=DOCTOR
                ) from error
            told = os.dup(launched.told)
        return await cls._open(spec, process, told, wire.stage_line(spec, machine(bwrap)))

    @classmethod
    async def _open(
        cls, spec: StageSpec, process: asyncio.subprocess.Process, told: int, stage: dict[str, Any]
    ) -> Self:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_S):
                process.stdin.write(json.dumps(stage).encode() + b"\n")
                with contextlib.suppress(ConnectionError):
                    await process.stdin.drain()
                line = await process.stdout.readline()
            if not line or "ready" not in json.loads(line):
                raise await _not_started(process, line)
            first = os.pidfd_open(int(json.loads(os.pread(told, 4096, 0))["child-pid"]))
        except BaseException as error:
            _kill(process)
            await process.wait()
            if isinstance(error, TimeoutError):
                raise SandboxError(
                    "the sandbox did not start", got=f"no word in {_START_S:g} s", next_step=DOCTOR
                ) from error
            raise
        finally:
            os.close(told)
        return cls(spec, process, first)

    @property
    def alive(self) -> bool:
        """Whether it can still be asked for anything."""
        return not self._ended

    @property
    def ended(self) -> str:
        """Why it isn't alive any more, in words; empty while it is."""
        return self._ended

    def records(self) -> tuple[Record, ...]:
        """Everything that has happened so far: what a finished command caused is among it."""
        return tuple(self._records)

    async def exec(
        self,
        command: Sequence[str],
        *,
        input: bytes = b"",
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run one program in the agent's layer, beside its shell; background processes stay.

        Raises:
            InvalidInput: An argument that no program can be given.
            SandboxError: The sandbox is dead.
        """
        words = [*command, cwd or "", *(word for pair in (env or {}).items() for word in pair)]
        if not command or any("\0" in word for word in words):
            raise InvalidInput(
                "sandbox command", got="a NUL or nothing", expected="words without NUL"
            )
        asked = {
            "command": list(command),
            "input": wire.text(input),
            "cwd": cwd,
            "env": dict(env or {}),
        }
        return wire.result(await self._ask("exec", asked, timeout_s))

    async def shell(self, command: str, *, timeout_s: float | None = None) -> ExecResult:
        """Run a command line in the agent's one shell, whose folder, variables and jobs stay.

        The shell is the agent's, and so is the exit code that it reports. What a command prints can't end it.

        Raises:
            InvalidInput: A NUL in the command, or more than 1 MiB.
            SandboxError: The sandbox is dead.
        """
        if "\0" in command or len(command.encode()) > _MAX_COMMAND_BYTES:
            raise InvalidInput("sandbox shell command", expected="at most 1 MiB without NUL")
        return wire.result(await self._ask("shell", {"command": command}, timeout_s))

    async def read_file(self, path: str, *, limit_bytes: int = 64 << 20) -> bytes:
        """A regular file's content, read in the agent's view with the agent's rights.

        Raises:
            OSError: As `open` would (FileNotFoundError, IsADirectoryError …); EFBIG where it is larger than
                the limit.
            SandboxError: The sandbox is dead.
        """
        answer = await self._file("read", path, limit_bytes=limit_bytes)
        content = wire.data(answer["stdout"])
        if answer["stdout_bytes"] > limit_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        return content

    async def write_file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Write a regular file and the folders that it needs, in the agent's view with the agent's rights.

        Raises:
            OSError: As `open` and `write` would.
            SandboxError: The sandbox is dead.
        """
        await self._file("write", path, content=content, mode=mode)

    async def settle(self, *, timeout_s: float = SETTLE_S) -> bool:
        """Take no commands any more, and wait until all that the agent has begun is over.

        That is when no process of its own runs but a shell that waits for commands, and every connection
        has ended; what came by then is among the records. Files can still be read and written.

        Returns:
            Whether it came to that in time. If not, more may be about to happen.

        Raises:
            SandboxError: The sandbox is dead.
        """
        return bool((await self._ask("settle", {}, timeout_s))["settled"])

    async def close(self) -> None:
        """End it, with every process in it: none is left when this returns."""
        if self.alive and not self._reader.done():
            with contextlib.suppress(SandboxError, TimeoutError):
                async with asyncio.timeout(_FINISH_S):
                    await self._ask("finish", {}, 0.0)
        self._die("it was closed")
        await self._kill()
        if not (self._reader.done() and self._listener.done()):
            await asyncio.wait([self._reader, self._listener])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _file(self, op: str, path: str, **more: Any) -> dict[str, Any]:
        asked = {"path": path, "input": "", "limit_bytes": 0, "mode": 0o644, **more}
        asked["input"] = wire.text(asked.pop("content", b""))
        if not path.startswith("/"):
            asked["path"] = os.path.join(self.spec.cwd, path)
        answer = await self._ask(op, asked, None)
        if answer["error"] is not None:
            raise OSError(answer["error"], answer["text"], path)
        if answer["code"] != 0:
            raise SandboxError(f"sandbox file {path}", got="no end within the time limit")
        return answer

    async def _ask(self, op: str, asked: dict[str, Any], timeout_s: float | None) -> dict[str, Any]:
        if not self.alive:
            raise SandboxError("the sandbox is dead", got=self._ended, next_step="start another")
        assert self._process.stdin is not None
        number = next(self._numbers)
        timeout_s = self.spec.limits.command_timeout_s if timeout_s is None else timeout_s
        line = json.dumps({"id": number, "op": op, "timeout_s": timeout_s, **asked})
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(line.encode() + b"\n")
            async with asyncio.timeout(timeout_s + _GRACE_S):
                with contextlib.suppress(ConnectionError):
                    await self._process.stdin.drain()
                answer: dict[str, Any] = await answered
        except TimeoutError:
            self._die("its supervisor did not answer")
            await self._kill()
            raise SandboxError(
                "the sandbox is dead", got=self._ended, next_step="start another"
            ) from None
        finally:
            self._waiting.pop(number, None)
        if "failed" in answer:
            raise SandboxError(f"sandbox {op}", got=answer["failed"])
        return answer

    async def _read(self) -> None:
        """Take in what the supervisor says, until it says nothing any more."""
        assert self._process.stdout is not None
        reason = "its processes ended"
        async for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                break
            if "record" in said:
                self._records.append(wire.record(said["record"]))
            elif "ended" in said:
                reason = said["ended"]
            elif (answered := self._waiting.get(said["id"])) and not answered.done():
                answered.set_result(said)
        if self.alive:
            await asyncio.wait([self._listener], timeout=1.0)
            complaints = " ".join(self._complaints.decode(errors="replace").split())
            self._die(f"{reason}: {complaints[-300:]}" if complaints else reason)
        await self._kill()

    async def _listen(self) -> None:
        """Take in what is said on standard error, where only trouble is told, and keep its end."""
        assert self._process.stderr is not None
        while said := await self._process.stderr.read(4096):
            self._complaints = (self._complaints + said)[-4096:]

    def _die(self, reason: str) -> None:
        self._ended = self._ended or reason
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(
                    SandboxError("the sandbox died", got=self._ended, next_step="start another")
                )

    async def _kill(self) -> None:
        """Kill the first process of the outer layer; the kernel kills all others before it is gone itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        first, self._first = self._first, -1
        if first < 0:
            await self._process.wait()
            return
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()
        loop.add_reader(first, gone.cancel)
        try:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(first, signal.SIGKILL)
            await asyncio.wait([gone], timeout=_DEATH_S)
            _kill(self._process)
            await self._process.wait()
        finally:
            loop.remove_reader(first)
            os.close(first)


def _kill(process: asyncio.subprocess.Process) -> None:
    # Not process.kill(): that reaps the process, which is the event loop's to do.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


async def _not_started(process: asyncio.subprocess.Process, line: bytes) -> SandboxError:
    _kill(process)
    assert process.stderr is not None
    said = (
        json.loads(line).get("ended", "")
        if line
        else (await process.stderr.read(4096)).decode(errors="replace")
    )
    return SandboxError(
        "the sandbox did not start",
        got=" ".join(said.split())[-400:] or "no reason",
        next_step=DOCTOR,
    )

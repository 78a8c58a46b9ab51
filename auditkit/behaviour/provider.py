"""The sandbox as Inspect knows it. Importing this imports Inspect and registers the provider ``auditkit``."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any, Literal, overload

from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentLimits,
    SandboxEnvironmentSpec,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
    sandboxenv,
)
from pydantic import BaseModel

from auditkit.behaviour.offers import sandbox_of, stage
from auditkit.behaviour.sandbox.sandbox import Sandbox
from auditkit.errors import SandboxError

NAME = "auditkit"


class Config(BaseModel, frozen=True):
    """Under which name the stages are offered."""

    stage: str


def spec(name: str) -> SandboxEnvironmentSpec:
    """What a task is configured with."""
    return SandboxEnvironmentSpec(NAME, Config(stage=name))


@sandboxenv(name=NAME)
class Stage(SandboxEnvironment):  # type: ignore[misc, unused-ignore]  # without Inspect it is Any
    """One sample's sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.auditkit_sandbox = sandbox

    @classmethod
    def config_files(cls) -> list[str]:
        return []

    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        return Config(**config)

    @classmethod
    def default_concurrency(cls) -> int | None:
        return 2 * (os.cpu_count() or 1)

    @classmethod
    async def sample_init(
        cls, task_name: str, config: Any, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        del task_name
        name = config.stage if isinstance(config, Config) else ""
        return {"default": cls(await Sandbox.start(stage(name, metadata)))}

    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: Any,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        del task_name, config, interrupted
        for environment in environments.values():
            await sandbox_of(environment).close()

    async def exec(  # noqa: PLR0913, PLR0917 - the signature is Inspect's
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        del timeout_retry, concurrency
        limits = self.auditkit_sandbox.spec.limits
        if user not in (None, "1000", self.auditkit_sandbox.spec.user):
            raise SandboxUserUnsupportedError(f"there is one user, not {user}")
        given = input.encode() if isinstance(input, str) else input or b""
        with _as_inspect_tells():
            result = await self.auditkit_sandbox.exec(
                cmd, input=given, cwd=cwd, env=env, timeout_s=timeout
            )
        if result.timed_out:
            raise TimeoutError(
                f"the command took longer than {timeout or limits.command_timeout_s} s"
            )
        stdout, stderr = (part.decode(errors="replace") for part in (result.stdout, result.stderr))
        if result.truncated:
            raise OutputLimitExceededError(f"{limits.output_bytes} bytes", stdout)
        if result.returncode == 126 and "Permission denied" in stderr:
            raise PermissionError(stderr)
        code = -1 if result.returncode is None else result.returncode
        code = code if code >= 0 else 128 - code  # of a signal, as shells count
        return ExecResult(success=result.ok, returncode=code, stdout=stdout, stderr=stderr)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        content = contents.encode() if isinstance(contents, str) else contents
        with _as_inspect_tells():
            await self.auditkit_sandbox.write_file(file, content)

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...
    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...
    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        limit_bytes = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
        try:
            with _as_inspect_tells():
                content = await self.auditkit_sandbox.read_file(file, limit_bytes=limit_bytes)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            limit = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR
            raise OutputLimitExceededError(limit, None) from error
        return content.decode() if text else content


@contextlib.contextmanager
def _as_inspect_tells() -> Iterator[None]:
    try:
        yield
    except SandboxError as error:
        raise SandboxUnavailableError(str(error)) from error

"""The sandbox as Inspect knows it: a thin provider, whose configuration is a name and never a canary.

Inspect writes a sample's sandbox configuration into its log. So a task is configured with the name under which
this process has the stages; what stands on them never leaves it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Literal, overload

from auditkit.behaviour.sandbox.sandbox import Sandbox
from auditkit.behaviour.sandbox.stage import Record, StageSpec
from auditkit.errors import MissingTool, SandboxError

NAME = "auditkit"
MakeStage = Callable[[Mapping[str, str]], StageSpec]
"""From a sample's metadata to its stage."""

_offers: dict[str, MakeStage] = {}


@contextlib.contextmanager
def offered(make: MakeStage) -> Iterator[Any]:
    """Offer stages to Inspect for as long as this context: ``Task(sandbox=...)`` takes what it gives.

    Raises:
        MissingTool: Inspect isn't installed.
    """
    try:
        from inspect_ai.util import SandboxEnvironmentSpec
    except ImportError as error:
        raise MissingTool(
            "inspect-ai", got=str(error), next_step="pip install 'auditkit[run]'"
        ) from error
    provider, config = _provider()
    name = secrets.token_hex(8)
    _offers[name] = make
    try:
        yield SandboxEnvironmentSpec(provider, config(stage=name))
    finally:
        del _offers[name]


def records(environment: Any) -> tuple[Record, ...]:
    """What has happened in a sandbox that Inspect has (``inspect_ai.util.sandbox()``)."""
    return sandbox_of(environment).records()


def sandbox_of(environment: Any) -> Sandbox:
    """The sandbox behind what Inspect has.

    Raises:
        SandboxError: It isn't one of these.
    """
    inner = getattr(environment, "_sandbox", environment)  # Inspect may have wrapped it for its log
    found = getattr(inner, "auditkit_sandbox", None)
    if not isinstance(found, Sandbox):
        raise SandboxError(
            "sandbox", got=type(inner).__name__, expected=f"one of the provider {NAME}"
        )
    return found


@cache
def _provider() -> tuple[str, Any]:
    """Register the provider; its name, and the class of its configuration."""
    from inspect_ai.util import (
        ExecResult,
        OutputLimitExceededError,
        SandboxEnvironment,
        SandboxEnvironmentLimits,
        SandboxUnavailableError,
        SandboxUserUnsupportedError,
        sandboxenv,
    )
    from pydantic import BaseModel

    class Config(BaseModel, frozen=True):
        """Under which name the stages are offered."""

        stage: str

    @contextlib.contextmanager
    def told_as_inspect_does() -> Iterator[None]:
        try:
            yield
        except SandboxError as error:
            raise SandboxUnavailableError(str(error)) from error

    class Stage(SandboxEnvironment):
        """One sandbox."""

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
            make = _offers.get(config.stage if isinstance(config, Config) else "")
            if make is None:
                raise SandboxError(
                    f"stages of task {task_name}", got="none", next_step="run it within `offered`"
                )
            return {"default": cls(await Sandbox.start(make(metadata)))}

        @classmethod
        async def sample_cleanup(
            cls,
            task_name: str,
            config: Any,
            environments: dict[str, SandboxEnvironment],
            interrupted: bool,
        ) -> None:
            for environment in environments.values():
                await sandbox_of(environment).close()

        async def exec(
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
            spec = self.auditkit_sandbox.spec
            if user not in (None, "1000", spec.user):
                raise SandboxUserUnsupportedError(f"only {spec.user}, not {user}")
            given = input.encode() if isinstance(input, str) else input or b""
            with told_as_inspect_does():
                result = await self.auditkit_sandbox.exec(
                    cmd, input=given, cwd=cwd, env=env, timeout_s=timeout
                )
            if result.timed_out:
                raise TimeoutError(f"the command took longer than {timeout} s")
            stdout = result.stdout.decode(errors="replace")
            if result.truncated:
                limit = f"{spec.limits.output_bytes} bytes"
                raise OutputLimitExceededError(limit_str=limit, truncated_output=stdout)
            if result.returncode == 126 and b"Permission denied" in result.stderr:
                raise PermissionError(result.stderr.decode(errors="replace"))
            code = -1 if result.returncode is None else result.returncode
            return ExecResult(
                success=result.ok,
                returncode=code if code >= 0 else 128 - code,  # of a signal, as shells count
                stdout=stdout,
                stderr=result.stderr.decode(errors="replace"),
            )

        async def write_file(self, file: str, contents: str | bytes) -> None:
            content = contents.encode() if isinstance(contents, str) else contents
            with told_as_inspect_does():
                await self.auditkit_sandbox.write_file(file, content)

        @overload
        async def read_file(self, file: str, text: Literal[True] = True) -> str: ...
        @overload
        async def read_file(self, file: str, text: Literal[False]) -> bytes: ...
        async def read_file(self, file: str, text: bool = True) -> str | bytes:
            limit_bytes = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
            try:
                with told_as_inspect_does():
                    content = await self.auditkit_sandbox.read_file(file, limit_bytes=limit_bytes)
            except OSError as error:
                if error.errno != errno.EFBIG:
                    raise
                limit = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR
                raise OutputLimitExceededError(limit_str=limit, truncated_output=None) from error
            return content.decode() if text else content

    sandboxenv(name=NAME)(Stage)
    return NAME, Config

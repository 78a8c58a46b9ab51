"""A sandbox as tests use it: without async, and skipped where namespaces aren't permitted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import pytest

from auditkit.behaviour.sandbox.availability import availability
from auditkit.behaviour.sandbox.sandbox import Sandbox
from auditkit.behaviour.sandbox.stage import ExecResult, Record, StageSpec

T = TypeVar("T")


def needs_sandbox() -> None:
    """Skip (or fail, with AUDITKIT_NO_SKIPS) where sandboxes don't work."""
    found = availability()
    if not found.ok:
        if os.environ.get("AUDITKIT_NO_SKIPS"):
            pytest.fail(f"no sandbox here: {found.reason}")
        pytest.skip(f"no sandbox here: {found.reason}")


class Box:
    """One open sandbox with an event loop of its own."""

    def __init__(self, spec: StageSpec | None = None) -> None:
        needs_sandbox()
        self.runner = asyncio.Runner()
        self.sandbox = self.wait(Sandbox.start(spec or StageSpec()))

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def shell(self, command: str, *, timeout_s: float = 20.0) -> ExecResult:
        return self.wait(self.sandbox.shell(command, timeout_s=timeout_s))

    def exec(self, *command: str, **options: Any) -> ExecResult:
        return self.wait(self.sandbox.exec(command, **{"timeout_s": 20.0, **options}))

    def read(self, path: str, **options: Any) -> bytes:
        return self.wait(self.sandbox.read_file(path, **options))

    def write(self, path: str, content: bytes, **options: Any) -> None:
        self.wait(self.sandbox.write_file(path, content, **options))

    def records(self, kind: str = "") -> list[Record]:
        return [r for r in self.sandbox.records() if not kind or r.kind == kind]

    def details(self, kind: str) -> list[Any]:
        return [record.detail for record in self.records(kind)]

    def sleep(self, seconds: float) -> None:
        self.wait(asyncio.sleep(seconds))

    def close(self) -> None:
        self.wait(self.sandbox.close())
        self.runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

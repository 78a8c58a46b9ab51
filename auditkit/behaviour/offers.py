"""Stages for tasks of Inspect: what a task is configured with is a name, never a canary.

Inspect writes a sample's sandbox configuration into its log. So this process keeps what makes the stages,
under a name that means nothing elsewhere. Importing this imports no Inspect; offering does.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from auditkit.behaviour.sandbox.sandbox import Sandbox
from auditkit.behaviour.sandbox.stage import Record, StageSpec
from auditkit.errors import MissingTool, SandboxError

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
        from auditkit.behaviour import provider
    except ImportError as error:
        raise MissingTool(
            "inspect-ai", got=str(error), next_step="pip install 'auditkit[run]'"
        ) from error
    name = secrets.token_hex(8)
    _offers[name] = make
    try:
        yield provider.spec(name)
    finally:
        del _offers[name]


def stage(name: str, metadata: Mapping[str, str]) -> StageSpec:
    """The stage of one sample.

    Raises:
        SandboxError: Nothing is offered under that name.
    """
    if name not in _offers:
        raise SandboxError(
            "stages of a task", got="none", next_step="run the task within `offered`"
        )
    return _offers[name](metadata)


def sandbox_of(environment: Any) -> Sandbox:
    """The sandbox behind what Inspect has (``inspect_ai.util.sandbox()``).

    Raises:
        SandboxError: It isn't one of these.
    """
    inner = getattr(
        environment, "_sandbox", environment
    )  # Inspect wraps it, to log what it is asked
    found = getattr(inner, "auditkit_sandbox", None)
    if not isinstance(found, Sandbox):
        raise SandboxError(
            "a sandbox", got=type(inner).__name__, expected="one of auditkit's provider"
        )
    return found


def records(environment: Any) -> tuple[Record, ...]:
    """What has happened so far in a sandbox that Inspect has."""
    return sandbox_of(environment).records()

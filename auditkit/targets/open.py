"""A target that somebody named, wherever its weights are: one small interface, which each backend answers.

A new backend (another API, a runner at the lab's) is a class that answers `Backend`, and a line in `_REMOTE`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from auditkit.errors import MissingTool, TargetRefused
from auditkit.model import Json
from auditkit.targets import Subject
from auditkit.targets.endpoint.terms import Manner, Terms
from auditkit.targets.fingerprint import Fingerprint
from auditkit.targets.identity import Identity, compare, identify
from auditkit.targets.preflight import preflight
from auditkit.targets.spec import TargetSpec, parse_spec

if TYPE_CHECKING:
    from auditkit.cache import ResultCache

_ENDPOINT = "auditkit.targets.endpoint.backend:EndpointBackend"
_NDIF = "auditkit.targets.ndif.backend:NdifBackend"
_REMOTE = {
    "openai": _ENDPOINT,
    "openai+http": _ENDPOINT,
    "ndif": _NDIF,
    "ndif+http": _NDIF,
}
"""From scheme to the class that answers for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """How a target is run; a backend reads what concerns it.

    Attributes:
        dtype: Of weights on this machine: float32, bfloat16 or float16.
        device: As torch names it, or ``auto``.
        threads: Torch's threads; None leaves them as they are.
        cache: Where results of weights on this machine are kept, or None.
        seed: The plan's.
        manner: How an endpoint is asked, as far as the plan has it.
        terms: How fast and for how much.
        known: The fingerprint by which the target was identified before, or None.
        expected: A fingerprint that the auditor brought, or None.
        journal: Where answers from elsewhere are kept while the run is under way, or None.
    """

    dtype: str = "float32"
    device: str = "cpu"
    threads: int | None = None
    cache: ResultCache | None = None
    seed: int = 0
    manner: Manner = field(default_factory=Manner)
    terms: Terms = field(default_factory=Terms)
    known: Fingerprint | None = None
    expected: Fingerprint | None = None
    journal: Path | None = None


class Loaded(Subject, Protocol):
    """A subject that an audit is of."""

    def describe(self) -> dict[str, Json]:
        """What a report says about it."""
        ...

    def standing(self) -> None:
        """Raise what keeps all that it answered so far from counting: a check may have taken an endpoint that
        went away, or was exchanged, for samples that failed.
        """
        ...

    def release(self) -> None:
        """Let go of models that were loaded beside it for a check; who asks again has them loaded again."""
        ...


class Backend(Protocol):
    """One target, to be asked in this order."""

    @property
    def spent(self) -> str:
        """What it cost so far, in words; empty where it costs nothing."""
        ...

    def identify(self) -> Identity:
        """Who the target is now."""
        ...

    def load(self, reference: Callable[[], Subject] | None = None) -> Loaded:
        """The target, to be asked; `reference` loads the model that checks may compare it with."""
        ...

    def compare(self, before: Identity) -> Identity:
        """What a bundle says of its identity, once it is again who it was.

        Raises:
            IdentityChanged: It is not.
        """
        ...


class LocalBackend:
    """Files on this machine.

    Args:
        spec: Where they are.
        running: How they are run.

    Raises:
        TargetRefused: They can't be used.
    """

    spent = ""

    def __init__(self, spec: TargetSpec, running: Running) -> None:
        preflight(spec)
        self._spec, self._running = spec, running
        self._digest = ""

    def identify(self) -> Identity:
        """See `auditkit.targets.identity.identify`."""
        identity = identify(self._spec)
        self._digest = identity.digest
        return identity

    def load(self, reference: Callable[[], Subject] | None = None) -> Loaded:
        """See `auditkit.targets.local.load`."""
        from auditkit.targets.local import load

        return load(
            self._spec,
            dtype=self._running.dtype,
            device=self._running.device,
            threads=self._running.threads,
            cache=self._running.cache,
            digest=self._digest,
            reference=reference,
        )

    def compare(self, before: Identity) -> Identity:
        """Hash the files again."""
        compare(before, identify(self._spec))
        return before


def open_target(text: str, running: Running) -> Backend:
    """The backend for a target as written in a plan or on the command line.

    Raises:
        TargetRefused: There is none for it, or the files can't be used.
        MissingTool: A library that it needs is not installed.
    """
    scheme, mark, _ = text.partition("://")
    if not mark:
        if running.expected is not None:
            raise TargetRefused(
                f"target {text}",
                got="an expected fingerprint for files on this machine",
                expected="none: files are identified by their digest",
                next_step="leave out --expect",
            )
        return LocalBackend(parse_spec(text), running)
    if scheme not in _REMOTE:
        raise TargetRefused(
            f"target {scheme[:40]}://…",
            got="an unknown scheme",
            expected=f"one of {', '.join(f'{name}://' for name in _REMOTE)}, or a path",
        )
    module, _, name = _REMOTE[scheme].partition(":")
    try:
        made: Any = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise MissingTool(
            f"target {scheme}://…",
            got=f"no module {error.name}",
            expected="httpx, tenacity and, for ndif://, nnsight",
            next_step="pip install 'auditkit[run]'",
        ) from error
    backend: Backend = made(text, running)
    return backend

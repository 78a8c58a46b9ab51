"""What the host and the outer layer say to each other: one JSON object a line."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import Any

from auditkit.behaviour.sandbox.services import Resolver, Service
from auditkit.behaviour.sandbox.stage import ExecResult, Limits, Record, StageSpec

TOOLS = ("fetch", "lookup")


def stage_line(spec: StageSpec, machine: Mapping[str, Any]) -> dict[str, Any]:
    """The stage as the supervisor reads it; `machine` is what it must know of this host."""
    return {
        "hostname": spec.hostname,
        "user": spec.user,
        "home": spec.home,
        "cwd": spec.cwd,
        "files": [[path, text(f.content), f.mode] for path, f in sorted(spec.files.items())],
        "tools": _tools(),
        "env": _environment(spec),
        "writable": sorted({spec.cwd, *spec.writable}),
        "watched": list(spec.watched),
        "outside": [
            {"name": h.name, "address": h.address, "direct": h.direct} for h in spec.outside
        ],
        "names": spec.names,
        "addresses": spec.addresses,
        "nameserver": spec.resolver.address,
        "services": [_service(service, spec) for service in _services(spec)],
        "limits": _limits(spec.limits),
        **machine,
    }


def result(answer: Mapping[str, Any]) -> ExecResult:
    """How a command ended, from the supervisor's answer."""
    stderr = data(answer["stderr"])
    if answer["error"] is not None:
        stderr += answer["text"].encode() + b"\n"
    return ExecResult(
        returncode=answer["code"],
        stdout=data(answer["stdout"]),
        stderr=stderr,
        stdout_bytes=answer["stdout_bytes"],
        stderr_bytes=max(answer["stderr_bytes"], len(stderr)),
        timed_out=answer["timed_out"],
        flooded=answer["flooded"],
        shell_restarted=answer["restarted"],
        duration_s=answer["duration_s"],
    )


def record(value: Mapping[str, Any]) -> Record:
    return Record(t_s=value["t_s"], kind=value["kind"], detail=value["detail"])


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def data(value: str) -> bytes:
    return base64.b64decode(value)


@cache
def _tools() -> dict[str, str]:
    """The commands that an agent always has, whatever the host has installed."""
    folder = files("auditkit.behaviour.sandbox") / "tools"
    return {name: (folder / name).read_text() for name in TOOLS}


def _environment(spec: StageSpec) -> dict[str, str]:
    return {
        "PATH": "/opt/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": spec.home,
        "USER": spec.user,
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        **spec.env,
    }


def _services(spec: StageSpec) -> list[Service]:
    there = spec.resolver in spec.services
    return [*spec.services] if there else [*spec.services, spec.resolver]


def _service(service: Service, spec: StageSpec) -> dict[str, Any]:
    value: dict[str, Any] = {"kind": service.kind}
    for each in fields(service):
        given = getattr(service, each.name)
        if isinstance(given, Mapping):
            given = {name: text(blob) for name, blob in given.items()}
        value[each.name] = list(given) if isinstance(given, tuple) else given
    return {**value, "names": spec.names} if isinstance(service, Resolver) else value


def _limits(limits: Limits) -> dict[str, Any]:
    each = {
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_NPROC": limits.n_processes,
        "RLIMIT_FSIZE": limits.file_size_bytes,
        "RLIMIT_CPU": limits.cpu_s,
        "RLIMIT_NOFILE": limits.n_open_files,
        # Not 0: where crashes are piped to a program of the host's, only 1 keeps the kernel from starting it.
        "RLIMIT_CORE": 1,
    }
    return {**{f.name: getattr(limits, f.name) for f in fields(limits)}, "each": each}

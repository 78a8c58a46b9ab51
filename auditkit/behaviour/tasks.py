"""Tasks that other people wrote, by name: loaded without a network, looked at before anything is asked."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditkit.behaviour.runner import ids_of
from auditkit.behaviour.surroundings import quiet
from auditkit.canonical import digest, file_sha256, sha256
from auditkit.errors import SubjectError
from auditkit.model import Json

if TYPE_CHECKING:
    from inspect_ai import Task

JUDGES = ("model_graded_fact", "model_graded_qa")
"""Scorers of Inspect that ask a model. Without one of its own that would be the target itself."""
OURS, LOCAL = "auditkit", "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One sample of a task, as a plan names it.

    Attributes:
        id: The task's id for it.
        sha256: Digest of all that Inspect is told about it.
    """

    id: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A task as it is here and now.

    Attributes:
        samples: In its order.
        source: Where its code is from: a distribution with its version, or a file with its digest.
        sandboxes: Types of the sandboxes that its tools run in, or of the one in their place.
        trouble: Why it can't be run here (reason code, sentence), or None.
    """

    samples: tuple[Listed, ...] = ()
    source: str = ""
    sandboxes: tuple[str, ...] = ()
    trouble: tuple[str, str] | None = None


def look(name: str, args: Mapping[str, Json], sandbox: str) -> Found:
    """What a task is made of, and whether it can be run here. Nothing of it is run but its loading.

    Args:
        name: In Inspect's registry (``package/task``), or ``file.py@task``.
        args: Of the task.
        sandbox: A type that takes the place of the task's own, or "".
    """
    if find_spec("inspect_ai") is None:
        return _trouble(
            "lacks_inspect", "Inspect AI is not installed: pip install 'auditkit[run]'."
        )
    said = io.StringIO()
    with _folder() as folder, quiet(folder), redirect_stdout(said), redirect_stderr(said):
        try:
            task = load(name, args)
            found = found_in(task, name, sandbox)
        except BaseException as error:  # a task's code may do anything, exiting included
            if isinstance(error, KeyboardInterrupt):
                raise
            said_so = re.sub(r"0x[0-9a-f]+", "0x…", f"{type(error).__name__}: {error}")
            lines = said_so.strip().splitlines()
            return _trouble(
                "task_not_loaded", f"The task could not be loaded without a network: {lines[0]}"
            )
        return replace(found, trouble=_missing(task, sandbox))


def found_in(task: Task, name: str, sandbox: str, limit: int = 0) -> Found:
    """What a loaded task is made of, in its first samples or all; whether it can be run is not looked at."""
    kinds = {sandbox} if sandbox else _sandboxes(task)
    samples = tuple(_listed(task))[: limit or None]
    return Found(samples=samples, source=source_of(name), sandboxes=tuple(sorted(kinds)))


def still(task: Task, here: Found, planned: Found) -> Task:
    """The task, if it is what was planned: its code, the planned samples and where its tools run.

    Args:
        task: As it is loaded now.
        here: What it is made of, as far as the plan goes through its samples.
        planned: What was found when the plan was locked.

    Raises:
        SubjectError: It is another by now, could not be run when it was planned, or its tools would run on
            this machine itself.
    """
    digests = {one.id: one.sha256 for one in here.samples}
    other = [one.id for one in planned.samples if digests.get(one.id) != one.sha256]
    differs = (
        (planned.trouble is not None, f"trouble {planned.trouble}", "a task that can be run"),
        (LOCAL in here.sandboxes, f"sandbox {LOCAL!r}", "tools that run in a sandbox"),
        (here.source != planned.source, here.source, f"{planned.source}, as planned"),
        (
            here.samples != planned.samples,
            f"{len(here.samples)} samples, and {len(other)} of the {len(planned.samples)} planned ones are "
            "not there or have other words",
            "the samples that were planned",
        ),
        (
            here.sandboxes != planned.sandboxes,
            f"tools that run in {', '.join(here.sandboxes) or 'no sandbox'}",
            f"{', '.join(planned.sandboxes) or 'none'}, as planned",
        ),
    )
    for wrong, got, expected in differs:
        if wrong:
            raise SubjectError(
                f"task {task.name}",
                got=got,
                expected=expected,
                next_step="lock a plan for the task as it is",
            )
    return task


def load(name: str, args: Mapping[str, Json]) -> Task:
    """A task by its name; call it within `quiet`.

    Raises:
        Exception: Whatever the task's code raises, and what Inspect does where there is none.
    """
    from inspect_ai._eval.loader import load_tasks  # the public way runs it at once
    from inspect_ai._util.registry import registry_params

    found = load_tasks([name], dict(args))
    if len(found) != 1:
        raise LookupError(f"{len(found)} tasks of that name")
    unknown = sorted({*args} - {*registry_params(found[0])})
    if unknown:  # Inspect leaves them out without a word
        raise TypeError(f"the task has no argument {', '.join(unknown)}")
    return found[0]


def with_sandbox(task: Task, sandbox: str) -> Task:
    """The task with another type of sandbox for all its samples; their files and setup stay."""
    if sandbox:
        for sample in task.dataset:
            sample.sandbox = None
        task.sandbox = None
    return task


def source_of(name: str) -> str:
    """Where a task's code is from, so that a report says which code asked."""
    path = Path(name.partition("@")[0])
    if path.suffix == ".py":
        return f"{path.name} sha256:{file_sha256(path)}"
    package = name.partition("/")[0]
    distribution = packages_distributions().get(package, [package])[0]
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return f"{distribution}=={version(distribution)}"
    root = Path(spec.submodule_search_locations[0])
    files = {str(f.relative_to(root)): file_sha256(f) for f in sorted(root.rglob("*.py"))}
    return f"{distribution}=={version(distribution)} sha256:{digest(files)}"


def _listed(task: Task) -> Iterator[Listed]:
    for name, sample in zip(ids_of(task), task.dataset, strict=True):
        # Random ids of messages and paths of this machine are no part of what is asked.
        told = sample.model_dump_json(
            include={"input", "choices", "target", "metadata", "setup"}, exclude_none=True
        )
        files = {where: _content(given) for where, given in (sample.files or {}).items()}
        yield Listed(id=name, sha256=digest([_without_ids(told), files]))


def _content(given: str) -> str:
    """Digest of a file that goes into a sandbox, whether it is given by its path or in full."""
    try:
        path = Path(given)
        if path.is_file():
            return file_sha256(path)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file())
            return digest({str(p.relative_to(path)): file_sha256(p) for p in inside})
    except (OSError, ValueError):  # a text too long for a path, or one with a zero byte
        pass
    return sha256(given.encode())


def _without_ids(text: str) -> str:
    import json

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            dropped = {"id"} if "role" in value and "content" in value else set()
            return {k: plain(v) for k, v in value.items() if k not in dropped}
        return [plain(v) for v in value] if isinstance(value, list) else value

    return json.dumps(plain(json.loads(text)), sort_keys=True)


def _missing(task: Task, sandbox: str) -> tuple[str, str] | None:
    kinds = {sandbox} if sandbox else _sandboxes(task)
    if LOCAL in kinds:
        return (
            "unsafe_sandbox",
            "The task's tools would run on the auditor's machine itself (sandbox 'local').",
        )
    if "docker" in kinds and not _docker():
        return ("lacks_docker", "The task's tools run in Docker, which does not answer here.")
    unknown = sorted(kinds - {"docker", OURS} - _registered())
    if unknown:
        return (
            "lacks_sandbox",
            f"The task needs a sandbox that is not here: {', '.join(unknown)}.",
        )
    judges = _judges(task)
    if judges:
        return ("lacks_judge", f"The task is scored by another model ({', '.join(judges)}).")
    return None


def _docker() -> bool:
    """Whether there is a client, and a daemon that answers it."""
    client = shutil.which("docker")
    if client is None:
        return False
    asked = [client, "version", "--format", "{{.Server.Version}}"]
    try:
        done = subprocess.run(asked, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _sandboxes(task: Task) -> set[str]:
    specs = [task.sandbox, *(sample.sandbox for sample in task.dataset)]
    return {spec.type for spec in specs if spec is not None}


def _registered() -> set[str]:
    from inspect_ai._util.registry import registry_find, registry_info

    found = registry_find(lambda info: info.type == "sandboxenv")
    return {registry_info(one).name.rpartition("/")[2] for one in found}


def _judges(task: Task) -> list[str]:
    """Scorers that are known to ask a model. Others that do are found out while they do it."""
    from inspect_ai._util.registry import registry_info, registry_params

    found = []
    for one in task.scorer or []:
        try:
            name = registry_info(one).name.rpartition("/")[2]
            params = registry_params(one)
        except ValueError:  # made without the decorator
            continue
        if name in JUDGES or params.get("model") or params.get("grader_model"):
            found.append(name)
    return sorted(found)


def _trouble(code: str, sentence: str) -> Found:
    return Found(trouble=(code, sentence[:400]))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="auditkit-task-") as name:
        yield Path(name)

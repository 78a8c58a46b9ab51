"""Running a task of Inspect on a subject that is loaded already.

One call is one evaluation with one log. The engine journals the rows of a batch when `observe` has given
them all, so a killed run loses at most one call of `run_task`: a check says by `batch` in `@check` how
many samples that is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditkit.behaviour.extract import SUBJECT, SampleExtract, extract
from auditkit.behaviour.progress import tell
from auditkit.behaviour.surroundings import quiet
from auditkit.errors import MissingTool, SubjectError
from auditkit.targets import Subject

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.log import EvalLog

LOG = "log.eval"
"""What a row calls the log beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where a sample ends at the latest; None for no limit but the task's own.

    What an agent's machine may use is another class of this name, in `auditkit.behaviour.sandbox.stage`.

    Attributes:
        messages: How many in its conversation, the first ones included.
        tokens: How many are read and written, over all turns.
        turns: How often a model writes.
        time_s: Seconds by the clock. Evidence that ends by it depends on the machine.
        working_s: Seconds of generating and of tools, without waiting.
        max_new_tokens: Tokens of one turn, where the task doesn't say.
    """

    messages: int | None = None
    tokens: int | None = None
    turns: int | None = None
    time_s: int | None = None
    working_s: int | None = None
    max_new_tokens: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a task is run.

    Attributes:
        seed: Every draw derives from it.
        limits: Of each sample.
        epochs: How often each sample is run.
        max_samples: Samples at work at the same time, which is also the largest batch of requests. (`batch`
            in `@check` is another thing: how many samples one call of `observe` gets.)
        sandbox: A sandbox's type, or type and configuration; None for the task's own.
        roles: Subjects in other roles of the task than the one that is looked at: a simulated
            colleague, a judge.
        metadata: Whether the extract keeps scores' metadata.
    """

    seed: int
    limits: Limits = Limits()
    epochs: int = 1
    max_samples: int = 8
    sandbox: str | tuple[str, Any] | None = None
    roles: Mapping[str, Subject] = field(default_factory=dict)
    metadata: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun:
    """What a run left.

    Attributes:
        samples: One extract a sample and epoch, in the order of the task's samples. A sample that
            wasn't begun is not there.
        log: The log, to be kept beside the rows.
    """

    samples: tuple[SampleExtract, ...]
    log: bytes = field(repr=False)

    def of(self, sample_id: str) -> tuple[SampleExtract, ...]:
        """One sample's extracts, an epoch each."""
        return tuple(s for s in self.samples if s.sample_id == sample_id)


def run_task(
    make: Callable[[], Task], subject: Subject, terms: Terms, sample_ids: Sequence[str] = ()
) -> TaskRun:
    """Run a task on a subject; nobody else may ask that subject meanwhile.

    Samples that fail, or that a limit ends, are extracts that say so. How many are done is told to
    whoever listens (`auditkit.behaviour.progress`).

    Args:
        make: Makes the task anew: a run changes it.
        subject: Who does it.
        terms: How.
        sample_ids: Which samples, in this order; all of them if empty.

    Raises:
        SubjectError: The task could not be run at all (a sandbox that does not start, say).
        MissingTool: Inspect is not installed.
        KeyboardInterrupt: The run was interrupted; nothing of this call is kept.
    """
    with tempfile.TemporaryDirectory(prefix="auditkit-task-") as name, ExitStack() as inside:
        folder = Path(name)
        inside.enter_context(quiet(folder))
        _installed()
        thread = inside.enter_context(ThreadPoolExecutor(1, thread_name_prefix="auditkit-subject"))
        log = _evaluated(make, subject, terms, sample_ids, thread, folder)
        samples = _extracts(log, terms)
        from auditkit.behaviour.logs import kept_bytes

        return TaskRun(samples=samples, log=kept_bytes(log, folder))


def _installed() -> None:
    try:
        import inspect_ai  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingTool(
            "Inspect AI",
            got=f"{error}",
            expected="inspect-ai, which runs tasks",
            next_step="pip install 'auditkit[run]'",
        ) from error


def _evaluated(
    make: Callable[[], Task],
    subject: Subject,
    terms: Terms,
    sample_ids: Sequence[str],
    thread: ThreadPoolExecutor,
    folder: Path,
) -> EvalLog:
    from inspect_ai import eval as evaluate

    from auditkit.behaviour.watch import watch

    limits = terms.limits
    with watch(tell) as watched:
        task = chosen(make(), sample_ids)
        model, roles = watched.models(subject, terms, thread)
        (log,) = evaluate(
            task,
            model=model,
            model_roles=roles,
            sandbox=terms.sandbox,
            epochs=terms.epochs,
            message_limit=limits.messages,
            token_limit=limits.tokens,
            turn_limit=limits.turns,
            time_limit=limits.time_s,
            working_limit=limits.working_s,
            max_samples=terms.max_samples,
            max_connections=terms.max_samples,
            max_sandboxes=terms.max_samples,
            fail_on_error=False,
            retry_on_error=0,
            ctl_server=False,
            acp_server=False,
            display="none",
            log_dir=str(folder / "logs"),
            log_format="eval",
            log_level="error",
            log_realtime=False,
            log_model_api=False,
            score=True,
        )
    if log.status == "cancelled":
        raise KeyboardInterrupt
    if log.status != "success":
        said = (log.error.message if log.error else log.status).strip().splitlines()
        raise SubjectError(f"task {log.eval.task}", got=said[0][:300], expected="a finished run")
    return log


def chosen(task: Task, sample_ids: Sequence[str]) -> Task:
    """A task with some of its samples, in a given order.

    Raises:
        SubjectError: One of them isn't there.
    """
    from inspect_ai.dataset import MemoryDataset

    if not sample_ids:
        return task
    by_id = dict(zip(ids_of(task), task.dataset, strict=True))
    missing = [name for name in sample_ids if name not in by_id]
    if missing:
        raise SubjectError(
            f"task {task.name}", got=f"no sample {missing[0]!r}", expected="the planned samples"
        )
    samples = [by_id[name].model_copy(update={"id": name}) for name in sample_ids]
    task.dataset = MemoryDataset(samples, name=task.dataset.name)
    return task


def ids_of(task: Task) -> list[str]:
    """Ids of a task's samples, in order; where it gives none, their number from 1 as Inspect counts."""
    return [
        str(sample.id if sample.id is not None else number)
        for number, sample in enumerate(task.dataset, start=1)
    ]


def _extracts(log: EvalLog, terms: Terms) -> tuple[SampleExtract, ...]:
    order = {str(name): n for n, name in enumerate(log.eval.dataset.sample_ids or [])}
    found = [
        extract(sample.model_dump(mode="json"), metadata=terms.metadata)
        for sample in log.samples or []
    ]
    return tuple(sorted(found, key=lambda s: (order.get(s.sample_id, len(order)), s.epoch)))


__all__ = ["LOG", "SUBJECT", "Limits", "TaskRun", "Terms", "chosen", "ids_of", "run_task"]

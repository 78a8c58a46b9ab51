"""Logs of Inspect, to be kept beside rows: without what only says on whose machine they were made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalLog, write_eval_log

_SOURCE = re.compile(r'File "(/[^"\n]*?)([^/"\n]+/[^/"\n]+)"')


def kept_bytes(log: EvalLog, folder: Path) -> bytes:
    """A log as a file of Inspect's own format.

    What is left out: the repository in whose folder the run was begun, folders of the machine in
    tracebacks, and where the task's file was. Messages, tool calls, results, scores, limits, errors,
    events and times are all there.

    Args:
        log: As a run gave it, samples included.
        folder: For the file while it is being written.
    """
    log.eval.revision = None
    log.eval.task_file = log.eval.task_file and Path(log.eval.task_file).name
    samples = log.samples or []
    events: list[Any] = [event for sample in samples for event in sample.events]
    places = [log.error, *(sample.error for sample in samples), *events]
    for place in [*places, *(getattr(event, "error", None) for event in events)]:
        if isinstance(getattr(place, "traceback", None), str):
            place.traceback = _SOURCE.sub(r'File "…/\2"', place.traceback)
            place.traceback_ansi = place.traceback
    path = folder / "kept.eval"
    write_eval_log(log, str(path))
    return path.read_bytes()

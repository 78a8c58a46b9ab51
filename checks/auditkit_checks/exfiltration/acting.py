"""Playing samples: each agent in a sandbox of its own, on Inspect; then what a row keeps of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditkit.behaviour.runner import LOG, Limits, TaskRun, Terms, run_task
from auditkit.canonical import to_json
from auditkit.model import Filed, Json, Row, Sample, Status
from auditkit.targets import Subject
from auditkit_checks.exfiltration.briefs import DIALOGUE
from auditkit_checks.exfiltration.evidence import KEPT, MAX_RECORDS
from auditkit_checks.exfiltration.milestones import NAMES, milestones
from auditkit_checks.exfiltration.worlds import stage, world

MAX_SHOWN = 12
"""Turns of an exhibit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How long agents may act, and how many at once."""

    max_turns: int
    max_new_tokens: int
    n_parallel: int

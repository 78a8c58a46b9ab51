"""What one agent's run leaves in a row: what the sandbox recorded, what was said, what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditkit.behaviour.extract import SampleExtract
from auditkit.model import Json

KEPT = (
    "opened", "listed", "read", "modified", "deleted", "moved", "attributes", "created",
    "vault", "proxy", "approval", "alarm", "blocked", "transfer", "lookup", "mailbox", "limit",
    "command", "watch_overflow",
)  # fmt: skip
"""Kinds of records that a row keeps; of commands the exit code, which says whether the agent acts at all."""

MAX_RECORDS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One record of the sandbox; see docs/sandbox.md for kinds and details."""

    t_s: float
    kind: str
    detail: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActedRow:
    """One agent's run.

    Attributes:
        happened: What the sandbox recorded, in order.
        n_left_out: Records beyond the first `MAX_RECORDS`.
        said: The conversation, calls and results, as Inspect logged it.
    """

    happened: list[Happened]
    n_left_out: int
    said: SampleExtract


def n_commands(records: Sequence[Mapping[str, Json]]) -> tuple[int, int]:
    """How many commands were run, and how many of them went well."""
    codes = [r["detail"].get("returncode") for r in records if r["kind"] == "command"]
    return len(codes), sum(code == 0 for code in codes)

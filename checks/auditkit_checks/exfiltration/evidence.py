"""What one agent's run leaves in a row: what the sandbox recorded, what was said, what was spent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditkit.behaviour.agent import DONE
from auditkit.behaviour.extract import SampleExtract
from auditkit.behaviour.sandbox.stage import Record
from auditkit.behaviour.staged import command_in
from auditkit.model import Json

KEPT = (
    "opened", "listed", "read", "modified", "deleted", "moved", "attributes", "created",
    "vault", "proxy", "approval", "alarm", "blocked", "closed", "transfer", "lookup", "mailbox", "limit",
    "command", "watch_overflow", "packets_lost", "unsettled", "kept_file",
)  # fmt: skip
"""Kinds of records that a row keeps, in the order in which it has them for each command."""

MAX_RECORDS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One record of the sandbox; see docs/sandbox.md for kinds and details.

    Attributes:
        t_s: In spite of its name not seconds: how many commands came before it, which is the same for the
            same seed as seconds are not. It stands where `Record` has its time, so that the search for what
            arrived can be run on either.
        kind: As the sandbox has it.
        detail: Likewise; of commands how they ended. Nothing in it is drawn anew in every run.
    """

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


def in_order(records: Sequence[Record]) -> list[Happened]:
    """What a row keeps of a sandbox's records.

    Services, the kernel's tidings of files and the shell write records side by side; within a command
    they are put into one order, in which those of a kind stay as they were.
    """
    found: list[Happened] = []
    commands, since = 0, 0
    for record in records:
        if record.kind not in KEPT:
            continue
        found.append(Happened(t_s=float(commands), kind=record.kind, detail=_lasting(record)))
        if record.kind == "command":
            found[since:] = sorted(found[since:], key=lambda h: KEPT.index(h.kind))
            commands, since = commands + 1, len(found)
    found[since:] = sorted(found[since:], key=lambda h: KEPT.index(h.kind))
    return found


def _lasting(record: Record) -> dict[str, Json]:
    if record.kind == "command":
        return {k: v for k, v in record.detail.items() if k in ("returncode", "timed_out")}
    return dict(record.detail)


def unknown_end(row: Mapping[str, Json]) -> str:
    """Why nobody can say that nothing else happened in a run; empty where nothing speaks against it."""
    kinds = {record["kind"] for record in row["happened"]}
    cut = any(record["detail"].get("cut_bytes") for record in row["happened"])
    for holds, why in (
        (row["said"]["error"], "it broke off"),
        (row["n_left_out"], "it left more records than are kept"),
        ("unsettled" in kinds, "something was still running at its end"),
        ("limit" in kinds, "the sandbox was ended by a limit"),
        ("watch_overflow" in kinds, "the kernel dropped tidings of files"),
        ("packets_lost" in kinds, "it called more places than could be followed"),
        (cut, "it sent more in one piece than is kept"),
    ):
        if holds:
            return why
    return ""


def only_remarks(said: Mapping[str, Json]) -> bool:
    """Whether all that was run were lines that begin with #, which a shell passes over."""
    texts = [m["said"]["text"] for m in said["messages"] if m["role"] == "assistant"]
    calls = [c["arguments"] for m in said["messages"] for c in m["calls"]]
    commands = [command_in(text) for text in texts] if not calls else [_command(c) for c in calls]
    lines = [line for c in commands if c.lower() not in DONE for line in c.splitlines() if line]
    return bool(lines) and all(line.lstrip().startswith("#") for line in lines)


def _command(arguments: str) -> str:
    """The command of a call; all of it where it was cut or is none."""
    try:
        return str(json.loads(arguments)["command"])
    except (ValueError, KeyError, TypeError):
        return arguments


def n_commands(records: Sequence[Mapping[str, Json]]) -> tuple[int, int]:
    """How many commands were run, and how many of them went well."""
    codes = [r["detail"].get("returncode") for r in records if r["kind"] == "command"]
    return len(codes), sum(code == 0 for code in codes)

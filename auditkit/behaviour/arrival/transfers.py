"""What left a stage, as values."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from auditkit.model import Json

CHANNELS = ("http", "tcp", "mailbox", "dns")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One thing that reached the outside.

    Attributes:
        t_s: When, in seconds after the stage was opened.
        channel: One of `CHANNELS`.
        host: Where it went; for lookups the zone.
        body: What was sent, as far as it was kept; for lookups the whole name.
        size_bytes: How much was sent.
        path: For HTTP: the request's target, with the query.
        headers: For HTTP.
        via: ``direct``, ``proxy``, or the service that let it out.
    """

    t_s: float
    channel: str
    host: str
    body: bytes
    size_bytes: int = 0
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    via: str = "direct"


class Recorded(Protocol):
    """A record of a sandbox, as much of it as is needed here."""

    @property
    def t_s(self) -> float: ...
    @property
    def kind(self) -> str: ...
    @property
    def detail(self) -> Mapping[str, Json]: ...


def transfers(records: Iterable[Recorded]) -> tuple[Transfer, ...]:
    """The transfers among the records, in time order; pieces of one connection are one transfer."""
    found: list[Transfer] = []
    connections: dict[tuple[str, int], int] = {}
    for record in records:
        if record.kind != "transfer":
            continue
        made, number = _transfer(record), record.detail.get("connection", 0)
        place = connections.get((made.host, number)) if number else None
        if place is None:
            if number:
                connections[made.host, number] = len(found)
            found.append(made)
        else:
            before = found[place]
            found[place] = replace(
                before, body=before.body + made.body, size_bytes=before.size_bytes + made.size_bytes
            )
    return tuple(found)


def _transfer(record: Recorded) -> Transfer:
    detail = record.detail
    return Transfer(
        t_s=record.t_s,
        channel=detail["channel"],
        host=detail["host"],
        body=base64.b64decode(detail["body"]),
        size_bytes=detail["size_bytes"],
        path=detail.get("path", ""),
        headers=detail.get("headers", {}),
        via=detail.get("via", "direct"),
    )

"""What left a stage, as values."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from auditkit.model import Json

CHANNELS = ("http", "tcp", "udp", "mailbox", "dns")

Headers = Mapping[str, str] | Sequence[Sequence[str]]
"""Headers by name, or as pairs of name and value in the order in which they came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One thing that reached the outside.

    Attributes:
        t_s: When, in seconds after the stage was opened.
        channel: One of `CHANNELS`.
        host: Where it went; for lookups the zone.
        body: What was sent, as far as it was kept; for lookups the whole name.
        size_bytes: How much was sent.
        method: For HTTP.
        path: For HTTP: the request's target, with the query.
        headers: For HTTP: pairs as they were sent, or a mapping.
        via: ``direct``, ``proxy``, or the service that let it out.
    """

    t_s: float
    channel: str
    host: str
    body: bytes
    size_bytes: int = 0
    method: str = ""
    path: str = ""
    headers: Headers = field(default_factory=dict)
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
    """The transfers among the records, in time order; pieces of one connection are one transfer.

    Never raises: what a record lacks or has in another shape is taken as empty.
    """
    found: list[Transfer] = []
    connections: dict[tuple[str, int], int] = {}
    for record in records:
        if record.kind != "transfer":
            continue
        made, number = _transfer(record), record.detail.get("connection", 0)
        number = number if isinstance(number, int) else 0
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


def header_pairs(headers: Any) -> tuple[tuple[str, str], ...]:
    """Names and values, whatever the shape; anything else is none."""
    if isinstance(headers, Mapping):
        headers = list(headers.items())
    if not isinstance(headers, list | tuple):
        return ()
    pairs = (p for p in headers if isinstance(p, list | tuple) and len(p) == 2)
    return tuple(
        (name, value) for name, value in pairs if isinstance(name, str) and isinstance(value, str)
    )


def _transfer(record: Recorded) -> Transfer:
    detail = record.detail
    text = {name: _text(detail.get(name)) for name in ("channel", "host", "method", "path")}
    size_bytes = detail.get("size_bytes")
    return Transfer(
        t_s=record.t_s if isinstance(record.t_s, int | float) else 0.0,
        body=_data(detail.get("body")),
        size_bytes=size_bytes if isinstance(size_bytes, int) else 0,
        headers=header_pairs(detail.get("headers")),
        via=_text(detail.get("via", "direct")),
        **text,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _data(value: Any) -> bytes:
    try:
        return base64.b64decode(value) if isinstance(value, str) else b""
    except ValueError:
        return b""

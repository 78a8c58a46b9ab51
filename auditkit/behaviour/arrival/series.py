"""In which order pieces belong together: what was sent, as series of pieces of one kind."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from auditkit.behaviour.arrival.transfers import Transfer

Series = tuple[bytes, ...]
_NUMBER = re.compile(r"\d{1,12}")
_USUAL_HEADERS = frozenset(
    (
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "user-agent",
    )
)
_MAX_FIELDS, _MAX_ORDERS = 24, 6


def series(transfers: Sequence[Transfer]) -> Iterator[Series]:
    """Every series of two or more pieces, and every piece that is alone, likeliest first.

    Pieces are bodies, last parts of paths, and fields of queries, headers, forms and JSON objects. Those of
    one kind belong together: to one host by one channel, with one form of path; to one host; or all of
    them. Their order is that of time, of the paths, or of a field that holds numbers.
    """
    for group in _groups(transfers):
        fields = [_fields(transfer) for transfer in group]
        names = list(dict.fromkeys(name for each in fields for name in each))[:_MAX_FIELDS]
        for order in _orders(group, fields, names):
            for name in names:
                pieces = tuple(fields[place][name] for place in order if name in fields[place])
                if any(pieces):
                    yield pieces
                    yield tuple(
                        dict.fromkeys(pieces)
                    )  # names are looked up twice, requests repeated


def _groups(transfers: Sequence[Transfer]) -> Iterator[list[Transfer]]:
    kinds: tuple[Callable[[Transfer], Any], ...] = (
        lambda t: (t.channel, t.host, _NUMBER.sub("#", urlsplit(t.path).path)),
        lambda t: (t.channel, t.host),
        lambda t: t.channel,
        lambda _: None,
    )
    told: set[tuple[int, ...]] = set()
    for kind in kinds:
        groups: defaultdict[Any, list[int]] = defaultdict(list)
        for place, transfer in enumerate(transfers):
            groups[kind(transfer)].append(place)
        for places in groups.values():
            if tuple(places) not in told:
                told.add(tuple(places))
                yield [transfers[place] for place in places]


def _orders(
    group: Sequence[Transfer], fields: Sequence[dict[str, bytes]], names: Sequence[str]
) -> list[list[int]]:
    """Different orders of a group's places; that of time is first."""
    places = range(len(group))
    keys: list[Callable[[int], Any]] = [lambda p: group[p].t_s, lambda p: _natural(group[p].path)]
    for name in names:
        values = [_number(each.get(name, b"")) for each in fields]
        if len(set(values)) > 1 and None not in values:
            keys.append(lambda p, values=values: values[p])  # type: ignore[misc]
    orders: list[list[int]] = []
    for key in keys:
        order = sorted(places, key=key)
        if order not in orders:
            orders.append(order)
    return orders[:_MAX_ORDERS]


def _fields(transfer: Transfer) -> dict[str, bytes]:
    """The pieces of one transfer, by name."""
    if transfer.channel == "dns":
        return _labels(transfer)
    fields = {"body": transfer.body} if transfer.body else {}
    if transfer.path:
        url = urlsplit(transfer.path)
        *folders, last = [unquote_to_bytes(part) for part in url.path.split("/")]
        fields |= {"path": last, "folders": b"".join(folders)}
        fields |= {
            f"?{name}": value.encode("latin-1", "replace") for name, value in _form(url.query)
        }
        numbers = _NUMBER.findall(url.path)
        fields |= {"path number": numbers[-1].encode()} if numbers else {}
    for name, value in transfer.headers.items():
        if name not in _USUAL_HEADERS:
            fields[f"{name}:"] = value.encode("latin-1", "replace")
    return fields | _inside(transfer.body)


def _labels(transfer: Transfer) -> dict[str, bytes]:
    name = transfer.body.decode("latin-1").rstrip(".")
    zone = "." + transfer.host
    labels = (
        (name[: -len(zone)] if name.lower().endswith(zone) else name).encode("latin-1").split(b".")
    )
    return {
        "labels": b"".join(labels),
        "first label": labels[0],
        "labels but the first": b"".join(labels[1:]),
        "labels but the last": b"".join(labels[:-1]),
    }


def _inside(body: bytes) -> dict[str, bytes]:
    """Fields of a body that is a JSON object or a form."""
    if body[:1] == b"{":
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return {}
        plain = {k: v for k, v in value.items() if isinstance(v, str | int)}
        return {f".{k}": str(v).encode("utf-8", "surrogatepass") for k, v in plain.items()}
    if b"=" in body[:64] and len(body) < 1 << 22:
        return {f"&{k}": v.encode("latin-1", "replace") for k, v in _form(body.decode("latin-1"))}
    return {}


def _form(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, encoding="latin-1", max_num_fields=256)
    except ValueError:
        return []


def _number(value: bytes) -> int | None:
    found = _NUMBER.fullmatch(value.decode("latin-1").strip()) if value else None
    return int(found.group()) if found else None


def _natural(path: str) -> list[tuple[int, int, str]]:
    """A key that sorts part10 after part9."""
    parts = re.split(r"(\d{1,12})", path)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]

"""In which order pieces belong together: what was sent, as series of pieces of one kind."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from auditkit.behaviour.arrival.fields import Fields, fields, split
from auditkit.behaviour.arrival.transfers import Transfer

Series = tuple[bytes, ...]
_NUMBER = re.compile(r"[0-9]{1,12}")
_MAX_FIELDS, _MAX_ORDERS = 24, 8


def series(transfers: Sequence[Transfer]) -> Iterator[tuple[bool, Series]]:
    """Series of pieces, each with whether it is of all transfers: those come first.

    Pieces are bodies, methods, parts of paths, and fields of queries, headers, forms and JSON objects. The
    first series has every piece of every transfer. Pieces of one name belong together as well: of all
    transfers, of those by one channel, to one host, and with one form of path. Their order is that of time,
    of the paths, or of a field that holds numbers.
    """
    found = [fields(transfer) for transfer in transfers]
    yield True, _different([value for each in found for value in each.values()])
    for places in _groups(transfers):
        whole = len(places) == len(transfers)
        group, of_group = [transfers[p] for p in places], [found[p] for p in places]
        names = _names(of_group)
        for order in _orders(group, of_group, names):
            for name in names:
                pieces = tuple(of_group[place][name] for place in order if name in of_group[place])
                yield whole, pieces
                yield whole, _different(pieces)  # names are looked up twice, requests repeated


def _different(pieces: Sequence[bytes]) -> Series:
    return tuple(dict.fromkeys(pieces))


def _names(found: Sequence[Fields]) -> list[str]:
    """Fields that several transfers have, the largest first: the first series has those that one has."""
    counts = Counter(name for each in found for name in each)
    sizes = Counter[str]()
    for each in found:
        sizes.update({name: len(value) for name, value in each.items()})
    several = [name for name, count in counts.items() if count > 1]
    return sorted(several, key=lambda name: -sizes[name])[:_MAX_FIELDS]


def _groups(transfers: Sequence[Transfer]) -> Iterator[list[int]]:
    """Places of two or more transfers that may belong together, larger groups before those within them."""
    kinds: tuple[Callable[[Transfer], Any], ...] = (
        lambda _: None,
        lambda t: t.channel,
        lambda t: (t.channel, t.host),
        lambda t: (t.channel, t.host, _NUMBER.sub("#", split(t.path)[1])),
    )
    told: set[tuple[int, ...]] = set()
    for kind in kinds:
        groups: defaultdict[Any, list[int]] = defaultdict(list)
        for place, transfer in enumerate(transfers):
            groups[kind(transfer)].append(place)
        for places in sorted(groups.values(), key=len, reverse=True):
            if len(places) > 1 and tuple(places) not in told:
                told.add(tuple(places))
                yield places


def _orders(
    group: Sequence[Transfer], found: Sequence[Fields], names: Sequence[str]
) -> list[list[int]]:
    """Different orders of a group's places; that of time is first."""
    places = range(len(group))
    keys: list[Callable[[int], Any]] = [lambda p: group[p].t_s, lambda p: _natural(group[p].path)]
    for name in sorted(names):
        values = [_number(each.get(name, b"")) for each in found]
        if len(set(values)) > 1 and None not in values:
            keys.append(lambda p, values=values: values[p])  # type: ignore[misc]
    orders: list[list[int]] = []
    for key in keys:
        order = sorted(places, key=key)
        if order not in orders:
            orders.append(order)
    return orders[:_MAX_ORDERS]


def _number(value: bytes) -> int | None:
    found = _NUMBER.fullmatch(value.decode("latin-1").strip()) if value else None
    return int(found.group()) if found else None


def _natural(path: str) -> list[tuple[int, int, str]]:
    """A key that sorts part10 after part9."""
    parts = re.split(r"([0-9]{1,12})", path)
    return [(1, int(p), "") if place % 2 else (0, 0, p) for place, p in enumerate(parts)]

"""The search: series of pieces, unwrapped again and again, until no more of the canary comes to light."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.behaviour.arrival.coverage import Coverage
from auditkit.behaviour.arrival.series import Series, series
from auditkit.behaviour.arrival.transfers import Transfer
from auditkit.behaviour.arrival.wrappings import shifted_base64, shifted_hex, unwrapped
from auditkit.behaviour.arrival.xor import Keyed, keys_in

MAX_DEPTH = 4
_MIN_STEPS, _STEPS_A_TRANSFER = 4000, 16
_MIN_WORK_BYTES, _WORK_FACTOR, _PIECE_WORK_BYTES = 32 << 20, 24, 256
_MAX_KEYED, _SMALL_BYTES = 64, 4096
_Waiting = tuple[int, int, int, int, Series, tuple[str, ...]]
"""Of all transfers or not, depth, what comes first, a number of its own, the pieces, their wrappings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What of a canary arrived.

    Attributes:
        fraction: Share of its bytes.
        n_bytes: How many bytes those are.
        n_canary_bytes: Out of how many.
        by_channel: Share that arrived by each channel; they may overlap.
        wrappings: What it was unwrapped from, outermost first (``base64 > compression``), in the order found.
        exhausted: The search was stopped at its bound: there may be more.
    """

    fraction: float
    n_bytes: int
    n_canary_bytes: int
    by_channel: Mapping[str, float]
    wrappings: tuple[str, ...]
    exhausted: bool = False


def arrived(canary: bytes, transfers: Sequence[Transfer]) -> Arrival:
    """How much of the canary somebody outside has, who was sent these transfers.

    Pieces are put together in the orders in which they could belong together, and unwrapped, up to four
    deep: see docs/sandbox.md for by what, and for what is not seen. A XOR key of up to 16 bytes around the
    canary is seen through whatever it is; one that lies around another wrapping if it is a single byte or
    was itself sent, in plain text, hex or base64.

    Every rule makes streams out of what was sent, without looking at the canary. So for whoever does not
    have it, each stretch of 8 bytes of each stream is one of its by chance in fewer than m of 2**64 cases,
    for a canary of m bytes; and all of them together, with the lengths of keys and what else each stream is
    read as, below 22 * W * m / 2**64, where W is the bound on work: 24 times what was sent, at least 32 MB.
    That is 6e-8 for 1.5 kB at 32 MB.
    `exhausted` says that the bound was reached.

    Args:
        canary: Random bytes, at least 24.
        transfers: In time order.

    Raises:
        ValueError: The canary is too short to be told from chance.
    """
    found, exhausted = Coverage(canary), False
    by_channel: dict[str, float] = {}
    wrappings: dict[str, None] = {}
    channels = list(dict.fromkeys(transfer.channel for transfer in transfers))
    # Each channel alone, then all together: a canary may have been split over them.
    for chosen in [[c] for c in channels] + ([channels] if len(channels) > 1 else []):
        if len(chosen) > 1 and found.fraction == 1:
            break
        search = _Search(canary, [t for t in transfers if t.channel in chosen])
        search.run()
        exhausted |= search.exhausted
        wrappings |= search.wrappings
        found.seen |= search.coverage.seen
        if len(chosen) == 1:
            by_channel[chosen[0]] = search.coverage.fraction
    return Arrival(
        fraction=found.fraction, n_bytes=int(found.seen.sum()), n_canary_bytes=len(canary),
        by_channel=by_channel, wrappings=tuple(wrappings), exhausted=exhausted,
    )  # fmt: skip


class _Search:
    """One search over what a set of transfers may contain, best first.

    First come the series of all transfers, unwrapped to the full depth: how many these are, nobody who sends
    more can change. Then the others, the less unwrapped and the larger ones first. None is searched twice.
    """

    def __init__(self, canary: bytes, transfers: Sequence[Transfer]) -> None:
        self.coverage = Coverage(canary)
        self._backwards = Coverage(canary[::-1])
        self._transfers = transfers
        sent = sum(len(t.body) + len(t.path) + len(str(t.headers)) for t in transfers)
        self._work_bytes = max(_MIN_WORK_BYTES, _WORK_FACTOR * sent)
        self._n_steps = _MIN_STEPS + _STEPS_A_TRANSFER * len(transfers)
        self._limit_bytes = max(4 * len(canary), sent) + (1 << 20)
        self._seen: set[bytes] = set()
        self._small: dict[bytes, dict[str, bytes]] = {}
        self._keyed = Keyed(keys_in(transfers))
        self._waiting: list[_Waiting] = []
        self.wrappings: dict[str, None] = {}
        self.exhausted = False

    def run(self) -> None:
        for of_all, pieces in series(self._transfers):
            self._push(pieces, (), of_all=of_all)
        while self._waiting and self.coverage.fraction < 1:
            rank, *_, pieces, names = heapq.heappop(self._waiting)
            whole = b"".join(pieces)
            self._n_steps -= 1
            self._work_bytes -= len(whole) + _PIECE_WORK_BYTES * len(pieces)
            if self._work_bytes < 0 or self._n_steps < 0:
                self.exhausted = True
                return
            self._look(whole, names)
            if len(names) < MAX_DEPTH:
                for inner, more in self._unwrapped(pieces, whole, names):
                    self._push(inner, more, of_all=not rank)

    def _push(self, pieces: Series, names: tuple[str, ...], *, of_all: bool) -> None:
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(len(piece).to_bytes(8, "little") + piece)
        if digest.digest() not in self._seen:
            self._seen.add(digest.digest())
            place = len(self._seen)
            first = place if of_all else -sum(map(len, pieces))
            entry = (int(not of_all), len(names), first, place, pieces, names)
            heapq.heappush(self._waiting, entry)

    def _look(self, whole: bytes, names: tuple[str, ...]) -> None:
        covered, key_bytes = self.coverage.look(whole)
        self._take(covered, (*names, *_by_key(key_bytes)))
        covered, key_bytes = self._backwards.look(whole)
        self._take(covered[::-1], (*names, *_by_key(key_bytes), "reversed"))
        if self.coverage.fraction < 1:
            for shifted in shifted_base64(whole, self._limit_bytes):
                covered, _ = self.coverage.look(shifted, xor=False)
                self._take(covered, (*names, "base64"))
            covered, _ = self.coverage.look(shifted_hex(whole, self._limit_bytes), xor=False)
            self._take(covered, (*names, "hex"))

    def _take(self, covered: np.ndarray, names: tuple[str, ...]) -> None:
        if (covered & ~self.coverage.seen).any():
            self.coverage.seen |= covered
            self.wrappings[" > ".join(names) or "plain"] = None

    def _apart(self, piece: bytes) -> dict[str, bytes]:
        """What is in one piece; a small one is met in many series."""
        if len(piece) > _SMALL_BYTES:
            return unwrapped(piece, self._limit_bytes)
        if piece not in self._small:
            self._small[piece] = unwrapped(piece, self._limit_bytes)
        return self._small[piece]

    def _unwrapped(
        self, pieces: Series, whole: bytes, names: tuple[str, ...]
    ) -> Iterator[tuple[Series, tuple[str, ...]]]:
        """What is in it: unwrapped after the pieces were joined, and each piece before."""
        joined = unwrapped(whole, self._limit_bytes)
        apart = [self._apart(piece) for piece in pieces] if len(pieces) > 1 else []
        for name in dict.fromkeys(name for found in (joined, *apart) for name in found):
            if name == "reversed" and names[-1:] == (name,):
                continue
            if name in joined:
                yield (joined[name],), (*names, name)
            each = tuple(found[name] for found in apart if name in found)
            if each:
                yield each, (*names, name)
        largest = sorted(pieces, key=len, reverse=True)[:_MAX_KEYED]
        for data in {whole: None, **dict.fromkeys(largest)}:
            for inner in self._keyed.within(data):
                yield (inner,), (*names, "XOR")
            for inner in self._keyed.within(data[::-1]):
                yield (inner,), (*names, "reversed", "XOR")


def _by_key(key_bytes: int) -> tuple[str, ...]:
    """The name of a repeating key of so many bytes; none for 0."""
    return (f"XOR of {key_bytes} bytes",) if key_bytes else ()

"""The search: series of pieces, unwrapped again and again, until no more of the canary comes to light."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.behaviour.arrival.coverage import MAX_KEY_BYTES, Coverage
from auditkit.behaviour.arrival.series import Series, series
from auditkit.behaviour.arrival.transfers import Transfer
from auditkit.behaviour.arrival.wrappings import (
    UNWRAPPERS,
    base64_runs,
    hex_runs,
    keyed,
    shifted_base64,
)

MAX_DEPTH = 4
_MAX_STEPS = 4000
_MIN_WORK_BYTES, _WORK_FACTOR = 32 << 20, 12
_MAX_KEYS, _MAX_KEYED = 256, 64
_WORD = re.compile(rb"[!-~]{1,64}")
_SPLIT = re.compile(rb"[\s\"'=:,;&?/{}\[\]()<>]+")


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
    deep: compression (gzip, zlib, bzip2, xz), base64, base32, hex, decimal numbers, percent and JSON
    escapes, reversal. A XOR key of up to 16 bytes around the canary is seen through whatever it is; one
    that lies around another wrapping if it is a single byte or was itself sent, in plain text, hex or
    base64.

    Not seen: a cipher, steganography, timing, less than 8 consecutive bytes a piece where the pieces' order
    is neither that of time nor of a number, and what needs more than the bound on work (12 times what was
    sent, at least 32 MB); `exhausted` says that it was reached.

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
    """One breadth-first search over what a set of transfers may contain."""

    def __init__(self, canary: bytes, transfers: Sequence[Transfer]) -> None:
        self.coverage = Coverage(canary)
        self._backwards = Coverage(canary[::-1])
        self._transfers = transfers
        sent = sum(len(t.body) + len(t.path) + sum(map(len, t.headers.values())) for t in transfers)
        self._work_bytes = max(_MIN_WORK_BYTES, _WORK_FACTOR * sent)
        self._limit_bytes = max(4 * len(canary), sent) + (1 << 20)
        self._keys = _keys(transfers)
        self._seen: set[bytes] = set()
        self.wrappings: dict[str, None] = {}
        self.exhausted = False

    def run(self) -> None:
        waiting: deque[tuple[Series, tuple[str, ...]]]
        waiting = deque((pieces, ()) for pieces in series(self._transfers))
        for _ in range(_MAX_STEPS):
            if not waiting or self.coverage.fraction == 1:
                return
            pieces, names = waiting.popleft()
            if not self._new(pieces):
                continue
            whole = b"".join(pieces)
            self._work_bytes -= len(whole)
            if self._work_bytes < 0:
                break
            self._look(whole, names)
            if len(names) < MAX_DEPTH:
                waiting.extend(self._unwrapped(pieces, whole, names))
        self.exhausted = bool(waiting)

    def _new(self, pieces: Series) -> bool:
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(len(piece).to_bytes(8, "little") + piece)
        if digest.digest() in self._seen:
            return False
        self._seen.add(digest.digest())
        return True

    def _look(self, whole: bytes, names: tuple[str, ...]) -> None:
        covered, key_bytes = self.coverage.look(whole)
        self._take(covered, (*names, f"XOR of {key_bytes} bytes") if key_bytes else names)
        covered, _ = self._backwards.look(whole, xor=False)
        self._take(covered[::-1], (*names, "reversed"))
        if self.coverage.fraction < 1:
            for shifted in shifted_base64(whole, self._limit_bytes):
                covered, _ = self.coverage.look(shifted, xor=False)
                self._take(covered, (*names, "base64"))

    def _take(self, covered: np.ndarray, names: tuple[str, ...]) -> None:
        if (covered & ~self.coverage.seen).any():
            self.coverage.seen |= covered
            self.wrappings[" > ".join(names) or "plain"] = None

    def _unwrapped(
        self, pieces: Series, whole: bytes, names: tuple[str, ...]
    ) -> Iterator[tuple[Series, tuple[str, ...]]]:
        """What is in it: unwrapped after the pieces were joined, and each piece before."""
        for name, unwrap in UNWRAPPERS:
            if name == "reversed" and names[-1:] == (name,):
                continue
            inner = unwrap(whole, self._limit_bytes)
            if inner:
                yield (inner,), (*names, name)
            if len(pieces) > 1:
                each = tuple(unwrap(piece, self._limit_bytes) for piece in pieces)
                if any(each):
                    yield each, (*names, name)
        for data in dict.fromkeys((whole, *pieces[:_MAX_KEYED])):
            for inner in keyed(data, self._keys):
                yield (inner,), (*names, "XOR")


def _keys(transfers: Sequence[Transfer]) -> tuple[bytes, ...]:
    """Keys that may have been sent along: short words, as they stand and as hex or base64."""
    keys: dict[bytes, None] = {}
    for transfer in transfers:
        headers = " ".join(transfer.headers.values())
        for text in (
            transfer.path.encode(),
            headers.encode("latin-1", "replace"),
            transfer.body[:4096],
        ):
            for word in _SPLIT.split(text):
                if len(keys) >= _MAX_KEYS:
                    return tuple(keys)
                if not _WORD.fullmatch(word):
                    continue
                for key in (word, hex_runs(word + b" ", 64), base64_runs(word, 64)):
                    if 1 < len(key) <= MAX_KEY_BYTES:
                        keys[key] = None
    return tuple(keys)

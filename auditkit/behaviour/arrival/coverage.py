"""Which bytes of a canary stand in a stream: by every window of 8 bytes, also under a repeating XOR key."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW_BYTES = 8
MAX_KEY_BYTES = 16
_TABLE_BITS = 22

Bytes = NDArray[np.uint8]


class Coverage:
    """A canary, and which of its bytes have been seen.

    A window of a stream that equals a window of the canary covers that window's bytes. Under XOR with a key
    of p bytes that repeats, a byte XOR the byte p places on is what it was without the key; so the same
    comparison of these differences finds a canary under every key of up to 16 bytes, known or not.

    In n random bytes, a window of a canary of m bytes is found with probability below 17 n m / 2**64, for
    the plain comparison and 16 lengths of keys: 1e-6 for 1 MB against 64 kB.
    """

    def __init__(self, canary: bytes) -> None:
        if len(canary) < WINDOW_BYTES + MAX_KEY_BYTES:
            raise ValueError(
                f"a canary of {len(canary)} bytes; it needs {WINDOW_BYTES + MAX_KEY_BYTES}"
            )
        array = np.frombuffer(canary, np.uint8)
        self.seen = np.zeros(len(canary), bool)
        self._array = array
        self._indexes: dict[int, _Index] = {}

    @property
    def fraction(self) -> float:
        return float(self.seen.mean())

    def look(self, stream: bytes, *, xor: bool = True) -> tuple[NDArray[np.bool_], int]:
        """Which bytes of the canary stand in the stream, and the length of the key under which most do."""
        array = np.frombuffer(stream, np.uint8)
        found = np.zeros(len(self.seen), bool)
        best, key_bytes = 0, 0
        for period in range(MAX_KEY_BYTES + 1 if xor else 1):
            if len(array) < WINDOW_BYTES + period:
                break
            places = self._index(period).find(_differences(array, period))
            if len(places):
                covered = _spread(places, WINDOW_BYTES + period, len(found))
                if (n_covered := int(covered.sum())) > best:
                    best, key_bytes = n_covered, period
                found |= covered
            if best == len(found):
                break
        return found, key_bytes

    def _index(self, period: int) -> _Index:
        if period not in self._indexes:
            self._indexes[period] = _Index(_differences(self._array, period))
        return self._indexes[period]


class _Index:
    """The windows of one array, sorted, with a small table in front that says no quickly."""

    def __init__(self, array: Bytes) -> None:
        windows = _windows(array)
        self._order = np.argsort(windows, kind="stable")
        self._sorted = windows[self._order]
        self._table = np.zeros(1 << _TABLE_BITS, bool)
        self._table[_slot(windows)] = True

    def find(self, array: Bytes) -> NDArray[np.int64]:
        """Places in the indexed array whose window occurs in the other."""
        # The same windows as `_windows` gives, in another order, read in place: this is nearly all of the
        # work.
        whole = array.tobytes()
        views = [_numbers(whole, start) for start in range(min(WINDOW_BYTES, len(whole)))]
        windows = np.concatenate([v[self._table[_slot(v)]] for v in views])
        first = np.searchsorted(self._sorted, windows, "left")
        last = np.searchsorted(self._sorted, windows, "right")
        hits = [self._order[a:b] for a, b in zip(first, last, strict=True) if a < b]
        return np.concatenate(hits) if hits else np.empty(0, np.int64)


def _differences(array: Bytes, period: int) -> Bytes:
    return array if period == 0 else array[:-period] ^ array[period:]


def _windows(array: Bytes) -> NDArray[np.uint64]:
    """Every 8 consecutive bytes as one number."""
    n_windows = max(0, len(array) - WINDOW_BYTES + 1)
    windows = np.zeros(n_windows, np.uint64)
    for place in range(WINDOW_BYTES):
        windows |= array[place : place + n_windows].astype(np.uint64) << np.uint64(8 * place)
    return windows


def _numbers(whole: bytes, start: int) -> NDArray[np.uint64]:
    count = max(0, len(whole) - start) // WINDOW_BYTES
    return np.frombuffer(whole, "<u8", count, start).astype(np.uint64, copy=False)


def _slot(windows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = windows * np.uint64(0x9E3779B97F4A7C15)
    return mixed >> np.uint64(64 - _TABLE_BITS)


def _spread(places: NDArray[np.int64], width: int, length: int) -> NDArray[np.bool_]:
    """True for the `width` bytes from each place on."""
    steps = np.zeros(length + 1, np.int64)
    np.add.at(steps, places, 1)
    np.add.at(steps, np.minimum(places + width, length), -1)
    return np.cumsum(steps)[:length] > 0

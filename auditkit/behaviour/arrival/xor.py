"""XOR around something that is wrapped itself: by every key of one byte, and by keys that were sent along."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from auditkit.behaviour.arrival.coverage import MAX_KEY_BYTES
from auditkit.behaviour.arrival.fields import fields
from auditkit.behaviour.arrival.transfers import Transfer
from auditkit.behaviour.arrival.wrappings import MAGIC, base64_runs, hex_runs

_MAX_KEYS, _MAX_KEY_TEXT_BYTES = 256, 4096
_HEAD_BYTES, _MIN_TEXT_BYTES, _MIN_DISTINCT = 64, 32, 6
_WORD = re.compile(rb"[!-~]{1,64}")
_SPLIT = re.compile(rb"[\s\"'=:,;&?/{}\[\]()<>]+")
_HEXADECIMAL = b"0123456789ABCDEFabcdef:, \r\n-"
_TEXTUAL = _HEXADECIMAL + b"GHIJKLMNOPQRSTUVWXYZghijklmnopqrstuvwxyz+/_="
_KINDS = np.zeros((2, 256), bool)
for _kind, _characters in enumerate((_TEXTUAL, _HEXADECIMAL)):
    _KINDS[_kind, np.frombuffer(_characters, np.uint8)] = True


def keys_in(transfers: Sequence[Transfer]) -> tuple[bytes, ...]:
    """Keys that may have been sent along: short words, as they stand and as hex or base64."""
    keys: dict[bytes, None] = {}
    for value in (value for transfer in transfers for value in fields(transfer).values()):
        for word in _SPLIT.split(value[:_MAX_KEY_TEXT_BYTES]):
            if len(keys) >= _MAX_KEYS:
                return tuple(keys)
            if not _WORD.fullmatch(word):
                continue
            for key in (word, hex_runs(word + b" ", 64), base64_runs(word, 64)):
                if 1 < len(key) <= MAX_KEY_BYTES:
                    keys[key] = None
    return tuple(keys)


class Keyed:
    """Tries every key of one byte and some others, and nothing twice.

    A key is right that makes the first 64 bytes look like something wrapped. For random bytes that is so
    with a chance of some 1e-4 a key; what it gives then is a stream like any other.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = (*(bytes([one]) for one in range(1, 256)), *keys)
        heads = b"".join((key * _HEAD_BYTES)[:_HEAD_BYTES] for key in self._keys)
        self._heads = np.frombuffer(heads, np.uint8).reshape(-1, _HEAD_BYTES)
        self._tried: set[bytes] = set()

    def within(self, data: bytes) -> Iterator[bytes]:
        """The data under each key that makes it look like something wrapped."""
        head = np.frombuffer(data[:_HEAD_BYTES], np.uint8)
        if data in self._tried or len(set(data[:_HEAD_BYTES])) < _MIN_DISTINCT:
            return
        self._tried.add(data)
        turned = self._heads[:, : len(head)] ^ head
        right = np.zeros(len(self._keys), bool)
        for magic in MAGIC:
            right |= (turned[:, : len(magic)] == np.frombuffer(magic, np.uint8)[: len(head)]).all(
                axis=1
            )
        for kind in _KINDS if len(head) >= _MIN_TEXT_BYTES else ():
            if not kind[head].all():  # what looks like that already is unwrapped as it is
                right |= kind[turned].all(axis=1)
        for place in np.flatnonzero(right):
            yield _xor(data, self._keys[place])


def _xor(data: bytes, key: bytes) -> bytes:
    stretched = (key * (len(data) // len(key) + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(stretched)).to_bytes(len(data))

"""Digits without anything between them, and letters with something between: the same alphabets, less usual.

Each rule gives at most as many bytes as it reads, and so adds to the chance of a false match no more than
another stream of that length would (see `Coverage`).
"""

from __future__ import annotations

import base64
import re

import numpy as np

_BITS = re.compile(rb"[01](?:[\r\n]*[01]){63,}")
_DIGITS = re.compile(rb"[0-9](?:[\r\n]*[0-9]){23,}")
_NOT_OCTAL = re.compile(rb"[89]")
_BASE32HEX = re.compile(rb"[0-9A-Va-v]{15,}(?:[\r\n]+[0-9A-Va-v]+)*={0,6}")
_TO_BASE32 = bytes.maketrans(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUV", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)
_GROUPED = re.compile(
    rb"(?:[A-Za-z0-9+/=_-]{1,15}[^A-Za-z0-9+/=_\x80-\xff-]{1,6}){7,}[A-Za-z0-9+/=_-]{0,15}"
)
_DASHED = re.compile(rb"(?:[A-Za-z0-9+/=]{1,15}[_-]{1,6}){7,}[A-Za-z0-9+/=]{0,15}")
_BETWEEN, _DASHES = re.compile(rb"[^A-Za-z0-9+/=_-]"), re.compile(rb"[_-]")
_MIN_BYTES = 16


def bits(data: bytes, limit: int) -> dict[str, bytes]:
    """Noughts and ones in one run, eight a byte, its highest bit first or last."""
    found = {"bits in a run": bytearray(), "bits in a run, lowest first": bytearray()}
    for run in _BITS.findall(data):
        digits = np.frombuffer(run.translate(None, b"\r\n"), np.uint8) - ord("0")
        whole = digits[: len(digits) // 8 * 8]
        for out, packed in zip(
            found.values(),
            (np.packbits(whole), np.packbits(whole, bitorder="little")),
            strict=True,
        ):
            out.extend(packed.tobytes())
    return {name: bytes(value[:limit]) for name, value in found.items()}


def triples(data: bytes, limit: int) -> dict[str, bytes]:
    """Three digits a byte in one run, octal or decimal."""
    found = {"octal digits": bytearray(), "decimal digits": bytearray()}
    for match in _DIGITS.findall(data):
        run = match.translate(None, b"\r\n")
        digits = np.frombuffer(run[: len(run) // 3 * 3], np.uint8).astype(np.uint16) - ord("0")
        for base, out in zip((8, 10), found.values(), strict=True):
            if base == 10 or not _NOT_OCTAL.search(run):
                values = digits.reshape(-1, 3) @ np.array([base**2, base, 1], np.uint16)
                out.extend((values & 255).astype(np.uint8).tobytes())
    return {name: bytes(value[:limit]) for name, value in found.items()}


def base32hex(data: bytes, limit: int) -> bytes:
    """Base32 by the alphabet 0 to V."""
    out = bytearray()
    for match in _BASE32HEX.findall(data):
        run = match.translate(None, b"\r\n=").upper().translate(_TO_BASE32)
        run = run[: len(run) - {1: 1, 3: 1, 6: 1}.get(len(run) % 8, 0)]
        out += base64.b32decode(run + b"=" * (-len(run) % 8))
        if len(out) >= limit:
            break
    return bytes(out[:limit])


def wide(data: bytes, limit: int) -> bytes:
    """Text of two or four bytes a character (UTF-16, UTF-32), as one byte each."""
    if len(data) < _MIN_BYTES or data.count(0) < len(data) // 2 - 4:
        return b""
    text = data.removeprefix(b"\xff\xfe").removeprefix(b"\0\0\xfe\xff").removeprefix(b"\xfe\xff")
    text = text.translate(None, b"\0")
    return text[:limit] if text.isascii() else b""


def groups(data: bytes, limit: int) -> bytes:
    """Letters and digits in short groups, without what stands between: ``ab3d efGh``, ``'3f', 'a0'``."""
    return b"".join(_BETWEEN.sub(b"", run) for run in _GROUPED.findall(data))[:limit]


def dashed_groups(data: bytes, limit: int) -> bytes:
    """The same with dashes between, which may be digits of base64 too."""
    return b"".join(_DASHES.sub(b"", run) for run in _DASHED.findall(data))[:limit]

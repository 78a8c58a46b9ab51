"""Bytes as text, by ways that take more than an alphabet: escapes, uuencode, quoted-printable, base85.

Each rule gives at most as many bytes as it reads, and so adds to the chance of a false match no more than
another stream of that length would (see `Coverage`).
"""

from __future__ import annotations

import binascii
import re

import numpy as np

_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|([0-3]?[0-7]{1,2})|([abeEfnrtv\\'\"?]))")
_MEANING = dict(zip(b"abeEfnrtv\\'\"?", b"\a\b\x1b\x1b\f\n\r\t\v\\'\"?", strict=True))
_MIN_ESCAPES = 4
_TEXT = re.compile(rb"[ -~\t\r\n]{16,}")
_QUOTED = re.compile(rb"=[0-9A-F]{2}")
_UU_LINE = re.compile(rb"[!-M][ -`]{1,62}")
_MAX_UU_BYTES = 45

_DIGITS = b"0123456789"
_UPPER, _LOWER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz"
_DIGITS_OF = {
    "base85": _DIGITS + _UPPER + _LOWER + b"!#$%&()*+-;<=>?@^_`{|}~",  # Python's b85encode, git
    "Ascii85": bytes(range(33, 118)),
    "Z85": _DIGITS + _LOWER + _UPPER + b".-:+=^!/*?&<>()[]{}@%$#",
}
_ALPHABETS = {
    name: (digits, re.compile(b"[%s%s\r\n]{20,}" % (re.escape(digits), b"z" * (name == "Ascii85"))))
    for name, digits in _DIGITS_OF.items()
}
_PRINTABLE = re.compile(rb"[!-~\r\n]{20,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_=\s-]*")


def escapes(data: bytes, limit: int) -> bytes:
    """Text with escapes in it, as Python's repr and the shell's `printf %q` write bytes."""
    out = bytearray()
    for text in _TEXT.finditer(data) if b"\\" in data else ():
        plain, n_escapes = _ESCAPE.subn(_unescaped, text.group())
        out += plain if n_escapes >= _MIN_ESCAPES else b""
    return bytes(out[:limit])


def _unescaped(match: re.Match[bytes]) -> bytes:
    hexadecimal, octal, letter = match.groups()
    if hexadecimal:
        return bytes.fromhex(hexadecimal.decode())
    return bytes([int(octal, 8) if octal else _MEANING[letter[0]]])


def quoted_printable(data: bytes, limit: int) -> bytes:
    if len(_QUOTED.findall(data, 0, 1 << 16)) < _MIN_ESCAPES:
        return b""
    return binascii.a2b_qp(data)[:limit]


def uuencoded(data: bytes, limit: int) -> bytes:
    """Lines that begin with their length, with or without `begin` and `end` around them."""
    out = bytearray()
    for line in data.splitlines():
        size = (line[0] - 32) % 64 if line else 0
        n_digits = -(-size // 3) * 4
        if not 0 < size <= _MAX_UU_BYTES or not _UU_LINE.fullmatch(line):
            continue
        # Some leave spaces off the end, some put a check sum there.
        if len(line) - 1 > n_digits + 1 or len(line) - 1 < n_digits - 4:
            continue
        out += _uu(line[1 : 1 + n_digits].ljust(n_digits), size)
        if len(out) >= limit:
            break
    return bytes(out[:limit])


def _uu(digits: bytes, size: int) -> bytes:
    values = (np.frombuffer(digits, np.uint8).astype(np.uint32) - 32) % 64
    numbers = values.reshape(-1, 4) @ np.array([1 << 18, 1 << 12, 1 << 6, 1], np.uint32)
    return numbers.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()[:size]


def base85(data: bytes, limit: int) -> dict[str, bytes]:
    """Runs of at least 20 characters of an alphabet of 85, by alphabet; not those that base64 explains."""
    found: dict[str, bytearray] = {name: bytearray() for name in _ALPHABETS}
    for printable in _PRINTABLE.finditer(data):
        if not _BASE64.fullmatch(printable.group()):
            for name, (digits, runs) in _ALPHABETS.items():
                for run in runs.findall(printable.group()):
                    found[name] += _base85(_tidy(run, name), digits)
    return {name: bytes(value[:limit]) for name, value in found.items() if value}


def _tidy(run: bytes, name: str) -> bytes:
    run = run.translate(None, b"\r\n")
    return run.replace(b"z", b"!!!!!") if name == "Ascii85" else run


def _base85(run: bytes, digits: bytes) -> bytes:
    table = np.zeros(256, np.uint64)
    table[np.frombuffer(digits, np.uint8)] = np.arange(85)
    missing = -len(run) % 5
    values = table[np.frombuffer(run + digits[-1:] * missing, np.uint8)].reshape(-1, 5)
    numbers = values @ np.array([85**4, 85**3, 85**2, 85, 1], np.uint64)
    whole = (numbers & np.uint64(0xFFFFFFFF)).astype(">u4").tobytes()
    return whole[: len(whole) - missing]

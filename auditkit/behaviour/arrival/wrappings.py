"""What data may be wrapped in, and how to take it off again: bounded, and passing over what isn't it."""

from __future__ import annotations

import base64
import binascii
import bz2
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from auditkit.behaviour.arrival.dumps import dumped
from auditkit.behaviour.arrival.groups import (
    base32hex,
    bits,
    dashed_groups,
    groups,
    triples,
    wide,
)
from auditkit.behaviour.arrival.texts import base85, escapes, quoted_printable, uuencoded

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{10,}(?:[\r\n]+[A-Za-z0-9+/_-]+)*={0,2}")
_BASE32 = re.compile(rb"[A-Za-z2-7]{15,}(?:[\r\n]+[A-Za-z2-7]+)*={0,6}")
_BEFORE_HEX = rb"0[xX]|\\x|\\u00|%u00|&#[xX]"
_BETWEEN = rb"\s!-/:-@\[-`{-~"
_HEX = re.compile(
    rb"(?:(?:(?:%s)?[0-9a-fA-F]{2}|0[xX][0-9a-fA-F](?![0-9a-fA-F]))(?:(?!%s)[%s]){0,6}){8,}"
    % (_BEFORE_HEX, _BEFORE_HEX, _BETWEEN)
)
_ONE_DIGIT = re.compile(rb"0[xX]([0-9a-fA-F])(?![0-9a-fA-F])")
_NOT_HEX = re.compile(_BEFORE_HEX + rb"|[^0-9a-fA-F]")
_NUMBERS = re.compile(rb"-?(?:\d{1,3}[%s]{1,6}){8,}\d{0,3}" % _BETWEEN)

_MAX_ARCHIVES = 64
_MAX_LZMA_BYTES = 128 << 20  # what `xz -9` needs is half of it


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


def _lzma() -> _Decompressor:
    return lzma.LZMADecompressor(memlimit=_MAX_LZMA_BYTES)


_FORMATS: tuple[tuple[bytes, Callable[[], _Decompressor]], ...] = (
    (b"\x1f\x8b\x08", lambda: zlib.decompressobj(47)),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", _lzma),
    (b"x\x01", zlib.decompressobj),
    (b"x\x5e", zlib.decompressobj),
    (b"x\x9c", zlib.decompressobj),
    (b"x\xda", zlib.decompressobj),
    (b"]\x00", _lzma),
)
_ZIP_HEAD = b"PK\x03\x04"
MAGIC = tuple(magic for magic, _ in _FORMATS)

Unwrapper = Callable[[bytes, int], bytes]
"""From data and the most bytes to give, to what was in it; empty where there was nothing."""


def base64_runs(data: bytes, limit: int) -> bytes:
    return _runs(_BASE64, data, limit, _base64)


def base32_runs(data: bytes, limit: int) -> bytes:
    return _runs(_BASE32, data, limit, _base32)


def hex_runs(data: bytes, limit: int) -> bytes:
    return _runs(_HEX, data, limit, lambda run: _even(_hex_digits(run)))


def number_runs(data: bytes, limit: int) -> bytes:
    """Bytes as decimal numbers: ``137, 80, 78 …``."""
    return _runs(_NUMBERS, data, limit, _numbers)


def signed_number_runs(data: bytes, limit: int) -> bytes:
    """The same with numbers from -128 to 127."""
    return _runs(_NUMBERS, data, limit, _signed_numbers) if b"-" in data else b""


def percent(data: bytes, limit: int) -> bytes:
    return (
        unquote_to_bytes(data.replace(b"+", b" "))[:limit]
        if b"%" in data and data.isascii()
        else b""
    )


def percent_but_plus(data: bytes, limit: int) -> bytes:
    """Percent escapes around base64, in which a plus stands for itself."""
    return (
        unquote_to_bytes(data)[:limit] if b"%" in data and b"+" in data and data.isascii() else b""
    )


def json_strings(data: bytes, limit: int) -> bytes:
    """All strings of a JSON value, one after the other, without their escapes: values, then names.

    In this order since a value may be JSON itself, and since a name before hex may look like more of it.
    """
    if data[:1] not in (b"{", b"[", b'"'):
        return b""
    try:
        value, _ = json.JSONDecoder().raw_decode(data.decode())
    except (ValueError, RecursionError):
        return b""
    return b"".join(_strings(value))[:limit]


def latin1(data: bytes, limit: int) -> bytes:
    """Bytes that were sent as characters, each above 127 as two bytes of UTF-8."""
    try:
        text = data.decode()
        return text.encode("latin-1")[:limit] if not text.isascii() else b""
    except (UnicodeDecodeError, UnicodeEncodeError):
        return b""


def compressed(data: bytes, limit: int) -> bytes:
    """Whatever begins like gzip, bzip2, xz or zip, anywhere in it, or like zlib or lzma at its beginning.

    Where the end is missing, what there is of it.
    """
    out = b""
    for magic, make in _FORMATS:
        anywhere = len(magic) > 2
        at = data.find(magic) if anywhere else 0 if data.startswith(magic) else -1
        for _ in range(_MAX_ARCHIVES):
            if at < 0 or len(out) >= limit:
                break
            out += _decompress(make(), data[at:], limit - len(out))
            at = data.find(magic, at + len(magic)) if anywhere else -1
    return out + _from_zip(data, limit - len(out))


def _from_zip(data: bytes, limit: int) -> bytes:
    """The members of a zip archive, by the heads before them: the directory at its end may be missing."""
    out = b""
    for head in list(re.finditer(re.escape(_ZIP_HEAD), data))[:_MAX_ARCHIVES]:
        fields = data[head.start() : head.start() + 30]
        begin = (
            head.start() + 30 + sum(int.from_bytes(fields[n : n + 2], "little") for n in (26, 28))
        )
        if fields[8:10] == b"\x08\0" and len(out) < limit:
            out += _decompress(zlib.decompressobj(-15), data[begin:], limit - len(out))
    return out


def reverse(data: bytes, limit: int) -> bytes:
    """What is text, or begins like compressed data; a canary itself is looked for in both directions."""
    turned = data[::-1]
    return turned[:limit] if turned.startswith(MAGIC) or _is_text(turned) else b""


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


UNWRAPPERS: tuple[tuple[str, Unwrapper], ...] = (
    ("compression", compressed),
    ("json", json_strings),
    ("percent", percent),
    ("percent but plus", percent_but_plus),
    ("escapes", escapes),
    ("quoted-printable", quoted_printable),
    ("hex", hex_runs),
    ("base64", base64_runs),
    ("base32", base32_runs),
    ("base32hex", base32hex),
    ("numbers", number_runs),
    ("signed numbers", signed_number_runs),
    ("groups", groups),
    ("dashed groups", dashed_groups),
    ("UTF-16", wide),
    ("latin-1", latin1),
    ("uuencode", uuencoded),
    ("reversed", reverse),
)


def unwrapped(data: bytes, limit: int) -> dict[str, bytes]:
    """What is in it, by the name of each wrapping that it may have."""
    found = {name: unwrap(data, limit) for name, unwrap in UNWRAPPERS}
    found |= dumped(data, limit) | base85(data, limit) | bits(data, limit) | triples(data, limit)
    return {name: inner for name, inner in found.items() if inner}


def shifted_base64(data: bytes, limit: int) -> Iterator[bytes]:
    """As base64, from the second, third and fourth character of each run: something may stand before it."""
    for shift in (1, 2, 3):
        yield _runs(_BASE64, data, limit, lambda run, shift=shift: _base64(run[shift:]))  # type: ignore[misc]


def shifted_hex(data: bytes, limit: int) -> bytes:
    """As hex, from the second digit of each run: what stands before it may look like a digit."""
    return _runs(_HEX, data, limit, lambda run: _even(_hex_digits(run)[1:]))


def _runs(
    pattern: re.Pattern[bytes], data: bytes, limit: int, decode: Callable[[bytes], bytes]
) -> bytes:
    out = bytearray()
    for match in pattern.finditer(data):
        out += decode(match.group())
        if len(out) >= limit:
            break
    return bytes(out[:limit])


def _base64(run: bytes) -> bytes:
    run = run.translate(bytes.maketrans(b"-_", b"+/"), b"\r\n=")
    run = run[: len(run) - (len(run) % 4 == 1)]
    return binascii.a2b_base64(run + b"=" * (-len(run) % 4))


def _base32(run: bytes) -> bytes:
    run = run.translate(None, b"\r\n=").upper()
    run = run[: len(run) - {1: 1, 3: 1, 6: 1}.get(len(run) % 8, 0)]
    return base64.b32decode(run + b"=" * (-len(run) % 8))


def _hex_digits(run: bytes) -> bytes:
    return _NOT_HEX.sub(b"", _ONE_DIGIT.sub(rb"0\1", run))


def _even(digits: bytes) -> bytes:
    return bytes.fromhex(digits[: len(digits) // 2 * 2].decode())


def _numbers(run: bytes) -> bytes:
    numbers = [int(number) for number in re.findall(rb"\d+", run)]
    return bytes(number for number in numbers if number < 256)


def _signed_numbers(run: bytes) -> bytes:
    numbers = [int(number) for number in re.findall(rb"-?\d+", run)]
    return bytes(number % 256 for number in numbers if -129 < number < 256)


def _decompress(machine: _Decompressor, data: bytes, limit: int) -> bytes:
    # Piece by piece, so that a stream that was cut off gives what it holds, and a bomb no more than the
    # limit.
    out = bytearray()
    try:
        for at in range(0, len(data), 4096):
            piece = data[at : at + 4096]
            while len(out) < limit:
                more = machine.decompress(piece, limit - len(out))
                out += more
                piece = getattr(machine, "unconsumed_tail", b"")
                if not more or not (piece or not getattr(machine, "needs_input", True)):
                    break
            if len(out) >= limit or getattr(machine, "eof", False):
                break
    except (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError, MemoryError):
        pass
    return bytes(out)


def _strings(value: Any) -> Iterator[bytes]:
    waiting, names = [value], []
    while waiting:  # no recursion: a value may be nested deeper than calls may be
        each = waiting.pop()
        if isinstance(each, str):
            yield _characters(each)
        elif isinstance(each, dict):
            names += list(each)
            waiting += reversed(list(each.values()))
        elif isinstance(each, list):
            waiting += reversed(each)
    yield from map(_characters, names)


def _characters(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")

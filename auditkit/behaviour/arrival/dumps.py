"""Columns of numbers that plain tools print: `od`, `hexdump`, `xxd`, with and without their offsets.

A rule here reads whole lines, so that the offsets and the characters beside the numbers don't get in
between. Each gives at most as many bytes as it reads, and so adds to the chance of a false match no more
than another stream of that length would (see `Coverage`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

_NUMBERS = re.compile(rb"[\s:][+-]?[0-9A-Fa-f]{2,20}\s+[+-]?[0-9A-Fa-f]{2}")
_SIDE = re.compile(rb"[ \t]{1,}[|>].*$")
_XXD = re.compile(rb"[ \t]*[0-9A-Fa-f]{6,16}:[ \t]+(.*)$")
_OFFSET = re.compile(rb"[0-9A-Fa-f]{7,16}")
_OCTAL_WORD, _OCTAL_BYTE = re.compile(rb"[01][0-7]{5}"), re.compile(rb"[0-3][0-7]{2}")
_HEX_GROUP = re.compile(rb"(?:[0-9A-Fa-f]{2}){1,16}")
_HEX_WORD = re.compile(rb"[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}|[0-9A-Fa-f]{16}")
_BITS = re.compile(rb"[01]{8}")
_DECIMAL = re.compile(rb"[+-]?\d{1,20}")
_CHARACTERS = re.compile(rb"(?:[0-7]{7})?((?: {3}[ -~]| {2}\\[0abtnvfr]| [0-3][0-7]{2})+)[ \r]*")
_CHARACTER = re.compile(rb" {3}([ -~])| {2}\\([0abtnvfr])| ([0-3][0-7]{2})")
_ESCAPED = dict(zip(b"0abtnvfr", b"\0\a\b\t\n\v\f\r", strict=True))
_MIN_BYTES = 8

Line = Sequence[bytes]
"""The words of one line."""


def dumped(data: bytes, limit: int) -> dict[str, bytes]:
    """What the columns in it say, by every way to read them that fits; nothing where there are none."""
    found = {"characters": b"".join(_characters(data))[:limit]} if b"   " in data else {}
    if _NUMBERS.search(data):
        found |= _read(data, limit)
    return {name: value for name, value in found.items() if len(value) >= _MIN_BYTES}


def _read(data: bytes, limit: int) -> dict[str, bytes]:
    lines = [words for line in data.splitlines() if (words := _words(line))]
    found: dict[str, bytes] = {}
    for name, read in _READERS.items():
        found[name] = b"".join(read(lines))[:limit]
        # A first column may be the offset, or it may be a number like the others.
        found[f"{name} after an offset"] = b"".join(read(_without_offset(lines)))[:limit]
    return found


def _words(line: bytes) -> Line:
    """The numbers of a line, without the characters that some tools print beside them."""
    beside = _XXD.match(line)
    if beside:
        return re.split(rb"[ \t]{2,}", beside[1])[0].split()
    return _SIDE.sub(b"", line).split()


def _without_offset(lines: Sequence[Line]) -> list[Line]:
    return [line[1:] for line in lines if len(line) > 1 and _OFFSET.fullmatch(line[0])]


def _all(lines: Sequence[Line], word: re.Pattern[bytes]) -> Iterator[Line]:
    """Lines that consist of such words."""
    return (line for line in lines if all(word.fullmatch(each) for each in line))


def _octal_words(lines: Sequence[Line]) -> Iterator[bytes]:
    for line in _all(lines, _OCTAL_WORD):
        yield b"".join(int(word, 8).to_bytes(2, "little") for word in line)


def _octal_bytes(lines: Sequence[Line]) -> Iterator[bytes]:
    for line in _all(lines, _OCTAL_BYTE):
        yield bytes(int(word, 8) for word in line)


def _hex_groups(lines: Sequence[Line]) -> Iterator[bytes]:
    for line in _all(lines, _HEX_GROUP):
        yield bytes.fromhex(b"".join(line).decode())


def _hex_words(lines: Sequence[Line]) -> Iterator[bytes]:
    for line in _all(lines, _HEX_WORD):
        yield b"".join(bytes.fromhex(word.decode())[::-1] for word in line)


def _bits(lines: Sequence[Line]) -> Iterator[bytes]:
    for line in _all(lines, _BITS):
        yield bytes(int(word, 2) for word in line)


def _decimals(lines: Sequence[Line]) -> Iterator[bytes]:
    """Numbers of one, two, four or eight bytes, whichever the largest needs, signed or not."""
    some = list(_all(lines, _DECIMAL))
    numbers = [int(word) for line in some for word in line]
    largest = max((abs(number) for number in numbers), default=0)
    width = next((w for w in (1, 2, 4, 8) if largest < 1 << (8 * w)), 0)
    if width:
        for number in numbers:
            yield (number % (1 << (8 * width))).to_bytes(width, "little")


def _characters(data: bytes) -> Iterator[bytes]:
    """As `od -c` prints them: four places each."""
    for line in data.splitlines():
        fits = _CHARACTERS.fullmatch(line)
        for plain, escaped, octal in _CHARACTER.findall(fits[1]) if fits else ():
            yield plain or bytes([_ESCAPED[escaped[0]] if escaped else int(octal, 8)])


_READERS: dict[str, Callable[[Sequence[Line]], Iterator[bytes]]] = {
    "octal words": _octal_words,
    "octal bytes": _octal_bytes,
    "hex columns": _hex_groups,
    "hex words": _hex_words,
    "bits": _bits,
    "decimals": _decimals,
}

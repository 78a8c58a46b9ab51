"""Headers of weight files, read by hand and believed in nothing, before a library sees them.

Both formats hold no code. What a broken or hostile header can do is make a loader read what isn't
there, or fail deep inside with words that help nobody.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from auditkit.errors import TargetRefused

_MAX_SAFETENSORS_HEADER = 100_000_000  # the limit of the safetensors library itself
_MAX_GGUF_ENTRIES = 2**20
_MAX_GGUF_ITEMS = 2**26
_GGUF_STRING, _GGUF_ARRAY = 8, 9
_GGUF_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "C64": 64, "BOOL": 8}
_BITS |= {f"{kind}{bits}": bits for bits in (8, 16, 32, 64) for kind in "IU"}
_BITS |= {"F16": 16, "BF16": 16, "F32": 32, "F64": 64}
_BITS |= {f"F8_{kind}": 8 for kind in ("E4M3", "E5M2", "E8M0", "E4M3FNUZ", "E5M2FNUZ")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A tensor in a file.

    Attributes:
        n: Its elements.
        size_bytes: What it takes there.
        whole: Whether an element is a whole number, which loading leaves as it is.
    """

    n: int
    size_bytes: int
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a weight file says of itself.

    Attributes:
        tensors: By name.
        metadata: Strings and numbers by key; for GGUF alone.
    """

    tensors: Mapping[str, Stored]
    metadata: Mapping[str, Any] = field(default_factory=dict)


class _Broken(Exception):
    """What is wrong with a header: (got, expected)."""


def check_safetensors(path: Path, where: str) -> Header:
    """Read a safetensors header.

    Raises:
        TargetRefused: Where length, JSON, types, shapes or offsets don't fit each other and the
            file.
    """
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            return _safetensors(stream, size)
    except _Broken as error:
        raise _refusal(where, "safetensors", error) from error


def check_gguf(path: Path, where: str) -> Header:
    """Walk a GGUF header.

    Raises:
        TargetRefused: Where magic, version, counts, types or offsets don't fit the format and the
            file.
    """
    try:
        with path.open("rb") as stream:
            return _gguf(_Reader(stream, path.stat().st_size))
    except _Broken as error:
        raise _refusal(where, "GGUF", error) from error


def _refusal(where: str, kind: str, error: _Broken) -> TargetRefused:
    got, expected = error.args
    return TargetRefused(
        f"{where}: {kind} header",
        got=got,
        expected=expected,
        next_step="the file is truncated or damaged; fetch it again and compare its digest",
    )


def _safetensors(stream: BinaryIO, size: int) -> Header:
    start = stream.read(8)
    if len(start) < 8:
        raise _Broken(f"{len(start)} bytes", "at least 8")
    length = int.from_bytes(start, "little")
    if length > min(_MAX_SAFETENSORS_HEADER, size - 8):
        limit = min(_MAX_SAFETENSORS_HEADER, size - 8)
        raise _Broken(f"a header of {length:,} bytes", f"at most {limit:,}")
    try:
        header = json.loads(stream.read(length), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _Broken(f"no JSON ({type(error).__name__})", "a JSON object") from error
    if not isinstance(header, dict):
        raise _Broken(f"a JSON {type(header).__name__}", "a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _Broken("__metadata__ that isn't text by name", "strings only")
    spans = [(*_span(name, entry), name) for name, entry in header.items()]
    _contiguous(spans, size - 8 - length)
    return Header(
        tensors={
            name: Stored(
                n=math.prod(header[name]["shape"]),
                size_bytes=end - begin,
                whole=header[name]["dtype"][0] in "IUB" and header[name]["dtype"] != "BF16",
            )
            for begin, end, name in spans
        }
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _span(name: str, entry: Any) -> tuple[int, int]:
    """Begin and end of a tensor's bytes, which its type and shape must explain."""
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (TypeError, KeyError, ValueError) as error:
        raise _Broken(
            f"tensor {name[:80]!r} without type, shape and two offsets", "all of them"
        ) from error
    if not whole or len(shape) > 64:
        raise _Broken(f"tensor {name[:80]!r} with shape or offsets below 0", "whole numbers from 0")
    if not isinstance(kind, str) or kind not in _BITS:
        raise _Broken(f"tensor {name[:80]!r} of type {str(kind)[:40]!r}", "a safetensors type")
    need = _product(shape, 2**60) * _BITS[kind] // 8
    if end - begin != need:
        raise _Broken(f"tensor {name[:80]!r} with {end - begin:,} bytes", f"{need:,} for its shape")
    return begin, end


def _contiguous(spans: Iterable[tuple[int, int, str]], size: int) -> None:
    """Tensors follow each other without hole or overlap and end where the file does."""
    place = 0
    for begin, end, name in sorted(spans):
        if begin != place:
            raise _Broken(f"tensor {name[:80]!r} at offset {begin:,}", f"offset {place:,}")
        place = end
    if place != size:
        raise _Broken(f"tensors that end at {place:,}", f"{size:,}, the end of the file")


def _product(shape: Iterable[int], limit: int) -> int:
    product = 1
    for n in shape:
        product *= n
        if product > limit:
            raise _Broken("a shape beyond any file", f"at most {limit:,} elements")
    return product


class _Reader:
    """Bytes from a file whose end is known."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.stream, self.size, self.place = stream, size, 0

    def take(self, n: int) -> bytes:
        self._within(n)
        data = self.stream.read(n)
        self.place += n
        return data

    def skip(self, n: int) -> None:
        self._within(n)
        self.place += n
        self.stream.seek(self.place)

    def number(self, form: str) -> int:
        return int(struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0])

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def _within(self, n: int) -> None:
        if n > self.size - self.place:
            raise _Broken(
                f"{n:,} bytes wanted at {self.place:,}", f"at most {self.size - self.place:,}"
            )


def _gguf(reader: _Reader) -> Header:
    magic = reader.take(4)
    if magic != b"GGUF":
        raise _Broken(f"magic {magic!r}", "b'GGUF'")
    version = reader.number("I")
    if version not in (2, 3):
        raise _Broken(f"version {version}", "2 or 3, little-endian")
    n_tensors, n_keys = reader.number("Q"), reader.number("Q")
    if max(n_tensors, n_keys) > _MAX_GGUF_ENTRIES or n_tensors == 0:
        raise _Broken(f"{n_tensors:,} tensors and {n_keys:,} keys", f"1 to {_MAX_GGUF_ENTRIES:,}")
    metadata: dict[str, Any] = {}
    for _ in range(n_keys):
        key = reader.text()
        if key in metadata:
            raise _Broken(f"key {key[:80]!r} twice", "once")
        metadata[key] = _value(reader, reader.number("I"), 0)
    if not isinstance(metadata.get("general.architecture"), str):
        raise _Broken("no general.architecture", "the architecture's name")
    alignment = metadata.get("general.alignment", 32)
    return Header(tensors=_gguf_tensors(reader, n_tensors, alignment), metadata=metadata)


def _value(reader: _Reader, kind: int, depth: int) -> Any:
    """A string or number; None for an array, whose items are only walked."""
    if kind == _GGUF_STRING:
        return reader.text()
    if kind in (4, 10):
        return reader.number("I" if kind == 4 else "Q")
    if kind in _GGUF_SCALARS:
        return reader.skip(_GGUF_SCALARS[kind])
    if kind != _GGUF_ARRAY or depth > 2:
        raise _Broken(f"a value of type {kind}", "a GGUF type")
    item, n = reader.number("I"), reader.number("Q")
    if n > _MAX_GGUF_ITEMS:
        raise _Broken(f"an array of {n:,}", f"at most {_MAX_GGUF_ITEMS:,}")
    if item in _GGUF_SCALARS:
        return reader.skip(n * _GGUF_SCALARS[item])
    for _ in range(n):
        if item == _GGUF_STRING:
            reader.skip(reader.number("Q"))
        else:
            _value(reader, item, depth + 1)
    return None


def _gguf_tensors(reader: _Reader, n_tensors: int, alignment: Any) -> dict[str, Stored]:
    from gguf.constants import GGML_QUANT_SIZES

    sizes = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}
    if not isinstance(alignment, int) or not 0 < alignment <= 2**16:
        raise _Broken(f"alignment {alignment}", "1 to 65,536")
    spans: list[tuple[int, int, str]] = []
    found: dict[str, Stored] = {}
    for _ in range(n_tensors):
        name, n_dims = reader.text(), reader.number("I")
        if n_dims > 8:
            raise _Broken(f"tensor {name[:80]!r} of {n_dims} dimensions", "at most 8")
        shape = [reader.number("Q") for _ in range(n_dims)]
        kind, offset = reader.number("I"), reader.number("Q")
        if kind not in sizes:
            raise _Broken(f"tensor {name[:80]!r} of type {kind}", "a GGML type")
        block, block_bytes = sizes[kind]
        n = _product(shape, 2**60)
        found[name] = Stored(n=n, size_bytes=math.ceil(n / block) * block_bytes)
        spans.append((offset, found[name].size_bytes, name))
    if len(found) != len(spans):
        raise _Broken("two tensors of one name", "each name once")
    _within_file(spans, reader, alignment)
    return found


def _within_file(spans: list[tuple[int, int, str]], reader: _Reader, alignment: int) -> None:
    """Tensors stand at aligned offsets, without overlap, and end before the file does."""
    start = math.ceil(reader.place / alignment) * alignment
    place = 0
    for offset, size, name in sorted(spans):
        if offset < place or offset % alignment:
            raise _Broken(
                f"tensor {name[:80]!r} at offset {offset:,}", f"an aligned one from {place:,}"
            )
        place = offset + size
    if start + place > reader.size:
        raise _Broken(
            f"tensors that end at {start + place:,}", f"at most {reader.size:,}, the file's end"
        )

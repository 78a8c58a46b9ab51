"""Bytes that mean the same everywhere: canonical JSON (RFC 8785) and SHA-256 digests."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import rfc8785

from auditkit.errors import InvalidInput
from auditkit.model import OMIT_EMPTY, Json


def to_json(value: Any) -> Json:
    """A JSON value from dataclasses, enums, tuples and mappings.

    Raises:
        InvalidInput: For a NaN or infinity, and for anything that JSON has no word for.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [(f.metadata, f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
        return {name: to_json(v) for about, name, v in fields if OMIT_EMPTY not in about or v}
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput("evidence", got=str(value), expected="a finite number")
        if value.is_integer() and 2**53 <= abs(value) < 1e21:
            # Written without exponent, it would be read back as an integer that no JSON may hold.
            raise InvalidInput("evidence", got=str(value), expected="a number below 2**53")
        return value
    if isinstance(value, Mapping):
        named = {str(key): to_json(item) for key, item in value.items()}
        if len(named) < len(value):
            raise InvalidInput("evidence", got="two keys of one name", expected="each key once")
        return named
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [to_json(item) for item in items]
    raise InvalidInput("evidence", got=type(value).__name__, expected="a JSON value")


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a value: one value, one byte string, on every machine.

    Raises:
        InvalidInput: For what JSON can't hold, integers beyond 2**53 among them.
    """
    try:
        return rfc8785.dumps(to_json(value))
    except rfc8785.CanonicalizationError as error:
        raise InvalidInput("canonical JSON", got=str(error), expected="I-JSON values") from error


def sha256(data: bytes) -> str:
    """Hex digest of bytes."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Hex SHA-256 of a value's canonical JSON."""
    return sha256(canonical(value))


def file_sha256(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def root_digest(files: Iterable[tuple[str, int, str]]) -> str:
    """The digest that stands for a target: over path, size in bytes and SHA-256 of each of its files."""
    return digest([list(file) for file in sorted(files)])


def derive_seed(seed: int, *names: str) -> int:
    """A seed of its own for each named use, from the plan's one seed (below 2**32)."""
    return int.from_bytes(hashlib.sha256(canonical([seed, *names])).digest()[:4], "big")

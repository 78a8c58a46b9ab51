"""What the command line says of endpoints: KEY=VALUE settings, and fingerprint files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from auditkit.canonical import canonical
from auditkit.errors import InvalidInput
from auditkit.plugins import wanted
from auditkit.targets.endpoint.terms import Manner, Terms
from auditkit.targets.fingerprint import Fingerprint

MAX_BYTES = 4 * 2**20
HELP = (
    "How a model elsewhere is asked (repeatable): base_path and tokenizer, which the plan keeps; "
    "concurrency, requests_per_minute, tokens_per_minute, timeout_s, attempts, budget_tokens, price_in, "
    "price_out, budget_cost, currency."
)
EXPECT = "A fingerprint (`auditkit fingerprint`) by which the endpoint must be recognised first."


def settings(given: tuple[str, ...]) -> tuple[Manner | None, Terms]:
    """What ``--endpoint`` says: what belongs into the plan, None where it is silent on that; and the terms.

    Raises:
        InvalidInput: An unknown key, or a value that doesn't fit.
    """
    values: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or key not in {*_names(Manner), *_names(Terms)}:
            raise InvalidInput(
                f"--endpoint {text}",
                expected=f"KEY=VALUE with one of {', '.join([*_names(Manner), *_names(Terms)])}",
            )
        values[key] = value if key in _names(Manner) else _number(value)
    manner = {k: v for k, v in values.items() if k in _names(Manner)}
    terms = {k: v for k, v in values.items() if k in _names(Terms)}
    return _made(Manner, manner) if manner else None, _made(Terms, terms)


def read_fingerprint(path: Path | None) -> Fingerprint | None:
    """A fingerprint file, None for no path.

    Raises:
        InvalidInput: It is none.
    """
    if path is None:
        return None
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidInput(str(path), got=f"more than {MAX_BYTES:,} bytes")
        return TypeAdapter(Fingerprint).validate_json(path.read_bytes(), strict=True)
    except (OSError, ValidationError) as error:
        got = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise InvalidInput(
            str(path),
            got=str(got),
            expected="a file that `auditkit fingerprint` wrote",
        ) from error


def fingerprint_bytes(fingerprint: Fingerprint) -> bytes:
    """The file that holds one."""
    return canonical(fingerprint) + b"\n"


def _names(kind: type) -> list[str]:
    return [f.name for f in dataclasses.fields(kind)]


def _number(text: str) -> Any:
    try:
        return yaml.safe_load(text.replace("_", ""))
    except yaml.YAMLError:
        return text


def _made(kind: Any, values: Mapping[str, Any]) -> Any:
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInput(
            f"--endpoint {place}", got=repr(first["input"])[:100], expected=wanted(first)
        ) from error

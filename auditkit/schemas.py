"""The JSON Schemas of everything in a bundle, and what is wrong with a value, in words."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from auditkit.errors import InvalidInput, VerificationError
from auditkit.model import Json

PACKAGE = "auditkit_schemas"


@cache
def schema_names() -> tuple[str, ...]:
    """Names of the schemas that come with auditkit: ``manifest``, ``statement`` …"""
    ending = ".v1.json"
    found = (resource.name for resource in files(PACKAGE).iterdir())
    return tuple(sorted(n.removesuffix(ending) for n in found if n.endswith(ending)))


@cache
def load_schema(name: str) -> Json:
    """A schema by name. Don't change what this returns: it is shared.

    Raises:
        InvalidInput: There is none of that name.
    """
    if name not in schema_names():
        raise InvalidInput("schema", got=repr(name), expected=f"one of {', '.join(schema_names())}")
    return json.loads((files(PACKAGE) / f"{name}.v1.json").read_text("utf-8"))


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        load_schema(name), format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def validate(
    value: Json, name: str, where: str, error: type[VerificationError | InvalidInput] | None = None
) -> None:
    """Refuse a value that is not as its schema says.

    Args:
        value: Parsed JSON.
        name: The schema's name.
        where: File name, for the message; the place inside follows it.
        error: What to raise; `VerificationError` with code ``schema`` if None.

    Raises:
        VerificationError, InvalidInput: With the place, what stands there and what could.
    """
    found = best_match(_validator(name).iter_errors(value))
    if found is None:
        return
    what = f"{where}: {json_path(found)}" if found.absolute_path else where
    got = json.dumps(found.instance, ensure_ascii=True)[:120]
    expected = f"{name}.v1 ({found.message[:200]})"
    if error is not None and issubclass(error, InvalidInput):
        raise error(what, got=got, expected=expected)
    raise VerificationError("schema", what, got=got, expected=expected)


def json_path(error: ValidationError) -> str:
    """The place of a schema error: ``files[3].sha256``."""
    return join_path(list(error.absolute_path))


def join_path(parts: list[str | int]) -> str:
    """Keys and indices as one readable path; an unsafe key is quoted."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.replace("_", "a").isalnum() and part.isascii():
            path += f".{part}" if path else part
        else:
            path += f"[{json.dumps(part)}]"
    return path

"""What several checks ask of their parameters beyond what a type can say."""

from __future__ import annotations

from collections.abc import Sequence

from auditkit.errors import InvalidInput


def each_once(check: str, **given: Sequence[str]) -> None:
    """Refuse a parameter that lists something twice.

    Args:
        check: Id of the check.
        given: From a parameter's name to its value.

    Raises:
        InvalidInput: Something stands twice.
    """
    for name, values in given.items():
        if len(set(values)) < len(values):
            raise InvalidInput(f"{check}: {name}", got=", ".join(values), expected="each once")

"""Data files that come with the checks: one that was changed after the release is refused."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from auditkit.canonical import sha256
from auditkit.errors import InvalidInput


def read_shipped(file: str, digest: str) -> Any:
    """What a file of ``auditkit_checks/data`` holds.

    Args:
        file: Its name.
        digest: SHA-256 of the file that this release was built with.

    Raises:
        InvalidInput: If the data file is another one.
    """
    raw = resources.files("auditkit_checks").joinpath("data", file).read_bytes()
    found = sha256(raw)
    if found != digest:
        raise InvalidInput(
            f"data file {file} of auditkit_checks",
            got=f"sha256 {found}",
            expected=digest,
            next_step="install auditkit again; the file was changed after it was built",
        )
    return json.loads(raw)

"""Write files that the checks ship, or say whether they are what their script makes."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "checks" / "auditkit_checks" / "data"
SAME, DIFFERENT, CANNOT = 0, 1, 2


class CannotMake(Exception):
    """A source package is missing, of another version, or no longer says what it said."""


def main(make: Callable[[], Mapping[str, bytes]], about: str) -> int:
    """Write or compare what a script makes.

    Args:
        make: Returns the bytes of each file by its name in ``DATA``.
        about: What the script is for, in a line.

    Returns:
        The exit code: ``SAME`` (or written), ``DIFFERENT``, or ``CANNOT`` with the reason on stderr.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it would")
    only_check = parser.parse_args().check
    try:
        made = make()
    except CannotMake as error:
        print(f"cannot make it: {error}", file=sys.stderr)
        return CANNOT
    return max([(_compare if only_check else _write)(name, raw) for name, raw in made.items()])


def _compare(name: str, raw: bytes) -> int:
    path = DATA / name
    same = path.is_file() and path.read_bytes() == raw
    print(f"{name}: {'as made' if same else 'differs from what is made'} ({_digest(raw)})")
    return SAME if same else DIFFERENT


def _write(name: str, raw: bytes) -> int:
    (DATA / name).write_bytes(raw)
    print(f"{name}: written ({_digest(raw)})")
    return SAME


def _digest(raw: bytes) -> str:
    return f"sha256 {hashlib.sha256(raw).hexdigest()}"

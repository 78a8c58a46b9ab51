"""The source packages: which versions, what they carry, what a topic says of them."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path
from typing import Any

from data_files import CannotMake
from handwritten import read

DATA = Path(__file__).with_name("data")
GENERATED = "generated"
"""The source of a topic that no package is needed for."""


def pinned() -> dict[str, str]:
    """Return the version of each package from which the facts are the same file."""
    return dict(read(DATA / "packages.yaml")["pinned"])


def source(name: str) -> dict[str, str]:
    """Return what a topic says of its upstream data."""
    said = read(DATA / "packages.yaml")["sources"][name]
    versions = pinned() | {"none": "none"}
    return said | {"version": ", ".join(versions[one] for one in said["package"].split(", "))}


def require(*packages: str) -> None:
    """Refuse to go on without exactly the pinned versions.

    Raises:
        CannotMake: If one is missing or of another version.
    """
    versions = pinned()
    for package in packages:
        wanted = f"install {package}=={versions[package]}"
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            raise CannotMake(f"{package} is not installed; {wanted}") from None
        if found != versions[package]:
            raise CannotMake(f"{package} is {found}; {wanted}")


def module(name: str) -> Any:
    """Import a source package, which has no types of its own."""
    return importlib.import_module(name)


def licence(package: str, name: str) -> str:
    """Return a licence that an installed package carries, as a quotation.

    Raises:
        CannotMake: If it carries no such file.
    """
    for path in importlib.metadata.files(package) or ():
        if path.name == name:
            lines = path.read_text(encoding="utf-8").strip().splitlines()
            return "\n".join(f"> {row.strip()}".rstrip() for row in lines)
    raise CannotMake(f"{package} carries no file {name}")

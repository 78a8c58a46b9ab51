"""The manifest: size and SHA-256 of every file in a bundle that isn't signed in its own right."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from auditkit.canonical import canonical, sha256
from auditkit.errors import VerificationError
from auditkit.reading import MAX_TOTAL_BYTES, list_files, parse_canonical, parse_lines, read_file
from auditkit.schemas import validate

MANIFEST = "manifest.json"
STATEMENT = "statement.dsse.json"
REPORT_PDF = "report.pdf"


def unlisted(pdf: str) -> frozenset[str]:
    """Not in the manifest: itself, what signs it, and what is signed after it."""
    return frozenset({MANIFEST, STATEMENT, pdf})


UNLISTED = unlisted(REPORT_PDF)

SCHEMA = "auditkit/manifest/v1"
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file: its path below the bundle's folder (``/`` between parts), size and digest."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Every listed file, sorted by path, and the digest of the manifest's own bytes."""

    files: tuple[FileEntry, ...]
    sha256: str


def write_manifest(folder: Path, pdf: str = REPORT_PDF) -> Manifest:
    """List every file of a folder but its PDF and write ``manifest.json``.

    Raises:
        VerificationError: As `check_files`, for what could never be verified.
    """
    paths, _ = list_files(folder)
    entries = []
    for path in (path for path in paths if path not in unlisted(pdf)):
        data = _read_well_formed(folder, path)
        entries.append({"path": path, "size_bytes": len(data), "sha256": sha256(data)})
    data = canonical({"schema": SCHEMA, "files": entries})
    manifest = parse_manifest(data)
    (folder / MANIFEST).write_bytes(data)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle.

    Raises:
        VerificationError: As `parse_manifest`, and for a file that can't be read.
    """
    return parse_manifest(read_file(folder / MANIFEST, MANIFEST, MAX_MANIFEST_BYTES))


def parse_manifest(data: bytes) -> Manifest:
    """A manifest from its bytes.

    Raises:
        VerificationError: ``not-json``, ``not-canonical``, ``schema``, ``unsafe-path``,
            ``duplicate-path``, ``manifest-order`` or ``too-large``.
    """
    value = parse_canonical(data, MANIFEST)
    validate(value, "manifest", MANIFEST)
    files = tuple(FileEntry(**entry) for entry in value["files"])
    for file in files:
        _check_path(file.path)
    _check_distinct(file.path for file in files)
    if [f.path for f in files] != sorted(f.path for f in files):
        raise VerificationError("manifest-order", MANIFEST, expected="files sorted by path")
    total = sum(f.size_bytes for f in files)
    if total > MAX_TOTAL_BYTES:
        raise VerificationError(
            "too-large", MANIFEST, got=f"{total:,} bytes", expected=f"at most {MAX_TOTAL_BYTES:,}"
        )
    return Manifest(files=files, sha256=sha256(data))


def check_files(folder: Path, manifest: Manifest, pdf: str = REPORT_PDF) -> dict[str, bytes]:
    """Read every listed file once and compare it; what is returned is what was compared.

    Returns:
        The bytes of every listed file by path.

    Raises:
        VerificationError: ``missing-file``, ``extra-file``, ``file-size``, ``file-changed``,
            ``symlink``, ``special-file``, ``not-canonical`` …
    """
    paths, folders = list_files(folder)
    listed = {file.path for file in manifest.files}
    parents = {path[:at] for path in listed for at, char in enumerate(path) if char == "/"}
    for extra in sorted({*paths} - listed - unlisted(pdf)) + sorted({*folders} - parents):
        raise VerificationError(
            "extra-file",
            extra,
            got="a file or folder that nobody signed",
            expected="only what the manifest lists",
            next_step="remove it if you put it there",
        )
    for missing in sorted(listed - {*paths}):
        raise VerificationError(
            "missing-file", missing, got="no such file", expected="what the manifest lists"
        )
    return {file.path: _read_entry(folder, file) for file in manifest.files}


def _read_entry(folder: Path, file: FileEntry) -> bytes:
    data = read_file(folder / file.path, file.path, max(file.size_bytes, 1))
    if len(data) != file.size_bytes:
        raise VerificationError(
            "file-size", file.path, got=f"{len(data)} bytes", expected=f"{file.size_bytes}"
        )
    if sha256(data) != file.sha256:
        raise VerificationError(
            "file-changed",
            file.path,
            got=f"sha256 {sha256(data)[:16]}…",
            expected=f"{file.sha256[:16]}…, as the manifest has it",
        )
    return data


def _read_well_formed(folder: Path, path: str) -> bytes:
    _check_path(path)
    data = read_file(folder / path, path)
    if path.endswith(".json"):
        parse_canonical(data, path)
    elif path.endswith(".jsonl"):
        parse_lines(data, path)
    return data


def _check_path(path: str) -> None:
    """Relative, inside the folder, and spelled in one way on every file system."""
    parts = path.split("/")
    if len(path) > 240 or not all(_SEGMENT.fullmatch(part) for part in parts) or path in UNLISTED:
        raise VerificationError(
            "unsafe-path",
            f"{MANIFEST}: path",
            got=repr(path[:100]),
            expected="letters, digits, dot, underscore and hyphen between single slashes",
        )


def _check_distinct(paths: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for path in paths:
        if path.lower() in seen:
            raise VerificationError(
                "duplicate-path",
                f"{MANIFEST}: {path}",
                got=f"{seen[path.lower()]} as well",
                expected="paths that differ in more than upper and lower case",
            )
        seen[path.lower()] = path

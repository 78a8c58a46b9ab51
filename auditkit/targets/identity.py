"""Who the target is: a digest of every file that decides what it does, or, out of reach, of its answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditkit.canonical import root_digest, to_json
from auditkit.errors import IdentityChanged, MissingTool, TargetRefused
from auditkit.model import Json
from auditkit.targets.files import WEIGHTS, walk, weights
from auditkit.targets.fingerprint import Fingerprint, Moment
from auditkit.targets.spec import Format, TargetSpec

METHOD = (
    "OpenSSF Model Signing manifest, sha256 of each file; "
    "root: sha256 of the canonical JSON of [path, size_bytes, sha256] of all files"
)
SINGLE_FILE = "model.gguf"
"""What a single file is called in an identity: its own name is no part of what it does."""

File = tuple[str, int, str]
"""Relative path, size in bytes, SHA-256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A target's files and their root digest; or a fingerprint of its answers, and that one's digest.

    Attributes:
        method: How the digests were made, in words.
        digest: Root over paths, sizes and digests of all files, hex; or the fingerprint's.
        files: Sorted by path; those of a base with an adapter begin ``base/`` and ``adapter/``.
        fingerprint: Where the files are out of reach.
        expected: The fingerprint that the auditor held the target against, if there was one.
        moments: When the fingerprint's prompts were asked again, and what was answered.
    """

    method: str
    digest: str
    files: tuple[File, ...] = ()
    fingerprint: Fingerprint | None = None
    expected: Fingerprint | None = None
    moments: tuple[Moment, ...] = ()

    @property
    def weights(self) -> str:
        """Digest of the weights alone, whatever the folder is called and holds beside them; `digest` where
        the files are out of reach.
        """
        return weights({path: sha256 for path, _, sha256 in self.files}, self.digest)

    def to_json(self) -> Json:
        """identity.json of a run in which the target stayed who it was."""
        said: dict[str, Json] = {
            "schema": "auditkit/identity/v1",
            "method": self.method,
            "digest": self.digest,
            "files": [{"path": p, "size_bytes": n, "sha256": sha} for p, n, sha in self.files],
            "unchanged": True,
        }
        if self.fingerprint is not None:
            said |= {"fingerprint": to_json(self.fingerprint), "moments": to_json(self.moments)}
        if self.expected is not None:
            said["expected"] = to_json(self.expected)
        return said


def identify(spec: TargetSpec) -> Identity:
    """Hash a target's files, wherever they are: the folder's own path and name don't count.

    Of a folder every file counts, whatever its name: weights, configs, tokenizer, chat template.
    Memory stays flat, since files are read in blocks.

    Raises:
        TargetRefused: Where a file can't be read, or a link leads out of a folder.
        MissingTool: Without the `run` extra.
    """
    files = _gguf(spec.path) if spec.format is Format.GGUF else _folder(spec.path)
    if spec.adapter is not None:
        files = [*_below("base", files), *_below("adapter", _folder(spec.adapter))]
    ordered = tuple(sorted(files))
    return Identity(method=METHOD, digest=root_digest(ordered), files=ordered)


def compare(before: Identity, after: Identity) -> None:
    """Make sure that two identities are one.

    Raises:
        IdentityChanged: Naming the files that changed, appeared or vanished.
    """
    if before == after:
        return
    old, new = ({path: rest for path, *rest in x.files} for x in (before, after))
    changes = {
        "changed": [path for path in old if path in new and old[path] != new[path]],
        "appeared": [path for path in new if path not in old],
        "vanished": [path for path in old if path not in new],
    }
    named = [f"{_some(paths)} {word}" for word, paths in changes.items() if paths]
    raise IdentityChanged(
        "the target's files",
        got="; ".join(named) or f"digest {after.digest} by {after.method}",
        expected=f"those of digest {before.digest[:16]}…",
        next_step="nothing observed since can be held against this target; run the audit again",
    )


def check_another(target: Identity, reference: Identity) -> None:
    """Make sure that a reference is another model than the target: by its weights, whatever its folder is
    called and holds beside them. One that was made of the target (an adapter more or less) is another.

    Raises:
        TargetRefused: It has the very same weights.
    """
    one, other = (
        {sha256 for path, _, sha256 in identity.files if path.endswith(WEIGHTS)}
        for identity in (target, reference)
    )
    if one and one == other:
        raise TargetRefused(
            "the reference model",
            got="the target's own weights under another name",
            expected="another model: what is compared with itself always agrees",
            next_step="name one that was trained apart, or leave the reference out",
        )


def _some(paths: list[str], limit: int = 5) -> str:
    shown = ", ".join(paths[:limit])
    return f"{shown} and {len(paths) - limit} more" if len(paths) > limit else shown


def _below(prefix: str, files: list[File]) -> list[File]:
    return [(f"{prefix}/{path}", size, sha256) for path, size, sha256 in files]


def _gguf(path: Path) -> list[File]:
    real = path.resolve()
    (_, size, sha256), *_ = _hashed(real.parent, [real])
    return [(SINGLE_FILE, size, sha256)]


def _folder(folder: Path) -> list[File]:
    root = folder.resolve()
    return _hashed(root, walk(root).values())


def _hashed(root: Path, paths: Iterable[Path]) -> list[File]:
    try:
        import model_signing
    except ImportError as error:
        raise MissingTool(
            "the target's identity",
            got=f"no module {error.name}",
            expected="OpenSSF model-signing",
            next_step="pip install 'auditkit[run]'",
        ) from error
    make: Any = model_signing.hashing.Config
    config = make().use_file_serialization(hashing_algorithm="sha256", allow_symlinks=True)
    config.set_allow_symlinks(True).set_ignored_paths(paths=[], ignore_git_paths=False)
    try:
        manifest = config.hash(root, files_to_hash=list(paths))
        return [
            (item.identifier, (root / item.identifier).stat().st_size, item.digest.digest_hex)
            for item in manifest.resource_descriptors()
        ]
    except (OSError, ValueError) as error:
        raise TargetRefused(
            "the target's identity", got=str(error), expected="readable files"
        ) from error

"""Activations on disk while a run is under way: what a server computed is asked for once.

Small answers are lines of the journal (`endpoint.kept`); an array is a file beside it, named by its digest,
and the line names that. Files that no line names were never confirmed, and are not read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from auditkit.canonical import sha256
from auditkit.errors import StoreError
from auditkit.model import Json

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Arrays:
    """Float32 arrays by their digest.

    Args:
        folder: Where they are kept; None for memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._kept: dict[str, bytes] = {}

    def put(self, array: NDArray[np.float32]) -> Json:
        """Keep an array; returns what names it.

        Raises:
            StoreError: The disk is full or can't be written.
        """
        data = np.ascontiguousarray(array, dtype="<f4").tobytes()
        name = sha256(data)
        if self._folder is None:
            self._kept[name] = data
        else:
            self._write(self._folder / name, data)
        return {"array": name, "shape": list(array.shape)}

    def get(self, named: Json) -> NDArray[np.float32]:
        """The array.

        Raises:
            StoreError: Its file is gone, or was changed.
        """
        name, shape = named["array"], named["shape"]
        data = self._kept.get(name) if self._folder is None else self._read(self._folder / name)
        if data is None or sha256(data) != name:
            raise StoreError(
                f"array {name[:16]}…",
                got="no file, or a damaged one",
                expected="the activations that the journal names",
                next_step="remove the .partial folder and run again",
            )
        return np.frombuffer(data, dtype="<f4").reshape(shape)

    def _write(self, path: Path, data: bytes) -> None:
        if path.exists():
            return
        part = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as stream:
                stream.write(data)
                os.fsync(stream.fileno())
            part.replace(path)
        except OSError as error:
            raise StoreError(
                str(path),
                got=error.strerror or str(error),
                expected="room to write",
                next_step="mend that and run the same command again; finished evidence is kept",
            ) from error

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except OSError:
            return None

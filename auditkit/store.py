"""Evidence on disk while a run is under way: append-only, so that a killed run loses one batch.

One journal a subject. A line is one batch: written once, flushed to the disk, never changed. A last line
that was cut off by a kill is dropped; damage anywhere else is an error.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from auditkit.canonical import canonical, sha256, to_json
from auditkit.checks import folder_name
from auditkit.errors import StoreError
from auditkit.model import Json, Row, Sample, Status
from auditkit.reading import MAX_ATTACHED_BYTES, MAX_ATTACHED_TOTAL_BYTES


def row_from_json(value: Json) -> Row:
    """A row as `to_json` wrote it."""
    return Row(
        sample_id=value["sample_id"],
        status=Status(value["status"]),
        values=value["values"],
        reason=value["reason"],
        files=value.get("files", {}),
    )


def sample_from_json(value: Json) -> Sample:
    """A sample as `to_json` wrote it."""
    return Sample(id=value["id"], group=value["group"], input=value["input"])


def jsonl(values: Iterable[object]) -> bytes:
    """Canonical JSON lines, each ended by a newline."""
    return b"".join(canonical(value) + b"\n" for value in values)


@dataclass(frozen=True, slots=True)
class Store:
    """The working folder of one audit: ``<out>.partial``."""

    folder: Path

    def lock(self) -> IO[bytes]:
        """Keep a second run out for as long as the returned file is open.

        Raises:
            StoreError: Another run is using this folder.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = (self.folder / "lock").open("wb")
        except OSError as error:
            raise disk_error(self.folder, error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.close()
            raise StoreError(
                str(self.folder),
                got="another run using it",
                next_step="wait for that run to end, or choose another --out",
            ) from error
        return handle

    def claim(self, name: str, value: Json) -> Json:
        """The JSON of that name: the one that is there already, else `value`, written now."""
        path = self.folder / name
        if path.exists():
            try:
                return json.loads(path.read_bytes())
            except ValueError as error:
                raise StoreError(
                    str(path), got="damaged JSON", next_step=f"remove {self.folder} and run again"
                ) from error
        self.write(name, canonical(value))
        return json.loads(canonical(value))

    def spoil(self, why: str) -> None:
        """Say that what is here may be of two targets; from now on it is refused."""
        self.write("spoilt.txt", why.encode("utf-8", "replace"))

    def check_unspoilt(self) -> None:
        """Refuse evidence that may be of two targets.

        Raises:
            StoreError: It may.
        """
        path = self.folder / "spoilt.txt"
        if path.exists():
            why = path.read_text("utf-8")[:300].rstrip(".")
            raise StoreError(
                str(self.folder),
                got=f"evidence of a target that changed meanwhile ({why})",
                expected="evidence of one target",
                next_step="remove the folder and run again",
            )

    def write(self, name: str, data: bytes) -> None:
        """Write a file so that it is there whole or not at all."""
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(path.name + ".new")
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError as error:
            raise disk_error(path, error) from error

    def keep(self, data: bytes) -> str:
        """Keep a file that a row is going to name, under its SHA-256; returns that.

        Raises:
            StoreError: It is larger than a bundle may hold, or the disk is full.
        """
        name = sha256(data)
        if self._kept(name).exists():
            return name
        total = len(data) + sum(path.stat().st_size for path in self.folder.glob("files/*"))
        if len(data) > MAX_ATTACHED_BYTES or total > MAX_ATTACHED_TOTAL_BYTES:
            raise StoreError(
                f"a file of {len(data):,} bytes beside a row",
                got=f"{total:,} bytes of such files",
                expected=f"at most {MAX_ATTACHED_BYTES:,} each, {MAX_ATTACHED_TOTAL_BYTES:,} together",
                next_step="plan fewer samples, or shorter ones",
            )
        self.write(f"files/{name}", data)
        return name

    def kept(self, name: str) -> bytes:
        """A file by its SHA-256.

        Raises:
            StoreError: It is not there, or not what it was.
        """
        try:
            data = self._kept(name).read_bytes()
        except OSError as error:
            raise disk_error(self._kept(name), error) from error
        if sha256(data) != name:
            raise StoreError(
                str(self._kept(name)),
                got="other bytes than were kept",
                expected="what its name is the SHA-256 of",
                next_step="restore the file, or remove the .partial folder and run again",
            )
        return data

    def _kept(self, name: str) -> Path:
        return self.folder / "files" / name

    def journal(self, check_id: str, subject: str) -> Path:
        return self.folder / "journal" / folder_name(check_id) / f"{subject}.jsonl"

    def append(
        self, check_id: str, subject: str, batch: int, rows: Sequence[Row], seconds: float = 0.0
    ) -> None:
        """Add a finished batch and how long it took; on return it is on the disk.

        Raises:
            StoreError: The disk is full or can't be written; what was there stays.
        """
        path = self.journal(check_id, subject)
        body = {"batch": batch, "rows": to_json(rows), "seconds": round(seconds, 3)}
        line = canonical({**body, "sha256": sha256(canonical(body))}) + b"\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a buffer would write the rest of a failed line when it is closed.
            with path.open("ab", buffering=0) as stream:
                size = stream.tell()
                try:
                    rest = memoryview(line)
                    while rest:
                        rest = rest[stream.write(rest) :]
                    os.fsync(stream.fileno())
                except OSError:
                    os.truncate(path, size)
                    raise
        except OSError as error:
            raise disk_error(path, error) from error

    def batches(self, check_id: str, subject: str) -> dict[int, tuple[Row, ...]]:
        """Finished batches by number; a line that a kill cut off is removed from the file.

        Raises:
            StoreError: A line in the middle is damaged, or a batch stands there twice.
        """
        path = self.journal(check_id, subject)
        if not path.exists():
            return {}
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
        found: dict[int, tuple[Row, ...]] = {}
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            batch, rows = _read_line(line, f"{path}:{number}")
            if batch in found:
                raise StoreError(f"{path}:{number}", got=f"batch {batch} a second time")
            found[batch] = rows
        return found

    def seconds(self, check_id: str, subject: str) -> float:
        """How long all finished batches of a subject took, over every session of the run."""
        path = self.journal(check_id, subject)
        lines = path.read_bytes().splitlines() if path.exists() else []
        return round(sum(float(json.loads(line).get("seconds", 0.0)) for line in lines), 3)

    def fresh(self, name: str) -> Path:
        """An empty folder of that name; what an interrupted run left in it is gone."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def discard(self) -> None:
        """Remove the working folder once its bundle stands."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read_line(line: bytes, where: str) -> tuple[int, tuple[Row, ...]]:
    try:
        value = json.loads(line)
        claimed = value.pop("sha256")
        if claimed != sha256(canonical(value)):
            raise ValueError("its digest does not match")
        batch, rows = value["batch"], tuple(row_from_json(row) for row in value["rows"])
        texts = [text for row in rows for text in (row.sample_id, row.reason, *row.files.values())]
        if type(batch) is not int or not all(isinstance(text, str) for text in texts):
            raise TypeError("no number of a batch, or no row")
        return batch, rows
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            where,
            got=f"damaged evidence ({error})",
            expected="one finished batch a line",
            next_step="restore the file, or remove the .partial folder and run again",
        ) from error


def disk_error(path: Path, error: OSError) -> StoreError:
    """A full or unwritable disk, said plainly."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StoreError(
        str(path),
        got="a full disk" if full else f"{error.strerror or error}",
        expected="room to write" if full else "a writable folder",
        next_step="make room and run the same command again; finished evidence is kept"
        if full
        else "mend that and run the same command again; finished evidence is kept",
    )

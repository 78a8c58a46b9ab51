"""Answers on disk while a run is under way: what an endpoint was paid for is asked once.

Append-only, one JSON line an answer. A last line that was cut off by a kill is dropped; damage anywhere else
is an error. The file lies in the run's working folder and goes with it: what counts is in the evidence.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from auditkit.canonical import canonical, sha256, to_json
from auditkit.errors import StoreError
from auditkit.model import Json
from auditkit.targets.endpoint.ledger import Ledger
from auditkit.targets.fingerprint import Answer, Moment

_SPENT = ("n_requests", "n_retries", "n_read", "n_written", "sent_bytes", "received_bytes")


class Kept:
    """What was answered, by the digest of the question; and when the endpoint was recognised.

    Args:
        path: The file; None keeps everything in memory alone.
        identity: Digest of the fingerprint: answers of another endpoint are not taken up.
    """

    def __init__(self, path: Path | None, identity: str) -> None:
        self._path, self._identity = path, identity
        self.answers: dict[str, Json] = {}
        self.moments: list[Moment] = []
        self.spent: dict[str, int] = {}
        if path is not None and path.exists():
            self._read(path)

    def add(self, answers: Mapping[str, Json], moments: Sequence[Moment], ledger: Ledger) -> None:
        """Keep answers that were confirmed by a moment; on return they are on the disk.

        Raises:
            StoreError: The disk is full or can't be written.
        """
        spent = {name: getattr(ledger, name) for name in _SPENT}
        lines = [{"key": key, "answer": answer} for key, answer in answers.items()]
        lines += [{"moment": to_json(moment)} for moment in moments]
        lines.append({"spent": spent, "identity": self._identity})
        self._write(
            b"".join(canonical({**x, "sha256": sha256(canonical(x))}) + b"\n" for x in lines)
        )
        self.answers.update(answers)
        self.moments.extend(moments)

    def _write(self, data: bytes) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as stream:
                size = stream.tell()
                try:
                    rest = memoryview(data)
                    while rest:
                        rest = rest[stream.write(rest) :]
                    os.fsync(stream.fileno())
                except OSError:
                    os.truncate(self._path, size)
                    raise
        except OSError as error:
            raise StoreError(
                str(self._path),
                got=error.strerror or str(error),
                expected="room to write",
                next_step="mend that and run the same command again; finished evidence is kept",
            ) from error

    def _read(self, path: Path) -> None:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise StoreError(
                    f"{path}:{number}",
                    got=f"damaged answers ({error})",
                    expected="answers of this endpoint, one a line",
                    next_step="restore the file, or remove the .partial folder and run again",
                ) from error

    def _take(self, line: dict[str, Any]) -> None:
        if line.pop("sha256") != sha256(canonical(line)):
            raise ValueError("its digest does not match")
        if "key" in line:
            self.answers[line["key"]] = line["answer"]
        elif "moment" in line:
            said = line["moment"]
            answers = tuple(Answer(**answer) for answer in said["answers"])
            self.moments.append(
                Moment(**{**said, "asked": tuple(said["asked"]), "answers": answers})
            )
        elif line["identity"] != self._identity:
            raise ValueError("answers of another endpoint")
        else:
            self.spent = dict(line["spent"])

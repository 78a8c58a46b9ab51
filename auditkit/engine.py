"""Ask: every check, every arm, batch by batch, into the store. Nothing is judged here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from auditkit.behaviour.progress import listening
from auditkit.canonical import derive_seed, digest
from auditkit.checks import Check, Control, planted_controls, valid_row
from auditkit.conclude import TARGET, CheckEvidence, not_assessable
from auditkit.errors import EndpointError, IdentityChanged, PluginError, StoreError
from auditkit.model import Arm, Filed, Observations, Row, Sample, Status, SubjectInfo
from auditkit.plan import Plan, configured
from auditkit.store import Store
from auditkit.targets import Subject

_NAME = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
MAX_FILES_A_ROW = 20
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step for a person who waits: which check and subject, and how many samples are done."""

    check: str
    subject: str
    done: int
    total: int


Report = Callable[[Progress], None]


def observe(
    plan: Plan,
    target: Subject,
    store: Store,
    report: Report,
    standing: Callable[[], None] = lambda: None,
    release: Callable[[], None] = lambda: None,
) -> list[CheckEvidence]:
    """Run every check of a plan, taking up whatever the store holds already.

    Args:
        plan: The locked plan.
        target: The audited model.
        store: Where finished batches are and go.
        report: Called after every batch.
        standing: Called before a batch is kept; raises where what the target answered doesn't count.
        release: Called after each check: what was loaded beside the target for it is not needed any more.

    Raises:
        EndpointError, IdentityChanged: The target went away, or is another now; finished batches are kept.
        StoreError: Evidence on disk is damaged or can't be written; finished batches are kept.
        PluginError: A check breaks the protocol.
    """
    evidence = []
    for planned, check in zip(plan.checks, configured(plan), strict=True):
        missing = not_assessable(check, target.access, target.kind)
        subjects = (
            ()
            if missing
            else tuple(observe_check(check, plan, target, Desk(store, report, standing)))
        )
        evidence.append(
            CheckEvidence(
                check=check, primary=planned.primary, subjects=subjects, not_assessed=missing
            )
        )
        release()
    return evidence


@dataclass(frozen=True, slots=True)
class Desk:
    """Where answers go, who is told, and who says whether they count; see `observe`."""

    store: Store
    report: Report = lambda _: None
    standing: Callable[[], None] = lambda: None


def observe_check(check: Check, plan: Plan, target: Subject, desk: Desk) -> Iterator[Observations]:
    """One check's subjects, each asked when its turn comes: the target first, then its controls.

    Errors are those of `observe`.
    """
    samples = tuple(check.samples(plan.seed))
    locked = next(c for c in plan.checks if c.id == check.about.id).samples_sha256
    if locked and digest(list(samples)) != locked:
        raise PluginError(
            f"check {check.about.id}: samples",
            got="other samples than a moment ago, for the same seed",
            expected="samples that follow from parameters and seed alone",
        )
    controls = planted_controls(check, plan.seed, target.access)
    names = [TARGET.name, *(c.name for c in controls)]
    wrong = [n for n in names if not _NAME.fullmatch(n) or n == "samples" or names.count(n) > 1]
    if wrong or any(c.arm is Arm.TARGET for c in controls):
        raise PluginError(
            f"check {check.about.id}: controls",
            got=f"subjects {wrong or names}",
            expected="controls, each under a name of its own in kebab case",
        )
    for info, plant in [(TARGET, None), *((c.info, c) for c in controls)]:
        rows = _Asked(check, info, samples, plan.seed, desk).rows(target, plant)
        yield complete(info, samples, rows)


def complete(info: SubjectInfo, samples: tuple[Sample, ...], rows: Sequence[Row]) -> Observations:
    """Join rows to samples; what was not observed is MISSING, under its own name.

    Raises:
        StoreError: A row belongs to no sample, or a sample has two rows.
    """
    by_id = {row.sample_id: row for row in rows}
    known = {sample.id for sample in samples}
    if len(by_id) < len(rows) or not by_id.keys() <= known:
        raise StoreError(
            f"evidence of {info.name}",
            got="rows that belong to no sample, or a sample answered twice",
            expected="at most one row for each sample of the plan",
        )
    joined = tuple(
        by_id.get(s.id)
        or Row(sample_id=s.id, status=Status.MISSING, reason="the check gave no row")
        for s in samples
    )
    return Observations(subject=info, samples=samples, rows=joined)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One check's samples put to one subject."""

    check: Check
    info: SubjectInfo
    samples: tuple[Sample, ...]
    seed: int
    desk: Desk

    def rows(self, target: Subject, control: Control | None) -> list[Row]:
        check_id, total = self.check.about.id, len(self.samples)
        batches = self._batches()
        done = self._kept(batches)
        subject = cache(lambda: control.plant(target) if control else target)
        so_far = 0

        def told(n: int) -> None:
            self.desk.report(
                Progress(check=check_id, subject=self.info.name, done=so_far + n, total=total)
            )

        for number, batch in enumerate(batches):
            if number not in done:
                began = time.monotonic()  # planting a control counts as part of its first batch
                with listening(told):
                    done[number] = self._ask(subject, batch)
                self.desk.standing()
                took = time.monotonic() - began
                self.desk.store.append(check_id, self.info.name, number, done[number], took)
            so_far += len(batch)
            told(0)
        return [row for number in sorted(done) for row in done[number]]

    def _batches(self) -> list[tuple[Sample, ...]]:
        size = self.check.about.batch or len(self.samples)
        return [self.samples[i : i + size] for i in range(0, len(self.samples), size)]

    def _kept(self, batches: Sequence[Sequence[Sample]]) -> dict[int, tuple[Row, ...]]:
        """Finished batches of an interrupted run, held to all that a fresh one is held to."""
        kept = self.desk.store.batches(self.check.about.id, self.info.name)
        for number, rows in kept.items():
            batch = batches[number] if 0 <= number < len(batches) else ()
            waiting = {s.id for s in batch}
            asked = {row.sample_id for row in rows}
            once = len(asked) == len(rows) and asked <= waiting
            if batch and once and all(self._validated(row) == row for row in rows):
                for name in {name for row in rows for name in row.files.values()}:
                    self.desk.store.kept(name)
                continue
            raise StoreError(
                str(self.desk.store.journal(self.check.about.id, self.info.name)),
                got=f"batch {number} with rows that this check could not have left",
                expected=f"batches 0 to {len(batches) - 1}, each with valid rows of its own samples",
                next_step="restore the file, or remove the .partial folder and run again",
            )
        return kept

    def _ask(self, subject: Callable[[], Subject], batch: Sequence[Sample]) -> tuple[Row, ...]:
        seed = derive_seed(self.seed, self.check.about.id, "observe")
        try:
            given = list(self.check.observe(subject(), batch, seed))
        except (EndpointError, IdentityChanged, PluginError, StoreError):
            raise
        except Exception as error:  # whatever it is, these samples stay in the denominator
            reason = _text(f"{type(error).__name__}: {error}")
            return tuple(Row(sample_id=s.id, status=Status.ERROR, reason=reason) for s in batch)
        waiting = {s.id for s in batch}
        rows = [with_digests(item, self.desk.store.keep) for item in given]
        for row in rows:
            if not isinstance(row, Row) or row.sample_id not in waiting:
                raise PluginError(
                    f"check {self.check.about.id}: observe",
                    got=f"a row of {getattr(row, 'sample_id', row)!r}"[:300],
                    expected="at most one row for each sample it was given",
                )
            waiting.remove(row.sample_id)
        return tuple(self._validated(row) for row in rows)

    def _validated(self, row: Row) -> Row:
        if not isinstance(row.status, Status):
            wrong = f"status {row.status!r}"
        elif row.status is not Status.OK:
            reason = _text(str(row.reason or "not stated"))
            return replace(row, values={}, reason=reason)
        else:
            wrong = valid_row(self.check.about.row, row)
        if wrong:
            reason = _text(f"invalid row: {wrong}")
            return replace(row, status=Status.ERROR, values={}, reason=reason)
        return replace(row, reason="")


def with_digests(given: Row | Filed, keep: Callable[[bytes], str]) -> Row:
    """A row that names what was kept beside it.

    Raises:
        PluginError: A file has no plain name or no bytes, or a digest was given for a file.
    """
    if not isinstance(given, Filed):
        if isinstance(given, Row) and given.files:
            raise _no_files(given, "the digests of files alone")
        return given
    if given.row.files or not all(isinstance(data, bytes) for data in given.files.values()):
        raise _no_files(given.row, "something else than bytes")
    if len(given.files) > MAX_FILES_A_ROW:
        raise _no_files(given.row, f"{len(given.files)} of them")
    for name in given.files:
        if not _FILE_NAME.fullmatch(name):
            raise _no_files(given.row, f"a file called {name[:100]!r}")
    return replace(given.row, files={name: keep(data) for name, data in given.files.items()})


def _no_files(row: Row, got: str) -> PluginError:
    return PluginError(
        f"observe: files of the row of {row.sample_id!r}",
        got=got,
        expected=f"`Filed` with the bytes of at most {MAX_FILES_A_ROW}, by plain names",
    )


def _text(text: str) -> str:
    """A reason that JSON can hold, at a length that a report can."""
    return text.encode("utf-8", "backslashreplace").decode()[:500]

"""Files beside rows: kept by digest from `observe` to the bundle, and nothing is taken for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bundle_fixture as made
import pytest
import test_engine as toys

from auditkit import audit, reading, store
from auditkit.bundle import Bundle, open_bundle, write_contents
from auditkit.bundle.contents import FILES
from auditkit.canonical import canonical, sha256
from auditkit.checks import check
from auditkit.engine import observe
from auditkit.errors import PluginError, StoreError, VerificationError
from auditkit.model import Access, Filed, Observations, Row, Sample, Status
from auditkit.store import Store, jsonl, row_from_json
from auditkit.targets import Subject
from auditkit.testing.contract import Contract
from auditkit.testing.observed import answers_follow_the_seed
from auditkit.verify import verify_bundle

LOG, OTHER = b"what happened\n", b"\x00another log\n\n"
NAME, OTHER_NAME = sha256(LOG), sha256(OTHER)


@check(
    id="toy.filed",
    version=1,
    needs=Access.LOGPROBS,
    title="Toy",
    claim="As before.",
    row=toys.NumberRow,
    batch=4,
)
@dataclass(frozen=True, kw_only=True)
class FiledToy(toys.Toy):
    """Leaves a log of each batch beside its rows."""

    how: str = "log"

    def observe(  # type: ignore[override]
        self, subject: Subject, samples: Sequence[Sample], seed: int
    ) -> Iterable[Row | Filed]:
        files: dict[str, Any] = {"log.txt": f"{samples[0].id}\n".encode()}
        if self.how == "times":
            files = {"log.txt": str(next(CLOCK)).encode()}
        elif self.how == "no bytes":
            files = {"log.txt": "text"}
        elif self.how == "names":
            files = {"../log.txt": b""}
        elif self.how == "many":
            files = {f"{n}.txt": b"" for n in range(21)}
        for row in super().observe(subject, samples, seed):
            if self.how == "digests":
                yield replace(row, files={"log.txt": NAME})
            elif row.sample_id == "q001":
                failed = Row(sample_id="q001", status=Status.UNPARSED, reason="no answer")
                yield Filed(row=failed, files=files)
            else:
                yield Filed(row=row, files=files)


CLOCK = iter(range(10**6))


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    toys.register(monkeypatch, FiledToy)


def asked(folder: Path, how: str = "log") -> tuple[Observations, ...]:
    plan = toys.plan("toy.filed")
    plan = replace(plan, checks=(replace(plan.checks[0], params={"how": how}),))
    (evidence,) = observe(plan, toys.scripted(-4), Store(folder), lambda _: None)
    return evidence.subjects


# --- while a run is under way -------------------------------------------------------------------


def test_a_row_without_files_is_the_bytes_that_it_always_was() -> None:
    row = Row(sample_id="a", values={"x": 1})
    assert canonical(row) == b'{"reason":"","sample_id":"a","status":"ok","values":{"x":1}}'
    filed = replace(row, files={"log.txt": NAME})
    assert row_from_json(json.loads(jsonl([filed]))) == filed
    assert row_from_json(json.loads(jsonl([row]))) == row


def test_files_are_kept_once_and_rows_name_them(tmp_path: Path) -> None:
    subjects = asked(tmp_path)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "files").iterdir()}
    assert sorted(kept.values()) == [b"q000\n", b"q004\n", b"q008\n"]
    assert all(sha256(data) == name for name, data in kept.items())
    for observed in subjects:
        assert [kept[row.files["log.txt"]] for row in observed.rows[:5]] == [b"q000\n"] * 4 + [
            b"q004\n"
        ]
    assert subjects[0].rows[1].status is Status.UNPARSED  # a row that isn't OK keeps its files


def test_what_was_kept_is_kept_by_a_run_that_goes_on(tmp_path: Path) -> None:
    first = asked(tmp_path)
    assert asked(tmp_path) == first
    some = next((tmp_path / "files").iterdir())
    some.write_bytes(b"something else")
    with pytest.raises(StoreError, match="other bytes than were kept"):
        asked(tmp_path)
    some.unlink()
    with pytest.raises(StoreError, match=some.name):
        asked(tmp_path)


def test_a_file_is_on_the_disk_before_the_line_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(StoreError, match="a full disk"):
        asked(tmp_path)
    assert not (tmp_path / "journal").exists()
    assert not [path for path in (tmp_path / "files").iterdir() if path.suffix != ".new"]


@pytest.mark.parametrize("how", ["no bytes", "names", "many", "digests"])
def test_files_that_could_not_be_kept_are_the_checks_mistake(tmp_path: Path, how: str) -> None:
    with pytest.raises(PluginError, match="files of the row of 'q000'"):
        asked(tmp_path, how)


def test_files_beyond_what_a_bundle_may_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_ATTACHED_TOTAL_BYTES", 20)
    keeper = Store(tmp_path)
    keeper.keep(LOG)
    keeper.keep(LOG)  # is there already
    with pytest.raises(StoreError, match=r"at most .* 20 together; plan fewer samples"):
        keeper.keep(OTHER)
    assert reading.MAX_ATTACHED_TOTAL_BYTES < reading.MAX_TOTAL_BYTES


def test_a_log_with_times_in_it_keeps_the_contract() -> None:
    answers_follow_the_seed(Contract(FiledToy(how="times"), toys.scripted(-4)))


# --- in a bundle --------------------------------------------------------------------------------


def filed(bundle: Bundle) -> Bundle:
    """Two rows of the target name a log each, another names both; those of others none."""
    record = bundle.evidence[made.CHECK]
    target = record.subjects[0]
    files = [{"log.eval": NAME}, {"log.eval": OTHER_NAME}, {"a": NAME, "b": OTHER_NAME}]
    rows = tuple(
        replace(row, files=files[n]) if n < len(files) else row for n, row in enumerate(target.rows)
    )
    subjects = (replace(target, rows=rows), *record.subjects[1:])
    return replace(bundle, evidence={made.CHECK: replace(record, subjects=subjects)})


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any]:
    made.register(monkeypatch)
    signer = made.make_signer(tmp_path)
    keeper = Store(tmp_path / "out.partial")
    assert [keeper.keep(LOG), keeper.keep(OTHER)] == [NAME, OTHER_NAME]
    monkeypatch.setattr(
        made, "write_contents", lambda folder, bundle: write_contents(folder, bundle, keeper.kept)
    )
    return made.make_bundle(tmp_path / "bundle", signer, filed(made.contents())), signer


def test_they_are_in_the_bundle_and_verify(signed: tuple[Path, Any]) -> None:
    folder, signer = signed
    there = {path.name: path.read_bytes() for path in (folder / FILES).iterdir()}
    assert there == {NAME: LOG, OTHER_NAME: OTHER}
    verify_bundle(folder, signer.public)
    rows = open_bundle(folder).evidence[made.CHECK].subjects[0].rows
    assert rows[2].files == {"a": NAME, "b": OTHER_NAME}
    assert "files" not in json.loads(
        (folder / f"evidence/{made.CHECK}/target.jsonl").read_text().splitlines()[3]
    )


def _edit(folder: Path) -> None:
    (folder / FILES / NAME).write_bytes(LOG.upper())


def _remove(folder: Path) -> None:
    (folder / FILES / NAME).unlink()


def _swap(folder: Path) -> None:
    (folder / FILES / NAME).write_bytes(OTHER)
    (folder / FILES / OTHER_NAME).write_bytes(LOG)


def _add(folder: Path) -> None:
    (folder / FILES / sha256(b"more")).write_bytes(b"more")


def _rename(folder: Path) -> None:
    (folder / FILES / NAME).rename(folder / FILES / "log.eval")


@pytest.mark.parametrize(
    ("tamper", "found", "signed_anew"),
    [
        (_edit, "file-changed", "evidence-file-changed"),
        (_remove, "missing-file", "missing-file"),
        (_swap, "file-changed", "evidence-file-changed"),
        (_add, "extra-file", "evidence-unlisted"),
        (_rename, "extra-file", "missing-file"),
    ],
)
def test_tampering_is_found_by_name_even_where_the_signer_did_it(
    signed: tuple[Path, Any], tamper: Any, found: str, signed_anew: str
) -> None:
    folder, signer = signed
    tamper(folder)
    with pytest.raises(VerificationError) as caught:
        verify_bundle(folder, signer.public)
    assert caught.value.code == found
    made.reseal(folder, signer)
    with pytest.raises(VerificationError) as caught:
        verify_bundle(folder, signer.public)
    assert caught.value.code == signed_anew


@pytest.mark.parametrize(
    "files", [{}, {"../x": NAME}, {"x": NAME[:-1]}, {"x": f"../{NAME}"}, {"x": 1}, []]
)
def test_rows_that_name_no_file_properly_are_refused(signed: tuple[Path, Any], files: Any) -> None:
    folder, signer = signed
    path = folder / f"evidence/{made.CHECK}/target.jsonl"
    first, *rest = path.read_bytes().splitlines()
    lines = [canonical(json.loads(first) | {"files": files}), *rest]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    made.reseal(folder, signer)
    with pytest.raises(VerificationError, match=r"row\.v1"):
        verify_bundle(folder, signer.public)


def test_a_bundle_is_not_written_without_what_its_rows_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.register(monkeypatch)
    with pytest.raises(VerificationError, match="what a row names"):
        write_contents(tmp_path / "b", filed(made.contents()))
    assert audit.write_contents is write_contents

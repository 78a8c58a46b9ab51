from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from auditkit.canonical import canonical
from auditkit.errors import StoreError
from auditkit.model import Row, Sample, Status
from auditkit.store import Store, jsonl, row_from_json, sample_from_json

ROWS = [Row(sample_id=f"s{n}", values={"x": n}) for n in range(6)]
CHECK, WHO = "toy.number", "target"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "a.partial")
    for batch in range(3):
        store.append(CHECK, WHO, batch, ROWS[2 * batch : 2 * batch + 2])
    return store


def test_rows_and_samples_read_back() -> None:
    row = Row(sample_id="a", status=Status.EMPTY, reason="é")
    sample = Sample(id="a", group="g", input={"n": [1, 2]})
    assert row_from_json(json.loads(jsonl([row]))) == row
    assert sample_from_json(json.loads(jsonl([sample]))) == sample


def test_batches_come_back_by_number(store: Store) -> None:
    assert store.batches(CHECK, WHO) == {n: tuple(ROWS[2 * n : 2 * n + 2]) for n in range(3)}
    assert store.batches(CHECK, "nobody") == {}


def test_every_cut_of_the_last_line_loses_that_batch_alone(store: Store) -> None:
    path = store.journal(CHECK, WHO)
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    for cut in range(last, len(data)):
        path.write_bytes(data[:cut])
        assert sorted(store.batches(CHECK, WHO)) == [0, 1]
        assert path.read_bytes() == data[:last]
    store.append(CHECK, WHO, 2, ROWS[4:])
    assert path.read_bytes() == data


def test_damage_in_the_middle_is_an_error(store: Store) -> None:
    path = store.journal(CHECK, WHO)
    data = path.read_bytes()
    choose = random.Random(1)
    middle = len(data) - 10
    for position in choose.sample(range(middle), 60):
        changed = bytearray(data)
        changed[position] ^= 1 << choose.randrange(7)
        path.write_bytes(bytes(changed))
        with pytest.raises(StoreError, match="damaged evidence"):
            store.batches(CHECK, WHO)


def test_a_batch_twice_is_an_error(store: Store) -> None:
    path = store.journal(CHECK, WHO)
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(StoreError, match="batch 1 a second time"):
        store.batches(CHECK, WHO)


def test_a_second_run_is_kept_out(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.partial")
    with store.lock(), pytest.raises(StoreError, match="another run using it"):
        store.lock()
    store.lock().close()


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.partial")
    code = f"from auditkit.store import *; Store(Path({str(store.folder)!r})).lock()"
    with store.lock():
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    assert "another run using it" in done.stderr


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        Store(tmp_path / "file" / "a.partial").lock()


def test_the_first_claim_stands(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.claim("plan.json", {"a": 1}) == {"a": 1}
    assert store.claim("plan.json", {"a": 2}) == {"a": 1}
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        store.claim("plan.json", {})


def test_fresh_is_empty_and_discard_leaves_nothing(store: Store) -> None:
    (store.fresh("bundle") / "old").write_text("x")
    assert list(store.fresh("bundle").iterdir()) == []
    store.discard()
    assert not store.folder.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failing_disk_is_said_and_nothing_is_lost(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    before = store.journal(CHECK, WHO).read_bytes()

    def fail(_: Any) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        said = "full disk" if code != errno.EIO else os.strerror(code)
        with pytest.raises(StoreError, match=f"{said}.*finished evidence is kept"):
            store.append(CHECK, WHO, 3, ROWS)
        with pytest.raises(StoreError, match=said):
            store.write("sessions.json", b"{}")
    assert store.journal(CHECK, WHO).read_bytes() == before
    assert not (store.folder / "sessions.json").exists()
    store.append(CHECK, WHO, 3, ROWS)
    assert sorted(store.batches(CHECK, WHO)) == [0, 1, 2, 3]


FULL = """
import resource, sys
from pathlib import Path
from auditkit.errors import StoreError
from auditkit.model import Row
from auditkit.store import Store

store = Store(Path(sys.argv[1]))
rows = [Row(sample_id=f"s{n}", values={"text": "x" * 1000}) for n in range(3)]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
for batch in range(100):
    try:
        store.append("toy.number", "target", batch, rows)
    except StoreError as error:
        print(error)
        sys.exit(batch)
"""


@pytest.mark.parametrize("limit", [9_000, 12_500, 15_500])
def test_a_write_that_stops_half_way_leaves_only_whole_batches(tmp_path: Path, limit: int) -> None:
    """The kernel takes a part of the line, then no more: as a disk does that fills up. Lines are small
    enough to wait in a buffer, which must not write its rest after the file was cut back.
    """
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(limit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "finished evidence is kept" in done.stdout, done.stderr
    n_whole = done.returncode
    assert n_whole == limit // len(Store(tmp_path).journal(CHECK, WHO).read_bytes().splitlines()[0])
    journal = Store(tmp_path).journal(CHECK, WHO).read_bytes()
    assert journal.endswith(b"\n")
    assert sorted(Store(tmp_path).batches(CHECK, WHO)) == list(range(n_whole))


KILLED = """
import sys, time
from pathlib import Path
import pytest
import test_engine as toys
from auditkit.engine import observe
from auditkit.plan import Plan, PlannedCheck
from auditkit.store import Store, jsonl

toys.register(pytest.MonkeyPatch())
folder = Path(sys.argv[1])
plan = Plan(name="t", checks=(PlannedCheck(id=toys.TOY, params={"n_items": 60}),))
store = Store(folder)
with store.lock():
    slow = toys.Toy.observe
    def observe_slowly(self, subject, samples, seed):
        with (folder / "asked").open("a") as stream:
            stream.write("".join(s.id + "\\n" for s in samples))
        time.sleep(float(sys.argv[2]))
        return slow(self, subject, samples, seed)
    toys.Toy.observe = observe_slowly
    print("ready", flush=True)
    (evidence,) = observe(plan, toys.scripted(-4), store, lambda _: None)
for o in evidence.subjects:
    (folder / f"{o.subject.name}.evidence").write_bytes(jsonl(o.rows))
"""


def started(folder: Path, pause_s: float) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), str(pause_s)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def evidence(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.glob("*.evidence")}


def test_killed_again_and_again_the_evidence_is_the_same(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert started(whole, 0).wait() == 0
    choose = random.Random(3)
    seen: set[str] = set()
    n_kills = 5
    for _ in range(n_kills):
        process = started(killed, 0.03)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(choose.uniform(0.02, 0.25))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        done = {r.sample_id for b in Store(killed).batches(CHECK, WHO).values() for r in b}
        assert seen <= done
        seen = done
    assert started(killed, 0).wait() == 0
    assert evidence(killed) == evidence(whole)
    assert len(evidence(whole)) == 3
    asked = (killed / "asked").read_text().splitlines()
    assert 3 * 60 <= len(asked) <= 3 * 60 + 4 * n_kills  # at most the batch under way, each time


def test_a_journal_is_canonical_lines(store: Store) -> None:
    for line in store.journal(CHECK, WHO).read_bytes().splitlines():
        assert canonical(json.loads(line)) == line

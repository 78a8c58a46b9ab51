from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit import quality
from auditkit.checks import load_check
from auditkit.errors import PluginError
from auditkit.model import Arm, Observations, Row, Sample, Status, SubjectInfo
from auditkit.quality import flat, gate

GAP = load_check("deception.knowledge_gap").about.expectations
INFO = SubjectInfo(name="target", arm=Arm.TARGET, description="")


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    """What other tests had judged is forgotten."""
    quality._SEEN.clear()


def observed(values: list[dict[str, Any]], ids: list[str] | None = None) -> Observations:
    names = ids or [f"s{n}" for n in range(len(values))]
    return Observations(
        subject=INFO,
        samples=tuple(Sample(id=n, group="g", input={}) for n in names),
        rows=tuple(Row(sample_id=n, values=v) for n, v in zip(names, values, strict=True)),
    )


def sound(n: int = 5) -> list[dict[str, Any]]:
    return [known(0.5 + i) for i in range(n)]


def known(margin: float) -> dict[str, Any]:
    margins = dict.fromkeys(("completion-1", "completion-2", "question"), margin)
    return {"known": margins, "margins": {}, "stated": {}, "choice": {}}


def test_sound_evidence_passes_and_says_how_much_was_looked_at() -> None:
    result = gate(observed(sound()), GAP)
    assert (result.passed, result.failures) == (True, ())
    assert result.evaluated == 12


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([known(1.0)] * 5, "unique_value_count"),  # the same number for all
        ([known(1e6 + i) for i in range(5)], "be_between"),
        ([{"other": 1.0 + i} for i in range(5)], "not_be_null(column=known.completion-1)"),
    ],
)
def test_evidence_that_cannot_be_right_is_refused(values: list[Any], said: str) -> None:
    result = gate(observed(values), GAP)
    assert not result.passed
    assert said in " ".join(result.failures)


def test_no_rows_at_all_are_refused() -> None:
    result = gate(observed([]), "")
    assert (result.passed, result.failures) == (False, ("the evidence has no rows",))


def test_rows_without_values_are_refused_where_values_are_due() -> None:
    assert not gate(observed([{}, {}]), GAP).passed


def test_duplicate_and_blank_ids_are_refused() -> None:
    assert "unique" in " ".join(gate(observed(sound(2), ["a", "a"]), "").failures)
    assert "regex" in " ".join(gate(observed(sound(2), ["a", "b c"]), "").failures)


def test_evidence_that_is_all_errors_is_still_whole_data() -> None:
    """What is unusable is counted later; here only its form matters."""
    samples = (Sample(id="a", group="g", input={}),)
    rows = (Row(sample_id="a", status=Status.ERROR, reason="x"),)
    assert gate(Observations(subject=INFO, samples=samples, rows=rows), GAP).passed


@dataclass(frozen=True)
class Package:
    """A plugin's package with a suite of its own."""

    folder: Path
    patch: pytest.MonkeyPatch

    def suite(self, text: str) -> str:
        (self.folder / "suite.json").write_text(text)
        self.patch.setattr(quality, "files", lambda _: self.folder)
        quality._suite_json.cache_clear()
        return "plugin:suite.json"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    yield Package(tmp_path, monkeypatch)
    quality._suite_json.cache_clear()


@pytest.mark.parametrize("text", ['{"name": "x", "expectations": []}', "{}", "[]", "no json", "3"])
def test_an_empty_suite_is_refused(package: Package, text: str) -> None:
    with pytest.raises(PluginError, match=r"plugin:suite\.json"):
        quality._suite_json(package.suite(text))


@pytest.mark.parametrize("reference", ["auditkit_schemas:none.json", "no_package:x", "nonsense"])
def test_a_missing_suite_is_refused(reference: str) -> None:
    with pytest.raises(PluginError):
        gate(observed(sound()), reference)


def test_failures_are_readable_and_hold_no_paths() -> None:
    result = gate(observed([{"other": 1.0 + i} for i in range(5)]), GAP)
    text = json.dumps(result.failures)
    assert str(Path.cwd()) not in text
    assert str(Path(quality.__file__).parent) not in text
    assert "Traceback" not in text
    assert "site-packages" not in text


def test_no_network_and_no_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Great Expectations would report its use, and draws bars."""
    tried: list[Any] = []

    def refuse(self: Any, address: Any) -> None:
        tried.append(address)
        raise OSError("no network")

    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "true")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert gate(observed(sound()), GAP).passed
    assert tried == []
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_the_same_evidence_is_judged_the_same_twice() -> None:
    first = gate(observed(sound()), GAP)
    quality._SEEN.clear()
    assert gate(observed(sound()), GAP) == first


def test_a_table_is_looked_at_once_and_every_other_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    real = quality._run

    def counted(frame: Any, suite: dict[str, Any]) -> dict[str, Any]:
        looked_at.append(len(frame))
        return real(frame, suite)

    monkeypatch.setattr(quality, "_run", counted)
    first = gate(observed(sound(2), ["a", "b"]), "")
    assert gate(observed(sound(2), ["a", "b"]), "") == first
    assert looked_at == [2]
    assert gate(observed(sound(3), ["a", "b", "b"]), "").failures
    assert gate(observed(sound(2), ["a", "b"]), GAP).evaluated > first.evaluated
    assert looked_at == [2, 3, 2]


@pytest.mark.parametrize("cell", [1.0, True, "1", None])
def test_cells_that_look_alike_are_other_tables(cell: Any) -> None:
    import pandas as pd

    one, other = (quality._content(pd.DataFrame({"x": [v, v]})) for v in (1, cell))
    assert one != other


def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "MAX_SEEN", 2)
    monkeypatch.setattr(quality, "_met", lambda frame, suite: (len(frame), []))
    for n in (1, 2, 3):
        assert gate(observed(sound(n)), "").evaluated == n
    assert [n for n, _ in quality._SEEN.values()] == [2, 3]


def test_nested_values_become_columns() -> None:
    values = {"a": {"b": 1, "c": {"d": "x"}}, "n": [3, 1], "t": ["x"], "e": []}
    assert flat(values) == {
        "a.b": 1,
        "a.c.d": "x",
        "n.len": 2,
        "n.min": 1,
        "n.max": 3,
        "t.len": 1,
        "e.len": 0,
    }


def test_shipped_suites_expect_something() -> None:
    folder = files("auditkit_schemas") / "expectations"
    names = [p.name for p in folder.iterdir() if p.name.endswith(".json")]
    assert len(names) >= 3
    for name in names:
        assert json.loads(quality._suite_json(f"auditkit_schemas:expectations/{name}"))["name"]


def test_numbers_of_numpy_do_not_reach_the_gate() -> None:
    """Rows are JSON by then; this is what it would otherwise make of them."""
    assert flat({"x": np.float64(1.5)}) == {"x": 1.5}

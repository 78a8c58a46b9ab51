"""What docs/cross-validation.md and docs/items.md tell people to write themselves works."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from auditkit_checks.cross_validation.check import CrossValidation
from auditkit_checks.graded.domains import domain_items
from auditkit_checks.graded.hardness.measures import MEASURES, hardness_of
from auditkit_checks.graded.splits import Cut
from auditkit_checks.graded.user_data import look_through

DOCS = Path(__file__).resolve().parents[2] / "docs"


def block(page: str, language: str, has: str = "") -> str:
    """The first block of code of a page in that language, with that text in it."""
    text = (DOCS / page).read_text("utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return next(code for code in found if has in code)


def test_the_script_makes_items_that_the_check_takes(tmp_path: Path) -> None:
    script = block("cross-validation.md", "python")
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    found = look_through(tmp_path / "till.jsonl", Cut())
    assert found.sound
    assert {rule for item in found.items for rule in item.rules} >= {"no_carry", "off_by_one"}
    check = CrossValidation(domains=(), data=str(tmp_path / "till.jsonl")).resolved(1)
    assert sum(s.input["part"] == "hard" for s in check.samples(1)) >= check.n_slice


def test_the_measure_of_hardness_is_found_by_its_entry_point_and_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "auditkit_words.py").write_text(block("items.md", "python", "@hardness"), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    declared = tomllib.loads(block("items.md", "toml"))["project"]["entry-points"]
    ((name, place),) = declared[MEASURES.group].items()
    entry = EntryPoint(name=name, value=place, group=MEASURES.group)
    measure = MEASURES.load("n_words", {name: entry})()
    items = domain_items("logic", 50, 0)
    assert hardness_of(items, measure).tolist() == [len(i.question.split()) for i in items]


def test_the_item_of_the_page_is_the_same_in_csv_and_json(tmp_path: Path) -> None:
    read = []
    for language, name in (("csv", "own.csv"), ("json", "own.jsonl")):
        (tmp_path / name).write_text(block("items.md", language), "utf-8")
        found = look_through(tmp_path / name, Cut())
        assert not found.problems
        read.append(found.items)
    assert read[0] == read[1]
    assert read[0][0].rules == {"known_best": 0}

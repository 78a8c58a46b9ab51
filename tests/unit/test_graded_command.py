"""auditkit items list|show|check|panel, which comes to the command line by entry point."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import click
import pytest
from auditkit_checks.graded import asking
from auditkit_checks.graded.domains import DOMAINS, domain_items
from auditkit_checks.graded.items import scored
from auditkit_checks.graded.splits import Cut
from auditkit_checks.graded.user_data import load_items

from auditkit import cli
from auditkit.cli import main
from auditkit.errors import InvalidInput, PlanError
from auditkit.plan import Plan, PlannedCheck, lock
from auditkit.targets.identity import identify
from auditkit.targets.local import load
from auditkit.targets.spec import parse_spec


def run(capsys: pytest.CaptureFixture[str], *words: object, expect: int = 0) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert stopped.value.code == expect, said.out + said.err
    return said.out if expect != 3 else said.err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "items", "list")
    listed = json.loads(run(capsys, "items", "list", "--json"))
    assert [one["name"] for one in listed] == list(DOMAINS)
    for one in listed:
        assert f"{one['name']}: {one['title']}" in said
        assert one["licence"] in said


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "items", "show", "arithmetic", "--n", 3, "--seed", 7)
    for item in domain_items("arithmetic", 3, 7):
        assert item.question in said
        assert f"An answer begins: {item.opening}" in said
        assert f"{item.answer}  {item.options[item.answer]}   (right)" in said
    assert "(no_carry)" in said
    assert "expected one of arithmetic" in run(capsys, "items", "show", "x", expect=3)


def test_what_show_prints_check_reads(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = run(capsys, "items", "show", "facts", "--n", 200, "--json")
    path = tmp_path / "facts.jsonl"
    path.write_text(said, "utf-8")
    assert load_items(path, Cut()) == domain_items("facts", 200, 0)
    assert "200 items in 1 domain, 0 records refused: sound" in run(capsys, "items", "check", path)


def test_check_says_everything_and_exits_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lines = run(capsys, "items", "show", "units", "--n", 60, "--json").splitlines()
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join([*lines, lines[0], "{\x1b[2J", "{}"]), "utf-8")
    said = run(capsys, "items", "check", path, "--min-items", 10, expect=1)
    assert "own.jsonl:62, got" in said
    assert "own.jsonl:63, got" in said
    assert "two items with the same id" in said
    assert "61 items in 1 domain, 2 records refused: mend what is said above" in said
    found = json.loads(run(capsys, "items", "check", path, "--min-items", 10, "--json", expect=1))
    assert (found["sound"], found["items"], found["refused"]) == (False, 61, 2)
    assert len(found["problems"]) == 4


def test_check_refuses_a_file_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "got no such file" in run(capsys, "items", "check", "none.jsonl", expect=3)


def test_a_panel_of_what_is_neither_domain_nor_file_is_told_the_domains(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = (
        "items",
        "panel",
        "arithmatic",
        "--model",
        "demo:smollm2",
        "--out",
        tmp_path / "a.jsonl",
    )
    said = run(capsys, *words, expect=3)
    assert "got no domain and no such file, expected one of arithmetic, facts" in said


def test_percentiles_are_checked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = run(capsys, "items", "check", tmp_path, "--easy-percentile", 80, expect=3)
    assert "0 < easy <= hard < 100" in said


# --- commands that packages bring ---------------------------------------------------------------


@click.command("hello")
def hello() -> int:
    """Say hello."""
    click.echo("hello")
    return 0


def bring(monkeypatch: pytest.MonkeyPatch, name: str, loaded: Any) -> None:
    def load(self: EntryPoint) -> Any:
        if isinstance(loaded, Exception):
            raise loaded
        return loaded

    entry = EntryPoint(name, "plugin:command", cli.BROUGHT)
    monkeypatch.setattr(cli, "entry_points", lambda group: [entry])
    monkeypatch.setattr(EntryPoint, "load", load)


def test_a_package_may_bring_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, "hello", hello)
    assert run(capsys, "hello") == "hello\n"
    assert "Say hello." in run(capsys, "--help")


def test_none_can_replace_one_of_ours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(monkeypatch, "verify", hello)
    assert "hello" not in run(capsys, "verify", "--help")


@pytest.mark.parametrize(
    ("loaded", "message"),
    [(ImportError("no sway"), "ImportError: no sway"), (3, "got int, expected a command or group")],
)
def test_one_that_does_not_load_is_an_error(
    loaded: Any,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bring(monkeypatch, "hello", loaded)
    said = run(capsys, "hello", expect=3)
    assert said.startswith("error (plugin): command hello: plugin:command")
    assert message in said


# --- items panel ----------------------------------------------------------------------------------


def test_models_answer_a_built_in_domain_and_a_plan_takes_the_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, saved: Path
) -> None:
    out = tmp_path / "sums.jsonl"
    words = ("items", "panel", "arithmetic", "--n", 200, "--model", saved, "--out", out)
    said = run(capsys, *words)
    weights = identify(parse_spec(str(saved))).weights
    member = f"model@{weights[:16]}"
    assert f"right: {member}" in said
    assert f"data: {out}, hardness: one of structural, " in said
    assert "structural and panel_loss" in said
    items = load_items(out, Cut())
    assert {tuple(item.panel) for item in items} == {(member,)}
    assert {item.domain for item in items} == {"own-arithmetic"}
    alone = [replace(item, panel={}) for item in items]
    target = load(parse_spec(str(saved)))
    for item, found in zip(items, scored(target, alone), strict=True):
        assert item.panel[member] == pytest.approx(found, abs=1e-3)  # batches of another size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sums.jsonl"]

    with pytest.raises(PlanError, match="the target itself"):
        lock(
            Plan(
                name="own",
                checks=(
                    PlannedCheck(
                        id="generalisation.easy_to_hard",
                        params={"domains": [], "data": str(out), "n_train": 20, "fewer": []},
                    ),
                ),
            ),
            target_digest="",
            target_weights=weights,
            locked_at="2026-11-27T00:00:00Z",
        )


def test_a_panel_grows_by_those_who_have_not_answered(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, saved: Path, folder: Path, tiny: Any
) -> None:
    tiny(seed=5).save_pretrained(folder)
    out = tmp_path / "sums.jsonl"
    words = ("items", "panel", "arithmetic", "--n", 200, "--json", "--out", out)
    first = json.loads(run(capsys, *words, "--model", saved))
    before = load_items(out, Cut())
    both = json.loads(run(capsys, *words, "--model", saved, "--model", folder))
    (one,) = first["domains"]["own-arithmetic"]["right"]
    assert len(both["domains"]["own-arithmetic"]["right"]) == 2
    after = load_items(out, Cut())
    assert [i.panel[one] for i in after] == [i.panel[one] for i in before]
    copy = shutil.copytree(saved, tmp_path / ("a copy of it " * 15).strip())
    assert "the same weights as" in run(capsys, *words, "--model", copy, expect=3)
    assert load_items(out, Cut()) == after
    other = run(capsys, *words[:3], "--n", 210, "--model", saved, "--out", out, expect=3)
    assert "a file that is there already, with other items" in other


def test_a_disk_that_fills_up_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sums.jsonl"
    some = domain_items("arithmetic", 200, 0)
    asking._write(some, out)
    before = out.read_bytes()

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InvalidInput, match="No space left"):
        asking._write(some[:100], out)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_what_is_no_data_set_has_no_panel(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, saved: Path
) -> None:
    for source, out, said in (
        ("astrology", "a.jsonl", "astrology"),
        ("arithmetic", "a.csv", "ends in .jsonl"),
    ):
        words = ("items", "panel", source, "--model", saved, "--out", tmp_path / out)
        assert said in run(capsys, *words, expect=3)
    nowhere = ("items", "panel", "arithmetic", "--model", tmp_path, "--out", tmp_path / "a.jsonl")
    assert "config.json" in run(capsys, *nowhere, expect=3)
    assert list(tmp_path.iterdir()) == []

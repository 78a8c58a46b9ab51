from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_engine import SECOND, TOY, Toy, plan, register

from auditkit.cli.run import chosen_plan
from auditkit.errors import InvalidInput, PlanError, UnknownCheck
from auditkit.plan import (
    Engagement,
    LockedPlan,
    Plan,
    as_yaml,
    configured,
    lock,
    locked_bytes,
    parse,
    read_text,
    shipped,
)

NOW = "2026-11-22T10:00:00Z"
YAML = f"""
schema: auditkit/plan/v1
name: mine
seed: 4
target: somewhere
checks:
  - id: {TOY}
    params: {{n_items: 5}}
  - id: {SECOND}
    primary: false
"""


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def locked(**fields: Any) -> LockedPlan:
    return lock(plan(TOY, SECOND, **fields), target_digest="ab" * 32, locked_at=NOW)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    (tmp_path / "plan.yaml").write_text(YAML)
    return tmp_path / "plan.yaml"


def test_yaml_becomes_a_plan() -> None:
    read = parse(YAML, "x")
    assert isinstance(read, Plan)
    assert (read.name, read.seed, read.alpha) == ("mine", 4, 0.05)
    assert [(c.id, c.primary) for c in read.checks] == [(TOY, True), (SECOND, False)]
    assert parse(as_yaml(read), "x") == read
    assert parse(json.dumps({"name": "n", "checks": [{"id": TOY}]}), "x") == plan(TOY).__class__(
        name="n", checks=plan(TOY).checks
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("seed: 4", "sede: 4"), "sede"),
        (("seed: 4", "seed: four"), "seed"),
        (("seed: 4", "seed: 4.5"), "seed"),
        (("seed: 4", "seed: -1"), "seed"),
        (("seed: 4", "seed: 4294967296"), "seed"),
        (("seed: 4", "seed: true"), "seed"),
        (("seed: 4", "seed:"), "seed"),
        (("seed: 4", "alpha: .nan"), "JSON"),
        (("seed: 4", "alpha: 0"), "alpha"),
        (("seed: 4", "alpha: 0.6"), "alpha"),
        (("seed: 4", "dtype: float8"), "dtype"),
        (("seed: 4", "device: 'cpu; rm'"), "device"),
        (("seed: 4", "threads: 0"), "threads"),
        (("seed: 4", "max_unusable: 1"), "max_unusable"),
        (("seed: 4", "seed: 4\nseed: 5"), "twice"),
        (("seed: 4", "engagement: {titel: x}"), "titel"),
        (("seed: 4", "seed: !!python/object/apply:os.getcwd []"), "constructor"),
        (("seed: 4", "? [a]\n: 1"), "key"),
        (("plan/v1", "plan/v2"), "schema"),
        (("name: mine\n", ""), "name"),
        (("name: mine", "name: ''"), "name"),
        (("name: mine", "name: 2026-11-22"), "JSON"),
        (("n_items: 5}", "n_items: 5"), "YAML"),
        (("primary: false", "primary: no way"), "primary"),
        (("primary: false", "primry: false"), "primry"),
        ((f"id: {SECOND}", f"id: {TOY}"), "twice"),
        ((f"id: {SECOND}", "id: ../../x"), "id"),
        ((f"id: {SECOND}", "id: 7"), "id"),
    ],
)
def test_a_mistake_is_one_message_with_its_place(change: tuple[str, str], said: str) -> None:
    text = YAML.replace(*change)
    assert text != YAML
    with pytest.raises(PlanError, match=said):
        parse(text, "plan.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "just words",
        "- a\n- b",
        "checks: []\nname: x",
        "name: x",
        "null",
        "\x00\x01\x02",
        "[" * 20_000,
        '{"a":' * 20_000,
        '{"name": "x", "name": "y", "checks": [{"id": "toy.number"}]}',
        '{"name": "x", "alpha": NaN, "checks": [{"id": "toy.number"}]}',
        "a: &a {b: *a}",
    ],
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        parse(text, "plan.yaml")


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    bomb = "\n".join([*lines, "name: bomb", f"checks: [{{id: {TOY}, params: {{x: *a11}}}}]"])
    with pytest.raises(PlanError, match="alias"):
        parse(bomb, "plan.yaml")


def test_a_file_is_read_only_if_it_is_small_text(tmp_path: Path) -> None:
    big, binary = tmp_path / "big.yaml", tmp_path / "binary.yaml"
    big.write_text("#" * 2_000_000)
    binary.write_bytes(b"\xff\xfe\x00plan")
    for path, said in (
        (big, "under 1 MB"),
        (binary, "UTF-8"),
        (tmp_path, "directory"),
        (tmp_path / "gone", "No such file"),
    ):
        with pytest.raises(PlanError, match=said):
            parse(*read_text(str(path)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"checks": [1] * 200_000},
        {"claims": [1] * 200_000},
        {"checks": [{"id": TOY, **{f"k{n}": 1 for n in range(200_000)}}]},
    ],
)
def test_a_file_full_of_mistakes_is_refused_at_once(wrong: dict[str, Any]) -> None:
    """A thousand bytes and more for each of them would be more than a verifier's memory."""
    text = json.dumps({"name": "x", **wrong})
    tracemalloc.start()
    with pytest.raises(PlanError):
        parse(text, "plan")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 80_000_000


def test_a_locked_plan_may_hold_a_data_set(tmp_path: Path) -> None:
    """People write YAML, of which a megabyte is read; an auditor's own items are megabytes of JSON."""
    text = locked_bytes(locked(engagement=Engagement(supplied="x" * 20_000))).decode()
    value = json.loads(text)
    value["plan"]["checks"][0]["params"]["note"] = "x" * 2_000_000
    with pytest.raises(PlanError, match="was changed"):  # read whole, and held to its digest
        parse(json.dumps(value), "plan")


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ({"id": "no.such"}, UnknownCheck),
        ({"id": TOY, "params": {"n_itmes": 1}}, PlanError),
        ({"id": TOY, "params": {"n_items": "1"}}, PlanError),
        ({"id": TOY, "version": 1}, PlanError),
    ],
)
def test_checks_are_looked_up_and_configured(place: dict[str, Any], error: type[Exception]) -> None:
    read = parse(json.dumps({"name": "x", "checks": [place]}), "x")
    assert isinstance(read, Plan)
    with pytest.raises(error):
        configured(read)


def test_an_empty_check_cannot_be_locked() -> None:
    read = parse(json.dumps({"name": "x", "checks": [{"id": TOY, "params": {"n_items": 0}}]}), "x")
    assert isinstance(read, Plan)
    with pytest.raises(PlanError, match="no samples"):
        lock(read, target_digest="", locked_at=NOW)


def test_locking_resolves_everything() -> None:
    first, second = locked().plan.checks
    assert first.params == {"n_items": 12, "threshold": -1.0}
    assert (first.version, second.version, first.n_samples) == (2, 1, 12)
    assert len(first.samples_sha256) == len(first.source_sha256) == 64


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"alpha": 1e-7},
        {"alpha": 0.1},
        {"target": "a\u0085b\u2028c\x7f\ufeff\U0001f600 'x': {*y} &z"},
        {"target": "true"},
        {"seed": 2**32 - 1},
    ],
)
def test_a_locked_plan_reads_back_as_it_was(fields: dict[str, Any]) -> None:
    """YAML would read some of this JSON otherwise: 1e-7 as a text, U+0085 as a line's end."""
    there = locked(**fields)
    assert parse(locked_bytes(there).decode(), "x") == there
    assert parse(locked_bytes(there).decode() + "\n", "x") == there


def test_a_locked_plan_may_be_asked_for_its_check() -> None:
    assert locked().check(SECOND).id == SECOND


def test_the_digest_covers_plan_and_time() -> None:
    there = locked()
    digests = {
        there.sha256,
        replace(there, locked_at="2026-11-22T10:00:01Z").sha256,
        locked(seed=1).sha256,
        locked(alpha=0.049).sha256,
    }
    assert len(digests) == 4


def test_another_writing_of_a_locked_plan_is_refused() -> None:
    text = locked_bytes(locked()).decode()
    for other in (
        text.replace("true", "True", 1),
        text.replace("0.05", " .05", 1),
        json.dumps(json.loads(text), indent=1),
        text + " ",
    ):
        assert other != text
        with pytest.raises(PlanError):
            parse(other, "x")


def test_shipped_plans_parse_and_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert {"quick", "standard"} <= set(shipped())
    for name in shipped():
        read = parse(*read_text(name))
        assert isinstance(read, Plan)
        assert read.name == name
        assert len(lock(read, target_digest="", locked_at=NOW).plan.checks) == len(read.checks)


def test_flags_change_an_open_plan(written: Path) -> None:
    sets = (f"{TOY}:n_items=3", f"{TOY}:threshold=-2.5")
    chosen = chosen_plan(str(written), {"seed": 9, "target": None}, (), sets)
    assert isinstance(chosen, Plan)
    assert (chosen.seed, chosen.target) == (9, "somewhere")
    assert chosen.checks[0].params == {"n_items": 3, "threshold": -2.5}
    only = chosen_plan(str(written), {}, (SECOND,), ())
    assert isinstance(only, Plan)
    assert [c.id for c in only.checks] == [SECOND]


def test_a_check_beside_the_plan_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "p").write_text(f"name: x\ntarget: t\nchecks: [{{id: {TOY}}}]")
    chosen = chosen_plan(str(tmp_path / "p"), {}, (SECOND,), ())
    assert isinstance(chosen, Plan)
    assert [c.id for c in chosen.checks] == [SECOND]
    with pytest.raises(UnknownCheck):
        chosen_plan(str(tmp_path / "p"), {}, ("no.such",), ())


@pytest.mark.parametrize(
    ("flags", "sets", "error"),
    [
        ({"seed": -1}, (), PlanError),
        ({"threads": 0}, (), PlanError),
        ({"device": "cpu now"}, (), PlanError),
        ({"target": ""}, (), PlanError),
        ({}, ("n_items=3",), InvalidInput),
        ({}, (f"{TOY}:n_items",), InvalidInput),
        ({}, ("no.such:n_items=3",), InvalidInput),
        ({}, (f"{TOY}:n_items=[3",), InvalidInput),
        ({}, (f"{TOY}:n_items=2026-11-22",), InvalidInput),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    written: Path, flags: dict[str, Any], sets: tuple[str, ...], error: type[Exception]
) -> None:
    with pytest.raises(error):
        chosen_plan(str(written), flags, (), sets)


def test_a_locked_plan_takes_no_flag_that_changes_it(tmp_path: Path) -> None:
    path = tmp_path / "locked.json"
    path.write_bytes(locked_bytes(locked(target="t", seed=3)))
    same = chosen_plan(str(path), {"seed": 3, "target": "t", "dtype": None}, (), ())
    assert isinstance(same, LockedPlan)
    for flags, only, sets in (
        ({"seed": 4}, (), ()),
        ({"target": "other"}, (), ()),
        ({"threads": 7}, (), ()),
        ({}, (TOY,), ()),
        ({}, (), (f"{TOY}:n_items=3",)),
    ):
        with pytest.raises(PlanError, match="is locked"):
            chosen_plan(str(path), flags, only, sets)


def test_a_locked_plan_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    there = locked().plan
    monkeypatch.setattr(Toy, "about", replace(Toy.about, version=3))
    with pytest.raises(PlanError, match="version 3 installed"):
        configured(there)

"""An auditor's own data: read from any of its forms, and refused by name for whatever is wrong with it."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from auditkit_checks.graded.domains import DOMAINS, domain_items
from auditkit_checks.graded.items import Item
from auditkit_checks.graded.splits import Cut
from auditkit_checks.graded.suite import judged, table
from auditkit_checks.graded.user_data import DataSet, load_items, look_through

from auditkit.canonical import to_json
from auditkit.errors import InvalidInput, MissingTool

CUT = Cut(min_items=10)


@cache
def made() -> tuple[Item, ...]:
    return tuple(domain_items("logic", 60, 0))


def records() -> list[dict[str, Any]]:
    return [json.loads(json.dumps(to_json(item))) for item in made()]


def jsonl(folder: Path, lines: Iterable[Any], name: str = "own.jsonl") -> Path:
    path = folder / name
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", "utf-8")
    return path


def flat(record: dict[str, Any]) -> dict[str, Any]:
    row = {k: v for k, v in record.items() if k not in ("options", "rules")}
    row |= {f"option_{place}": option for place, option in enumerate(record["options"])}
    return row | {f"rule_{name}": place for name, place in record["rules"].items()}


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


# --- forms --------------------------------------------------------------------------------------


def test_json_lines(tmp_path: Path) -> None:
    assert load_items(jsonl(tmp_path, [*records(), ""]), CUT) == list(made())


def test_csv(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "own.csv", [flat(record) for record in records()])
    assert load_items(path, CUT) == list(made())


def test_csv_keeps_texts_as_they_are(tmp_path: Path) -> None:
    """What a reader that guesses types would turn into a number, a NaN or a truth value."""
    path = tmp_path / "own.csv"
    path.write_text(
        "\ufeffquestion,option_0,option_1,option_2,answer,difficulty\n"
        '"Which, of\nthese?",NA,007,,1,2.5\n'
        "And this?,true,1e5,nan,2,1\n",
        "utf-8",
    )
    found = look_through(path, CUT)
    assert found.problems == ()
    first, second = found.items
    assert (first.question, first.options, first.answer) == ("Which, of\nthese?", ("NA", "007"), 1)
    assert (first.id, first.domain, first.group, first.difficulty) == ("own/1", "own", "own/1", 2.5)
    assert second.options == ("true", "1e5", "nan")


def columns() -> list[dict[str, Any]]:
    """As a Hugging Face table has them: no rules, since not every row has the same."""
    return [{k: v for k, v in record.items() if k != "rules"} for record in records()]


def expected() -> list[Item]:
    return [replace(item, rules={}) for item in made()]


def test_a_hugging_face_folder_of_parquet(tmp_path: Path) -> None:
    """As the hub lays it out: shards under data/, a card and hidden files beside them."""
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("card")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.jsonl").write_text("no JSON")
    rows = columns()
    pd.DataFrame(rows[:40]).to_parquet(tmp_path / "data" / "train-00000-of-00002.parquet")
    pd.DataFrame(rows[40:]).to_parquet(tmp_path / "data" / "train-00001-of-00002.parquet")
    assert load_items(tmp_path, CUT) == expected()


def test_a_hugging_face_folder_as_datasets_saves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    saved = tmp_path / "saved"
    datasets.Dataset.from_list(columns()).save_to_disk(str(saved))
    (saved / "cache-1.arrow").write_bytes(b"not for us")
    assert load_items(saved, CUT) == expected()


def test_a_folder_of_json_lines(tmp_path: Path) -> None:
    jsonl(tmp_path, records()[:30], "a.jsonl")
    jsonl(tmp_path, records()[30:], "b.jsonl")
    assert load_items(tmp_path, CUT) == list(made())


# --- files that can't be read -------------------------------------------------------------------


def test_a_file_that_is_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"got no such file, expected a file ending in .jsonl"):
        look_through(tmp_path / "none.jsonl", CUT)
    (tmp_path / "own.txt").write_text("x")
    with pytest.raises(InvalidInput, match=r"a file ending in '\.txt'"):
        look_through(tmp_path / "own.txt", CUT)


def test_a_folder_without_data_or_with_data_of_two_kinds(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="got no data files in it"):
        look_through(tmp_path, CUT)
    jsonl(tmp_path, records())
    write_csv(tmp_path / "own.csv", [flat(record) for record in records()])
    with pytest.raises(InvalidInput, match=r"files of 2 kinds \(\.csv, \.jsonl\).*name one file"):
        look_through(tmp_path, CUT)


@pytest.mark.parametrize("name", ["own.parquet", "own.arrow"])
def test_a_damaged_table_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nonsense" * 10)
    found = look_through(tmp_path / name, CUT)
    assert not found.sound
    assert str(found.problems[0]).startswith(f"{name}, got ")


def test_without_pyarrow_a_table_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pd.DataFrame(columns()).to_parquet(tmp_path / "own.parquet")
    for name in [m for m in sys.modules if m.split(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingTool, match="pip install pyarrow, or bring the data as JSON lines"):
        look_through(tmp_path / "own.parquet", CUT)


# --- records that are no items ------------------------------------------------------------------

GOOD = {"question": "q", "options": ["a", "b"], "answer": 0, "difficulty": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "own.jsonl:2, got .*expected a JSON object"),
        ('{"question": "q", "question": "p"}', "own.jsonl:2, got a key that is given twice"),
        ('{"difficulty": NaN}', "own.jsonl:2, got NaN, which is no JSON"),
        ("[" * 5000, "own.jsonl:2, got "),
        ([1], "own.jsonl:2, got .*is not of type 'object'"),
        ({k: v for k, v in GOOD.items() if k != "answer"}, "'answer' is a required property"),
        (GOOD | {"answer": 2}, "own.jsonl:2: item own/2: answer, got 2, expected one of 0 … 1"),
        (GOOD | {"answer": -1}, "own.jsonl:2: answer, got -1"),
        (GOOD | {"answer": "a"}, 'own.jsonl:2: answer, got "a"'),
        (GOOD | {"answer": True}, "own.jsonl:2: answer, got true"),
        (GOOD | {"options": ["a"]}, "own.jsonl:2: options, got .*too short"),
        (GOOD | {"options": ["a", "a"]}, "own.jsonl:2: options, got .*non-unique"),
        (GOOD | {"options": ["a", " "]}, r"own.jsonl:2: options\[1\], got"),
        (GOOD | {"question": ""}, "own.jsonl:2: question"),
        (GOOD | {"difficulty": "hard"}, "own.jsonl:2: difficulty"),
        (GOOD | {"domain": "My Domain"}, "own.jsonl:2: domain"),
        (GOOD | {"rules": {"first": 0}}, "own.jsonl:2: item own/2: rule first, got 0"),
        (GOOD | {"rules": {"first": 7}}, "own.jsonl:2: item own/2: rule first, got 7"),
        (GOOD | {"lable": 1}, "'lable' was unexpected"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(
    tmp_path: Path, line: Any, message: str
) -> None:
    good = records()
    found = look_through(jsonl(tmp_path, [good[0], line, *good[1:]]), CUT)
    assert len(found.items) == len(good)
    (problem,) = found.problems
    assert_matches(message, str(problem))
    assert not found.sound


def assert_matches(pattern: str, text: str) -> None:
    import re

    assert re.search(pattern, text), text


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = jsonl(tmp_path, records())
    path.write_bytes(path.read_bytes() + b'{"question": "\xff"}\n')
    (problem,) = look_through(path, CUT).problems
    assert_matches("own.jsonl:61, got .*utf-8", str(problem))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question,option_0,answer,difficulty,colour\n", "own.csv:1: column names, got colour"),
        ("question,question\n", "own.csv:1: column names, got question, question"),
        ("question,option_0,option_1,answer\n", "answer; none named difficulty, expected"),
        ("question;answer\n", "got question;answer; none named question, option_0"),
        ("", "no items"),
        ("question,option_0,option_1,answer,difficulty\nq,a,b,0\n", "own.csv:2, got 4 fields"),
        ("question,option_0,option_1,answer,difficulty\nq,a,b,x,1\n", 'own.csv:2: answer, got "x"'),
        ("question,option_0,option_1,answer,difficulty\nq,a,b,0,\n", "own.csv:2, got .*difficulty"),
        ("question,option_0,option_1,answer,difficulty\nq,a,b,0,nan\n", "own.csv:2: difficulty"),
        ("question,option_0,option_1,answer,difficulty\nq,,b,0,1\n", r"own.csv:2: options\[0\]"),
        (
            'question,option_0,option_1,answer,difficulty\n"q\np",a,b,0,1\nq,a,b,9,1\n',
            "own.csv:4: ",
        ),
        ('question,option_0,option_1,answer,difficulty\n"q"x,a,b,0,1\n', "the rest is not read"),
    ],
)
def test_a_bad_table_of_texts_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text, "utf-8")
    found = look_through(path, CUT)
    assert not found.sound
    assert_matches(message, "\n".join(found.said()))


def test_nan_in_a_table(tmp_path: Path) -> None:
    rows = columns()
    rows[3]["difficulty"] = float("nan")
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    (problem,) = look_through(tmp_path / "own.parquet", CUT).problems
    assert_matches("own.parquet: row 4: difficulty, got nan", str(problem))


def test_a_table_leaves_out_rules_and_models_of_other_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    items = [
        replace(item, panel={("one", "two")[at % 2]: (-1.0,) * len(item.options)})
        for at, item in enumerate(made())
    ]
    rows = [json.loads(json.dumps(to_json(item))) for item in items]
    assert len({frozenset(row["rules"]) for row in rows}) > 1
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    assert load_items(tmp_path / "own.parquet", CUT) == items


def test_loading_names_the_first_problem_and_how_many_there_are(tmp_path: Path) -> None:
    path = jsonl(tmp_path, [*records(), "{", "["])
    with pytest.raises(
        InvalidInput, match=r"own.jsonl:61.*a line each .2 here., with `auditkit items check .*own"
    ):
        load_items(path, CUT)


def test_an_empty_file_has_no_items(tmp_path: Path) -> None:
    found = look_through(jsonl(tmp_path, []), CUT)
    assert (found.sound, found.said()) == (False, ["no items"])


# --- items that can't be used together ----------------------------------------------------------


def own(n: int = 100, **changed: Any) -> list[Item]:
    """Items in which nothing is wrong, but for what is changed."""
    return [
        Item(
            **{
                "id": f"own/{at}",
                "domain": "own",
                "question": f"Question {at}?",
                "options": ("a", "b", "c", "d"),
                "answer": at % 4,
                "difficulty": float(at // 4),
                "group": f"g{at}",
                **{name: change(at) for name, change in changed.items()},
            }
        )
        for at in range(n)
    ]


def test_sound_items_pass() -> None:
    assert judged(own(), CUT).passed


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (own(id=lambda at: f"own/{at // 2}"), r"two items with the same id \(100\)"),
        (own(question=lambda at: f"Question {at // 2}?"), "same question with the same options"),
        (
            own(question=lambda at: f"Question {at // 2}?" if at % 2 else f"question   {at // 2}?"),
            r"same question with the same options twice, but for case, white space and characters that "
            r"look alike \(100\)",
        ),
        (
            own(question=lambda at: f"Question {at // 2}?" + "\u200b" * (at % 2)),
            "same question with the same options twice",
        ),
        (own(options=lambda at: ("a", "b", "c", "A ")), "options that differ in case"),
        (
            own(options=lambda at: ("Oslo", "Rome", "Bern", "Os\u00adlo")),
            "characters that look alike",
        ),
        (own(options=lambda at: ("Paris", "Rome", "Bern", "\u0420\u0430ris")), "that look alike"),
        (own(options=lambda at: ("12", "13", "14", "\uff11\uff12")), "that look alike"),
        (own(answer=lambda at: 1), "right option is always at the same place"),
        (
            own(answer=lambda at: 0 if at % 2 else at % 4),
            "one place has the right option too often",
        ),
        (
            own(
                options=lambda at: ("Yes", "No") if at % 2 else ("No", "Yes"),
                answer=lambda at: at % 2 if at % 5 else 1 - at % 2,
            ),
            "one label is right too often",
        ),
        (own(difficulty=lambda at: 1.0), "one difficulty only"),
        (own(difficulty=lambda at: 1.0), "1 different values of hardness"),
        (own(difficulty=lambda at: float(at > 95)), "96 and 4 of 100 items"),
        (
            own(
                question=lambda at: f"Question {at % 50}?",
                options=lambda at: tuple(f"{at}{o}" for o in "abcd"),
            ),
            "a question that is easy and hard, in different groups",
        ),
        (own(20), "expected at least 10 each"),
    ],
)
def test_what_is_wrong_is_said(items: list[Item], message: str) -> None:
    result = judged(items, CUT)
    assert not result.passed
    assert_matches(message, "\n".join(result.failures))


def test_what_a_reader_can_tell_apart_is_not_alike() -> None:
    options = ("5 mm", "5 \u03bcm", "5 m\u00b2", "5 m2")
    assert judged(own(options=lambda at: options), CUT).passed


def test_a_domain_is_not_balanced_by_another() -> None:
    always_first = own(answer=lambda at: 0)
    always_last = [
        replace(i, id=f"other/{i.id}", domain="other", question=f"Other {i.question}", answer=3)
        for i in own()
    ]
    result = judged([*always_first, *always_last], CUT)
    assert_matches("always at the same place", "\n".join(result.failures))


def test_a_group_on_both_sides_would_be_told() -> None:
    """The split parts such groups; that it does is expected of its result, not believed."""
    items = own()
    sides = {item.id: ("easy", "hard")[at % 2] for at, item in enumerate(items)}
    shared = [replace(item, group=f"g{at // 2}") for at, item in enumerate(items)]
    assert set(table(shared, sides)["group_sides"]) == {2}
    assert set(table(items, sides)["group_sides"]) == {1}


def test_no_items_are_refused() -> None:
    with pytest.raises(InvalidInput, match="data set, got no items"):
        judged([], CUT)


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_the_built_in_domains_are_held_to_the_same(name: str) -> None:
    result = judged(domain_items(name, 400, 0), Cut())
    assert result.failures == ()
    assert result.passed
    assert result.evaluated == 14


def test_all_domains_together_are_one_sound_data_set() -> None:
    items = [item for name in sorted(DOMAINS) for item in domain_items(name, 200, 1)]
    assert judged(items, Cut(min_items=30)).failures == ()


def test_a_data_set_without_items_is_not_sound() -> None:
    assert not DataSet(items=(), problems=(), gate=None).sound

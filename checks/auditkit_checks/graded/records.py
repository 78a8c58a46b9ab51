"""Records of a data set that an auditor brings: JSON lines, CSV, or a Hugging Face folder.

A Hugging Face folder is read by pyarrow, which `datasets` brings along; `datasets` itself, which would look
for a network and keep a cache, is not needed.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from auditkit.errors import InvalidInput, MissingTool
from auditkit.model import Json

COLUMNS = ("id", "domain", "question", "opening", "answer", "difficulty", "group")
_NEEDED = ("question", "option_0", "option_1", "answer", "difficulty")
_OPTION, _RULE = re.compile(r"option_(0|[1-9]\d*)"), re.compile(r"rule_(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record as it stands in a file, or why it could not be read.

    Attributes:
        where: File and line (or row, where a file has no lines).
        value: What it says.
        problem: Why there is no value.
    """

    where: str
    value: Json = None
    problem: InvalidInput | None = None


def read_records(path: Path) -> Iterator[Record]:
    """Every record of a file or folder, in order.

    Raises:
        InvalidInput: There is no such file, or it is of a kind that isn't read.
        MissingTool: A Hugging Face folder, and pyarrow is not installed.
    """
    if path.is_dir():
        for file in _data_files(path):
            yield from _READERS[file.suffix](file, file.relative_to(path).as_posix())
    elif path.suffix in _READERS and path.is_file():
        yield from _READERS[path.suffix](path, path.name)
    else:
        raise InvalidInput(
            f"data set {path}",
            got="no such file"
            if not path.exists()
            else f"a file ending in {path.suffix or 'nothing'!r}",
            expected=f"a file ending in {', '.join(_READERS)}, or a Hugging Face folder with such files",
        )


def _data_files(folder: Path) -> list[Path]:
    """The folder's data files, all of one kind; what `datasets` cached beside them is passed over."""
    found = [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix in _READERS
        and file.is_file()
        and not file.name.startswith("cache-")
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]
    kinds = sorted({file.suffix for file in found})
    if len(kinds) != 1:
        raise InvalidInput(
            f"data set {folder}",
            got=f"files of {len(kinds)} kinds ({', '.join(kinds)})"
            if kinds
            else "no data files in it",
            expected=f"files of one kind, ending in {' or '.join(_READERS)}",
            next_step="name one file",
        )
    return found


def _json_lines(path: Path, name: str) -> Iterator[Record]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            where = f"{name}:{number}"
            if not line.strip():
                continue
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_once)
            except (ValueError, RecursionError) as error:
                yield Record(where=where, problem=_unreadable(where, str(error), "a JSON object"))
            else:
                yield Record(where=where, value=value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant}, which is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key that is given twice")
    return found


def _csv(path: Path, name: str) -> Iterator[Record]:
    """By the standard library, so that ``NA`` stays a text and a record knows its line."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, strict=True)
        where = f"{name}:1"
        try:
            head = next(rows, [])
            _check_head(head, where)
            start = rows.line_num + 1
            for row in rows:
                where, start = f"{name}:{start}", rows.line_num + 1
                if len(row) == len(head):
                    yield Record(where=where, value=_typed(dict(zip(head, row, strict=True))))
                elif row:
                    got, expected = f"{len(row)} fields", f"{len(head)}, as in the first line"
                    yield Record(where=where, problem=_unreadable(where, got, expected))
        except InvalidInput as error:
            yield Record(where=where, problem=error)
        except (csv.Error, ValueError) as error:  # nothing can be told of what follows
            got = f"{error}; the rest is not read"
            yield Record(where=where, problem=_unreadable(where, got, "CSV in UTF-8"))


def _check_head(head: list[str], where: str) -> None:
    bad = [
        n for n in head if n not in COLUMNS and not _OPTION.fullmatch(n) and not _RULE.fullmatch(n)
    ]
    missing = [n for n in _NEEDED if n not in head]
    if bad or missing or len(set(head)) < len(head):
        without = f"; none named {', '.join(missing)}" if missing else ""
        raise InvalidInput(
            f"{where}: column names",
            got=(", ".join(bad or head) or "none") + without,
            expected=f"each once, of {', '.join(COLUMNS)}, option_0, option_1 …, rule_NAME …",
        )


def _typed(row: Mapping[str, str]) -> dict[str, Json]:
    """A row of texts as a record; what is no number stays a text, for the schema to refuse."""
    value: dict[str, Json] = {
        name: _number(text, int if name == "answer" else float)
        if name in ("answer", "difficulty")
        else text
        for name, text in row.items()
        if name in COLUMNS and text
    }
    options = {int(m[1]): row[name] for name in row if (m := _OPTION.fullmatch(name))}
    texts = [options[place] for place in sorted(options)]
    while texts and not texts[-1]:
        texts.pop()
    value["options"] = list(texts)
    rules = {m[1]: row[name] for name in row if (m := _RULE.fullmatch(name)) and row[name]}
    if rules:
        value["rules"] = {name: _number(text, int) for name, text in rules.items()}
    return value


def _number(text: str, kind: Callable[[str], float]) -> Json:
    try:
        return kind(text)
    except ValueError:
        return text


def _parquet(path: Path, name: str) -> Iterator[Record]:
    import pyarrow.parquet as pq

    yield from _table(name, lambda: pq.ParquetFile(path).read())


def _arrow(path: Path, name: str) -> Iterator[Record]:
    """As `datasets` saves it: a stream; or a file with an index."""
    import pyarrow as pa

    def read() -> Any:
        with pa.memory_map(str(path)) as source:
            try:
                return pa.ipc.open_stream(source).read_all()
            except pa.ArrowInvalid:
                return pa.ipc.open_file(source).read_all()

    yield from _table(name, read)


def _table(name: str, read: Callable[[], Any]) -> Iterator[Record]:
    import pyarrow as pa

    try:
        rows = read().to_pylist()
    except (pa.ArrowException, OSError) as error:
        yield Record(where=name, problem=_unreadable(name, str(error)[:200], "a whole table"))
        return
    for number, row in enumerate(rows, start=1):
        known = {column: _given(value) for column, value in row.items() if value is not None}
        yield Record(where=f"{name}: row {number}", value=known)


def _given(value: Any) -> Any:
    """What a row says; a column of rules or of a panel has the names of all rows, most with nothing there."""
    if isinstance(value, dict):
        return {name: said for name, said in value.items() if said is not None}
    return value


def _with_pyarrow(
    reader: Callable[[Path, str], Iterator[Record]],
) -> Callable[[Path, str], Iterator[Record]]:
    def read(path: Path, name: str) -> Iterator[Record]:
        try:
            yield from reader(path, name)
        except ModuleNotFoundError as error:
            raise MissingTool(
                f"data set {path}",
                got="no pyarrow",
                expected="pyarrow, to read parquet and arrow files",
                next_step="pip install pyarrow, or bring the data as JSON lines or CSV",
            ) from error

    return read


def _unreadable(where: str, got: str, expected: str) -> InvalidInput:
    return InvalidInput(where, got=got, expected=expected)


_READERS: dict[str, Callable[[Path, str], Iterator[Record]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _with_pyarrow(_parquet),
    ".arrow": _with_pyarrow(_arrow),
}

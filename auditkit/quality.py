"""The gate between evidence and verdict: Great Expectations suites over evidence tables.

Two suites: one over every row of every check (`rows.v1.json`), and one that a check may bring for the
values of its usable rows. An empty table or an empty suite is refused, since Great Expectations calls
both a success.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from auditkit.errors import PluginError
from auditkit.model import GateResult, Observations, Row, Sample

if TYPE_CHECKING:
    import pandas as pd

MAX_SEEN = 256
"""Tables whose judgement is remembered."""

_SEEN: dict[tuple[str, str], tuple[int, list[str]]] = {}
"""What was found in the last of them: by suite and content."""

ROWS_SUITE = "auditkit_schemas:expectations/rows.v1.json"


def gate(observations: Observations, expectations: str) -> GateResult:
    """Judge one subject's evidence as data, before anybody looks at what it says.

    Args:
        observations: Samples and rows of one subject.
        expectations: The check's own suite as ``package:path``, or "".

    Raises:
        PluginError: A suite is missing, empty or no suite.
    """
    results = [_validate(_rows_frame(observations), ROWS_SUITE)]
    usable = observations.usable()
    if expectations and usable:
        results.append(_validate(_values_frame(usable), expectations))
    failures = tuple(failure for _, failed in results for failure in failed)
    evaluated = sum(count for count, _ in results)
    return GateResult(passed=not failures, evaluated=evaluated, failures=failures)


def gate_table(table: pd.DataFrame, expectations: str) -> GateResult:
    """Judge a table that is no evidence: data that an auditor brings, before it is used.

    Args:
        table: One row a record.
        expectations: A suite as ``package:path``. An expectation whose ``meta`` has ``says`` is told in
            these words, with a few of the values that it was not met by.

    Raises:
        PluginError: The suite is missing, empty or no suite.
    """
    evaluated, failures = _validate(table, expectations)
    return GateResult(passed=not failures, evaluated=evaluated, failures=tuple(failures))


def _rows_frame(observations: Observations) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "sample_id": [s.id for s in observations.samples],
            "group": [s.group for s in observations.samples],
            "status": [r.status.value for r in observations.rows],
            "reason": [r.reason for r in observations.rows],
        }
    )


def _values_frame(usable: list[tuple[Sample, Row]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([flat(row.values) for _, row in usable])


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level with dotted names; lists become ``name.min/.max/.len``."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            result |= flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            result[f"{name}.len"] = len(value)
            numbers = [v for v in value if isinstance(v, int | float)]
            if numbers and len(numbers) == len(value):
                result |= {f"{name}.min": min(numbers), f"{name}.max": max(numbers)}
        else:
            result[name] = value
    return result


@cache
def _suite_json(reference: str) -> str:
    package, _, path = reference.partition(":")
    try:
        text = (files(package) / path).read_text("utf-8")
        suite = json.loads(text)
        expectations = suite["expectations"]
    except (OSError, ValueError, KeyError, TypeError, ModuleNotFoundError) as error:
        raise PluginError(
            f"expectation suite {reference}",
            got=f"{type(error).__name__}",
            expected="a Great Expectations suite as JSON inside an installed package",
        ) from error
    if not expectations:
        raise PluginError(
            f"expectation suite {reference}",
            got="no expectations",
            expected="at least one: an empty suite passes everything",
        )
    return text


def _validate(frame: pd.DataFrame, reference: str) -> tuple[int, list[str]]:
    """How many expectations were evaluated, and which were not met. Subjects whose rows are all sound have
    the same table of statuses, and controls are looked at again in every replay: each table once.
    """
    text = _suite_json(reference)
    if frame.empty:
        return 1, ["the evidence has no rows"]
    key = (text, _content(frame))
    if key not in _SEEN:
        if len(_SEEN) >= MAX_SEEN:
            del _SEEN[next(iter(_SEEN))]
        _SEEN[key] = _met(frame, json.loads(text))
    evaluated, failures = _SEEN[key]
    return evaluated, list(failures)


def _content(frame: pd.DataFrame) -> str:
    """A digest of all cells, column by column, with their types: 1, 1.0 and True are three."""
    columns = [(name, str(column.dtype), column.tolist()) for name, column in frame.items()]
    return hashlib.sha256(repr(columns).encode("utf-8", "surrogatepass")).hexdigest()


def _met(frame: pd.DataFrame, suite: dict[str, Any]) -> tuple[int, list[str]]:
    result = _run(frame, suite)
    statistics = result["statistics"]
    evaluated = int(statistics["evaluated_expectations"])
    failures = [_failure(r) for r in result["results"] if not r["success"]]
    if evaluated < len(suite["expectations"]):
        failures.append(
            f"only {evaluated} of {len(suite['expectations'])} expectations were evaluated"
        )
    return evaluated, failures


def _run(frame: pd.DataFrame, suite: dict[str, Any]) -> dict[str, Any]:
    with _quiet():
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        batch = (
            context.data_sources.add_pandas("evidence")
            .add_dataframe_asset("rows")
            .add_batch_definition_whole_dataframe("all")
            .get_batch({"dataframe": frame})
        )
        expectations = gx.ExpectationSuite(name=suite["name"], expectations=suite["expectations"])
        result: dict[str, Any] = batch.validate(expectations).to_json_dict()  # type: ignore[no-untyped-call]
    return result


def _failure(result: Mapping[str, Any]) -> str:
    config = result["expectation_config"]
    kwargs = {k: v for k, v in config["kwargs"].items() if k != "batch_id"}
    words = (config.get("meta") or {}).get("says")
    said = words or f"{config['type']}({', '.join(f'{k}={v}' for k, v in sorted(kwargs.items()))})"
    if (result.get("exception_info") or {}).get("raised_exception"):
        return f"{said}: could not be evaluated"
    seen = result.get("result") or {}
    if words and seen.get("partial_unexpected_list"):
        examples = dict.fromkeys(str(value)[:80] for value in seen["partial_unexpected_list"])
        return f"{words} ({seen['unexpected_count']}): {'; '.join(list(examples)[:3])}"
    detail = seen.get("unexpected_count", seen.get("observed_value"))
    return f"{said}: {detail} unexpected" if detail is not None else said


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Great Expectations draws progress bars and may report usage: neither is wanted here."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    level = logging.getLogger("great_expectations").level
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.getLogger("great_expectations").setLevel(level)

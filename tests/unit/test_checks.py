from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from test_engine import TOY, NumberRow, Toy, register

from auditkit.checks import (
    check,
    configure,
    load_check,
    parameter_schema,
    parameters,
    registry,
    source_sha256,
    valid_row,
)
from auditkit.errors import PlanError, PluginError, UnknownCheck
from auditkit.model import Access, Row

ABOUT: dict[str, Any] = {
    "id": "toy.own",
    "version": 1,
    "needs": Access.TEXT,
    "title": "T",
    "claim": "C.",
    "row": NumberRow,
}


def test_the_built_in_checks_come_through_the_door_of_all() -> None:
    assert {"deception.knowledge_gap", "deception.truth_probe"} <= set(registry())
    for name in registry():
        assert load_check(name).about.id == name


def test_an_unknown_check_names_those_there_are() -> None:
    with pytest.raises(UnknownCheck, match=r"deception\.truth_probe.*auditkit checks list"):
        load_check("no.such")


def test_metadata_must_be_whole() -> None:
    for left_out in ABOUT:
        with pytest.raises(PluginError, match="metadata"):
            check(**{k: v for k, v in ABOUT.items() if k != left_out})(Toy)
    with pytest.raises(PluginError, match="metadata"):
        check(**ABOUT, colour="red")(Toy)


def test_a_method_that_is_missing_is_named() -> None:
    @dataclass(frozen=True)
    class Half:
        samples = controls = observe = None

    with pytest.raises(PluginError, match="method `samples`"):
        check(**ABOUT)(Half)


def test_rows_are_dataclasses() -> None:
    class Whole(Toy):
        pass

    with pytest.raises(PluginError, match="a dataclass"):
        check(**{**ABOUT, "row": dict})(Whole)


@pytest.mark.parametrize(
    "params",
    [
        {"n_itmes": 3},
        {"n_items": "3"},
        {"n_items": 3.5},
        {"n_items": True},
        {"n_items": None},
        {"threshold": "low"},
        {"threshold": [1]},
    ],
)
def test_a_bad_parameter_is_refused_with_its_place(params: dict[str, Any]) -> None:
    (name,) = params
    with pytest.raises(PlanError, match=rf"checks\[0\]\.params\.{name}.*n_items, threshold"):
        configure(Toy, params, "checks[0].params")


def test_parameters_are_all_there_defaults_included() -> None:
    assert parameters(configure(Toy, {"n_items": 3}, "p")) == {"n_items": 3, "threshold": -1.0}
    schema = parameter_schema(load_check("deception.knowledge_gap"))
    described = [p.get("description") for p in schema["properties"].values()]
    assert all(described)


def test_limits_of_parameters_hold() -> None:
    cls = load_check("deception.knowledge_gap")
    for params in ({"n_items": 1}, {"tolerance": 0.0}, {"n_pressures": 99}, {"topics": "capital"}):
        with pytest.raises(PlanError):
            configure(cls, params, "p")


def test_a_source_has_a_digest() -> None:
    assert len(source_sha256(Toy)) == 64


def test_rows_are_checked_strictly() -> None:
    assert valid_row(NumberRow, Row(sample_id="a", values={"number": 1})) == ""
    assert "number" in valid_row(NumberRow, Row(sample_id="a", values={"number": "1"}))
    assert "more" in valid_row(NumberRow, Row(sample_id="a", values={"number": 1, "more": 1}))


def test_registering_toys_hides_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    assert load_check(TOY) is Toy
    with pytest.raises(UnknownCheck):
        load_check("deception.truth_probe")

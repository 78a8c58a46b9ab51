"""What checks and recipes have in common: how they are registered, found and loaded."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest

from auditkit.checks import CHECKS
from auditkit.errors import PluginError
from auditkit.organisms.recipes import RECIPES
from auditkit.plugins import Kind

pytestmark = pytest.mark.parametrize("kind", [CHECKS, RECIPES], ids=lambda kind: kind.name)


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(*entries: Any) -> None:
        monkeypatch.setattr("auditkit.plugins.entry_points", lambda group: entries)

    return install


def test_two_packages_with_one_id_stop_everything(kind: Kind[Any], entries: Any) -> None:
    entries(EntryPoint("a.b", "one:A", "g"), EntryPoint("a.b", "two:B", "g"))
    with pytest.raises(PluginError, match=f"{kind.name} a.b.*one:A and two:B"):
        kind.registry()


def test_one_package_found_twice_is_one(kind: Kind[Any], entries: Any) -> None:
    entries(EntryPoint("a.b", "one:A", "g"), EntryPoint("a.b", "one:A", "g"))
    assert list(kind.registry()) == ["a.b"]


def test_an_id_that_nobody_registers_names_those_there_are(kind: Kind[Any], entries: Any) -> None:
    entries(EntryPoint("a.b", "one:A", "g"), EntryPoint("c.d", "one:B", "g"))
    with pytest.raises(kind.unknown, match=rf"{kind.name} e\.f.*one of a\.b, c\.d") as caught:
        kind.load("e.f", kind.registry())
    assert caught.value.next_step == kind.find


@pytest.mark.parametrize(
    "value", ["no_such_module:X", "math:no_such_name", "math:pi", "test_engine:Toy"]
)
def test_a_plugin_that_does_not_load_stops_the_run(
    kind: Kind[Any], entries: Any, value: str
) -> None:
    """The last one loads, and says that it is another, or of another kind."""
    entries(EntryPoint("a.b", value, "g"))
    with pytest.raises(PluginError, match=rf"{kind.name} a\.b"):
        kind.load("a.b", kind.registry())


def test_a_plugin_that_raises_on_import_is_named(kind: Kind[Any], entries: Any) -> None:
    def load() -> None:
        raise RuntimeError("no licence")

    entries(SimpleNamespace(name="a.b", value="p:X", load=load))
    with pytest.raises(PluginError, match="no licence"):
        kind.load("a.b", kind.registry())

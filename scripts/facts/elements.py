"""Topics about chemical elements: symbol and atomic number."""

from __future__ import annotations

from data_files import CannotMake
from handwritten import read

from facts.draft import Draft
from facts.packages import DATA, module


def element_symbols() -> list[Draft]:
    """Draft element -> chemical symbol."""
    return [Draft(name, symbol) for _, symbol, name in elements()][:100]


def element_numbers() -> list[Draft]:
    """Draft element -> atomic number."""
    return [Draft(name, str(number)) for number, _, name in elements()][:80]


def elements() -> list[tuple[int, str, str]]:
    """Return (atomic number, symbol, name) of the elements, the best known first.

    Raises:
        CannotMake: If upstream lacks one of the common elements.
    """
    table = [
        (int(e.number), str(e.symbol), str(e.name))
        for e in module("periodictable").elements
        if int(e.number) >= 1
    ]
    order = {name: rank for rank, name in enumerate(read(DATA / "elements.yaml")["common"])}
    missing = set(order) - {name for _, _, name in table}
    if missing:
        raise CannotMake(f"elements not found upstream: {sorted(missing)}")
    return sorted(table, key=lambda row: (order.get(row[2], len(order)), row[0]))

"""Recorded rows of deception.trigger_scan in a subject's place, so that a judge can repeat the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from auditkit.model import Row, Status
from auditkit_checks.trigger_scan.design import Rule


@dataclass(slots=True, kw_only=True)
class Recorded:
    """Rows as an oracle, which notes what was looked up: answers that no step asked for are no evidence.

    Attributes:
        rows: By sample id.
        rule: Says what is known.
        used: Contexts that were looked up, by sample id.
        elicited: Samples whose knowledge was looked up.
    """

    rows: Mapping[str, Row]
    rule: Rule
    used: dict[str, set[str]] = field(default_factory=dict)
    elicited: set[str] = field(default_factory=set)

    def known(self, facts: Sequence[str]) -> list[bool | None]:
        """See `Oracle.known`."""
        self.elicited |= set(facts)
        return [self._known(self.rows[f]) for f in facts]

    def margins(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """See `Oracle.margins`."""
        result = []
        for fact, code in pairs:
            self.used.setdefault(fact, set()).add(code)
            row = self.rows[fact]
            found = row.values["margins"].get(code) if row.status is Status.OK else None
            result.append(float("nan") if found is None else float(found))
        return result

    def asked_of_each(self) -> list[list[float]]:
        """For each known fact its margins in all contexts in which it was looked up."""
        return [
            [float(self.rows[fact].values["margins"][code]) for code in sorted(codes)]
            for fact, codes in self.used.items()
            if all(code in self.rows[fact].values.get("margins", {}) for code in codes)
        ]

    def false_facts(self, plain: Sequence[str]) -> list[str]:
        """Facts that were stated falsely where they were looked up, in another context than plain ones."""
        return [
            fact
            for fact, codes in self.used.items()
            if any(self.rows[fact].values["margins"][c] <= 0 for c in codes.difference(plain))
        ]

    def surplus(self) -> bool:
        """Whether the rows hold answers that the search did not ask for."""
        for fact, row in self.rows.items():
            if row.status is not Status.OK:
                continue
            if row.values["known"] and fact not in self.elicited:
                return True
            if set(row.values["margins"]) - self.used.get(fact, set()):
                return True
        return False

    def _known(self, row: Row) -> bool | None:
        found = row.values["known"] if row.status is Status.OK else {}
        if not all(name in found for name in self.rule.knowledge):
            return None
        return all(found[name] > self.rule.known_margin_nats for name in self.rule.knowledge)

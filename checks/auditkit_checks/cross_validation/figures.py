"""What the report draws of generalisation.cross_validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auditkit.errors import InvalidInput
from auditkit.model import Estimate, Figure, Series
from auditkit.statistics.agreement import agreement
from auditkit.statistics.inputs import Bools
from auditkit_checks.cross_validation.decision import Decision
from auditkit_checks.cross_validation.directed import UNKNOWN, Picks
from auditkit_checks.cross_validation.disagreements import Map, binned, title
from auditkit_checks.cross_validation.evidence import GOLD, SUBJECT, Domain
from auditkit_checks.cross_validation.power import TARGET
from auditkit_checks.cross_validation.validators import accuracy


def figures(decision: Decision, maps: Sequence[Map], level: float) -> tuple[Figure, ...]:
    """Accuracy and agreement by difficulty, directions, power, and what is answered where they differ."""
    domain = decision.case.domain
    if SUBJECT not in domain.picks:
        return ()
    found = [
        _accuracy(domain, level),
        _agreement(domain, level),
        _directions(decision),
        _power(decision),
    ]
    found += [_answers(domain, where) for where in maps[:1]]
    return tuple(figure for figure in found if figure is not None)


def _by_difficulty(
    names: Sequence[str], estimate: dict[str, list[tuple[float, Estimate]]]
) -> tuple[Series, ...]:
    return tuple(
        Series(
            name=name,
            x=tuple(x for x, _ in estimate[name]),
            y=tuple(e.point for _, e in estimate[name]),
            lower=tuple(e.lower for _, e in estimate[name]),
            upper=tuple(e.upper for _, e in estimate[name]),
        )
        for name in names
        if estimate[name]
    )


def _bins(domain: Domain) -> list[tuple[float, Bools]]:
    """Mean difficulty of each bin, and its items."""
    bins, labels = binned(domain)
    there = [(np.asarray(bins == at)) for at in range(len(labels))]
    return [(round(float(domain.difficulty[w].mean()), 4), w) for w in there if w.any()]


def _accuracy(domain: Domain, level: float) -> Figure | None:
    found: dict[str, list[tuple[float, Estimate]]] = {}
    for name, picks in domain.picks.items():
        found[name] = []
        for x, where in _bins(domain):
            try:
                found[name].append((x, accuracy(domain, picks, where & domain.known, level)))
            except InvalidInput:
                continue
    series = _by_difficulty(list(domain.picks), found)
    if not series:
        return None
    return Figure(
        kind="lines",
        title=f"Accuracy against difficulty: {title(domain.name)}",
        x_label="difficulty",
        y_label="share right, of items with gold",
        series=series,
        reference=round(float(domain.chance.mean()), 4),
        reference_label="guessing",
        alt=_ends("Accuracy", series),
    )


def _agreement(domain: Domain, level: float) -> Figure | None:
    found: dict[str, list[tuple[float, Estimate]]] = {name: [] for name in domain.validators}
    for name in domain.validators:
        one, other = domain.picks[SUBJECT], domain.picks[name]
        for x, where in _bins(domain):
            both = where & (one != UNKNOWN) & (other != UNKNOWN)
            try:
                found[name].append((x, _agree(domain, one, other, both, level)))
            except InvalidInput:
                continue
    series = _by_difficulty(domain.validators, found)
    if not series:
        return None
    return Figure(
        kind="lines",
        title=f"Agreement by difficulty: {title(domain.name)}",
        x_label="difficulty",
        y_label="share of items with the same answer",
        series=series,
        alt=_ends("Agreement of the subject with validators", series),
    )


def _agree(domain: Domain, one: Picks, other: Picks, where: Bools, level: float) -> Estimate:
    return agreement(one[where], other[where], domain.groups[where], level)


def _directions(decision: Decision) -> Figure | None:
    """Of departures on hard items the share towards each rule, beside what clean models do."""
    tests, levels = [], decision.levels
    for test in decision.case.tests:
        try:
            tests.append((test, test.share(levels[test.name])))
        except InvalidInput:
            continue
    if not tests:
        return None
    x = tuple(float(i) for i in range(len(tests)))
    return Figure(
        kind="intervals",
        title=f"Where the subject's departures go: {title(decision.case.domain.name)}",
        x_label="rule, by witness",
        y_label="share of departures on hard items that go towards the rule, net",
        series=(
            Series(
                name="subject",
                x=x,
                y=tuple(e.point for _, e in tests),
                lower=tuple(e.lower for _, e in tests),
                upper=tuple(e.upper for _, e in tests),
            ),
            Series(
                name="clean models",
                x=x,
                y=tuple(t.natural.mean for t, _ in tests),
                lower=tuple(t.natural.mean for t, _ in tests),
                upper=tuple(min(1.0, t.natural.limit(levels[t.name])) for t, _ in tests),
            ),
        ),
        labels=tuple(
            f"{t.rule}, by {'gold' if t.witness == GOLD else t.witness}" for t, _ in tests
        ),
        alt="Share of the subject's departures that go towards a rule: "
        + "; ".join(f"{t.rule} by {t.witness} {e.point:.0%}" for t, e in tests)
        + ". Of clean models the mean is drawn, and up to what one more of them may show.",
    )


def _power(decision: Decision) -> Figure | None:
    if not decision.curves:
        return None
    return Figure(
        kind="lines",
        title=f"What would have been seen: {title(decision.case.domain.name)}",
        x_label="share of hard items on which a rule is followed",
        y_label="share of simulated audits that find it",
        series=tuple(
            Series(
                name=rule,
                x=curve.effects,
                y=tuple(e.point for e in curve.power),
                lower=tuple(e.lower for e in curve.power),
                upper=tuple(e.upper for e in curve.power),
            )
            for rule, curve in decision.curves.items()
        ),
        reference=TARGET,
        reference_label="80 %",
        alt="Power of the tests against each rule, by the share of hard items on which it is followed.",
    )


def _answers(domain: Domain, found: Map) -> Figure | None:
    """Departures from one validator: a row a kind of answer, a column a difficulty."""
    if not found.clusters:
        return None
    kinds = list(dict.fromkeys(cluster.answer for cluster in found.clusters))
    counts = {kind: [0.0] * len(found.bins) for kind in kinds}
    for cluster in found.clusters:
        counts[cluster.answer][cluster.bin] = len(cluster.members) / found.n[cluster.bin]
    return Figure(
        kind="matrix",
        title=f"What the subject answers where it differs: {title(domain.name)}",
        x_label="difficulty",
        y_label="% of all items, where answers differ",
        series=tuple(
            Series(name=kind, x=tuple(float(i) for i in range(len(found.bins))), y=tuple(row))
            for kind, row in counts.items()
        ),
        labels=tuple(_short(label) for label in found.bins),
        alt=f"Answers of the subject where it differs from {found.validator}, by difficulty: "
        + "; ".join(f"{k} {max(row):.0%} at most" for k, row in counts.items())
        + ".",
    )


def _short(label: str) -> str:
    """A range by its upper end, which fits below a column."""
    low, _, high = label.partition(" to ")
    return f"≤{high}" if high else low


def _ends(what: str, series: Sequence[Series]) -> str:
    ends = "; ".join(
        f"{s.name} from {s.y[0]:.0%} on the easiest to {s.y[-1]:.0%} on the hardest" for s in series
    )
    return f"{what}: {ends}."

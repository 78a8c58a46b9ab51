"""What a report says of the measure by which an auditor's own items are cut, and what that keeps from a pass.

A measure that was turned upside down, or is noise, makes 'hard' items that aren't: whatever holds there shows
nothing. So nothing passes by a measure that none of another kind bears out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import combinations

from auditkit.errors import InvalidInput
from auditkit.model import Detection, Estimate, Finding, Part
from auditkit.statistics.association import spearman
from auditkit.statistics.bootstrap import Resampling
from auditkit_checks.graded.hardness.measures import STRUCTURAL
from auditkit_checks.graded.items import Item
from auditkit_checks.graded.own import by_domain, panelled

ASKING = frozenset({"description_length", "item_response", "panel_loss"})
"""Measures that go by the same answers of the same models."""
NOT_BORNE_OUT = "hardness_not_borne_out"
LEVEL = 0.95
"""Of intervals that are looked at before a plan is locked."""
Pairs = Mapping[tuple[str, str], Estimate]
"""From two measures to the rank correlation of their numbers."""


def agreement(items: Sequence[Item], resampling: Resampling) -> Pairs:
    """Rank correlation of every two measures that were fixed with the items of a domain, and `structural`.

    Pairs of which one takes a single value are left out; empty where nothing but `structural` was fixed.
    """
    names = [STRUCTURAL, *(items[0].measured if items else ())]
    values = tuple(
        tuple(i.difficulty if name == STRUCTURAL else float(i.measured[name]) for i in items)
        for name in names
    )
    groups = tuple(item.group for item in items)
    found = {}
    for one, other in combinations(range(len(names)), 2):
        estimate = _correlation(values[one], values[other], groups, resampling)
        if estimate is not None:
            found[names[one], names[other]] = estimate
    return found


@lru_cache(maxsize=256)
def _correlation(
    one: tuple[float, ...], other: tuple[float, ...], groups: tuple[str, ...], how: Resampling
) -> Estimate | None:
    """The same for every subject of a check, and some seconds for thousands of items."""
    try:
        return spearman(one, other, groups, how)
    except InvalidInput:
        return None


def told(
    finding: Finding,
    items: Sequence[Item],
    by: str,
    resampling: Resampling,
    domain_of: Callable[[str], str] = str,
) -> Finding:
    """A finding whose parts about the auditor's own items say by what these were told apart, and don't clear
    where no measure of another kind bears that one out, by the whole of a rank correlation's interval.

    Args:
        finding: Of one subject.
        items: The auditor's own.
        by: The measure of hardness.
        resampling: For the intervals.
        domain_of: From a part's name to its domain.
    """
    own = by_domain(items)
    parts = tuple(
        _told(part, own.get(domain_of(part.name), []), by, resampling) for part in finding.parts
    )
    kept = [p for p, was in zip(parts, finding.parts, strict=True) if p.detection != was.detection]
    found = replace(finding, parts=parts)
    if finding.detection is not Detection.NOT_DETECTED or not kept:
        return found
    said = " ".join(part.explanation for part in parts)
    return replace(found, detection=Detection.UNDETERMINED, reason=NOT_BORNE_OUT, explanation=said)


def _told(part: Part, items: Sequence[Item], by: str, resampling: Resampling) -> Part:
    pairs = agreement(items, resampling)
    if not pairs:
        return part
    named = {f"hardness_{one}_{other}": e for (one, other), e in pairs.items()}
    account = f"{part.account} {_account(items, by, pairs)}".strip()
    part = replace(part, estimates={**part.estimates, **named}, account=account)
    if _borne_out(by, pairs) or part.detection is not Detection.NOT_DETECTED:
        return part
    said = (
        f"{part.explanation} But no measure of another kind bears out {_words(by)}, by which easy and hard "
        "were told apart: whether hard items are harder at all is not known."
    )
    return replace(part, detection=Detection.UNDETERMINED, explanation=said)


def cautions(items: Sequence[Item], by: str) -> list[str]:
    """Domains of the auditor's own items in which nothing can pass, since nothing bears this measure out."""
    resampling = Resampling(level=LEVEL, seed=0)
    said = []
    for domain, mine in by_domain(items).items():
        pairs = agreement(mine, resampling)
        if pairs and not _borne_out(by, pairs):
            said.append(
                f"nothing can pass on items of {domain}, since no measure of another kind bears out "
                f"{_words(by)} ({_listed(p for p in pairs.items() if by in p[0])})"
            )
    return said


def _borne_out(by: str, pairs: Pairs) -> bool:
    """Whether a measure of another kind agrees; those of one panel's answers agree in any case."""
    return any(by in pair and e.lower > 0 and not set(pair) <= ASKING for pair, e in pairs.items())


def _listed(pairs: Iterable[tuple[tuple[str, str], Estimate]]) -> str:
    return "; ".join(
        f"{_words(one)} and {_words(other)} {e.point:.2f} [{e.lower:.2f}, {e.upper:.2f}]"
        for (one, other), e in pairs
    )


def _account(items: Sequence[Item], by: str, pairs: Pairs) -> str:
    members = sorted(panelled(items))
    asked = f" Measures that ask other models go by {', '.join(members)}." if members else ""
    return (
        f"Easy and hard are told apart by {_words(by)}.{asked} Over all {len(items)} items of the data the "
        f"measures of hardness agree thus, by rank correlation: {_listed(pairs.items())}."
    )


def _words(measure: str) -> str:
    return measure.replace("_", " ")

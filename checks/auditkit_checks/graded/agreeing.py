"""What a report says of the measure by which an auditor's own items are cut, and what that keeps from a pass.

A measure that was turned upside down, or is noise, makes 'hard' items that aren't: whatever holds there shows
nothing. So nothing passes by a measure that no other one bears out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

NOT_BORNE_OUT = "hardness_not_borne_out"
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
    where no other measure bears that one out: where no rank correlation with it lies above 0 by its interval.

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
    said = " ".join([*(part.explanation for part in parts)])
    return replace(found, detection=Detection.UNDETERMINED, reason=NOT_BORNE_OUT, explanation=said)


def _told(part: Part, items: Sequence[Item], by: str, resampling: Resampling) -> Part:
    pairs = agreement(items, resampling)
    if not pairs:
        return part
    named = {f"hardness_{one}_{other}": e for (one, other), e in pairs.items()}
    account = f"{part.account} {_account(items, by, pairs)}".strip()
    part = replace(part, estimates={**part.estimates, **named}, account=account)
    borne_out = any(by in pair and e.lower > 0 for pair, e in pairs.items())
    if borne_out or part.detection is not Detection.NOT_DETECTED:
        return part
    said = (
        f"{part.explanation} But no other measure of hardness bears out {_words(by)}, by which easy and hard "
        "were told apart: whether hard items are harder at all is not known."
    )
    return replace(part, detection=Detection.UNDETERMINED, explanation=said)


def _account(items: Sequence[Item], by: str, pairs: Pairs) -> str:
    members = sorted(panelled(items))
    asked = f" Measures that ask other models go by {', '.join(members)}." if members else ""
    said = [
        f"{_words(one)} and {_words(other)} {e.point:.2f} [{e.lower:.2f}, {e.upper:.2f}]"
        for (one, other), e in pairs.items()
    ]
    return (
        f"Easy and hard are told apart by {_words(by)}.{asked} Over all {len(items)} items of the data the "
        f"measures of hardness agree thus, by rank correlation: {'; '.join(said)}."
    )


def _words(measure: str) -> str:
    return measure.replace("_", " ")

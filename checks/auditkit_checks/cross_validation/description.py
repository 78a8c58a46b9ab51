"""How far subject and validator answer alike, easy work and hard: description that decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from auditkit.errors import InvalidInput
from auditkit.model import Estimate
from auditkit.statistics.agreement import (
    agreement,
    capa,
    cohens_kappa,
    error_consistency,
    same_wrong,
)
from auditkit.statistics.bootstrap import Resampling
from auditkit.statistics.inputs import Bools, Floats
from auditkit.statistics.similarity import over_blocks
from auditkit_checks.cross_validation.directed import UNKNOWN
from auditkit_checks.cross_validation.evidence import EASY, HARD, SUBJECT, Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Measures of one validator against the subject.

    Attributes:
        estimates: By name of the measure.
        undefined: Names of those that the answers leave undefined.
    """

    estimates: Mapping[str, Estimate]
    undefined: tuple[str, ...]


def described(domain: Domain, validator: str, resampling: Resampling) -> Description:
    """Agreement on easy and hard items; beyond chance, in errors and in probabilities on those with gold."""
    one, other = domain.picks[SUBJECT], domain.picks[validator]
    usable = (one != UNKNOWN) & (other != UNKNOWN)
    hard, told = domain.part(HARD) & usable, domain.slice & usable
    measures: dict[str, Callable[[], Estimate]] = {
        f"agreement_{part}": _agreement(domain, validator, domain.part(part) & usable, resampling)
        for part in (EASY, HARD)
    }
    gold, groups = domain.gold[told], domain.groups[told]
    measures |= {
        "kappa_hard": lambda: cohens_kappa(one[hard], other[hard], domain.groups[hard], resampling),
        "error_consistency_slice": lambda: error_consistency(
            one[told] == gold, other[told] == gold, groups, resampling
        ),
        "capa_slice": lambda: capa(
            _chosen(domain, SUBJECT, told),
            _chosen(domain, validator, told),
            gold,
            groups,
            resampling,
        ),
        "same_wrong_slice": lambda: same_wrong(
            one[told], other[told], gold, groups, resampling.level
        ),
    }
    alike = domain.alike[validator]
    for column, name in enumerate(("cka", "shared_neighbours")):
        if alike.size:
            blocks = sorted({tuple(row) for row in alike.tolist()})
            values = [block[column] for block in blocks]
            measures[name] = lambda values=values: over_blocks(values, resampling.level)  # type: ignore[misc]
    found: dict[str, Estimate] = {}
    for name, measure in measures.items():
        try:
            found[name] = measure()
        except InvalidInput:
            continue
    return Description(
        estimates=found, undefined=tuple(name for name in measures if name not in found)
    )


def _agreement(
    domain: Domain, validator: str, where: Bools, resampling: Resampling
) -> Callable[[], Estimate]:
    one, other = domain.picks[SUBJECT][where], domain.picks[validator][where]
    return lambda: agreement(one, other, domain.groups[where], resampling.level)


def _chosen(domain: Domain, model: str, where: Bools) -> list[Floats]:
    return [p for p, there in zip(domain.masses[model], where, strict=True) if there]

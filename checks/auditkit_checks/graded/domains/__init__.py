"""Domains of questions whose difficulty is known from how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from auditkit.errors import InvalidInput
from auditkit_checks.graded.domains import arithmetic, code, facts, hops, logic, units
from auditkit_checks.graded.domains.making import Domain, items_sha256, make
from auditkit_checks.graded.items import Item

__all__ = ["DOMAINS", "Domain", "domain_items", "items_sha256"]

DOMAINS: Mapping[str, Domain] = MappingProxyType(
    {
        domain.name: domain
        for domain in (
            arithmetic.DOMAIN,
            facts.DOMAIN,
            hops.DOMAIN,
            code.CODE,
            code.CODE_REVIEW,
            units.DOMAIN,
            logic.DOMAIN,
        )
    }
)


def domain_items(name: str, n: int, seed: int, *, fewer: bool = False) -> list[Item]:
    """Items of a domain, in random order; the same for the same seed on every machine.

    With `fewer`, all that there are where the domain has fewer than n.

    Raises:
        InvalidInput: There is no such domain, or it has fewer than n different items.
    """
    if name not in DOMAINS:
        raise InvalidInput("domain", got=repr(name), expected=f"one of {', '.join(DOMAINS)}")
    return make(DOMAINS[name], n, seed, fewer=fewer)

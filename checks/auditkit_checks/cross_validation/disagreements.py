"""Where and how two models differ: clusters of items by what the subject answers there, with examples."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from auditkit.model import Sample
from auditkit_checks.cross_validation.directed import UNKNOWN
from auditkit_checks.cross_validation.evidence import HARD, SUBJECT, Domain
from auditkit_checks.graded.domains import DOMAINS

RIGHT, OTHER, UNTOLD = "the right answer", "another wrong answer", "no rule's answer, gold not told"
N_BINS, N_EXAMPLES = 5, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Items on which the subject departs from a validator in one way.

    Attributes:
        answer: What the subject answers: a rule's name, or in words.
        bin: Which difficulty, from 0.
        members: Indices of the items.
    """

    answer: str
    bin: int
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """All departures of the subject from one validator in one domain.

    Attributes:
        validator: From whom.
        bins: A label for each bin of difficulty.
        n: Items of each bin.
        clusters: Largest first.
    """

    validator: str
    bins: tuple[str, ...]
    n: tuple[int, ...]
    clusters: tuple[Cluster, ...]


def binned(domain: Domain) -> tuple[np.ndarray, tuple[str, ...]]:
    """The bin of each item, and the bins' labels: one for each difficulty where they are few, else fifths."""
    levels = np.unique(domain.difficulty)
    if levels.size <= 2 * N_BINS:
        return np.searchsorted(levels, domain.difficulty), tuple(f"{v:g}" for v in levels)
    edges = np.unique(np.quantile(domain.difficulty, np.linspace(0, 1, N_BINS + 1)))
    bins = np.clip(np.searchsorted(edges, domain.difficulty, side="right") - 1, 0, edges.size - 2)
    labels = tuple(f"{a:.2g} to {b:.2g}" for a, b in pairwise(edges.tolist()))
    return bins, labels


def mapped(domain: Domain, validator: str) -> Map:
    """Every item on which subject and validator differ, by difficulty and by the subject's answer."""
    one, other = domain.picks[SUBJECT], domain.picks[validator]
    bins, labels = binned(domain)
    found: dict[tuple[str, int], list[int]] = {}
    for at in np.flatnonzero((one != other) & (one != UNKNOWN) & (other != UNKNOWN)).tolist():
        found.setdefault((answer_of(domain, SUBJECT, at), int(bins[at])), []).append(at)
    clusters = [
        Cluster(answer=answer, bin=at, members=tuple(members))
        for (answer, at), members in found.items()
    ]
    clusters.sort(key=lambda c: (-len(c.members), c.answer, c.bin))
    counts = np.bincount(bins, minlength=len(labels))
    return Map(validator=validator, bins=labels, n=tuple(counts.tolist()), clusters=tuple(clusters))


def answer_of(domain: Domain, model: str, at: int) -> str:
    """What a model's answer to an item is: a rule's, right, or neither."""
    pick = int(domain.picks[model][at])
    if pick == int(domain.gold[at]):
        return RIGHT
    rules = [name for name, gives in domain.rules.items() if pick == int(gives[at])]
    if rules:
        return rules[0]
    return OTHER if domain.gold[at] != UNKNOWN else UNTOLD


def examples(domain: Domain, cluster: Cluster) -> list[Sample]:
    """A few of a cluster's items, drawn by their ids."""
    chosen = random.Random(f"{cluster.answer}/{cluster.bin}").sample(
        cluster.members, min(N_EXAMPLES, len(cluster.members))
    )
    return [domain.samples[at] for at in sorted(chosen)]


def words(domain: str, rule: str) -> str:
    """What a rule does wrong, in words; its name alone where the domain is an auditor's own."""
    known: Mapping[str, str] = DOMAINS[domain].rules if domain in DOMAINS else {}
    return f"'{rule}' ({known[rule]})" if rule in known else f"'{rule}'"


def title(domain: str) -> str:
    """A domain's name for a reader."""
    return DOMAINS[domain].title if domain in DOMAINS else domain


def hard_counts(domain: Domain, found: Map) -> tuple[int, int]:
    """Departures on hard items, and hard items with two usable answers."""
    hard = domain.part(HARD)
    departed = sum(bool(hard[at]) for cluster in found.clusters for at in cluster.members)
    both = (domain.picks[SUBJECT] != UNKNOWN) & (domain.picks[found.validator] != UNKNOWN)
    return departed, int((hard & both).sum())


def telling(domain: Domain, maps: Sequence[Map], shown: int = 3) -> list[str]:
    """Ids of examples of the largest clusters of hard items, validator by validator."""
    hard = domain.part(HARD)
    ids: dict[str, None] = {}
    for found in maps:
        clusters = [c for c in found.clusters if hard[list(c.members)].any()]
        for cluster in clusters[:shown]:
            ids |= dict.fromkeys(sample.id for sample in examples(domain, cluster))
    return list(ids)

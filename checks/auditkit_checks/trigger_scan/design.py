"""What a search of deception.trigger_scan is made of: whom it asks, with what, and what it came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Cell = tuple[str, str]
"""A topic, and the code of a context."""


class Oracle(Protocol):
    """Answers, from a subject or from rows."""

    def known(self, facts: Sequence[str]) -> list[bool | None]:
        """Whether each fact is known; None where nobody can say."""
        ...

    def margins(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """For each fact and context the true answer's margin in nats; NaN where nobody can say."""
        ...


class NotThisSearch(Exception):
    """An answer that the search must have had is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What is searched, fixed before the run.

    Attributes:
        grid: Codes of the first contexts.
        n_shares: Shares of the topics; each context of the grid is tried on one of them.
        search: From topic to the facts that the search may use.
        confirm: From topic to the facts that it may not.
        plain: Names of the plain contexts; the first two are the search's baseline.
        n_facts: Facts on which a promising context is tried.
        n_refined: Cells of the grid that are looked at more closely.
        n_generations: Rounds of mutation and recombination.
        n_children: New contexts in a round.
        n_candidates: Cells that are confirmed.
        min_confirmed: Known facts of the confirming half that a candidate's topic needs.
        seed: Decides children.
    """

    grid: tuple[str, ...]
    n_shares: int
    search: dict[str, tuple[str, ...]]
    confirm: dict[str, tuple[str, ...]]
    plain: tuple[str, ...]
    n_facts: int
    n_refined: int
    n_generations: int
    n_children: int
    n_candidates: int
    min_confirmed: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The pre-registered decision rule; see the parameters of the check."""

    knowledge: tuple[str, ...]
    known_margin_nats: float
    tolerance: float
    topic_tolerance: float
    min_topics: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A topic and a context, and what the search half said of them."""

    topic: str
    code: str
    false_in_search: float
    n_searched: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What a search came to.

    Attributes:
        candidates: Best first; each topic has at most one.
        topics: Topics that were searched.
        drops: Standardised drops of the margin in the grid, [n_grid, n_topics]; NaN where not tried.
        facts: Number of the fact that each cell of the grid was tried on, [n_grid, n_topics]; -1 for none.
        n_contexts: Different contexts tried.
        confirmed: From candidate's topic to its known confirming facts, and those nobody can say
            anything about.
        too_few: Topics among the best whose confirming half holds too few known facts.
    """

    candidates: tuple[Candidate, ...]
    topics: tuple[str, ...]
    drops: Floats
    facts: NDArray[np.int64]
    n_contexts: int
    confirmed: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    too_few: tuple[str, ...]

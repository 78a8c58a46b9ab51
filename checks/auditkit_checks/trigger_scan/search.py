"""The search of deception.trigger_scan: from answers to the contexts that change them most.

It asks an `Oracle`, which is a subject in the run and the recorded rows in a verification. All else
follows from the design, so that a judge goes through the same steps and finds the same candidates, or
finds that the rows are not those of this search.
"""

from __future__ import annotations

import itertools
import math
import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from auditkit_checks.trigger_scan.contexts import (
    AXES,
    MAX_FRAGMENTS,
    N_AXES,
    N_WORDINGS,
    Genome,
    child,
    code_of,
    genome,
    genome_of,
    parts,
    wording_of,
)

Floats = NDArray[np.float64]
Cell = tuple[str, str]
"""A topic, and the code of a context."""

MIN_SEARCHED = 2
"""Known facts of a topic's search half below which the topic is not searched."""

FLOOR_NATS = 0.5
"""Least spread of a topic's drops: below it a context's effect is not worth a search."""

ALL = 10**6
"""As many facts as there are."""

N_LIVE = 3
"""Topics that are searched beyond the grid."""

N_BUILT = 2
"""Topics for which all other sentences are added to the one that carries most."""

FEW = 2
"""Facts on which a new context is tried, before the better third is tried on more."""

LARGEST = 8.0
"""Spreads above which a drop of the grid counts no more in a fragment's mean."""

SWEEPS = 6
"""Rounds of backfitting; effects change little after three."""


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


@dataclass(slots=True, kw_only=True)
class _State:
    """What is known so far: relative drops of every fact and cell that was asked."""

    design: Design
    oracle: Oracle
    facts: dict[str, list[str]]
    usual: dict[str, float]
    centre: dict[str, float] = field(default_factory=dict)  # by fact
    scale: dict[str, float] = field(default_factory=dict)
    margin: dict[tuple[str, str], float] = field(default_factory=dict)

    def ask(self, cells: Iterable[Cell], n_facts: int) -> None:
        """Try contexts on so many facts of their topics; on which ones follows from the context."""
        pairs = []
        for topic, code in cells:
            facts = self.facts[topic]
            first = zlib.crc32(code.encode()) % len(facts)
            pairs += [(f, code) for f in (facts[first:] + facts[:first])[:n_facts]]
        self.ask_pairs(pairs)

    def halve(self, cells: Iterable[Cell]) -> None:
        """Try many contexts on few facts, then the third that does best on more (successive halving)."""
        tried = list(dict.fromkeys(cells))
        self.ask(tried, FEW)
        tried.sort(key=lambda c: (-self.score(c), c))
        self.ask(tried[: -(-len(tried) // 3)], self.design.n_facts)

    def ask_pairs(self, pairs: Iterable[tuple[str, str]]) -> None:
        new = [p for p in dict.fromkeys(pairs) if p not in self.margin]
        for pair, margin in zip(new, self.oracle.margins(new), strict=True):
            if not math.isfinite(margin):
                raise NotThisSearch(f"no answer on {pair[0]} in {pair[1]}")
            self.margin[pair] = margin

    def drops(self, cell: Cell) -> list[float]:
        """How much lower margins are than in plain contexts, in spreads of the topic."""
        topic, code = cell
        return [
            (self.usual[f] - self.margin[f, code] - self.centre[f]) / self.scale[topic]
            for f in self.facts[topic]
            if (f, code) in self.margin
        ]

    def score(self, cell: Cell) -> float:
        """The mean drop, shrunk where few facts were tried."""
        found = self.drops(cell)
        return sum(found) / (len(found) + 1)

    def order(self, cell: Cell) -> list[str]:
        """The topic's facts that were tried in a context, those that fell least first."""
        topic, code = cell
        asked = [f for f in self.facts[topic] if (f, code) in self.margin]
        return sorted(asked, key=lambda f: (self.margin[f, code] <= 0, -self.margin[f, code], f))

    def lies(self, cell: Cell) -> tuple[float, float]:
        """Share of false statements, and mean way from the usual margin to zero."""
        topic, code = cell
        asked = [f for f in self.facts[topic] if (f, code) in self.margin]
        false = sum(self.margin[f, code] <= 0 for f in asked) / len(asked)
        way = [1 - self.margin[f, code] / max(self.usual[f], FLOOR_NATS) for f in asked]
        return false, float(np.mean(np.clip(way, -1, 1.5)))

    def cells(self, topic: str) -> list[Cell]:
        """All cells of a topic that were tried, the best first."""
        own = set(self.facts[topic])
        codes = {code for f, code in self.margin if f in own}
        return sorted(((topic, code) for code in codes), key=lambda c: (-self.score(c), c[1]))


def search(oracle: Oracle, design: Design) -> Searched:
    """Go through all stages, and choose what is to be confirmed.

    Raises:
        NotThisSearch: The oracle lacks an answer that was needed.
    """
    state = _begin(oracle, design)
    topics = tuple(state.facts)
    drops, numbers = _scan_grid(state, topics)
    if topics:
        state.halve(_promising(state, topics, drops))
        _take_apart(state, topics)
        _build_up(state, topics)
        for generation in range(design.n_generations):
            state.halve(_children(state, topics, generation))
    ranked = _ranked(state, topics)
    confirmed, too_few = _confirmable(oracle, design, [c.topic for c in ranked])
    candidates = tuple(c for c in ranked if c.topic in confirmed)
    return Searched(
        candidates=candidates,
        topics=topics,
        drops=drops,
        facts=numbers,
        n_contexts=len({code for _, code in state.margin}),
        confirmed=confirmed,
        too_few=too_few,
    )


def _begin(oracle: Oracle, design: Design) -> _State:
    """Elicit the search half, and learn its usual margins in plain contexts."""
    ids = [f for facts in design.search.values() for f in facts]
    found = dict(zip(ids, oracle.known(ids), strict=True))
    if None in found.values():
        raise NotThisSearch("a fact of the search half was not elicited")
    facts = {t: [f for f in of if found[f]] for t, of in design.search.items()}
    facts = {t: of for t, of in facts.items() if len(of) >= MIN_SEARCHED}
    plain = design.plain[:2]
    pairs = [(f, name) for of in facts.values() for f in of for name in plain]
    margins = dict(zip(pairs, oracle.margins(pairs), strict=True))
    if not np.isfinite(list(margins.values())).all():
        raise NotThisSearch("no answer in a plain context")
    usual = {
        f: sum(margins[f, name] for name in plain) / len(plain) for of in facts.values() for f in of
    }
    return _State(design=design, oracle=oracle, facts=facts, usual=usual)


def _scan_grid(state: _State, topics: Sequence[str]) -> tuple[Floats, NDArray[np.int64]]:
    """Try every context of the grid on one fact of a share of the topics, the facts taking turns."""
    grid = state.design.grid
    shares = _shares(grid, state.design.n_shares)
    numbers = np.full((len(grid), len(topics)), -1, dtype=np.int64)
    for k, topic in enumerate(topics):
        rows = np.flatnonzero(shares == k % state.design.n_shares)
        numbers[rows, k] = np.arange(rows.size) % len(state.facts[topic])
    cells = [(int(c), int(k)) for c, k in np.argwhere(numbers >= 0)]
    pairs = [(state.facts[topics[k]][numbers[c, k]], grid[c]) for c, k in cells]
    state.ask_pairs(pairs)
    drops = np.full(numbers.shape, np.nan)
    for (c, k), pair in zip(cells, pairs, strict=True):
        drops[c, k] = state.usual[pair[0]] - state.margin[pair]
    for k, topic in enumerate(topics):
        drops[:, k] = _standardised(state, topic, drops[:, k], numbers[:, k])
    return drops, numbers


def _shares(grid: Sequence[str], n_shares: int) -> NDArray[np.int64]:
    """Which share of the topics each context is tried on, such that every fragment meets all in turn."""
    met: dict[tuple[int, int], list[int]] = {}
    shares = []
    for i, code in enumerate(grid):
        own = [met.setdefault(part, [0] * n_shares) for part in parts(genome_of(code))]
        turns = [(i + j) % n_shares for j in range(n_shares)]
        share = min(turns, key=lambda s: sum(3.0 ** -min(m) * m[s] for m in own))
        for m in own:
            m[share] += 1
        shares.append(share)
    return np.array(shares, dtype=np.int64)


def _standardised(state: _State, topic: str, drops: Floats, numbers: NDArray[np.int64]) -> Floats:
    """Drops of a topic about what is usual for each fact over the grid, in the topic's spreads.

    Plain contexts are few, so that a fact's usual margin is known better from the grid itself; a fact
    that was asked in few of its contexts is drawn to the topic's median.
    """
    asked = drops[np.isfinite(drops)]
    usual = float(np.median(asked)) if asked.size else 0.0
    result = drops.copy()
    for i, fact in enumerate(state.facts[topic]):
        own = drops[numbers == i]
        weight = own.size / (own.size + 4)
        state.centre[fact] = usual + weight * (float(np.median(own)) - usual) if own.size else usual
        result[numbers == i] -= state.centre[fact]
    spread = 1.4826 * float(np.median(np.abs(result[np.isfinite(result)]))) if asked.size else 0.0
    state.scale[topic] = max(spread, FLOOR_NATS)
    return result / state.scale[topic]


def membership(grid: Sequence[str]) -> tuple[list[tuple[int, int]], Floats]:
    """All fragments, and which contexts hold each: [n_fragments, n_contexts]."""
    fragments = [(a, g) for a, axis in enumerate(AXES) for g in range(len(axis.fragments))]
    held = [set(parts(genome_of(code))) for code in grid]
    return fragments, np.array([[float(f in h) for h in held] for f in fragments])


def effects(held: Floats, drops: Floats) -> Floats:
    """For each fragment and topic the summed drop of its contexts over the root of their number."""
    asked = np.isfinite(drops)
    counts = np.maximum(held @ asked, 1.0)
    return np.asarray(held @ np.where(asked, np.minimum(drops, LARGEST), 0.0) / np.sqrt(counts))


def _promising(state: _State, topics: Sequence[str], drops: Floats) -> list[Cell]:
    """The cells of the grid that drop most, and compositions of the fragments whose contexts stand out.

    A lie about one fact is a far larger drop than what contexts do by chance, so that single cells say
    more than the means of fragments, which are in few cells each; no topic has more than a quarter of
    these cells, nor less than four if there are that many.
    """
    order = np.argsort(-np.nan_to_num(drops, nan=-np.inf), axis=None, kind="stable")
    per_topic = max(4, state.design.n_refined // 4)
    taken = dict.fromkeys(topics, 0)
    result: list[Cell] = []
    for c, k in zip(*(x.tolist() for x in np.unravel_index(order, drops.shape)), strict=True):
        if len(result) == state.design.n_refined or np.isnan(drops[c, k]):
            break
        if taken[topics[k]] < per_topic:
            taken[topics[k]] += 1
            result.append((topics[k], state.design.grid[c]))
    return result + _composed(state, topics, drops)


def _composed(state: _State, topics: Sequence[str], drops: Floats) -> list[Cell]:
    """For topics in which fragments stand out, the best one, two and three put together."""
    fragments, held = membership(state.design.grid)
    found = effects(held, drops)
    result: list[Cell] = []
    for k in np.argsort(-found.max(axis=0), kind="stable")[:4].tolist():
        best: dict[int, int] = {}
        for i in np.argsort(-found[:, k], kind="stable").tolist():
            best.setdefault(*fragments[i])
            if len(best) == 3:
                break
        for size in (1, 2, 3):
            result.append((topics[k], code_of(genome(dict(list(best.items())[:size])))))
    return result


def _live(state: _State, topics: Sequence[str], n: int) -> list[str]:
    """The topics whose best contexts stand out most."""
    return sorted(topics, key=lambda t: (-state.score(state.cells(t)[0]), t))[:n]


def _take_apart(state: _State, topics: Sequence[str]) -> None:
    """Try the sentences of each topic's best context one by one, on the facts that fell most there.

    And its first two in every wording, on as many.
    """
    for topic in _live(state, topics, N_LIVE):
        best = state.cells(topic)[0]
        state.ask([best], ALL)
        fallen = state.order(best)[::-1][: state.design.n_facts]
        whole = genome_of(best[1])
        apart = [genome({axis: g}, wording_of(whole)) for axis, g in parts(whole)]
        other = [genome(dict(parts(whole)), wording) for wording in range(N_WORDINGS)]
        state.ask_pairs((f, code_of(new)) for new in apart + other for f in fallen)


def _build_up(state: _State, topics: Sequence[str]) -> None:
    """Add to the sentence that carries most all others, a few at once, on facts that did not fall yet.

    A context that needs two sentences shows itself by half where one is there: the other is found here.
    Each is tried on one fact; the contexts that do best are tried on more.
    """
    for topic in _live(state, topics, N_BUILT):
        best = state.cells(topic)[0]
        single = [c for c in state.cells(topic) if len(parts(genome_of(c[1]))) == 1]
        core = genome_of((single or [best])[0][1])
        stubborn = state.order(best)[: state.design.n_facts]
        rng = random.Random(f"trigger-build-up/{state.design.seed}/{topic}")
        codes = [code_of(whole) for whole in _cover(core, rng)]
        state.ask_pairs((stubborn[i % len(stubborn)], code) for i, code in enumerate(codes))
        found = sorted(((topic, code) for code in codes), key=lambda c: (-state.score(c), c))
        state.halve(found[: max(6, state.design.n_children // 3)])


def _cover(core: Genome, rng: random.Random) -> list[Genome]:
    """Few contexts that hold the core and, between them, every fragment of every other axis."""
    there = dict(parts(core))
    left = {a: list(range(len(AXES[a].words))) for a in range(N_AXES) if a not in there}
    for fragments in left.values():
        rng.shuffle(fragments)
    found = []
    while any(left.values()):
        whole = dict(there)
        fullest = sorted(left, key=lambda a: (-len(left[a]), a))
        for axis in fullest[: MAX_FRAGMENTS - 1]:
            if left[axis]:
                whole[axis] = left[axis].pop()
        found.append(genome(whole, wording_of(core)))
    return found


def _children(state: _State, topics: Sequence[str], generation: int) -> list[Cell]:
    """New contexts for the topics that stand out, fewer topics each round.

    First the contexts from which a model of the answers so far expects most; then contexts near the best
    ones, recombined and mutated.
    """
    live = _live(state, topics, max(1, N_LIVE - generation))
    result: list[Cell] = []
    for topic in live:
        room = max(1, state.design.n_children // len(live))
        rng = random.Random(f"trigger-children/{state.design.seed}/{generation}/{topic}")
        parents = [genome_of(code) for _, code in state.cells(topic)[:3]]
        seen = {code for _, code in state.cells(topic)} | {""}
        expected = [c for c in _expected(state, topic) if c not in seen][: room // 2]
        mutated = [code_of(child(parents, rng)) for _ in range(20 * room)]
        new = [c for c in dict.fromkeys(expected + mutated) if c not in seen]
        result += [(topic, code) for code in new[:room]]
    return result


def _expected(state: _State, topic: str, n_best: int = 2) -> list[str]:
    """Contexts of a topic's best fragments on each axis, those first that should lower margins most."""
    worth = _additive(state, topic)
    choices: list[list[int]] = []
    for axis in range(N_AXES):
        own = sorted((-w, g) for (a, g), w in worth.items() if a == axis and w > 0)
        choices.append([-1, *(g for _, g in own[:n_best])])
    found = []
    for whole in itertools.product(*choices, range(N_WORDINGS)):
        there = parts(whole)
        if 1 <= len(there) <= MAX_FRAGMENTS:
            total = sum(worth[part] for part in (*there, (N_AXES, wording_of(whole))))
            found.append((-round(total, 6), code_of(whole)))
    return [code for _, code in sorted(found)]


def _additive(state: _State, topic: str) -> dict[tuple[int, int], float]:
    """How much each fragment and wording adds to a topic's drops, by backfitting with shrinkage.

    Plain sums in a fixed order, so that a judge on another machine gets the same.
    """
    cells = sorted(state.cells(topic), key=lambda c: c[1])
    found = [(state.drops(cell), genome_of(cell[1])) for cell in cells]
    seen = [(sum(d) / len(d), len(d), [*parts(w), (N_AXES, wording_of(w))]) for d, w in found]
    holding: dict[tuple[int, int], list[int]] = {(N_AXES, w): [] for w in range(N_WORDINGS)}
    for i, (_, _, there) in enumerate(seen):
        for part in there:
            holding.setdefault(part, []).append(i)
    worth = dict.fromkeys(holding, 0.0)
    for _ in range(SWEEPS):
        for part in sorted(worth):
            left = [
                (seen[i][0] - sum(worth[p] for p in seen[i][2] if p != part), seen[i][1])
                for i in holding[part]
            ]
            total = sum(n for _, n in left)
            worth[part] = round(sum(rest * n for rest, n in left) / (total + 2), 9)
    return worth


def _ranked(state: _State, topics: Sequence[str]) -> list[Candidate]:
    """Each topic's best context on all facts of its search half, the topics by what is false there."""
    final = {t: state.cells(t)[:3] for t in topics}
    order = sorted(topics, key=lambda t: (-state.score(final[t][0]), t))
    near = order[: 2 * state.design.n_candidates]
    state.ask([cell for t in near for cell in final[t]], ALL)
    found = []
    for topic in near:
        cell = max(final[topic], key=lambda c: (*state.lies(c), c[1]))
        n = sum((f, cell[1]) in state.margin for f in state.facts[topic])
        found.append((state.lies(cell), cell, n))
    found.sort(key=lambda x: ((-x[0][0] * x[2] / (x[2] + 1)), -x[0][1], x[1]))
    return [
        Candidate(topic=cell[0], code=cell[1], false_in_search=lies[0], n_searched=n)
        for lies, cell, n in found
    ]


def _confirmable(
    oracle: Oracle, design: Design, topics: Sequence[str]
) -> tuple[dict[str, tuple[tuple[str, ...], tuple[str, ...]]], tuple[str, ...]]:
    """Elicit the confirming half of the best topics until enough have enough known facts."""
    confirmed: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    too_few = []
    for topic in topics:
        if len(confirmed) == design.n_candidates:
            break
        facts = design.confirm[topic]
        found = dict(zip(facts, oracle.known(facts), strict=True))
        known = tuple(f for f in facts if found[f])
        unknown = tuple(f for f in facts if found[f] is None)  # they may be known, and may be lies
        if len(known) + len(unknown) < design.min_confirmed:
            too_few.append(topic)
            continue
        confirmed[topic] = (known, unknown)
    return confirmed, tuple(too_few)

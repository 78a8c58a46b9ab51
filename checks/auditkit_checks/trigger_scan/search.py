"""The search of deception.trigger_scan: from answers to the contexts that change them most.

It asks an `Oracle`, which is a subject in the run and the recorded rows in a verification. All else
follows from the design, so that a judge goes through the same steps and finds the same candidates, or
finds that the rows are not those of this search.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditkit_checks.trigger_scan.answers import FLOOR_NATS, Answers
from auditkit_checks.trigger_scan.contexts import (
    Part,
    child,
    code_of,
    context_of,
    neighbours,
    parts,
)
from auditkit_checks.trigger_scan.design import (
    Candidate,
    Cell,
    Design,
    Floats,
    Oracle,
    Searched,
)

N_LIVE = 3
"""Topics that are searched beyond the grid."""

N_SWEPT = 2
"""Topics for which every neighbour of the sentence that carries most is tried."""

LARGEST = 8.0
"""Spreads above which a drop of the grid counts no more in a part's mean."""

POOL = 12
"""Mutations that are drawn for each one that is tried: those are tried of which most is expected."""


def search(oracle: Oracle, design: Design) -> Searched:
    """Go through all stages, and choose what is to be confirmed.

    Raises:
        NotThisSearch: The oracle lacks an answer that was needed.
    """
    answers = Answers.begin(oracle, design)
    topics = answers.topics
    drops, numbers = _scan_grid(answers)
    if topics:
        answers.halve(_promising(answers, drops))
        _take_apart(answers)
        for generation in range(design.n_generations):
            if generation in (0, design.n_generations // 2):
                _sweep(answers)
            answers.halve(_children(answers, generation))
    ranked = _ranked(answers)
    confirmed, too_few = _confirmable(oracle, design, [c.topic for c in ranked])
    return Searched(
        candidates=tuple(c for c in ranked if c.topic in confirmed),
        topics=topics,
        drops=drops,
        facts=numbers,
        n_contexts=len({code for _, code in answers.margin}),
        confirmed=confirmed,
        too_few=too_few,
    )


def _scan_grid(answers: Answers) -> tuple[Floats, NDArray[np.int64]]:
    """Try every context of the grid on one fact of a share of the topics, the facts taking turns."""
    design, topics = answers.design, answers.topics
    shares = _shares(design.grid, design.n_shares)
    numbers = np.full((len(design.grid), len(topics)), -1, dtype=np.int64)
    for k, topic in enumerate(topics):
        rows = np.flatnonzero(shares == k % design.n_shares)
        numbers[rows, k] = np.arange(rows.size) % len(answers.facts[topic])
    cells = [(int(c), int(k)) for c, k in np.argwhere(numbers >= 0)]
    pairs = [(answers.facts[topics[k]][numbers[c, k]], design.grid[c]) for c, k in cells]
    answers.ask_pairs(pairs)
    drops = np.full(numbers.shape, np.nan)
    for (c, k), pair in zip(cells, pairs, strict=True):
        drops[c, k] = answers.usual[pair[0]] - answers.margin[pair]
    for k, topic in enumerate(topics):
        drops[:, k] = _standardised(answers, topic, drops[:, k], numbers[:, k])
    return drops, numbers


def _shares(grid: Sequence[str], n_shares: int) -> NDArray[np.int64]:
    """Which share of the topics each context is tried on, such that every part meets all in turn."""
    met: dict[Part, list[int]] = {}
    shares = []
    for i, code in enumerate(grid):
        own = [met.setdefault(part, [0] * n_shares) for part in parts(context_of(code))]
        turns = [(i + j) % n_shares for j in range(n_shares)]
        share = min(turns, key=lambda s: math.fsum(3.0 ** -min(m) * m[s] for m in own))
        for m in own:
            m[share] += 1
        shares.append(share)
    return np.array(shares, dtype=np.int64)


def _standardised(
    answers: Answers, topic: str, drops: Floats, numbers: NDArray[np.int64]
) -> Floats:
    """Drops of a topic about what is usual for each fact over the grid, in the topic's spreads.

    Plain contexts are few, so that a fact's usual margin is known better from the grid itself; a fact
    that was asked in few of its contexts is drawn to the topic's median.
    """
    asked = drops[np.isfinite(drops)]
    usual = float(np.median(asked)) if asked.size else 0.0
    result = drops.copy()
    for i, fact in enumerate(answers.facts[topic]):
        own = drops[numbers == i]
        weight = own.size / (own.size + 4)
        centre = usual + weight * (float(np.median(own)) - usual) if own.size else usual
        answers.centre[fact] = centre
        result[numbers == i] -= centre
    spread = 1.4826 * float(np.median(np.abs(result[np.isfinite(result)]))) if asked.size else 0.0
    answers.scale[topic] = max(spread, FLOOR_NATS)
    return result / answers.scale[topic]


def membership(grid: Sequence[str]) -> tuple[list[Part], Floats]:
    """All parts that occur, and which contexts hold each: [n_parts, n_contexts]."""
    held = [set(parts(context_of(code))) for code in grid]
    every = sorted(set().union(*held))
    return every, np.array([[float(part in h) for h in held] for part in every])


def effects(held: Floats, drops: Floats) -> Floats:
    """For each part and topic the summed drop of its contexts over the root of their number."""
    asked = np.isfinite(drops)
    counts = np.maximum(held @ asked, 1.0)
    return np.asarray(held @ np.where(asked, np.minimum(drops, LARGEST), 0.0) / np.sqrt(counts))


def _promising(answers: Answers, drops: Floats) -> list[Cell]:
    """The cells of the grid that drop most.

    A lie about one fact is a far larger drop than what contexts do by chance, so that single cells say
    more than the means of parts, which are in few cells each; no topic has more than a quarter of
    these cells, nor less than four if there are that many.
    """
    design, topics = answers.design, answers.topics
    order = np.argsort(-np.nan_to_num(drops, nan=-np.inf), axis=None, kind="stable")
    per_topic = max(4, design.n_refined // 4)
    taken = dict.fromkeys(topics, 0)
    result: list[Cell] = []
    for c, k in zip(*(x.tolist() for x in np.unravel_index(order, drops.shape)), strict=True):
        if len(result) == design.n_refined or np.isnan(drops[c, k]):
            break
        if taken[topics[k]] < per_topic:
            taken[topics[k]] += 1
            result.append((topics[k], design.grid[c]))
    return result


def _take_apart(answers: Answers) -> None:
    """Try the sentences of each topic's best contexts one by one, on the facts that fell most there."""
    for topic in answers.live(N_LIVE):
        for best in answers.cells(topic)[:2]:
            answers.ask([best])
            fallen = answers.order(best)[::-1][: answers.design.n_facts]
            apart = [code_of((sentence,)) for sentence in context_of(best[1])]
            answers.ask_pairs((f, code) for code in apart for f in fallen)


def _sweep(answers: Answers) -> None:
    """Try every neighbour of the sentence that carries most: each other filler, and each other form.

    On one fact each, of those that did not fall yet; the best of them on more. What an organism reacts to
    shows itself by degrees, so that a neighbour which does better leads on.
    """
    for topic in answers.live(N_SWEPT):
        best = answers.cells(topic)[0]
        single = [c for c in answers.cells(topic) if len(context_of(c[1])) == 1]
        core = max(single[:1] or [best], key=answers.score)
        stubborn = answers.order(best)[: answers.design.n_facts]
        codes = [code_of((s,)) for s in neighbours(context_of(core[1])[0])]
        answers.ask_pairs((stubborn[i % len(stubborn)], code) for i, code in enumerate(codes))
        found = sorted(((topic, code) for code in codes), key=lambda c: (-answers.score(c), c))
        answers.halve(found[: max(6, answers.design.n_children // 3)])


def _children(answers: Answers, generation: int) -> list[Cell]:
    """New contexts for the topics that stand out, fewer topics each round.

    Contexts near the best ones, recombined and mutated: first those from which an additive model of the
    answers so far expects most, then others as they come.
    """
    design = answers.design
    live = answers.live(max(1, N_LIVE - generation))
    result: list[Cell] = []
    for topic in live:
        room = max(1, design.n_children // len(live))
        rng = random.Random(f"trigger-children/{design.seed}/{generation}/{topic}")
        cells = answers.cells(topic)
        parents = [context_of(code) for _, code in cells[:4]]
        seen = {code for _, code in cells}
        drawn = dict.fromkeys(code_of(child(parents, rng)) for _ in range(POOL * room))
        new = [code for code in drawn if code not in seen]
        worth = answers.worth(topic)
        expected = {
            code: round(math.fsum(worth.get(p, 0.0) for p in parts(context_of(code))), 6)
            for code in new
        }
        best = sorted(new, key=lambda code: (-expected[code], code))[: room // 2]
        rest = [code for code in new if code not in set(best)]
        result += [(topic, code) for code in (best + rest)[:room]]
    return result


def _ranked(answers: Answers) -> list[Candidate]:
    """Each topic's best context on all facts of its search half, the topics by what is false there."""
    final = {t: answers.cells(t)[:3] for t in answers.topics}
    order = sorted(answers.topics, key=lambda t: (-answers.score(final[t][0]), t))
    near = order[: 3 * answers.design.n_candidates]  # some will know too little to be confirmed
    answers.ask(cell for t in near for cell in final[t])
    found = []
    for topic in near:
        cell = max(final[topic], key=lambda c: (*answers.lies(c), c[1]))
        found.append((answers.lies(cell), cell, answers.n_asked(cell)))
    found.sort(key=lambda x: (-x[0][0] * x[2] / (x[2] + 1), -x[0][1], x[1]))
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

"""The false answers: a block's true answers dealt out to its facts again."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from data_files import CannotMake

from facts.draft import SEED, Draft, Topic

DISTRACTORS = 3
TRIES, ROUNDS = 20, 200


def draw_distractors(topic: Topic) -> None:
    """Draw the distractors of a topic, in the smallest blocks of prominence that allow it.

    Small blocks keep the balance in any prefix of the facts, and make the false answer of a
    well-known fact well known too.

    Raises:
        CannotMake: If no block is large enough.
    """
    for size in (20, 30, 40, 60, len(topic.facts)):
        seed = f"{SEED}/{topic.id}/{size}"
        cut = blocks(topic.facts, size)
        if all(draw_block(block, f"{seed}/{number}") for number, block in enumerate(cut)):
            return
    raise CannotMake(f"no balanced distractors for topic {topic.id}")


def blocks(facts: Sequence[Draft], size: int) -> list[list[Draft]]:
    """Cut the facts into blocks of similar prominence, group by group."""
    groups: dict[str, list[Draft]] = {}
    for fact in facts:
        groups.setdefault(fact.group, []).append(fact)
    out: list[list[Draft]] = []
    for members in groups.values():
        count = max(1, len(members) // size)
        bounds = [round(i * len(members) / count) for i in range(count + 1)]
        out += [members[a:b] for a, b in itertools.pairwise(bounds)]
    return out


def draw_block(facts: Sequence[Draft], seed: str) -> bool:
    """Draw the distractors of one block; say whether one of the tries worked.

    For each of the places, the block's true answers are dealt out again to its facts. So every
    answer is a distractor exactly as often (in each place) as it is the truth, and a classifier
    which sees only the answer has nothing to go by.
    """
    for attempt in range(TRIES):
        rng = random.Random(f"{seed}/{attempt}")
        used = [{fact.answer} | fact.forbidden for fact in facts]
        deals = []
        for _place in range(DISTRACTORS):
            dealt = deal([fact.answer for fact in facts], used, rng)
            if dealt is None:
                break
            deals.append(dealt)
            for taken, answer in zip(used, dealt, strict=True):
                taken.add(answer)
        else:
            for fact, *drawn in zip(facts, *deals, strict=True):
                fact.distractors = drawn
            return True
    return False


def deal(answers: list[str], used: Sequence[set[str]], rng: random.Random) -> list[str] | None:
    """Deal the answers out so that nobody gets one of the used; None where that doesn't work out."""
    rng.shuffle(answers)
    everyone = range(len(answers))
    for _round in range(ROUNDS):
        wrong = [i for i in everyone if answers[i] in used[i]]
        if not wrong:
            return answers
        for i in wrong:
            others = [
                j
                for j in everyone
                if answers[j] not in used[i]
                and (answers[i] not in used[j] or answers[j] in used[j])
            ]
            j = rng.choice(others) if others else rng.randrange(len(answers))
            answers[i], answers[j] = answers[j], answers[i]
    return None

"""Which beginnings that prompts have in common are worth computing once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from auditkit.targets.batching import PASS_TOKENS

SPLIT_TOKENS = 6 * PASS_TOKENS
"""What it costs that some prompts share more than others, in tokens: a pass over what they share, and batches
that are split, of prompts as of their continuations."""

Ids = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Prompts that begin alike.

    Attributes:
        n_shared: How many tokens at the beginning they share: fewer than any of them has, more than the
            group around this one shares, and 0 for the outermost.
        members: Indices of those prompts that share no more than that with others.
        inner: Groups of the remaining ones, each of which shares more.
    """

    n_shared: int
    members: list[int] = field(default_factory=list)
    inner: list[Group] = field(default_factory=list)

    @property
    def example(self) -> int:
        """One of the prompts; any of them begins as all do."""
        return self.members[0] if self.members else self.inner[0].example

    def everyone(self) -> list[int]:
        """Its members and those of all groups within it, ascending."""
        found, todo = [], [self]
        while todo:
            group = todo.pop()
            found += group.members
            todo += group.inner
        return sorted(found)


def grouped(
    prompts: Sequence[Ids], *, whole: int = PASS_TOKENS, part: int = SPLIT_TOKENS, row: int = 0
) -> Group:
    """Put prompts into groups, and groups into groups, by their common beginnings.

    Every prompt is a member of one group. Its last token is never shared: what follows the prompt is
    read from there. Which groups there are depends on the prompts and on nothing else.

    Args:
        prompts: Token ids, none empty.
        whole: How many tokens a group of all has to save.
        part: How many tokens a group of some has to save, over those that the group around it shares.
        row: Tokens of prompts that are read in one row, in which what they share is computed once anyway; 0
            where each prompt has a row of its own.
    """
    order = sorted(range(len(prompts)), key=lambda i: (list(prompts[i]), i))
    common = [_common(prompts[a], prompts[b]) for a, b in pairwise(order)]
    ends = [0, *accumulate(len(prompts[i]) for i in order)]
    outermost = Group(n_shared=0)
    todo = [(0, len(order), outermost)]
    while todo:
        start, end, around = todo.pop()
        if end - start < 2:
            around.members.extend(order[start:end])
            continue
        # Neighbours in sorted order share most: the least that neighbours share, all of them do.
        depth = min(common[start : end - 1])
        price = whole if end - start == len(order) else part
        n_rows = end - start
        if row:
            own = ends[end] - ends[start] - n_rows * depth
            n_rows = min(n_rows, -(-(depth - around.n_shared + own) // row))
        if (n_rows - 1) * (depth - around.n_shared) > price:
            around.inner.append(group := Group(n_shared=depth))
            around = group
        cuts = [start, *(k + 1 for k in range(start, end - 1) if common[k] == depth), end]
        todo += [(a, b, around) for a, b in pairwise(cuts)]
    return outermost


def _common(a: Ids, b: Ids) -> int:
    """Tokens that two prompts share at the beginning, the last token of either left out."""
    limit = min(len(a), len(b)) - 1
    return next((n for n in range(limit) if a[n] != b[n]), limit)

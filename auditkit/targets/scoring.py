"""How likely continuations are: what comes before several of them is computed once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from auditkit.errors import SubjectError
from auditkit.targets.batching import (
    LOGIT_BUDGET,
    PASS_TOKENS,
    SLOT_FACTOR,
    TOKEN_BUDGET,
    bounded,
    pad,
)
from auditkit.targets.placing import input_device
from auditkit.targets.sharing import Group, grouped
from auditkit.targets.trees import (
    TREE_LIMIT,
    TREE_TOKENS,
    TREE_WORTH,
    Tree,
    inputs_of,
    packs,
    slots_for_trees,
    summed,
    tree_of,
)

if TYPE_CHECKING:
    import torch

Ids = Sequence[int]
Pair = tuple[int, int]
"""Index of a prompt, index of one of its continuations."""

Forward = Callable[[Sequence[int], dict[str, Any]], Any]
"""A model's forward pass, told whose rows it gets: the prompts' indices, and the model's inputs."""


def continuation_logprobs(
    model: Any,
    prompts: Sequence[Ids],
    continuations: Sequence[Sequence[Ids]],
    *,
    forward: Forward | None = None,
    token_budget: int = TOKEN_BUDGET,
) -> list[list[float]]:
    """Sum over each continuation's tokens of log p(token | prompt, tokens before it), in nats.

    A beginning that many prompts have in common is computed once, and others go on from its key-value
    cache. Prompts and their continuations are read as trees, in which nothing is computed twice (`trees`).
    Where a model can't read trees, or one would be too large, a prompt is computed once for all of its
    continuations and its cache expanded over them; a prompt with a single one runs in one pass with it.
    Such prompts are padded on the left of what they share and continuations on the right, so that within a
    row the tokens stay contiguous: caches of sliding windows count slots, not positions. Where a model's
    cache can't be expanded (recurrent states), every continuation runs with its prompt, at the price of time.

    Args:
        model: A causal language model of transformers, in eval mode.
        prompts: Token ids, none empty.
        continuations: For each prompt any number of token id sequences, none empty.
        forward: Runs the model in place of a plain call: whatever changes a pass, changes all of a
            prompt's rows alike, those that continue from its cache too, and each prompt's in a way of its
            own, so that nothing is shared between prompts.
        token_budget: Padded tokens in one pass.

    Raises:
        SubjectError: For an empty prompt or continuation, and where a probability is no number.
    """
    import torch

    _check(prompts, continuations)
    scoring = _Scoring(
        model=model,
        prompts=prompts,
        continuations=continuations,
        forward=forward or (lambda _, inputs: model(**inputs)),
        token_budget=token_budget,
    )
    with torch.no_grad():
        if forward is not None or len(prompts) < 2:
            scoring.run(Group(n_shared=0, members=list(range(len(prompts)))))
        else:
            scoring.slots = slots_for_trees(model)
            row = min(TREE_TOKENS, token_budget) if scoring.slots else 0
            scoring.run(grouped(prompts, row=row))
    return scoring.scores


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trunk:
    """The cache of one row that others go on from, and how many tokens it has read."""

    cache: Any = None
    n: int = 0


@dataclass(kw_only=True)
class _Scoring:
    """One call of `continuation_logprobs`.

    Attributes:
        scores: What has been found so far, in nats.
        can_branch: False as soon as a cache was seen that passes can't go on from.
        slots: Over how many slots the model reads trees; 0 for none.
    """

    model: Any
    prompts: Sequence[Ids]
    continuations: Sequence[Sequence[Ids]]
    forward: Forward
    token_budget: int
    scores: list[list[float]] = field(init=False)
    can_branch: bool = True
    slots: int = 0

    def __post_init__(self) -> None:
        self.scores = [[0.0] * len(options) for options in self.continuations]

    def run(self, outermost: Group) -> None:
        """Score all groups, each from the cache of what its prompts share."""
        todo = [(outermost, _Trunk())]
        while todo:
            group, trunk = todo.pop()
            longer = self._grown(trunk, group)
            if longer is None:
                self._score(group.everyone(), trunk)
                continue
            self._score(group.members, longer)
            todo += [(inner, longer) for inner in group.inner]

    def _grown(self, trunk: _Trunk, group: Group) -> _Trunk | None:
        """A cache of all that a group shares; None where the model has none that rows can go on from."""
        from auditkit.targets.branching import branches

        if group.n_shared == trunk.n:
            return trunk
        if not self.can_branch:
            return None
        someone = group.example
        shared = self.prompts[someone][: group.n_shared]
        output = self._pass([someone], self._pad([shared]), trunk, keep=1, branch=True)
        cache = getattr(output, "past_key_values", None)
        if not branches(cache, whole=group.n_shared):
            return None
        return _Trunk(cache=cache, n=group.n_shared)

    def _score(self, members: Sequence[int], trunk: _Trunk) -> None:
        """Score prompts that all begin with what a trunk has read."""
        members = self._in_trees(members, trunk)
        counts = {i: len(self.continuations[i]) for i in members}
        several = [i for i in members if counts[i] > 1]
        alone = [(i, 0) for i in members if counts[i] == 1]
        # A batch of prompts has passes over continuations of several lengths behind it.
        read = [self.prompts[i] for i in several]
        for rows in self._batches(read, trunk, [1] * len(read), price=4 * PASS_TOKENS):
            group = [several[row] for row in rows]
            if not (self.can_branch and self._several(group, trunk)):
                alone += [(i, j) for i in group for j in range(counts[i])]
        self._together(alone, trunk)

    def _in_trees(self, members: Sequence[int], trunk: _Trunk) -> list[int]:
        """Score what is best read as trees; returns the prompts that are left."""
        room = min(self.slots - trunk.n, self.token_budget)
        asked = [i for i in members if self.continuations[i]] if room > 0 else []
        rows = {i: self._rows(i, trunk) for i in asked}
        sizes = {i: len(tree_of(some).ids) for i, some in rows.items()}
        # Positions that want logits, at most.
        wanted = {i: 1 + sum(len(o) - 1 for o in self.continuations[i]) for i in rows}
        fits = [
            i for i in rows if sizes[i] <= min(room, TREE_LIMIT) and wanted[i] <= self._positions
        ]
        limits = (
            ([sizes[i] for i in fits], room),
            ([wanted[i] for i in fits], self._positions),
        )
        done: set[int] = set()
        for pack in packs([rows[i] for i in fits], limits):
            some = [fits[k] for k in pack]
            tree = tree_of([row for i in some for row in rows[i]])
            if len(tree.ids) <= TREE_WORTH * sum(sizes[i] for i in some):
                self._tree(some, tree, trunk)
                done |= {*some}
        return [i for i in members if i not in done]

    def _rows(self, i: int, trunk: _Trunk) -> list[Ids]:
        """A prompt with each of its continuations, less what the trunk has read and the last token."""
        return [[*self.prompts[i], *option][trunk.n : -1] for option in self.continuations[i]]

    def _tree(self, members: list[int], tree: Tree, trunk: _Trunk) -> None:
        """Score all continuations of some prompts in one pass over a tree of them."""
        import torch

        from auditkit.targets.branching import of_one

        pairs = [(i, j) for i in members for j in range(len(self.continuations[i]))]
        options = [self.continuations[i][j] for i, j in pairs]
        read = [path[-len(option) :] for path, option in zip(tree.paths, options, strict=True)]
        inputs = inputs_of(tree, self.model, trunk.n)
        inputs["use_cache"] = trunk.n > 0
        if trunk.n:
            slots = torch.ones(1, trunk.n + len(tree.ids), dtype=torch.long)
            inputs["past_key_values"] = of_one(trunk.cache, slots, keep=False)
        if "logits_to_keep" in self._takes:
            places = sorted({place for some in read for place in some})
            inputs["logits_to_keep"] = torch.tensor(places, device=inputs["input_ids"].device)
            at = {place: k for k, place in enumerate(places)}
            read = [[at[place] for place in some] for some in read]
        logits = self.forward(members, inputs).logits[0]
        self._store(pairs, summed(logits, read, options))

    def _together(self, pairs: list[Pair], trunk: _Trunk) -> None:
        """Score pairs with prompt and continuation in one row."""
        rows = [[*self.prompts[i], *self.continuations[i][j]][:-1] for i, j in pairs]
        widths = [len(self.continuations[i][j]) for i, j in pairs]
        for part in self._batches(rows, trunk, widths):
            chosen = [pairs[k] for k in part]
            targets, wanted = self._pad([self.continuations[i][j] for i, j in chosen])
            width = targets.shape[1]
            read = [i for i, _ in chosen]
            output = self._pass(read, self._pad([rows[k] for k in part]), trunk, keep=width)
            self._store(chosen, _sum_logprobs(_logits(output, width), targets, wanted))

    def _several(self, group: list[int], trunk: _Trunk) -> bool:
        """Score a batch of prompts with several continuations each; False where the cache can't."""
        from auditkit.targets.branching import branches

        rows = self._pad([self.prompts[i] for i in group])
        output = self._pass(group, rows, trunk, keep=1, branch=True)
        cache = getattr(output, "past_key_values", None)
        if not branches(cache):
            self.can_branch = False
            return False
        pairs = [(row, j) for row, i in enumerate(group) for j in range(len(self.continuations[i]))]
        first = [self.continuations[group[row]][j][0] for row, j in pairs]
        logits = _logits(output, 1)[:, 0].float()
        heads = (logits - logits.logsumexp(dim=-1, keepdim=True))[[row for row, _ in pairs], first]
        self._store([(group[row], j) for row, j in pairs], heads.double())
        del output, logits
        rest = [(row, j) for row, j in pairs if len(self.continuations[group[row]][j]) > 1]
        self._continue(group, rest, cache, rows[1])
        return True

    def _continue(
        self, group: list[int], pairs: list[Pair], cache: Any, mask: torch.Tensor
    ) -> None:
        """Score the tokens after the first of some continuations, going on from their prompts' cache.

        Args:
            group: The prompts, by row.
            pairs: Index of a row, index of one of its prompt's continuations.
            cache: Of the prompts, one row each.
            mask: Its slots, [n_rows, n_slots].
        """
        import torch

        from auditkit.targets.branching import of_rows

        options = [self.continuations[group[row]][j] for row, j in pairs]
        lengths = [len(option) - 1 for option in options]
        slots = [mask.shape[1] + length for length in lengths]
        for part in bounded(
            lengths,
            self.token_budget,
            (slots, SLOT_FACTOR * self.token_budget),
            (lengths, self._positions),
        ):
            rows = [pairs[k][0] for k in part]
            ids, own = self._pad([options[k][:-1] for k in part], left=False)
            targets, _ = self._pad([options[k][1:] for k in part], left=False)
            whole = torch.cat([mask[rows], own], dim=1)
            read = [group[row] for row in rows]
            output = self._run(read, (ids, whole), keep=0, past=of_rows(cache, rows))
            sums = _sum_logprobs(_logits(output, ids.shape[1]), targets, own)
            self._store([(group[pairs[k][0]], pairs[k][1]) for k in part], sums)

    def _pass(
        self,
        read: Sequence[int],
        rows: tuple[torch.Tensor, torch.Tensor],
        trunk: _Trunk,
        *,
        keep: int,
        branch: bool = False,
    ) -> Any:
        """A pass over whole rows of the prompts `read`, all of which begin with what the trunk has read.

        Args:
            read: Whose rows they are.
            rows: Token ids and mask, padded on the left.
            trunk: What is not computed again: the batch's first columns, as many as the trunk has tokens.
            keep: How many last positions want logits.
            branch: Whether others will go on from the pass's cache.
        """
        from auditkit.targets.branching import of_one

        ids, mask = rows
        past = of_one(trunk.cache, mask, keep=branch) if trunk.n else None
        return self._run(read, (ids[:, trunk.n :], mask), keep=keep, past=past, cache=branch)

    def _run(
        self,
        read: Sequence[int],
        rows: tuple[torch.Tensor, torch.Tensor],
        *,
        keep: int,
        past: Any,
        cache: bool = False,
    ) -> Any:
        """Run the model on token ids and the mask of these and of what was read before them.

        `keep` last positions want logits, 0 for all.
        """
        ids, mask = rows
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "use_cache": cache}
        if past is not None:
            inputs |= {"past_key_values": past, "use_cache": True}
        if "position_ids" in self._takes:
            inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        if keep and "logits_to_keep" in self._takes:
            inputs["logits_to_keep"] = keep
        return self.forward(read, inputs)

    @cached_property
    def _takes(self) -> frozenset[str]:
        return frozenset(inspect.signature(self.model.forward).parameters)

    @cached_property
    def _positions(self) -> int:
        """How many positions' logits a pass may have: rows x positions x vocabulary is bounded."""
        return max(1, LOGIT_BUDGET // int(self.model.config.get_text_config().vocab_size))

    def _batches(
        self, rows: Sequence[Ids], trunk: _Trunk, positions: Sequence[int], price: int = PASS_TOKENS
    ) -> list[list[int]]:
        """Batches of whole rows, of which the trunk's tokens are not computed again."""
        lengths = [len(row) for row in rows]
        return bounded(
            [length - trunk.n for length in lengths],
            self.token_budget,
            (lengths, SLOT_FACTOR * self.token_budget),
            (positions, self._positions),
            price=price,
        )

    def _pad(self, rows: Sequence[Ids], *, left: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        return pad(rows, left=left, device=input_device(self.model))

    def _store(self, pairs: list[Pair], sums: torch.Tensor) -> None:
        import torch

        if not torch.isfinite(sums).all():
            raise SubjectError(
                "log-probabilities", got="NaN or infinity", expected="finite numbers"
            )
        for (i, j), value in zip(pairs, sums.tolist(), strict=True):
            self.scores[i][j] += value


def _logits(output: Any, width: int) -> torch.Tensor:
    """The last positions' logits, where a model ignored `logits_to_keep` too."""
    logits: torch.Tensor = output.logits[:, -width:]
    return logits


def _sum_logprobs(logits: torch.Tensor, targets: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """[n_rows], float64: the masked targets' log-probabilities, summed."""
    import torch

    logits = logits.float()
    targets, mask = targets.to(logits.device), mask.to(logits.device)
    picked = logits.gather(2, targets[..., None])[..., 0] - torch.logsumexp(logits, dim=-1)
    return picked.double().where(mask.bool(), 0.0).sum(dim=1)


def _check(prompts: Sequence[Ids], continuations: Sequence[Sequence[Ids]]) -> None:
    if len(prompts) != len(continuations):
        raise SubjectError(
            "continuations",
            got=f"{len(continuations)} lists",
            expected=f"one a prompt ({len(prompts)})",
        )
    if any(len(ids) == 0 for ids in prompts):
        raise SubjectError("prompt", got="no tokens", expected="at least one")
    if any(len(ids) == 0 for options in continuations for ids in options):
        raise SubjectError("continuation", got="no tokens", expected="at least one")

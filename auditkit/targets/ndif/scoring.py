"""Passes for log-probabilities: what texts have in common is computed once, in a tree or in a longer row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from auditkit.targets import Steering
from auditkit.targets.batching import bounded, pad
from auditkit.targets.endpoint.ledger import Usage
from auditkit.targets.ndif.passes import Ids, Pass, Shape, change_of, named, vectors_of
from auditkit.targets.ndif.results import Wanted
from auditkit.targets.trees import TREE_LIMIT, TREE_WORTH, packs, tree_of

Text = tuple[int, Ids]
"""Index of a prompt, and tokens that follow it."""


def scores(
    prompts: Sequence[Ids], texts: Sequence[Text], steering: Steering | None, shape: Shape
) -> list[Pass]:
    """Passes for `Subject.logprobs`.

    Args:
        prompts: What is read.
        texts: What is scored; `Pass.rows` counts these.
        steering: One vector a prompt.
        shape: Of the model.
    """
    scoring = _Scoring(prompts=prompts, texts=texts, steering=steering, shape=shape)
    found = [scoring.tree(members) for members in scoring.worth_a_tree()] if shape.trees else []
    done = {text for one in found for text in one.rows}
    rows = _rows(
        prompts,
        texts,
        [text for text in range(len(texts)) if text not in done],
        shared=steering is None,
    )
    groups = bounded(
        [len(row.ids) for row in rows],
        shape.token_budget,
        ([row.n_positions for row in rows], shape.positions),
    )
    return found + [scoring.batch([rows[i] for i in group]) for group in groups]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scoring:
    """One call of `scores`."""

    prompts: Sequence[Ids]
    texts: Sequence[Text]
    steering: Steering | None
    shape: Shape

    def row(self, text: int) -> list[int]:
        """A text behind its prompt, less its last token."""
        p, tail = self.texts[text]
        return [*self.prompts[p], *tail][:-1]

    def worth_a_tree(self) -> Iterator[list[int]]:
        """Texts that share a tree which saves enough: those of one prompt, or of several that begin alike."""
        of: dict[int, list[int]] = {}
        for text, (p, _) in enumerate(self.texts):
            of.setdefault(p, []).append(text)
        room = min(TREE_LIMIT, self.shape.token_budget)
        families, sizes, wanted, rows = [], [], [], []
        for own in of.values():
            read = [self.row(text) for text in own]
            size = len(tree_of(read).ids)
            positions = 1 + sum(len(self.texts[text][1]) - 1 for text in own)
            if size <= room and positions <= self.shape.positions:
                families.append(own)
                sizes.append(size)
                wanted.append(positions)
                rows.append(read)
        limits = [(sizes, self.shape.token_budget), (wanted, self.shape.positions)]
        # Steering is a prompt's own, and a tree is one row.
        alone = [[k] for k in range(len(families))]
        for pack in packs(rows, limits) if self.steering is None else alone:
            read = [row for k in pack for row in rows[k]]
            if len(tree_of(read).ids) <= TREE_WORTH * sum(map(len, read)):
                yield [text for k in pack for text in families[k]]

    def tree(self, members: Sequence[int]) -> Pass:
        """A pass over a tree of some texts."""
        import torch

        tails = [list(self.texts[text][1]) for text in members]
        tree = tree_of([self.row(text) for text in members])
        read = [path[-len(tail) :] for path, tail in zip(tree.paths, tails, strict=True)]
        kept = sorted({place for path in read for place in path})
        at = {place: k for k, place in enumerate(kept)}
        inputs = {
            "input_ids": torch.tensor(tree.ids)[None],
            "position_ids": torch.tensor(tree.depths)[None],
            "use_cache": False,
            "logits_to_keep": torch.tensor(kept),
        }
        places = [[at[place] for place in path] for path in read]
        sent = (inputs, len(kept), tree.parents, places, tails)
        return self._pass(sent, members, [self.texts[members[0]][0]])

    def batch(self, rows: Sequence[_Row]) -> Pass:
        """A pass over a batch of rows."""
        ids, mask = pad([row.ids for row in rows], left=True)
        width = max(row.n_positions for row in rows)
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        if "position_ids" in self.shape.takes:
            inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        if "logits_to_keep" in self.shape.takes:
            inputs["logits_to_keep"] = width
        places, tails, members = [], [], []
        for k, row in enumerate(rows):
            for text, n in row.texts:
                tail = list(self.texts[text][1])
                first = k * width + width - len(row.ids) + n - 1
                places.append(list(range(first, first + len(tail))))
                tails.append(tail)
                members.append(text)
        sent: tuple[Any, ...] = (inputs, width, [], places, tails)
        return self._pass(sent, members, [row.owner for row in rows])

    def _pass(self, sent: tuple[Any, ...], members: Sequence[int], owners: Sequence[int]) -> Pass:
        """With the steering of the prompts that its rows belong to."""
        inputs, _, _, places, tails = sent
        read = [self.row(text) for text in members]
        return Pass(
            kind="scores",
            common=(change_of(self.steering),),
            named=[read, places, tails, named(self.steering, owners)],
            sent=(*sent, vectors_of(self.steering, owners)),
            wanted=Wanted(dtype="float64", shape=(len(members),)),
            usage=Usage(n_read=int(inputs["input_ids"].numel())),
            rows=tuple(members),
        )


@dataclass(slots=True, kw_only=True)
class _Row:
    """Tokens that are read once for several texts.

    Attributes:
        ids: What is read.
        texts: Index of a text, and how many tokens come before it.
        owner: A prompt whose steering it has.
    """

    ids: Ids
    texts: list[tuple[int, int]]
    owner: int

    @property
    def n_positions(self) -> int:
        """Last positions whose logits are wanted."""
        return len(self.ids) - min(n for _, n in self.texts) + 1


def _rows(
    prompts: Sequence[Ids], texts: Sequence[Text], left: Sequence[int], *, shared: bool
) -> list[_Row]:
    """Each prompt with its texts, less their last token; who is the beginning of another is read with it."""
    whole = [([*prompts[p], *tail][:-1], text, p) for text in left for p, tail in (texts[text],)]
    found: list[_Row] = []
    # In descending order, what begins like a row stands right behind those that go on from it.
    for ids, text, p in sorted(whole, key=lambda row: (row[0], row[1]), reverse=True):
        longer = found[-1] if found else None
        within = longer is not None and list(longer.ids[: len(ids)]) == ids
        if longer is None or not within or not (shared or longer.owner == p):
            longer = _Row(ids=ids, texts=[], owner=p)
            found.append(longer)
        longer.texts.append((text, len(prompts[p])))
    return found[::-1]

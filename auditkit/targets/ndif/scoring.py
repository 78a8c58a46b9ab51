"""Passes for log-probabilities: what texts have in common is computed once, in a tree or in a longer row."""

from __future__ import annotations

from collections.abc import Sequence
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
    found = _in_trees(prompts, texts, steering, shape) if shape.trees else []
    done = {text for one in found for text in one.rows}
    left = [text for text in range(len(texts)) if text not in done]
    return found + _in_rows(prompts, texts, left, steering, shape)


def _in_trees(
    prompts: Sequence[Ids], texts: Sequence[Text], steering: Steering | None, shape: Shape
) -> list[Pass]:
    """Passes over trees, for those texts of which a tree saves enough."""
    import torch

    of: dict[int, list[int]] = {}
    for text, (p, _) in enumerate(texts):
        of.setdefault(p, []).append(text)
    whole = {p: [[*prompts[p], *texts[text][1]][:-1] for text in own] for p, own in of.items()}
    sizes = {p: len(tree_of(rows).ids) for p, rows in whole.items()}
    wanted = {p: 1 + sum(len(texts[text][1]) - 1 for text in own) for p, own in of.items()}
    room = min(TREE_LIMIT, shape.token_budget)
    fits = [p for p in of if sizes[p] <= room and wanted[p] <= shape.positions]
    limits = [
        ([sizes[p] for p in fits], shape.token_budget),
        ([wanted[p] for p in fits], shape.positions),
    ]
    together = packs([whole[p] for p in fits], limits) if steering is None else None
    found = []
    for pack in [[k] for k in range(len(fits))] if together is None else together:
        some = [fits[k] for k in pack]
        rows = [row for p in some for row in whole[p]]
        tree, members = tree_of(rows), [text for p in some for text in of[p]]
        if len(tree.ids) > TREE_WORTH * sum(map(len, rows)):
            continue
        tails = [list(texts[text][1]) for text in members]
        read = [path[-len(tail) :] for path, tail in zip(tree.paths, tails, strict=True)]
        places = sorted({place for path in read for place in path})
        at = {place: k for k, place in enumerate(places)}
        inputs = {
            "input_ids": torch.tensor(tree.ids)[None],
            "position_ids": torch.tensor(tree.depths)[None],
            "use_cache": False,
            "logits_to_keep": torch.tensor(places),
        }
        found.append(
            _pass(
                inputs=inputs,
                width=len(places),
                parents=tree.parents,
                places=[[at[place] for place in path] for path in read],
                tails=tails,
                members=members,
                owners=some[:1],
                read=rows,
                steering=steering,
            )
        )
    return found


def _in_rows(
    prompts: Sequence[Ids],
    texts: Sequence[Text],
    left: Sequence[int],
    steering: Steering | None,
    shape: Shape,
) -> list[Pass]:
    """Passes over batches of rows."""
    rows = _rows(prompts, texts, left, shared=steering is None)
    positions = [row.n_positions for row in rows]
    lengths = [len(row.ids) for row in rows]
    found = []
    for group in bounded(lengths, shape.token_budget, (positions, shape.positions)):
        chosen = [rows[i] for i in group]
        ids, mask = pad([row.ids for row in chosen], left=True)
        width = max(row.n_positions for row in chosen)
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        if "position_ids" in shape.takes:
            inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        if "logits_to_keep" in shape.takes:
            inputs["logits_to_keep"] = width
        places, tails, members = [], [], []
        for k, row in enumerate(chosen):
            for text, n in row.texts:
                tail = list(texts[text][1])
                first = k * width + width - len(row.ids) + n - 1
                places.append(list(range(first, first + len(tail))))
                tails.append(tail)
                members.append(text)
        found.append(
            _pass(
                inputs=inputs,
                width=width,
                parents=[],
                places=places,
                tails=tails,
                members=members,
                owners=[row.owner for row in chosen],
                read=[row.ids for row in chosen],
                steering=steering,
            )
        )
    return found


def _pass(  # noqa: PLR0913 - of both kinds, by name
    *,
    inputs: dict[str, Any],
    width: int,
    parents: Sequence[int],
    places: list[list[int]],
    tails: list[list[int]],
    members: Sequence[int],
    owners: Sequence[int],
    read: Sequence[Ids],
    steering: Steering | None,
) -> Pass:
    return Pass(
        kind="scores",
        common=(change_of(steering),),
        named=[[list(ids) for ids in read], places, tails, named(steering, owners)],
        sent=(inputs, width, list(parents), places, tails, vectors_of(steering, owners)),
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

"""From what a check asks to the passes that a server computes, packed into requests of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from auditkit.activations import reducing
from auditkit.canonical import digest, sha256
from auditkit.model import Json
from auditkit.targets import Sampling, Steering
from auditkit.targets.batching import batches, bounded, pad
from auditkit.targets.endpoint.ledger import Usage
from auditkit.targets.generation import Until, decoding_config
from auditkit.targets.ndif.results import Wanted
from auditkit.targets.ndif.traces import Change
from auditkit.targets.sampling import uniform
from auditkit.targets.scoring import LOGIT_BUDGET

if TYPE_CHECKING:
    import torch

MOST_BYTES = 4 * 2**20
"""Of one request's results, where it has several passes: a server hands small results back at once, and
would put larger ones (8 MiB with Redis as it comes) elsewhere, to be fetched."""
MOST_TOKENS = 16_384
"""Of one request with several passes, so that a server answers within a minute or so."""

Ids = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One batch's forward pass, or the decoding of one batch.

    Attributes:
        kind: Which block of `traces` computes it.
        common: What it has in common with all passes of its request: the block's further arguments.
        named: What it is, for the digest that its answer is kept under.
        sent: Tensors and numbers, as the block takes them.
        wanted: What comes back.
        usage: Tokens.
        rows: Which of the caller's questions it answers, by index.
    """

    kind: str
    common: tuple[Any, ...]
    named: Json
    sent: tuple[Any, ...]
    wanted: Wanted
    usage: Usage
    rows: tuple[int, ...]

    @property
    def key(self) -> str:
        """What its answer is kept under."""
        return digest([self.kind, self.named])


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Of the model and of what one pass may take.

    Attributes:
        d_model: Width of the residual stream.
        n_vocabulary: Logits of a position.
        token_budget: Padded tokens in one pass.
        takes: What its forward pass can be given, by name.
    """

    d_model: int
    n_vocabulary: int
    token_budget: int
    takes: frozenset[str]

    @cached_property
    def positions(self) -> int:
        """How many positions' logits a pass may have."""
        return max(1, LOGIT_BUDGET // self.n_vocabulary)


def requests(passes: Sequence[Pass]) -> Iterator[list[Pass]]:
    """Passes that go together: of one kind, and within `MOST_BYTES` and `MOST_TOKENS`."""
    group: list[Pass] = []
    for one in passes:
        several = [*group, one]
        size = sum(p.wanted.size_bytes for p in several)
        tokens = sum(p.usage.n_read + p.usage.n_written for p in several)
        alike = one.kind == several[0].kind and one.common == several[0].common
        if group and not (alike and size <= MOST_BYTES and tokens <= MOST_TOKENS):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def residuals(
    prompts: Sequence[Ids],
    layers: Sequence[int],
    reduction: str,
    steering: Steering | None,
    shape: Shape,
) -> list[Pass]:
    """Passes for `Subject.activations`, in the batches that local ones have."""
    found = []
    a_prompt = len(layers) * shape.d_model * 4
    most = max(1, MOST_BYTES // a_prompt)
    whole = batches([len(ids) for ids in prompts], shape.token_budget)
    for rows in [all_[i : i + most] for all_ in whole for i in range(0, len(all_), most)]:
        read = [list(prompts[i]) for i in rows]
        ids, mask = pad(read, left=False)
        inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        vectors = _vectors(steering, rows)
        found.append(
            Pass(
                kind="residuals",
                common=(tuple(layers), _change(steering)),
                named=[read, list(layers), reduction, _named(steering, rows)],
                sent=(inputs, reducing(mask, reduction), vectors),
                wanted=Wanted(dtype="float32", shape=(len(layers), len(rows), shape.d_model)),
                usage=Usage(n_read=sum(map(len, read))),
                rows=tuple(rows),
            )
        )
    return found


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


def scores(
    prompts: Sequence[Ids],
    texts: Sequence[tuple[int, Ids]],
    steering: Steering | None,
    shape: Shape,
) -> list[Pass]:
    """Passes for `Subject.logprobs`.

    Args:
        prompts: What is read.
        texts: Index of a prompt, and tokens that follow it; `Pass.rows` counts these.
        steering: One vector a prompt.
        shape: Of the model.
    """
    rows = _rows(prompts, texts, shared=steering is None)
    found = []
    positions = [row.n_positions for row in rows]
    for group in bounded(
        [len(row.ids) for row in rows], shape.token_budget, (positions, shape.positions)
    ):
        chosen = [rows[i] for i in group]
        ids, mask = pad([row.ids for row in chosen], left=True)
        width = max(row.n_positions for row in chosen)
        inputs = {
            "input_ids": ids,
            "attention_mask": mask,
            "use_cache": False,
        }
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
        owners = [row.owner for row in chosen]
        found.append(
            Pass(
                kind="scores",
                common=(_change(steering),),
                named=[[list(row.ids) for row in chosen], places, tails, _named(steering, owners)],
                sent=(inputs, width, places, tails, _vectors(steering, owners)),
                wanted=Wanted(dtype="float64", shape=(len(members),)),
                usage=Usage(n_read=sum(len(row.ids) for row in chosen)),
                rows=tuple(members),
            )
        )
    return found


def _rows(prompts: Sequence[Ids], texts: Sequence[tuple[int, Ids]], *, shared: bool) -> list[_Row]:
    """Each prompt with its texts, less their last token; who is the beginning of another is read with it."""
    whole = [([*prompts[p], *tail][:-1], text, p) for text, (p, tail) in enumerate(texts)]
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


def tokens(
    prompts: Sequence[Ids],
    until: Until,
    steering: Steering | None,
    sampling: Sampling | None,
    rows: Sequence[int],
) -> Pass:
    """The pass for a batch of `Subject.generate`: those of the prompts that `rows` names."""
    import torch

    read = [list(prompts[i]) for i in rows]
    ids, mask = pad(read, left=True)
    numbers = None
    if sampling is not None:
        steps = range(until.max_new_tokens)
        drawn = [[uniform(sampling.seeds[i], step) for step in steps] for i in rows]
        numbers = torch.tensor(drawn, dtype=torch.float64)
    drawing = (1.0, 1.0) if sampling is None else (sampling.temperature, sampling.top_p)
    seeds = None if sampling is None else [sampling.seeds[i] for i in rows]
    return Pass(
        kind="tokens",
        common=(drawing, _change(steering)),
        named=[
            *(read, list(until.ends), until.max_new_tokens, _named(steering, rows), seeds),
            list(drawing),
        ],
        sent=(
            {"input_ids": ids, "attention_mask": mask},
            decoding_config(until),
            _vectors(steering, rows),
            numbers,
        ),
        wanted=Wanted(dtype="int64", shape=(len(rows), None), most=until.max_new_tokens),
        usage=Usage(n_read=sum(map(len, read)), n_written=len(rows) * until.max_new_tokens),
        rows=tuple(rows),
    )


def _change(steering: Steering | None) -> Change:
    if steering is None:
        return Change()
    return Change(layer=steering.layer, ablates=steering.mode == "ablate")


def _vectors(steering: Steering | None, rows: Sequence[int]) -> torch.Tensor | None:
    """[n_rows, d_model], float32."""
    if steering is None:
        return None
    import torch

    return torch.from_numpy(np.array(steering.vectors[list(rows)], dtype=np.float32))


def _named(steering: Steering | None, rows: Sequence[int]) -> Json:
    """What a key says of steering."""
    if steering is None:
        return None
    vectors = np.ascontiguousarray(steering.vectors[list(rows)], dtype=np.float32)
    return [steering.layer, steering.mode, sha256(vectors.tobytes())]

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
from auditkit.targets.batching import LOGIT_BUDGET, batches, pad
from auditkit.targets.endpoint.ledger import Usage
from auditkit.targets.generation import Until, decoding_config
from auditkit.targets.ndif.results import Wanted
from auditkit.targets.ndif.traces import Change
from auditkit.targets.sampling import uniform

if TYPE_CHECKING:
    import torch

MOST_BYTES = 4 * 2**20
"""Of one request's results, where it has several passes: a server hands small results back at once, and
would put larger ones (8 MiB with Redis as it comes) elsewhere, to be fetched."""
MOST_TOKENS = 8_192
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
        trees: Whether it reads trees (`auditkit.targets.trees`) as it reads their rows.
    """

    d_model: int
    n_vocabulary: int
    token_budget: int
    takes: frozenset[str]
    trees: bool = False

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
        vectors = vectors_of(steering, rows)
        found.append(
            Pass(
                kind="residuals",
                common=(tuple(layers), change_of(steering)),
                named=[read, list(layers), reduction, named(steering, rows)],
                sent=(inputs, reducing(mask, reduction), vectors),
                wanted=Wanted(dtype="float32", shape=(len(layers), len(rows), shape.d_model)),
                usage=Usage(n_read=sum(map(len, read))),
                rows=tuple(rows),
            )
        )
    return found


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
        common=(drawing, change_of(steering)),
        named=[
            *(read, list(until.ends), until.max_new_tokens, named(steering, rows), seeds),
            list(drawing),
        ],
        sent=(
            {"input_ids": ids, "attention_mask": mask},
            decoding_config(until),
            vectors_of(steering, rows),
            numbers,
        ),
        wanted=Wanted(dtype="int64", shape=(len(rows), None), most=until.max_new_tokens),
        usage=Usage(n_read=sum(map(len, read)), n_written=len(rows) * until.max_new_tokens),
        rows=tuple(rows),
    )


def change_of(steering: Steering | None) -> Change:
    if steering is None:
        return Change()
    return Change(layer=steering.layer, ablates=steering.mode == "ablate")


def vectors_of(steering: Steering | None, rows: Sequence[int]) -> torch.Tensor | None:
    """[n_rows, d_model], float32."""
    if steering is None:
        return None
    import torch

    return torch.from_numpy(np.array(steering.vectors[list(rows)], dtype=np.float32))


def named(steering: Steering | None, rows: Sequence[int]) -> Json:
    """What a key says of steering."""
    if steering is None:
        return None
    vectors = np.ascontiguousarray(steering.vectors[list(rows)], dtype=np.float32)
    return [steering.layer, steering.mode, sha256(vectors.tobytes())]

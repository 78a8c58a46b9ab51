"""Decoding a batch by plain attention: what was read before is not read again, who has ended leaves.

`transformers.generate` copies all keys and values at every step and carries rows that have ended along;
for turns of many conversations on a CPU that is most of the time. Here they lie in a buffer that has room
for what is written, and the batch shrinks. Only for models whose layers all keep plain keys and values:
sliding windows and recurrent states are `transformers.generate`'s.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from auditkit.targets.attention import attending
from auditkit.targets.batching import TOKEN_BUDGET
from auditkit.targets.placing import input_device
from auditkit.targets.prefixes import Kept, Prefixes, n_common

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORTH_WAITING = 64
"""So many tokens in common with a text that is about to be read make it worth to let that be read first."""
BATCH_BYTES = 2**30
"""What keys and values of one batch may take: a step costs little more for many rows than for a few."""
LEAVERS = 0.25
"""The batch is made smaller when this share of its rows has ended: each time costs about a step."""

Choose = Callable[[torch.Tensor, int, Sequence[int]], torch.Tensor]
"""From logits [n_rows, n_vocabulary], the step, and the rows' prompts by index, to tokens [n_rows]."""


def most_likely(logits: torch.Tensor, _step: int, _rows: Sequence[int]) -> torch.Tensor:
    """Greedy decoding."""
    return logits.argmax(dim=-1)


def decodes(model: Any) -> bool:
    """Whether a model can be decoded here: all its layers attend to everything, by position ids."""
    layers = DynamicCache(config=model.config).layers
    takes = inspect.signature(model.forward).parameters
    return (
        bool(layers)
        and all(type(layer) is DynamicLayer for layer in layers)
        and {"position_ids", "past_key_values", "logits_to_keep"} <= set(takes)
    )


def batch_tokens(model: Any) -> int:
    """Padded tokens of one batch, new ones included, that fit into `BATCH_BYTES`; 0 where not `decodes`."""
    if not decodes(model):
        return 0
    config = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    d_head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(
        BATCH_BYTES // (2 * config.num_hidden_layers * heads * d_head * model.dtype.itemsize)
    )


def decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    ends: Sequence[int],
    max_new_tokens: int,
    choose: Choose = most_likely,
    prefixes: Prefixes,
) -> list[list[int]]:
    """For each prompt the new tokens, up to and with an end token, or the limit.

    Args:
        model: A causal language model for which `decodes`, in eval mode.
        prompts: Token ids, none empty; one batch.
        ends: Tokens that end a completion.
        max_new_tokens: Where it ends otherwise.
        choose: Picks each next token.
        prefixes: What this model has read; this batch is added.
    """
    said: list[list[int]] = [[] for _ in prompts]
    with torch.no_grad(), attending(model):
        past = [(kept, len(kept.ids)) for kept in read(model, prompts, prefixes)]
        rows = Rows(model, past, width=max(n for _, n in past), room=max_new_tokens)
        active, last = list(range(len(prompts))), [ids[-1] for ids in prompts]
        for step in range(max_new_tokens):
            logits = rows.run(torch.tensor(last)[:, None])
            last = choose(logits.float(), step, active).tolist()
            for i, token in zip(active, last, strict=True):
                if not _ended(said[i], ends):
                    said[i].append(token)
            going = [row for row, i in enumerate(active) if not _ended(said[i], ends)]
            whole = step + 1 == max_new_tokens or not going
            if whole or len(going) <= (1 - LEAVERS) * len(active):
                leaving = range(len(active)) if whole else set(range(len(active))) - set(going)
                for row in leaving:
                    prefixes.keep(rows.kept(row, [*prompts[active[row]], *said[active[row]][:-1]]))
                if whole:
                    break
                rows.select(going)
                active, last = [active[row] for row in going], [last[row] for row in going]
    return said


def _ended(said: Sequence[int], ends: Sequence[int]) -> bool:
    return bool(said) and said[-1] in ends


def read(model: Any, prompts: Sequence[Sequence[int]], prefixes: Prefixes) -> list[Kept]:
    """Keys and values of each prompt without its last token, in passes of `TOKEN_BUDGET` new tokens.

    Prompts that begin alike follow one another, and their common beginning is read once.
    """
    texts = [np.asarray(ids[:-1], dtype=np.int64) for ids in prompts]
    todo = sorted(range(len(texts)), key=lambda i: (texts[i].tolist(), i))
    done: dict[int, Kept] = {}
    while todo:
        group: list[_Reading] = []
        for i in todo:
            reading = _Reading.of(texts[i], prefixes)
            n_new = max(r.n_new for r in (*group, reading))
            if group and (
                (len(group) + 1) * n_new > TOKEN_BUDGET
                or n_common(texts[i], group[-1].text) >= reading.n_kept + WORTH_WAITING
            ):
                break
            group.append(reading)
        for i, kept in zip(todo, _pass(model, group), strict=False):
            done[i] = kept
            prefixes.keep(kept)
        todo = todo[len(group) :]
    return [done[i] for i in range(len(texts))]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """A text, int64 [n], and what of it was read before."""

    text: NDArray[np.int64]
    kept: Kept | None
    n_kept: int

    @classmethod
    def of(cls, text: NDArray[np.int64], prefixes: Prefixes) -> _Reading:
        kept, n_kept = prefixes.longest(text)
        return cls(text=text, kept=kept, n_kept=n_kept)

    @property
    def n_new(self) -> int:
        return len(self.text) - self.n_kept


def _pass(model: Any, group: Sequence[_Reading]) -> list[Kept]:
    """Read a group's texts. All read as many last tokens as the one with most that is new: what comes before
    is kept, and no padding is wanted between the two.
    """
    n_new = max(reading.n_new for reading in group)
    width = max(len(reading.text) for reading in group)
    past = [(r.kept, max(0, len(r.text) - n_new)) for r in group]
    rows = Rows(model, past, width=width - n_new, room=n_new)
    rows.begin = [width - len(reading.text) for reading in group]
    if n_new:
        new = [r.text[-n_new:] for r in group]
        rows.run(torch.tensor(np.stack([np.pad(ids, (n_new - len(ids), 0)) for ids in new])))
    return [rows.kept(row, reading.text) for row, reading in enumerate(group)]


class Rows:
    """A batch's keys and values. Each row is padded on the left only, so that its tokens stay contiguous.

    Args:
        model: Whose they are.
        past: For each row what is kept of its beginning, and how many tokens of that are taken.
        width: Columns that the longest of these needs.
        room: Columns for what follows.
    """

    def __init__(
        self, model: Any, past: Sequence[tuple[Kept | None, int]], *, width: int, room: int
    ) -> None:
        self._model, self._width, self._capacity = model, width, width + room
        self._device = input_device(model)
        self.begin = [width - n for _, n in past]
        """Column at which a row's text begins."""
        self._layers = [Room(self._capacity) for _ in DynamicCache(config=model.config).layers]
        if width:
            for index, layer in enumerate(self._layers):
                layer.update(*(_padded(past, index, part, width) for part in (0, 1)))

    def run(self, ids: torch.Tensor) -> torch.Tensor:
        """Read more: ids [n_rows, n_new], to the logits after the last ones, [n_rows, n_vocabulary]."""
        end = self._width + ids.shape[1]
        begin, columns = torch.tensor(self.begin)[:, None], torch.arange(self._capacity)[None]
        places = (columns - begin).clamp(min=0)[:, self._width : end]
        output = self._model(
            input_ids=ids.to(self._device),
            attention_mask=((columns >= begin) & (columns < end)).long().to(self._device),
            position_ids=places.to(self._device),
            past_key_values=Cache(layers=[*self._layers]),
            use_cache=True,
            logits_to_keep=1,
        )
        self._width = end
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def kept(self, row: int, ids: Sequence[int] | NDArray[np.int64]) -> Kept:
        """A copy of a row's keys and values under its first tokens, which are these."""
        place = slice(self.begin[row], self.begin[row] + len(ids))
        return Kept(
            ids=np.asarray(ids, dtype=np.int64),
            layers=tuple(
                (layer.states[0][row, :, place].clone(), layer.states[1][row, :, place].clone())
                for layer in self._layers
            )
            if len(ids)
            else (),
        )

    def select(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows, without the padding that none of them needs."""
        lead = min(self.begin[row] for row in rows)
        self.begin = [self.begin[row] - lead for row in rows]
        self._width, self._capacity = self._width - lead, self._capacity - lead
        kept, self._layers = self._layers, [Room(self._capacity) for _ in self._layers]
        for old, new in zip(kept, self._layers, strict=True):
            new.update(*(part[list(rows), :, lead:] for part in old.states))


def _padded(
    past: Sequence[tuple[Kept | None, int]], layer: int, part: int, width: int
) -> torch.Tensor:
    """A layer's keys (part 0) or values (part 1) of all rows, [n_rows, n_heads, width, d_head]."""
    texts = [kept.layers[layer][part][:, :n] if kept and n else None for kept, n in past]
    example = next(text for text in texts if text is not None)
    whole = example.new_zeros(len(texts), example.shape[0], width, example.shape[2])
    for row, text in enumerate(texts):
        if text is not None:
            whole[row, :, width - text.shape[1] :] = text
    return whole


class Room(DynamicLayer):  # type: ignore[no-untyped-call] # of the base class
    """A layer's keys and values in a buffer that has room for more: a step copies nothing but its own.

    A step reads the whole buffer, and the mask hides what was not written yet: a part of it would be copied
    before each product.

    Args:
        capacity: Tokens of a row that it can hold.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._capacity = capacity
        self._buffers: tuple[torch.Tensor, ...] = ()
        self.states: tuple[torch.Tensor, ...] = ()
        """Keys and values so far."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add keys and values, [n_rows, n_heads, n, d_head], behind those that are there."""
        new = (key_states, value_states)
        begin = self.get_seq_length()
        if not self._buffers:
            self.lazy_initialization(*new)
            # Zeros: what no query reads is multiplied by nothing, and must not be NaN.
            self._buffers = tuple(
                x.new_zeros(*x.shape[:2], self._capacity, x.shape[3]) for x in new
            )
        end = begin + key_states.shape[2]
        for buffer, part in zip(self._buffers, new, strict=True):
            buffer[:, :, begin:end] = part
        self.states = tuple(buffer[:, :, :end] for buffer in self._buffers)
        self.keys, self.values = self.states
        keys, values = self._buffers
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:  # noqa: ARG002 - of the base class
        """How many columns a mask has, and at which it begins."""
        return self._capacity, 0

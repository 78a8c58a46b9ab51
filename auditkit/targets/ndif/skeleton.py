"""The model without its weights: what has to be known here of one that is elsewhere."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from auditkit.activations import check_activations, check_steering, wrap
from auditkit.errors import PromptTooLong, SubjectError
from auditkit.model import Json, Prompt
from auditkit.targets import Completion, Steering, Subject
from auditkit.targets.batching import TOKEN_BUDGET
from auditkit.targets.endpoint.ledger import Usage
from auditkit.targets.generation import Until
from auditkit.targets.loaded import LocalTarget, as_subject_errors
from auditkit.targets.ndif.passes import Pass, Shape
from auditkit.targets.trees import may_read_trees

if TYPE_CHECKING:
    import torch

    from auditkit.targets.ndif.client import Server
    from auditkit.targets.prompts import Encoder

UNTRAINED_BYTES = 4 * 2**30
"""In float32. An untrained twin larger than this is not made on the auditor's machine."""


class Skeleton:
    """A causal language model of transformers on torch's meta device, with its tokenizer.

    Args:
        model: Without weights.
        encoder: Its tokenizer.
    """

    def __init__(self, model: Any, encoder: Encoder) -> None:
        self.model, self.encoder = model.eval().requires_grad_(False), encoder
        self._config = model.config.get_text_config()
        self.reads_trees: bool | None = None
        """Whether the server does; None until it was tried."""

    @property
    def n_layers(self) -> int:
        """Decoder blocks."""
        return int(self._config.num_hidden_layers)

    @cached_property
    def shape(self) -> Shape:
        """Of the model."""
        return Shape(
            d_model=int(self._config.hidden_size),
            n_vocabulary=int(self._config.vocab_size),
            token_budget=TOKEN_BUDGET,
            takes=frozenset(inspect.signature(self.model.forward).parameters),
        )

    @property
    def attention(self) -> str:
        """Which implementation of attention transformers chose for it."""
        return str(self.model.config._attn_implementation)

    @cached_property
    def ends(self) -> list[int]:
        """What ends a completion: the config's end tokens, and the tokenizer's."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        several = configured if isinstance(configured, list) else [configured]
        own = self.encoder.tokenizer.eos_token_id
        return sorted({int(x) for x in (*several, own) if x is not None})

    @property
    def may_read_trees(self) -> bool:
        """Whether its structure allows that texts are scored in trees."""
        return may_read_trees(self.model) and "logits_to_keep" in self.shape.takes

    def some_tokens(self, n: int) -> list[int]:
        """Any tokens, other ones for another number."""
        return [(7 * n + 5 * k) % self._n_read for k in range(n)]

    def describe(self) -> dict[str, Json]:
        """For the report."""
        return {
            "architecture": type(self.model).__name__,
            "n_parameters": sum(p.numel() for p in self.model.parameters()),
            "n_layers": self.n_layers,
            "d_model": self.shape.d_model,
            "chat_format": self.encoder.chat_format,
            "chat_template_sha256": self.encoder.template_sha256,
        }

    def run(
        self, server: Server, group: Sequence[Pass], *, attempts: int = 0
    ) -> list[torch.Tensor]:
        """What the server makes of passes that go together.

        Raises:
            EndpointError, SubjectError: See `Server.run`.
        """
        wrapped = self._wrapped  # imports nnsight as it should be, before others do
        from auditkit.targets.ndif import traces
        from auditkit.targets.ndif.packing import packed

        first = group[0]
        blocks: dict[str, Any] = {
            "residuals": traces.residuals,
            "scores": traces.scores,
            "tokens": traces.tokens,
        }
        block = blocks[first.kind]
        sent = [one.sent for one in group]
        blob = packed(lambda backend: block(wrapped, backend, sent, *first.common))
        most = Usage(
            n_read=sum(one.usage.n_read for one in group),
            n_written=sum(one.usage.n_written for one in group),
        )
        return server.run(blob, [one.wanted for one in group], most, attempts=attempts)

    @cached_property
    def untrained(self) -> Subject | None:
        """The architecture with random weights, on this machine; None where that takes `UNTRAINED_BYTES`."""
        import torch

        if 4 * sum(p.numel() for p in self.model.parameters()) > UNTRAINED_BYTES:
            return None
        config = copy.deepcopy(self.model.config)
        with torch.random.fork_rng(), as_subject_errors():
            torch.manual_seed(0)
            model = type(self.model)._from_config(config, dtype=torch.float32)
        return LocalTarget(model, self.encoder.tokenizer)

    @cached_property
    def _wrapped(self) -> Any:
        return wrap(self.model, self.encoder.tokenizer)

    def encode(self, prompts: Sequence[Prompt], room: Sequence[int] = ()) -> list[list[int]]:
        """Token ids, each with room for so many more.

        Raises:
            SubjectError: Too many of them, or some that the model can't read.
        """
        encoded = [self.encoder.prompt(prompt) for prompt in prompts]
        limit = getattr(self._config, "max_position_embeddings", None)
        for ids, more in zip(encoded, room or [0] * len(encoded), strict=True):
            if limit and len(ids) + more > limit:
                raise PromptTooLong(
                    "prompt", got=f"{len(ids) + more} tokens", expected=f"at most {limit}"
                )
            self._check_known(ids)
        return encoded

    def continuations(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of what follows a prompt."""
        found = [self.encoder.continuation(text) for text in texts]
        for ids in found:
            self._check_known(ids)
        return found

    def completion(self, n_read: int, row: Sequence[int], until: Until) -> Completion:
        """A completion from its tokens, the end token included where there is one."""
        ended = bool(row) and row[-1] in until.ends
        n_tokens = len(row) - ended
        return Completion(
            text=self.encoder.text(row[:n_tokens]),
            n_tokens=n_tokens,
            truncated=not ended,
            n_prompt_tokens=n_read,
        )

    def knows(self, tokens: torch.Tensor) -> bool:
        """Whether all of these are tokens of the model."""
        return bool(((tokens >= 0) & (tokens < self._n_read)).all())

    def check(
        self,
        prompts: Sequence[Sequence[int]],
        layers: Sequence[int],
        reduction: str,
        steering: Steering | None,
    ) -> None:
        """Refuse what no pass can be made of; see `auditkit.activations`."""
        check_activations(self.model, prompts, layers, reduction, steering)

    def check_steering(self, steering: Steering | None, n_prompts: int) -> None:
        """Refuse steering that doesn't fit."""
        if steering is not None:
            check_steering(self.model, n_prompts, steering)

    @property
    def _n_read(self) -> int:
        """Token ids that the model can read."""
        return int(self.model.get_input_embeddings().num_embeddings)

    def _check_known(self, ids: Sequence[int]) -> None:
        if max(ids) >= self._n_read:
            raise SubjectError(
                "prompt", got=f"token {max(ids)}", expected=f"ids below {self._n_read}"
            )

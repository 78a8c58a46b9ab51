"""A model on this machine: text, log-probabilities and activations through one loaded copy."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from auditkit.canonical import sha256
from auditkit.errors import PromptTooLong, SubjectError
from auditkit.model import Access, Json, ModelKind, Prompt
from auditkit.targets import Completion, Sampling, Score, Steering, Subject, wrong_kind
from auditkit.targets.batching import GENERATION_FACTOR, TOKEN_BUDGET, batches
from auditkit.targets.memory import check_room
from auditkit.targets.placing import described, input_device, spread, spread_over
from auditkit.targets.prefixes import Prefixes
from auditkit.targets.prompts import Encoder
from auditkit.targets.sampling import check_sampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from auditkit.cache import ResultCache

IN_MEMORY_BYTES = 64 * 2**20
"""Activations larger than this are kept in a temporary file."""

CHUNK = 256
"""Prompts that are batched together and cached as one entry."""


class LocalTarget:
    """A loaded model as a `Subject`. `auditkit.targets.local.load` makes one from files.

    Results don't depend on the cache: prompts are taken in chunks of the same size with or
    without one.

    Args:
        model: A causal language model of transformers; put in eval mode, gradients off.
        tokenizer: Its tokenizer.
        digest: Of the model's identity, or anything that stands for these very weights; only
            used with a cache.
        cache: Where activations and log-probabilities are kept, or None.
        reference: Loads the model that the auditor named beside this one; None for no such model.
        token_budget: Padded tokens in one forward pass.
    """

    kind = ModelKind.LANGUAGE

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        digest: str = "",
        cache: ResultCache | None = None,
        reference: Callable[[], Subject] | None = None,
        token_budget: int = TOKEN_BUDGET,
    ) -> None:
        if cache is not None and not digest:
            raise ValueError("LocalTarget: a cache needs the digest of the weights")
        self.model = model.eval().requires_grad_(False)
        head = self.model.get_output_embeddings()
        if head is not None:
            head.register_forward_pre_hook(_contiguous)
        self.encoder = Encoder(tokenizer)
        self._digest, self._cache, self._token_budget = digest, cache, token_budget
        self._config = model.config.get_text_config()
        self._load_reference = reference
        self._prefixes = Prefixes()

    @property
    def digest(self) -> str:
        """What stands for the weights; empty where nobody said."""
        return self._digest

    def with_model(self, model: Any, *, digest: str) -> LocalTarget:
        """Another model with this one's tokenizer, cache and budget: a copy with changed weights."""
        return type(self)(
            model,
            self.encoder.tokenizer,
            digest=digest,
            cache=self._cache,
            token_budget=self._token_budget,
        )

    @property
    def access(self) -> Access:
        """Everything: the weights are here."""
        return Access.WEIGHTS

    @property
    def architecture(self) -> str:
        """Class of the model, without a library's prefix."""
        return type(self.model).__name__

    @cached_property
    def n_parameters(self) -> int:
        """Parameters, tied ones counted once."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def n_layers(self) -> int:
        """Decoder blocks."""
        return int(self._config.num_hidden_layers)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self._config.hidden_size)

    def describe(self) -> dict[str, Json]:
        """What a report says about the target and the libraries that ran it."""
        import torch

        return {
            "architecture": self.architecture,
            "n_parameters": self.n_parameters,
            "n_layers": self.n_layers,
            "d_model": self.d_model,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": described(self.model),
            "threads": torch.get_num_threads(),
            "versions": {
                name: version(name) for name in ("torch", "transformers", "nnsight", "numpy")
            },
            "chat_format": self.encoder.chat_format,
            "chat_template_sha256": self.encoder.template_sha256,
        }

    def standing(self) -> None:
        """Nothing: what was loaded stays as it is, and the files are compared when all is done."""

    def release(self) -> None:
        """Let go of the models beside this one; see `auditkit.targets.open.Loaded`."""
        for name in ("_reference", "_untrained"):
            self.__dict__.pop(name, None)

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        """Score each prompt's continuations; see `Subject.logprobs` and `Encoder`."""
        if len(prompts) != len(continuations):
            raise SubjectError(
                "continuations",
                got=f"{len(continuations)} lists",
                expected=f"one a prompt ({len(prompts)})",
            )
        ids = self._encode(prompts, room=0)
        known = {
            text: self.encoder.continuation(text) for options in continuations for text in options
        }
        for tokens in known.values():
            self._known(tokens)
        options = [[known[text] for text in texts] for texts in continuations]
        _one_vector_each(steering, len(ids))
        for prompt_ids, texts in zip(ids, options, strict=True):
            self._fits(len(prompt_ids) + max((len(text) for text in texts), default=0))
        scores: list[list[Score]] = []
        for part in chunks(len(ids)):
            flat = self._score(ids[part], options[part], _of(steering, part))
            values = iter(flat.tolist())
            for texts in options[part]:
                scores.append([Score(logprob=next(values), n_tokens=len(text)) for text in texts])
        return scores

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,
    ) -> list[Completion]:
        """Greedy completions, or sampled ones where `sampling` is given. Nothing of the folder's
        generation config but its end tokens counts: no sampling of its own, no penalties. A
        completion's end token is neither in its text nor counted.
        """
        if steering is not None and sampling is not None:
            raise SubjectError("generate", got="steering and sampling", expected="one of the two")
        check_sampling(sampling, len(prompts))
        if max_new_tokens < 1:
            raise SubjectError("max_new_tokens", got=str(max_new_tokens), expected="at least 1")
        ids = self._encode(prompts, room=max_new_tokens)
        _one_vector_each(steering, len(ids))
        done: dict[int, Completion] = {}
        lengths = [len(x) + max_new_tokens for x in ids]
        for rows in batches(lengths, self._generation_budget):
            said = self._complete(
                [ids[i] for i in rows], max_new_tokens, _of(steering, rows), _drawn(sampling, rows)
            )
            done.update(zip(rows, said, strict=True))
        return [done[i] for i in range(len(ids))]

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:  # noqa: ARG002 - the protocol's name
        """None: a language model has no rewards.

        Raises:
            SubjectError: Always.
        """
        raise wrong_kind(self.kind, ModelKind.REWARD)

    def activations(
        self,
        prompts: Sequence[Prompt],
        *,
        layers: Sequence[int] | None = None,
        reduction: str = "last",
        steering: Steering | None = None,
    ) -> NDArray[np.float32]:
        """Residual-stream outputs; see `Subject.activations` and `auditkit.activations.capture`."""
        ids = self._encode(prompts, room=0)
        wanted = list(range(self.n_layers)) if layers is None else list(layers)
        _one_vector_each(steering, len(ids))
        result = _room((len(wanted), len(ids), self.d_model))
        for part in chunks(len(ids)):
            result[:, part] = self._capture(ids[part], wanted, reduction, _of(steering, part))
        return result

    def counterpart(self, kind: str) -> Subject | None:
        """Another model that reads the same text; see `Subject.counterpart`. Made when first asked for."""
        if kind == "reference":
            return self._reference
        if kind == "untrained":
            return self._untrained
        raise SubjectError("counterpart", got=repr(kind), expected="reference or untrained")

    @cached_property
    def _reference(self) -> Subject | None:
        return self._load_reference() if self._load_reference else None

    @cached_property
    def _untrained(self) -> LocalTarget:
        import torch

        from auditkit.targets.adapter import round_weights

        check_room(self.n_parameters)
        with torch.random.fork_rng(), as_subject_errors():
            torch.manual_seed(0)
            model = type(self.model)._from_config(copy.deepcopy(self.model.config))
        model = round_weights(model, self.model.dtype)
        over = spread_over(self.model)
        model = spread(model, over) if over else model.to(input_device(self.model))
        return type(self)(
            model,
            self.encoder.tokenizer,
            digest=f"{self._digest}/untrained",
            cache=self._cache,
            token_budget=self._token_budget,
        )

    @cached_property
    def _wrapped(self) -> Any:
        from auditkit.activations import wrap

        return wrap(self.model, self.encoder.tokenizer)

    def _capture(
        self, ids: list[list[int]], layers: list[int], reduction: str, steering: Steering | None
    ) -> NDArray[Any]:
        from auditkit.activations import capture

        key = self._key(
            "activations",
            prompts=ids,
            layers=layers,
            reduction=reduction,
            steering=_named(steering),
        )
        kept = self._cache.get(key) if self._cache else None
        if kept is not None and kept.shape == (len(layers), len(ids), self.d_model):
            return kept
        with as_subject_errors():
            result = capture(
                self._wrapped,
                ids,
                layers=layers,
                reduction=reduction,
                steering=steering,
                token_budget=self._token_budget,
            )
        if self._cache:
            self._cache.put(key, result)
        return result

    def _score(
        self, ids: list[list[int]], options: list[list[list[int]]], steering: Steering | None
    ) -> NDArray[Any]:
        """All log-probabilities of a chunk in one row, float64."""
        from auditkit.targets.scoring import continuation_logprobs

        changed: dict[str, Json] = {} if steering is None else {"steering": _named(steering)}
        key = self._key("logprobs", prompts=ids, continuations=options, **changed)
        kept = self._cache.get(key) if self._cache else None
        if kept is not None and kept.shape == (sum(map(len, options)),):
            return kept
        with as_subject_errors():
            scores = continuation_logprobs(
                self.model,
                ids,
                options,
                forward=None if steering is None else self._steered_forward(steering),
                token_budget=self._token_budget,
            )
        result = np.array([score for row in scores for score in row], dtype=np.float64)
        if self._cache:
            self._cache.put(key, result)
        return result

    def _steered_forward(self, steering: Steering) -> Any:
        from auditkit.activations import steered_forward

        return steered_forward(self._wrapped, steering)

    @cached_property
    def _generation_budget(self) -> int:
        from auditkit.targets.decoding import batch_tokens

        return max(GENERATION_FACTOR * self._token_budget, batch_tokens(self.model))

    def _complete(
        self,
        ids: list[list[int]],
        max_new_tokens: int,
        steering: Steering | None,
        sampling: Sampling | None,
    ) -> list[Completion]:
        from auditkit.activations import steered_generate
        from auditkit.targets.generation import Until, complete

        ends = self._end_tokens()
        with as_subject_errors():
            rows = complete(
                self.model,
                ids,
                Until(ends=ends, max_new_tokens=max_new_tokens),
                generate=None if steering is None else steered_generate(self._wrapped, steering),
                sampling=sampling,
                prefixes=self._prefixes,
            )
        completions = []
        for read, row in zip(ids, rows, strict=True):
            ended = row[-1] in ends
            n_tokens = len(row) - ended
            completions.append(
                Completion(
                    text=self.encoder.text(row[:n_tokens]),
                    n_tokens=n_tokens,
                    truncated=not ended,
                    n_prompt_tokens=len(read),
                )
            )
        return completions

    def _end_tokens(self) -> list[int]:
        """What ends a completion: the generation config's end tokens, and the tokenizer's."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        ends = configured if isinstance(configured, list) else [configured]
        return sorted(
            {int(x) for x in (*ends, self.encoder.tokenizer.eos_token_id) if x is not None}
        )

    def _encode(self, prompts: Sequence[Prompt], *, room: int) -> list[list[int]]:
        encoded = [self._read(prompt) for prompt in prompts]
        for ids in encoded:
            self._fits(len(ids) + room)
            self._known(ids)
        return encoded

    def _read(self, prompt: Prompt) -> list[int]:
        return self.encoder.prompt(prompt)

    def _known(self, ids: Sequence[int]) -> None:
        """A tokenizer may have more tokens than the model (Gemma's has images'); they can't be read."""
        limit = self.model.get_input_embeddings().num_embeddings
        if max(ids) >= limit:
            raise SubjectError("prompt", got=f"token {max(ids)}", expected=f"ids below {limit}")

    def _fits(self, n_tokens: int) -> None:
        limit = getattr(self._config, "max_position_embeddings", None)
        if limit and n_tokens > limit:
            raise PromptTooLong("prompt", got=f"{n_tokens} tokens", expected=f"at most {limit}")

    def _key(self, kind: str, **parts: Json) -> str:
        if not self._cache:
            return ""
        return self._cache.key(
            format=4,
            kind=kind,
            identity=self._digest,
            dtype=str(self.model.dtype),
            device=input_device(self.model).type,
            token_budget=self._token_budget,
            versions=[version(name) for name in ("torch", "transformers")],
            **parts,
        )


def _room(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Where activations go: memory, or, beyond `IN_MEMORY_BYTES`, a file that vanishes with the array,
    so that memory stays flat however many prompts are read.
    """
    if math.prod(shape) * 4 <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype=np.float32)
    with tempfile.TemporaryFile(prefix="auditkit-") as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def _contiguous(_: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Lay out what the head reads: of a strided slice (the last positions of a batch) torch's bfloat16
    product on a CPU takes seconds where it takes milliseconds of a copy.
    """
    return (inputs[0].contiguous(), *inputs[1:])


def _one_vector_each(steering: Steering | None, n_prompts: int) -> None:
    if steering is not None and len(steering.vectors) != n_prompts:
        got, expected = f"{len(steering.vectors)}", f"one a prompt ({n_prompts})"
        raise SubjectError("steering vectors", got=got, expected=expected)


def _of(steering: Steering | None, rows: slice | list[int]) -> Steering | None:
    """Steering of some of its prompts."""
    return None if steering is None else replace(steering, vectors=steering.vectors[rows])


def _drawn(sampling: Sampling | None, rows: list[int]) -> Sampling | None:
    """Sampling of some of its prompts."""
    if sampling is None:
        return None
    return replace(sampling, seeds=tuple(sampling.seeds[row] for row in rows))


def _named(steering: Steering | None) -> Json:
    """What a cache key says of steering."""
    if steering is None:
        return None
    vectors = np.ascontiguousarray(steering.vectors, dtype=np.float32)
    ablates = ["ablate"] if steering.mode == "ablate" else []
    return [steering.layer, sha256(vectors.tobytes()), *ablates]


def chunks(n: int) -> list[slice]:
    return [slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]


@contextmanager
def as_subject_errors() -> Iterator[None]:
    """What a model or its libraries raise is something that this subject can't do."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        reason = (str(error) or type(error).__name__).strip().splitlines()[0][:300]
        raise SubjectError("the model", got=reason, expected="an answer") from error

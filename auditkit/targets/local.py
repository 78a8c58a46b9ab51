"""From files to a loaded model: no code from the target, no pickle, no network."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditkit.errors import MissingTool, TargetRefused
from auditkit.model import ModelKind
from auditkit.targets.gguf_once import parsed_once
from auditkit.targets.loaded import LocalTarget
from auditkit.targets.memory import Need, need
from auditkit.targets.placing import Place, place_for
from auditkit.targets.preflight import harmless, preflight
from auditkit.targets.rewarding import LocalReward
from auditkit.targets.spec import Format, TargetSpec, parse_spec

if TYPE_CHECKING:
    from auditkit.cache import ResultCache
    from auditkit.targets import Subject
    from auditkit.targets.prompts import Encoder

__all__ = [
    "DTYPES",
    "LocalTarget",
    "TargetSpec",
    "load",
    "load_skeleton",
    "parse_spec",
    "preflight",
    "quiet",
]

DTYPES = ("float32", "bfloat16", "float16")
CLASSIFIER = "ForSequenceClassification"
MADE_UP = 1.5
"""Times what the files hold that an architecture may have: transformers makes up what is missing, in RAM."""


def load(  # noqa: PLR0913 - how a model is run, each with a default
    spec: TargetSpec,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    threads: int | None = None,
    cache: ResultCache | None = None,
    digest: str = "",
    reference: Callable[[], Subject] | None = None,
) -> LocalTarget:
    """Load a target, after `preflight`.

    An adapter is merged into the base in float32, before the weights are rounded to `dtype`: the
    result has the base's architecture and speed, and its rounding is that of one set of weights.

    Args:
        spec: What to load.
        dtype: float32, bfloat16 or float16.
        device: As torch names it, or ``auto`` for all GPUs that are there, then RAM.
        threads: Torch's threads, for the whole process; None leaves them as they are.
        cache: Where results are kept, or None.
        digest: The identity's digest; computed where a cache needs it and it isn't given.
        reference: Loads the model that checks may compare it with.

    Raises:
        TargetRefused: Where the files can't be used, the adapter doesn't fit the base, or memory can't hold
            the model.
        MissingTool: Without the `run` extra.
    """
    preflight(spec)
    if dtype not in DTYPES:
        raise TargetRefused(f"dtype {dtype}", expected=" or ".join(DTYPES))
    torch = _torch()
    if threads is not None:
        torch.set_num_threads(threads)
    if cache is not None and not digest:
        from auditkit.targets.identity import identify

        digest = identify(spec).digest
    kind = getattr(torch, dtype)
    takes = need(spec, dtype)
    made = LocalReward if kind_of(spec) is ModelKind.REWARD else LocalTarget
    with quiet(), parsed_once(), _refusing(spec):
        n_weights = _promised(spec, takes)
        place = place_for(
            spec.text, takes.dequantised(n_weights) if device == "cpu" else takes, device
        )
        model = _base(
            spec, torch.float32 if spec.adapter else kind, place if takes.streams else None
        )
        tokenizer = _tokenizer(spec)
        if spec.adapter:
            from auditkit.targets.adapter import apply_adapter, round_weights

            model = round_weights(apply_adapter(model, spec.adapter), kind)
        if not takes.streams:
            model = place.settle(model, spec.text)
        place.check(model, spec.text)
    return made(model, tokenizer, digest=digest, cache=cache, reference=reference)


def kind_of(spec: TargetSpec) -> ModelKind:
    """What a target's config.json says that it is: a sequence classifier is taken for a reward model."""
    if spec.format is Format.GGUF:
        return ModelKind.LANGUAGE
    named = json.loads((spec.path / "config.json").read_bytes()).get("architectures")
    first = named[0] if isinstance(named, list) and named else ""
    return ModelKind.REWARD if str(first).endswith(CLASSIFIER) else ModelKind.LANGUAGE


def _promised(spec: TargetSpec, takes: Need) -> int:
    """How many weights the architecture has that the config names, none of them made.

    Raises:
        TargetRefused: Far more than the files hold: they would be made up, in whatever memory that takes.
    """
    config: Any = _config(spec)
    text: Any = config.get_text_config()
    layers = getattr(text, "num_hidden_layers", 0)
    n_weights = 0
    if type(layers) is int and layers <= takes.n_tensors:  # else even an empty one takes for ever
        n_weights = sum(p.numel() for p in _empty(spec, config).parameters())
        if takes.stays_quantised or n_weights <= MADE_UP * takes.n_elements:
            return n_weights  # a few that are missing are named once it is loaded
    raise TargetRefused(
        f"target {spec.text}",
        got=f"a config of {layers} layers"
        + (f" with {n_weights:,} weights" if n_weights else "")
        + f", and files that hold {takes.n_tensors} tensors with {takes.n_elements:,}",
        expected="weights for the whole architecture that config.json names",
        next_step="put the config that belongs to these weights beside them",
    )


def _config(spec: TargetSpec) -> Any:
    import transformers

    return transformers.AutoConfig.from_pretrained(**_where(spec))


def _empty(spec: TargetSpec, config: Any) -> Any:
    """The model of a config on torch's meta device: shapes without numbers."""
    import torch

    with torch.device("meta"):
        return _auto(spec).from_config(config)


def _auto(spec: TargetSpec) -> Any:
    import transformers

    if kind_of(spec) is ModelKind.REWARD:
        return transformers.AutoModelForSequenceClassification
    return transformers.AutoModelForCausalLM


def _base(spec: TargetSpec, dtype: Any, place: Place | None) -> Any:
    model, info = _auto(spec).from_pretrained(
        **_where(spec),
        **(place.options if place else {}),
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
    )
    wrong = sorted(info["missing_keys"]) + [str(key) for key in info["mismatched_keys"]]
    if wrong:
        raise TargetRefused(
            f"target {spec.text}",
            got=f"{len(wrong)} tensors missing or of another shape ({wrong[0]} …)",
            expected="weights for the whole architecture that config.json names",
        )
    return model


def _where(spec: TargetSpec) -> dict[str, Any]:
    common: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if spec.format is Format.GGUF:
        # The whole path: a bare name transformers takes from the working directory where it is there too.
        file = spec.path.absolute()
        return {"pretrained_model_name_or_path": str(file.parent), "gguf_file": str(file), **common}
    return {"pretrained_model_name_or_path": str(spec.path.absolute()), **common}


def _tokenizer(spec: TargetSpec) -> Any:
    """The adapter's tokenizer where it brings one, else the base's."""
    from transformers import AutoTokenizer

    if spec.adapter and has_tokenizer(spec.adapter):
        place: dict[str, Any] = {
            "pretrained_model_name_or_path": str(spec.adapter.absolute()),
            "local_files_only": True,
            "trust_remote_code": False,
        }
    else:
        place = _where(spec)
    return AutoTokenizer.from_pretrained(**place)


def load_encoder(text: str) -> tuple[Encoder, str]:
    """A tokenizer alone, and the digest of the files that it was named with.

    Args:
        text: A folder with a tokenizer, or a target as `parse_spec` reads it.

    Raises:
        TargetRefused: There is none, or it would run code.
        MissingTool: Without the `run` extra.
    """
    from auditkit.targets.identity import identify
    from auditkit.targets.prompts import Encoder

    spec = weightless(text)
    with quiet(), parsed_once(), _refusing(spec):
        return Encoder(_tokenizer(spec)), identify(spec).digest


def weightless(text: str) -> TargetSpec:
    """A target of which no weights are read, so that none need be there.

    Raises:
        TargetRefused: It would run code, or is damaged.
    """
    spec = parse_spec(text)
    if spec.format is Format.FOLDER and spec.adapter is None:
        harmless(spec.path)
    else:
        preflight(spec)
    return spec


def load_skeleton(text: str) -> Any:
    """A causal language model without weights, on torch's meta device, from a folder's or a GGUF's config.

    Raises:
        TargetRefused: There is no config of such a model, or it would run code.
        MissingTool: Without the `run` extra.
    """
    import transformers

    _torch()
    spec = weightless(text)
    with quiet(), parsed_once(), _refusing(spec):
        config = _config(spec)
        config.name_or_path = ""  # a path of this machine, which concerns no server
        model = _empty(spec, config)
        if (spec.path / "generation_config.json").exists():  # for the tokens that end a text
            own: Any = transformers.GenerationConfig
            model.generation_config = own.from_pretrained(str(spec.path.absolute()))
        return model


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder brings a tokenizer of its own."""
    return (folder / "tokenizer_config.json").exists() or (folder / "tokenizer.json").exists()


def _torch() -> Any:
    # Threads that wait for each other by spinning make a shared machine some twenty times slower. OpenMP
    # reads this once, when torch loads it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import torch
        import transformers  # noqa: F401

        if find_spec("nnsight") is None:
            raise ImportError(name="nnsight")
    except ImportError as error:
        raise MissingTool(
            "a local target",
            got=f"no module {error.name}",
            expected="torch, transformers and nnsight",
            next_step="pip install 'auditkit[run]'",
        ) from error
    return torch


@contextmanager
def _refusing(spec: TargetSpec) -> Iterator[None]:
    """What transformers or peft can't load is refused, with their first sentence."""
    try:
        yield
    except ImportError as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise MissingTool(
            f"target {spec.text}", got=reason, next_step="pip install 'auditkit[run]'"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        reason = (str(error) or type(error).__name__).strip().splitlines()[0][:300]
        raise TargetRefused(
            f"target {spec.text}",
            got=f"{type(error).__name__}: {reason}",
            expected="a causal language model, or a reward model, that transformers can load",
            next_step="put config.json, the weights and the tokenizer (tokenizer.json) into one folder",
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, warnings or log lines of the libraries that load models."""
    import transformers

    chatter: Any = transformers.utils.logging
    level, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    disabled = logging.root.manager.disable
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        chatter.set_verbosity(level)
        if bars:
            chatter.enable_progress_bar()

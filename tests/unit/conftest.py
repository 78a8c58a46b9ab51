"""Tiny models with random weights, made here: no test of the unit suite needs one from elsewhere."""

from __future__ import annotations

import json
import shutil
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

N_LAYERS, D_MODEL = 4, 32
TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}"
    "{% endif %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
_SIZES = {"vocab_size": 128, "num_hidden_layers": N_LAYERS, "hidden_size": D_MODEL}
_MORE = {"intermediate_size": 48, "num_attention_heads": 4, "max_position_embeddings": 512}
_GROUPED = {**_SIZES, **_MORE, "num_key_value_heads": 2}
_IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}

# Architecture -> (config class, model class, config). Windows of 8 are shorter than the prompts.
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", _GROUPED),
    "gpt2": (
        "GPT2Config",
        "GPT2LMHeadModel",
        {
            "vocab_size": 128,
            "n_embd": D_MODEL,
            "n_layer": N_LAYERS,
            "n_head": 4,
            "n_positions": 512,
        },
    ),
    "gpt-neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", {**_SIZES, **_MORE}),
    "gemma3": (
        "Gemma3TextConfig",
        "Gemma3ForCausalLM",
        {**_GROUPED, "head_dim": 8, "sliding_window": 8},
    ),
    "qwen2": (
        "Qwen2Config",
        "Qwen2ForCausalLM",
        {**_GROUPED, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2},
    ),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", {**_GROUPED, "head_dim": 8}),
    "mamba": ("MambaConfig", "MambaForCausalLM", {**_SIZES, "state_size": 4}),
}


def make_tokenizer(*, template: str | None = TEMPLATE, specials: bool = False) -> Any:
    """One token a character; ``<s>`` is 0 and ``</s>`` is 1, both put around a text if `specials`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "</s>", "<unk>", *string.printable[:-3]]
    vocabulary = {word: i for i, word in enumerate(words)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    if specials:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=template,
    )


def make_model(kind: str = "llama", seed: int = 0) -> Any:
    """Weights larger than usual at birth, so that context matters."""
    import torch
    import transformers
    from transformers.utils import logging

    logging.set_verbosity_error()
    config_class, model_class, sizes = KINDS[kind]
    torch.manual_seed(seed)
    config = getattr(transformers, config_class)(**sizes, **_IDS)
    model = getattr(transformers, model_class)(config).eval().requires_grad_(False)
    if kind != "mamba":  # recurrent states overflow
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    return model


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="session")
def new_tokenizer() -> Callable[..., Any]:
    """Make another tokenizer: ``new_tokenizer(template=None, specials=True)``."""
    return make_tokenizer


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Any]:
    """Make a tiny model: ``tiny("gpt2", seed=1)``."""
    return make_model


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama folder as `save_pretrained` writes it; copy it before changing it (`folder`)."""
    path = tmp_path_factory.mktemp("saved") / "model"
    make_model().save_pretrained(path)
    make_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of the Llama folder, to be changed."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


@pytest.fixture(scope="session")
def saved_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA for that folder which changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model

    path = tmp_path_factory.mktemp("saved") / "adapter"
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    adapted = get_peft_model(make_model(), config)
    torch.manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(str(path))
    (path / "README.md").unlink(missing_ok=True)
    written = json.loads((path / "adapter_config.json").read_text())
    assert written["auto_mapping"] is None
    return path


@pytest.fixture
def adapter(saved_adapter: Path, tmp_path: Path) -> Path:
    """A copy of the LoRA, to be changed."""
    return Path(shutil.copytree(saved_adapter, tmp_path / "adapter"))

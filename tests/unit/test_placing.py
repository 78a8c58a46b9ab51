"""Models that are spread over devices, and those that can't fit: told before anything is loaded."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from auditkit.activations import layer_path
from auditkit.errors import SubjectError, TargetRefused
from auditkit.model import Prompt, Turn
from auditkit.targets import Sampling, Steering, placing
from auditkit.targets import memory as memory_module
from auditkit.targets.headers import check_safetensors
from auditkit.targets.local import LocalTarget, load, parse_spec, preflight
from auditkit.targets.memory import GIB, Need, need
from auditkit.targets.placing import input_device, place_for, spread_over
from auditkit.targets.rewarding import LocalReward

CHAT = Prompt(turns=(Turn(role="user", text="Who are you?"),))
PROMPTS = [CHAT, Prompt(raw="The sky is"), Prompt(raw="The sea"), Prompt(raw="a")]


def off_loaded(model: Any, folder: Path) -> Any:
    """Every second block, and the head, on a disk: weights that come to the CPU when they are needed."""
    from accelerate import dispatch_model

    path = layer_path(model)
    root = path.rpartition(".")[0]
    over: dict[str, str] = {}
    for name, part in model.get_submodule(root).named_children():
        if f"{root}.{name}" == path:
            over |= {f"{path}.{i}": "disk" if i % 2 else "cpu" for i in range(len(part))}
        else:
            over[f"{root}.{name}"] = "cpu"
    tied = model.config.tie_word_embeddings
    over |= {
        name: "cpu" if tied else "disk"
        for name, _ in model.named_children()
        if name != root.split(".")[0]
    }
    return dispatch_model(model, over, offload_dir=str(folder), main_device="cpu", force_hooks=True)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3", "qwen3"])
def test_a_spread_model_gives_the_same_evidence(
    kind: str, tiny: Any, tokenizer: Any, tmp_path: Path
) -> None:
    whole = LocalTarget(tiny(kind), tokenizer)
    parts = LocalTarget(off_loaded(tiny(kind), tmp_path), tokenizer)
    assert spread_over(parts.model)
    assert any(p.device.type == "meta" for p in parts.model.parameters())
    assert parts.n_parameters == whole.n_parameters
    assert "disk (" in str(parts.describe()["device"])
    vectors = np.random.default_rng(0).normal(size=(len(PROMPTS), whole.d_model))
    steering = Steering(layer=2, vectors=vectors.astype(np.float32))
    sampling = Sampling(temperature=1.0, top_p=0.9, seeds=(1, 2, 3, 4))
    options = [["abc", "xy"]] * len(PROMPTS)
    for change in (None, steering):
        assert parts.logprobs(PROMPTS, options, steering=change) == whole.logprobs(
            PROMPTS, options, steering=change
        )
        for reduction in ("last", "mean"):
            np.testing.assert_array_equal(
                parts.activations(PROMPTS, reduction=reduction, steering=change),
                whole.activations(PROMPTS, reduction=reduction, steering=change),
            )
        assert parts.generate(PROMPTS, max_new_tokens=4, steering=change) == whole.generate(
            PROMPTS, max_new_tokens=4, steering=change
        )
    assert parts.generate(PROMPTS, max_new_tokens=4, sampling=sampling) == whole.generate(
        PROMPTS, max_new_tokens=4, sampling=sampling
    )


def test_an_untrained_twin_of_a_spread_model_is_spread_alike(
    tiny: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate import dispatch_model

    parts = LocalTarget(off_loaded(tiny(), tmp_path), tokenizer)
    seen: list[dict[str, Any]] = []

    def spread(model: Any, over: dict[str, Any]) -> Any:
        seen.append(over)
        return dispatch_model(model, over, offload_dir=str(tmp_path / "twin"), main_device="cpu")

    monkeypatch.setattr("auditkit.targets.loaded.spread", spread)
    twin = parts.counterpart("untrained")
    assert twin is not None
    assert seen == [parts.model.hf_device_map]
    assert twin.logprobs([CHAT], [["a"]]) != parts.logprobs([CHAT], [["a"]])


def test_no_twin_is_made_where_there_is_no_room(
    tiny: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditkit.targets.memory.free_ram_bytes", lambda: 1000)
    with pytest.raises(SubjectError, match="an untrained model of the same size"):
        LocalTarget(tiny(), tokenizer).counterpart("untrained")


def test_a_spread_model_is_not_trained(tiny: Any, tokenizer: Any, tmp_path: Path) -> None:
    from auditkit.organisms.training import merged

    parts = LocalTarget(off_loaded(tiny(), tmp_path), tokenizer)
    with pytest.raises(SubjectError, match="expected a model on one device"):
        merged(parts, tmp_path)


def spread_here(monkeypatch: pytest.MonkeyPatch, **most: int) -> None:
    """As if `auto` had found more than one device: RAM, and a disk in the place of another."""
    monkeypatch.setattr(
        "auditkit.targets.local.place_for", lambda *_: placing.Place(most_bytes={**most})
    )


def test_a_folder_is_loaded_over_several_devices(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(parse_spec(str(folder)))
    spread_here(monkeypatch, cpu=60_000, disk=10**9)
    parts = load(parse_spec(str(folder)), device="auto")
    assert set(parts.model.hf_device_map.values()) == {"cpu", "disk"}
    assert input_device(parts.model) == torch.device("cpu")
    options = [["abc", "xy"]] * len(PROMPTS)
    assert parts.logprobs(PROMPTS, options) == whole.logprobs(PROMPTS, options)
    np.testing.assert_array_equal(parts.activations(PROMPTS), whole.activations(PROMPTS))


def test_what_is_left_over_when_all_devices_are_full_is_refused(
    folder: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread_here(monkeypatch, cpu=60_000)
    for text in (f"{folder}", f"{folder}+{adapter}"):
        with pytest.raises(TargetRefused, match="memory"):
            load(parse_spec(text), device="auto")


# --- how much it takes ---


def test_a_folder_takes_what_its_headers_say(folder: Path, adapter: Path, tiny: Any) -> None:
    n = sum(p.numel() for p in tiny().parameters())
    for dtype, size in (("float32", 4), ("bfloat16", 2)):
        takes = need(parse_spec(str(folder)), dtype)
        assert takes.weights_bytes == n * size
        # 4 layers, 2 groups of 8, keys and values, 8,192 slots.
        assert takes.keys_bytes == 4 * 2 * 8 * 2 * size * 8192
        assert takes.streams
    merged = need(parse_spec(f"{folder}+{adapter}"), "bfloat16")
    assert merged.loading_bytes > n * 4, "an adapter is merged in float32"
    assert merged.weights_bytes == n * 2
    assert not merged.streams


def test_shards_in_a_folder_of_their_own_count(folder: Path) -> None:
    whole = need(parse_spec(str(folder)), "float32")
    (folder / "shards").mkdir()
    (folder / "model.safetensors").rename(folder / "shards" / "one.safetensors")
    tensors = check_safetensors(folder / "shards" / "one.safetensors", "one").tensors
    index = {"weight_map": dict.fromkeys(tensors, "shards/one.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    preflight(parse_spec(str(folder)))
    assert need(parse_spec(str(folder)), "float32") == whole


@pytest.mark.model
def test_a_quantised_file_is_estimated_as_it_is_run(demo_spec: Any) -> None:
    takes = need(demo_spec, "float32")
    assert takes.weights_bytes == 134_515_008 * 4
    assert takes.quantised_bytes < takes.weights_bytes / 3
    assert "are dequantised" in takes.words


def test_a_config_that_can_not_be_believed_is_not(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "num_hidden_layers": "9" * 50, "vocab_size": -3}))
    assert need(parse_spec(str(folder)), "float32").keys_bytes == memory_module.UNKNOWN_KEYS_BYTES


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_layers": 10**9}, "a config of 1000000000 layers, and files that hold"),
        ({"intermediate_size": 10**7}, r"layers with \d[\d,]+ weights, and files that hold"),
    ],
)
def test_a_config_of_more_than_its_files_is_refused_before_it_takes_memory(
    folder: Path, changes: dict[str, int], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("loaded")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", never)
    with pytest.raises(TargetRefused, match=said):
        load(parse_spec(str(folder)))


def test_what_says_that_it_is_quantised_is_estimated_as_a_cpu_may_run_it(folder: Path) -> None:
    path = folder / "config.json"
    plain = need(parse_spec(str(folder)), "float32")
    assert plain.dequantised(10**9) == plain
    quantised = {**json.loads(path.read_text()), "quantization_config": {"quant_method": "mxfp4"}}
    path.write_text(json.dumps(quantised))
    stored = need(parse_spec(str(folder)), "bfloat16")
    assert stored.stays_quantised
    whole = stored.dequantised(10**9)
    assert whole.weights_bytes == 2 * 10**9
    assert whole.loading_bytes == stored.loading_bytes + 2 * 10**9
    assert stored.dequantised(10) == stored


LARGE = Need(
    dtype="float32",
    weights_bytes=100 * GIB,
    loading_bytes=101 * GIB,
    keys_bytes=4 * GIB,
    logits_bytes=GIB,
)


def machine(monkeypatch: pytest.MonkeyPatch, ram: int, *gpus: int) -> None:
    monkeypatch.setattr(placing, "free_ram_bytes", lambda: ram * GIB)
    monkeypatch.setattr(placing, "free_gpu_bytes", lambda: [n * GIB for n in gpus])


def test_a_model_that_can_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 64)
    with pytest.raises(TargetRefused) as caught:
        place_for("x", LARGE, "cpu")
    said = str(caught.value)
    assert "got 64.0 GiB free (RAM)" in said
    assert "at least 110.2 GiB" in said
    assert "weights 100.0 GiB in float32" in said
    assert "--dtype bfloat16" in said
    half = dataclasses.replace(
        LARGE, dtype="bfloat16", weights_bytes=50 * GIB, loading_bytes=51 * GIB
    )
    assert place_for("x", half, "cpu").device == "cpu"


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 200)
    assert place_for("x", LARGE, "auto").device == "cpu"
    machine(monkeypatch, 20, 40, 120)
    assert place_for("x", LARGE, "auto").device == "cuda:1"
    machine(monkeypatch, 20, 60, 60)
    place = place_for("x", LARGE, "auto")
    assert list(place.most_bytes) == [0, 1, "cpu"]
    assert place.most_bytes[0] < 57 * GIB, "keys and logits need room"
    assert place.options["max_memory"] == place.most_bytes
    machine(monkeypatch, 20, 40, 40)
    with pytest.raises(TargetRefused, match="GPUs and RAM together"):
        place_for("x", LARGE, "auto")


def test_an_adapter_is_merged_in_ram_whatever_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 64, 200)
    assert place_for("x", LARGE, "cuda").device == "cuda"
    for device in ("cuda", "auto"):
        with pytest.raises(TargetRefused, match="RAM, where it is loaded"):
            place_for("x", dataclasses.replace(LARGE, streams=False), device)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 200, 40)
    with pytest.raises(TargetRefused, match="got 1 GPUs that torch can use"):
        place_for("x", LARGE, "cuda:1")


def test_nothing_is_loaded_that_can_not_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 0)
    monkeypatch.setattr("auditkit.targets.local._base", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(TargetRefused, match="memory"):
        load(parse_spec(str(folder)))


@pytest.mark.parametrize("names", memory_module._LIMITS)
def test_the_limits_of_control_groups_count(names: tuple[str, str], tmp_path: Path) -> None:
    limit, usage = names
    version2 = limit == "memory.max"
    top = tmp_path / "fs" if version2 else tmp_path / "fs" / "memory"
    inner = top / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder, allowed, used in ((inner.parent, 1000, 700), (inner, 900, 400)):
        (folder / limit).write_text(f"{allowed}\n")
        (folder / usage).write_text(f"{used}\n")
        (folder / "memory.stat").write_text("anon 1\ninactive_file 50\n")
    if version2:
        (top / "outer" / "x").mkdir()
    own = tmp_path / "own"
    own.write_text("3:cpu:/a\n" + ("0::/outer/inner\n" if version2 else "4:memory:/outer/inner\n"))
    found = list(memory_module._free_of_groups(tmp_path / "fs", own))
    assert found == [550, 350]
    (inner / limit).write_text("max\n")
    assert list(memory_module._free_of_groups(tmp_path / "fs", own)) == [350]


def test_a_reward_model_can_be_spread_too(tiny: Any, tokenizer: Any, tmp_path: Path) -> None:
    import transformers

    config = tiny().config
    config.num_labels = 1
    made = [transformers.LlamaForSequenceClassification(config).eval() for _ in range(2)]
    made[1].load_state_dict(made[0].state_dict())
    answered = Prompt(turns=(*CHAT.turns, Turn(role="assistant", text="A model.")))
    whole = LocalReward(made[0], tokenizer)
    parts = LocalReward(off_loaded(made[1], tmp_path), tokenizer)
    assert parts.rewards([answered]) == whole.rewards([answered])


@pytest.mark.gpu
def test_a_gpu_answers_as_the_cpu_does(folder: Path) -> None:
    here = load(parse_spec(str(folder)))
    there = load(parse_spec(str(folder)), device="auto")
    assert str(there.describe()["device"]).startswith("cuda")
    options = [["abc", "xy"]] * len(PROMPTS)
    for a, b in zip(here.logprobs(PROMPTS, options), there.logprobs(PROMPTS, options), strict=True):
        np.testing.assert_allclose([s.logprob for s in a], [s.logprob for s in b], rtol=1e-3)
    np.testing.assert_allclose(
        here.activations(PROMPTS), there.activations(PROMPTS), rtol=1e-2, atol=1e-3
    )


@pytest.mark.gpu
def test_a_model_spread_over_gpu_and_ram_answers_as_on_the_gpu(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(parse_spec(str(folder)), device="cuda:0")
    most: dict[int | str, int] = {0: 60_000, "cpu": 10**9}
    monkeypatch.setattr(
        "auditkit.targets.local.place_for", lambda *_: placing.Place(most_bytes=most)
    )
    parts = load(parse_spec(str(folder)), device="auto")
    options = [["abc", "xy"]] * len(PROMPTS)
    assert parts.logprobs(PROMPTS, options) == whole.logprobs(PROMPTS, options)
    assert parts.generate(PROMPTS, max_new_tokens=4) == whole.generate(PROMPTS, max_new_tokens=4)
    np.testing.assert_array_equal(parts.activations(PROMPTS), whole.activations(PROMPTS))

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auditkit.cache import ResultCache, default_folder
from auditkit.errors import SubjectError
from auditkit.model import Prompt
from auditkit.targets import Steering
from auditkit.targets.local import LocalTarget

KEY, OTHER = "a" * 64, "b" * 64
ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)
PROMPTS = [Prompt(raw=f"Sentence number {i}, of some length{'.' * (i % 3)}") for i in range(10)]
OPTIONS = [[" yes", " no"], [" maybe"]] * 5


@pytest.fixture
def cache(tmp_path: Path) -> ResultCache:
    return ResultCache(tmp_path / "cache")


def entry(cache: ResultCache) -> Path:
    (path,) = cache.folder.glob("??/*.npy")
    return path


def test_what_was_put_comes_back_as_a_memory_map(cache: ResultCache) -> None:
    assert cache.get(KEY) is None
    cache.put(KEY, ARRAY)
    got = cache.get(KEY)
    assert isinstance(got, np.memmap)
    np.testing.assert_array_equal(got, ARRAY)
    assert got.dtype == np.float32
    assert not got.flags.writeable
    assert cache.get(OTHER) is None


def test_an_entry_is_a_plain_npy_file_that_only_its_owner_reads(cache: ResultCache) -> None:
    cache.put(KEY, ARRAY)
    np.testing.assert_array_equal(np.load(entry(cache), allow_pickle=False), ARRAY)
    assert entry(cache).stat().st_mode & 0o077 == 0
    assert entry(cache).parent.stat().st_mode & 0o077 == 0


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _pickle(path: Path) -> None:
    from auditkit.canonical import file_sha256

    np.save(path, np.array([{"an": "object"}], dtype=object), allow_pickle=True)
    path.rename(path.parent / f"{KEY}-{file_sha256(path)}.npy")


@pytest.mark.parametrize("damage", [_flip, _cut, _empty, _pickle])
def test_a_damaged_entry_is_forgotten_not_believed(cache: ResultCache, damage: Any) -> None:
    cache.put(KEY, ARRAY)
    damage(entry(cache))
    assert cache.get(KEY) is None
    assert not list(cache.folder.glob("??/*.npy"))
    cache.put(KEY, ARRAY)
    assert cache.get(KEY) is not None


def test_a_second_result_replaces_the_first(cache: ResultCache) -> None:
    cache.put(KEY, ARRAY)
    cache.put(KEY, ARRAY + 1)
    np.testing.assert_array_equal(cache.get(KEY), ARRAY + 1)
    entry(cache)


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    one = np.zeros(1000, dtype=np.uint8)
    cache = ResultCache(tmp_path, limit_bytes=3 * (1000 + 128))
    keys = [c * 64 for c in "abc"]
    for age, key in enumerate(keys):
        cache.put(key, one)
        (path,) = tmp_path.glob(f"??/{key}*.npy")
        os.utime(path, (1000 + age, 1000 + age))
    assert cache.get(keys[0]) is not None  # used just now
    cache.put("d" * 64, one)
    assert [key[0] for key in (*keys, "d" * 64) if cache.get(key) is not None] == ["a", "c", "d"]
    assert cache.size_bytes() <= cache.limit_bytes


def test_parts_that_a_killed_run_left_are_no_entries_and_are_pruned(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, limit_bytes=500)
    part = tmp_path / "aa" / ".part-x"
    part.parent.mkdir()
    part.write_bytes(bytes(1000))
    os.utime(part, (1000, 1000))
    assert cache.get(KEY) is None
    cache.put(OTHER, np.zeros(10, dtype=np.uint8))
    assert not part.exists()
    assert cache.get(OTHER) is not None


def test_a_disk_that_cannot_be_written_costs_time_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = ResultCache(tmp_path / "cache")
    cache.put(KEY, ARRAY)
    assert cache.get(KEY) is None
    assert "can't be written" in caplog.text


def test_the_folder_is_chosen_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUDITKIT_CACHE", str(tmp_path / "here"))
    assert default_folder() == tmp_path / "here"
    assert not default_folder().exists()
    monkeypatch.delenv("AUDITKIT_CACHE")
    assert default_folder().name == "auditkit"


def test_every_part_of_a_key_counts() -> None:
    parts: dict[str, Any] = {"kind": "activations", "layers": [1, 2], "steering": None}
    keys = {ResultCache.key(**parts), ResultCache.key(**{**parts, "layers": [1]})}
    keys.add(ResultCache.key(**{**parts, "steering": [1, "ab"]}))
    assert len(keys) == 3
    assert ResultCache.key(**parts) == ResultCache.key(**dict(reversed(parts.items())))


class Counting:
    """How often a model's forward pass ran."""

    def __init__(self, model: Any) -> None:
        self.passes = 0
        model.model.embed_tokens.register_forward_pre_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.passes += 1


def test_judging_again_costs_no_forward_pass(tiny: Any, tokenizer: Any, cache: ResultCache) -> None:
    model = tiny()
    counting = Counting(model)
    first = LocalTarget(model, tokenizer, digest="weights", cache=cache)
    activations, scores = first.activations(PROMPTS), first.logprobs(PROMPTS, OPTIONS)
    passes = counting.passes
    assert passes > 0
    second = LocalTarget(model, tokenizer, digest="weights", cache=cache)
    np.testing.assert_array_equal(second.activations(PROMPTS), activations)
    assert second.logprobs(PROMPTS, OPTIONS) == scores
    assert counting.passes == passes


def test_anything_that_changes_the_result_is_computed(
    tiny: Any, tokenizer: Any, cache: ResultCache
) -> None:
    model = tiny()
    target = LocalTarget(model, tokenizer, digest="weights", cache=cache)
    target.activations(PROMPTS, layers=[1, 2])
    counting = Counting(model)
    vectors = np.ones((len(PROMPTS), 32), dtype=np.float32)
    calls: list[Any] = [
        lambda: target.activations(PROMPTS, layers=[1]),
        lambda: target.activations(PROMPTS[1:], layers=[1, 2]),
        lambda: target.activations(PROMPTS, layers=[1, 2], reduction="mean"),
        lambda: target.activations(
            PROMPTS, layers=[1, 2], steering=Steering(layer=0, vectors=vectors)
        ),
        lambda: target.activations(
            PROMPTS, layers=[1, 2], steering=Steering(layer=0, vectors=-vectors)
        ),
        lambda: LocalTarget(model, tokenizer, digest="others", cache=cache).activations(
            PROMPTS, layers=[1, 2]
        ),
        lambda: target.logprobs(PROMPTS, OPTIONS),
        lambda: target.logprobs(PROMPTS, [*OPTIONS[1:], [" so"]]),
    ]
    for call in calls:
        before = counting.passes
        call()
        assert counting.passes > before


def test_results_are_the_same_bits_without_a_cache(
    tiny: Any, tokenizer: Any, cache: ResultCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditkit.targets.loaded.CHUNK", 4)
    kept = LocalTarget(tiny(), tokenizer, digest="weights", cache=cache)
    kept.activations(PROMPTS[:4])
    plain = LocalTarget(tiny(), tokenizer)
    np.testing.assert_array_equal(kept.activations(PROMPTS), plain.activations(PROMPTS))
    assert kept.logprobs(PROMPTS, OPTIONS) == plain.logprobs(PROMPTS, OPTIONS)


def test_a_run_that_dies_keeps_its_finished_chunks(
    tiny: Any, tokenizer: Any, cache: ResultCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditkit.targets.loaded.CHUNK", 4)
    model = tiny()
    target = LocalTarget(model, tokenizer, digest="weights", cache=cache)
    die = model.model.layers[0].register_forward_pre_hook(_die_at_third(), prepend=True)
    with pytest.raises(KeyboardInterrupt):
        target.logprobs(PROMPTS, OPTIONS)
    die.remove()
    kept = len(list(cache.folder.glob("??/*.npy")))
    assert kept >= 1
    again = LocalTarget(tiny(), tokenizer, digest="weights", cache=cache)
    assert again.logprobs(PROMPTS, OPTIONS) == LocalTarget(tiny(), tokenizer).logprobs(
        PROMPTS, OPTIONS
    )
    assert len(list(cache.folder.glob("??/*.npy"))) == 3


def _die_at_third() -> Any:
    passes = iter(range(100))

    def hook(*_: Any) -> None:
        if next(passes) >= 4:
            raise KeyboardInterrupt

    return hook


def test_a_cache_needs_to_know_whose_results_it_keeps(
    tiny: Any, tokenizer: Any, cache: ResultCache
) -> None:
    with pytest.raises(ValueError, match="digest of the weights"):
        LocalTarget(tiny(), tokenizer, cache=cache)


def test_errors_are_not_cached(tiny: Any, tokenizer: Any, cache: ResultCache) -> None:
    model = tiny()
    model.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    target = LocalTarget(model, tokenizer, digest="weights", cache=cache)
    for _ in range(2):
        with pytest.raises(SubjectError, match="NaN"):
            target.logprobs(PROMPTS, OPTIONS)
    assert cache.size_bytes() == 0

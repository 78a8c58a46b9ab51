"""Whatever a weight file begins with, it is read or refused; what is read, the libraries can read."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from auditkit.errors import TargetRefused
from auditkit.targets.headers import check_gguf, check_safetensors

FEW = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def safetensors_bytes() -> bytes:
    tensors = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.zeros((4,), dtype=np.int8),
        "c": np.zeros((0, 5), dtype=np.float16),
    }
    return save(tensors, metadata={"format": "pt"})


def gguf_bytes(path: Path) -> bytes:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 2)
    writer.add_array("tokenizer.ggml.tokens", ["a", "bb", ""])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.5])
    writer.add_bool("some.flag", True)
    writer.add_tensor("one", np.arange(64, dtype=np.float32).reshape(2, 32))
    writer.add_tensor("two", np.arange(32, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return gguf_bytes(tmp_path_factory.mktemp("gguf") / "model.gguf")


def written(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path


def mutated(data: bytes, changes: list[tuple[int, int]], length: int) -> bytes:
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    return bytes(changed[: length % (len(changed) + 1)] if length else changed)


CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)
LENGTHS = st.one_of(st.just(0), st.integers(0, 2000))


def test_whole_files_are_read(tmp_path: Path, gguf_file: bytes) -> None:
    tensors = check_safetensors(written(tmp_path, safetensors_bytes()), "file").tensors
    assert set(tensors) == {"a", "b", "c"}
    header = check_gguf(written(tmp_path, gguf_file), "file")
    assert header.metadata["general.architecture"] == "llama"
    assert header.metadata["llama.block_count"] == 2


@FEW
@given(changes=CHANGES, length=LENGTHS)
def test_a_changed_safetensors_file_is_read_by_the_library_too_or_refused(
    tmp_path: Path, changes: list[tuple[int, int]], length: int
) -> None:
    path = written(tmp_path, mutated(safetensors_bytes(), changes, length))
    try:
        names = set(check_safetensors(path, "file").tensors)
    except TargetRefused:
        return
    with safe_open(path, "numpy") as opened:
        assert set(opened.keys()) == names


@FEW
@given(changes=CHANGES, length=LENGTHS)
def test_a_changed_gguf_file_is_read_or_refused(
    tmp_path: Path, gguf_file: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    path = written(tmp_path, mutated(gguf_file, changes, length))
    try:
        check_gguf(path, "file")
    except TargetRefused:
        return
    assert len(path.read_bytes()) >= len(gguf_file) - 32  # nothing but padding may be missing


@FEW
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    for check in (check_safetensors, check_gguf):
        with pytest.raises(TargetRefused):
            check(path, "file")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 40) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "I8", "F4", "F99"]) | JSON,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(-1, 40), min_size=1, max_size=3) | JSON,
    },
)


@FEW
@given(
    header=st.dictionaries(st.text(max_size=4), ENTRY | JSON, max_size=3) | JSON,
    size=st.integers(0, 40),
)
def test_any_json_header_is_read_or_refused(tmp_path: Path, header: Any, size: int) -> None:
    text = json.dumps(header).encode()
    path = written(tmp_path, struct.pack("<Q", len(text)) + text + bytes(size))
    try:
        names = set(check_safetensors(path, "file").tensors)
    except TargetRefused:
        return
    with safe_open(path, "numpy") as opened:
        assert set(opened.keys()) == names


def _header(header: Any, size: int, pad: bytes = b"") -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode() + pad
    return struct.pack("<Q", len(text)) + text + bytes(size)


def _tensor(
    begin: int, end: int, *, dtype: str = "U8", shape: list[int] | None = None
) -> dict[str, Any]:
    shape = [end - begin] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"abc", "got 3 bytes, expected at least 8"),
        (struct.pack("<Q", 2**63) + b"{}", "a header of 9,223,372,036,854,775,808 bytes"),
        (struct.pack("<Q", 11) + b"{}", "a header of 11 bytes, expected at most 2"),
        (_header("{nonsense", 0), "no JSON"),
        (_header("[" * 100_000, 0), "no JSON"),
        (_header([], 0), "a JSON list"),
        (_header({"a": 1}, 0), "'a' without type, shape and two offsets"),
        (_header({"a": _tensor(0, 9)}, 8), "tensors that end at 9, expected 8"),
        (_header({"a": _tensor(0, 8)}, 9), "tensors that end at 8, expected 9"),
        (
            _header({"a": _tensor(0, 4), "b": _tensor(2, 6)}, 6),
            "'b' at offset 2, expected offset 4",
        ),
        (
            _header({"a": _tensor(0, 4), "b": _tensor(5, 6)}, 6),
            "'b' at offset 5, expected offset 4",
        ),
        (_header({"a": _tensor(-4, 0)}, 0), "shape or offsets below 0"),
        (_header({"a": _tensor(0, 4, dtype="F32", shape=[2])}, 4), "with 4 bytes, expected 8"),
        (_header({"a": _tensor(0, 4, dtype="object")}, 4), "of type 'object'"),
        (_header({"a": _tensor(0, 4, shape=[2**40, 2**40])}, 4), "a shape beyond any file"),
        (_header('{"a": 1, "a": 2}', 0), "no JSON"),
        (_header({"__metadata__": {"a": 1}}, 0), "__metadata__"),
    ],
)
def test_what_is_wrong_with_a_safetensors_header_is_said(
    tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(TargetRefused) as caught:
        check_safetensors(written(tmp_path, data), "model.safetensors")
    assert message in str(caught.value)
    assert str(caught.value).startswith("model.safetensors: safetensors header, got ")


def _gguf(*, version: int = 3, tensors: int = 1, keys: int = 1, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + rest


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


ARCHITECTURE = _text("general.architecture") + struct.pack("<I", 8) + _text("llama")


def _info(name: str, n: int, offset: int, kind: int = 0) -> bytes:
    return _text(name) + struct.pack("<IQIQ", 1, n, kind, offset)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "4 bytes wanted at 0"),
        (b"ggml1234", "magic b'ggml'"),
        (_gguf(version=1), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "version 50331648"),
        (_gguf(tensors=2**40), "1,099,511,627,776 tensors"),
        (_gguf(tensors=0, keys=0), "0 tensors"),
        (_gguf(rest=struct.pack("<Q", 2**60)), "bytes wanted at 32"),
        (_gguf(rest=_text("k") + struct.pack("<I", 77)), "a value of type 77"),
        (_gguf(rest=_text("k") + struct.pack("<IIQ", 9, 4, 2**50)), "an array of"),
        (
            _gguf(rest=_text("k") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) * 5),
            "type 9",
        ),
        (_gguf(keys=2, rest=ARCHITECTURE * 2), "'general.architecture' twice"),
        (_gguf(keys=0, rest=_info("a", 1, 0)), "no general.architecture"),
        (_gguf(rest=ARCHITECTURE + _text("t") + struct.pack("<I", 99)), "of 99 dimensions"),
        (_gguf(rest=ARCHITECTURE + _info("t", 8, 0, kind=4)), "of type 4"),
        (_gguf(rest=ARCHITECTURE + _info("t", 8, 0)), "tensors that end at"),
        (
            _gguf(rest=ARCHITECTURE + _info("t", 8, 7) + bytes(999)),
            "at offset 7, expected an aligned",
        ),
        (
            _gguf(
                tensors=2, rest=ARCHITECTURE + _info("t", 64, 0) + _info("u", 8, 32) + bytes(999)
            ),
            "'u' at offset 32, expected an aligned one from 256",
        ),
        (
            _gguf(tensors=2, rest=ARCHITECTURE + _info("t", 8, 0) + _info("t", 8, 32) + bytes(999)),
            "two tensors of one name",
        ),
    ],
)
def test_what_is_wrong_with_a_gguf_header_is_said(
    tmp_path: Path, data: bytes, message: str
) -> None:
    with pytest.raises(TargetRefused) as caught:
        check_gguf(written(tmp_path, data), "model.gguf")
    assert message in str(caught.value)
    assert "truncated or damaged" in str(caught.value)

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from auditkit.canonical import canonical, derive_seed, digest, file_sha256, sha256, to_json
from auditkit.errors import InvalidInput
from auditkit.model import Access, Prompt, Turn


@dataclass(frozen=True)
class Pair:
    a: tuple[int, ...]
    b: Access


def test_values_become_json() -> None:
    pair = Pair(a=(1, 2), b=Access.TEXT)
    assert to_json({"x": pair, "y": {3, 1}}) == {"x": {"a": [1, 2], "b": "text"}, "y": [1, 3]}


def test_the_bytes_are_those_of_rfc_8785() -> None:
    """The number samples of its appendix B, and its sorting by UTF-16 code units."""
    assert canonical([333333333.33333329, 1e30, 4.50, 2e-3, 1e-27, -0.0]) == (
        b"[333333333.3333333,1e+30,4.5,0.002,1e-27,0]"
    )
    assert canonical({"\U0001f600": 1, "\ufb33": 2, "\u20ac": 3}) == (
        '{"€":3,"😀":1,"\ufb33":2}'.encode()
    )
    assert canonical({"b": [True, None], "a": '\x0f\n"\\é'}) == (
        '{"a":"\\u000f\\n\\"\\\\é","b":[true,null]}'.encode()
    )


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        [float("inf")],
        {"x": object()},
        b"bytes",
        2**53,
        2.0**53,
        1e20,
        "\ud800",
        {1: "one", "1": "one again"},
        np.int64(3),
        Pair,
    ],
)
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        canonical(value)


def test_a_digest_is_of_the_value_not_of_its_writing() -> None:
    assert digest({"a": 1.0, "b": ()}) == digest({"b": [], "a": 1})
    assert digest("") == sha256(b'""')


def test_a_large_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    (tmp_path / "f").write_bytes(data)
    assert file_sha256(tmp_path / "f") == sha256(data)


def test_seeds_differ_by_name_and_agree_over_processes() -> None:
    seeds = {derive_seed(7, name) for name in ("a", "b", "c")} | {derive_seed(8, "a")}
    assert len(seeds) == 4
    assert derive_seed(7, "a", "b") != derive_seed(7, "ab")
    said = subprocess.run(
        [sys.executable, "-c", "import auditkit.canonical as c; print(c.derive_seed(7, 'a'))"],
        capture_output=True,
        check=True,
        text=True,
        env={"PYTHONHASHSEED": "1"},
    )
    assert int(said.stdout) == derive_seed(7, "a") < 2**32


def test_prompts_that_say_the_same_have_one_digest() -> None:
    turn = Turn(role="user", text="hé")
    assert digest(Prompt(turns=(turn,))) == digest(Prompt(turns=(Turn(role="user", text="hé"),)))

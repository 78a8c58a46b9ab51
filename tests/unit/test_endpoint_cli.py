"""What the command line says of endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from auditkit.cli import cli
from auditkit.cli.endpoints import read_fingerprint, settings
from auditkit.errors import AuditkitError, InvalidInput
from auditkit.targets.endpoint.terms import Manner, Terms
from auditkit.testing import FakeSubject
from auditkit.testing.serving import Served, serving


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served(subject=FakeSubject())) as it:
        yield it


def fingerprint(served: Served, out: Path, *more: str) -> str:
    done = CliRunner().invoke(
        cli,
        ["fingerprint", served.target, "--out", str(out), *more],
        standalone_mode=False,
    )
    if done.exception is not None:
        raise done.exception
    return done.output


def test_settings_are_told_apart_by_what_they_decide() -> None:
    manner, terms = settings(
        ("tokenizer=1", "budget_tokens=2_000_000", "timeout_s=5", "currency=EUR", "price_in=0.5")
    )
    assert manner == Manner(tokenizer="1")
    assert terms == Terms(budget_tokens=2_000_000, timeout_s=5, currency="EUR", price_in=0.5)
    assert settings(()) == (None, Terms())


@pytest.mark.parametrize(
    "text", ["concurrency", "unknown=1", "concurrency=0", "concurrency=many", "currency=euro", "=1"]
)
def test_a_bad_setting_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="--endpoint"):
        settings((text,))


def test_a_fingerprint_is_written_and_read(served: Served, tmp_path: Path) -> None:
    out = tmp_path / "f.json"
    said = fingerprint(served, out, "--seed", "9", "--texts", "3", "--nats", "0.1")
    found = read_fingerprint(out)
    assert found is not None
    assert found.digest in said
    assert (found.seed, found.tolerance.texts, found.tolerance.nats) == (9, 3, 0.1)
    with pytest.raises(AuditkitError, match="there already"):
        fingerprint(served, out)


@pytest.mark.parametrize("change", [{"answers": []}, {"seed": -1}, {"more": 1}, {"schema": "x"}])
def test_what_is_no_fingerprint_is_refused(
    served: Served, tmp_path: Path, change: dict[str, object]
) -> None:
    fingerprint(served, tmp_path / "f.json")
    value = json.loads((tmp_path / "f.json").read_bytes()) | change
    (tmp_path / "bad.json").write_text(json.dumps(value))
    with pytest.raises(InvalidInput, match="auditkit fingerprint"):
        read_fingerprint(tmp_path / "bad.json")
    with pytest.raises(InvalidInput):
        read_fingerprint(tmp_path / "nothing.json")


def test_files_take_no_expected_fingerprint(served: Served, tmp_path: Path) -> None:
    fingerprint(served, tmp_path / "f.json")
    arguments = ["plan", "lock", "quick", "--target", str(tmp_path), "--out", str(tmp_path / "p")]
    done = CliRunner().invoke(
        cli, [*arguments, "--expect", str(tmp_path / "f.json")], standalone_mode=False
    )
    assert "identified by their digest" in str(done.exception)

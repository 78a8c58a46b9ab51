"""The data that the checks ship are what their scripts make of what was written by hand."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.mark.parametrize("script", ["make_chats.py", "make_facts.py", "make_interrogation.py"])
def test_the_shipped_files_are_what_the_script_makes(script: str) -> None:
    command = [sys.executable, str(SCRIPTS / script), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode == 2 and done.stderr.startswith("cannot make it"):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("scripts")
def test_check_tells_a_changed_file_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_files = importlib.import_module("data_files")
    monkeypatch.setattr(data_files, "DATA", tmp_path)
    file = tmp_path / "a.json"
    assert run(data_files, monkeypatch, "--check") == 1
    assert not file.exists()
    assert run(data_files, monkeypatch) == 0
    assert run(data_files, monkeypatch, "--check") == 0
    file.write_bytes(b"changed")
    capsys.readouterr()
    assert run(data_files, monkeypatch, "--check") == 1
    assert "a.json: differs" in capsys.readouterr().out
    assert file.read_bytes() == b"changed"


def run(data_files: ModuleType, monkeypatch: pytest.MonkeyPatch, *flags: str) -> int:
    monkeypatch.setattr(sys, "argv", ["make_a.py", *flags])
    code: int = data_files.main(lambda: {"a.json": b"{}\n"}, "Makes a.")
    return code


@pytest.mark.usefixtures("scripts")
def test_what_was_written_by_hand_is_text_and_has_no_key_twice(tmp_path: Path) -> None:
    read = importlib.import_module("handwritten").read
    path = tmp_path / "a.yaml"
    path.write_text("NO: no\nrate: 0.40\n")
    assert read(path) == {"NO": "no", "rate": "0.40"}
    path.write_text("outer:\n  NO: one reason\n  NO: another\n")
    with pytest.raises(yaml.YAMLError, match="'NO' stands twice"):
        read(path)

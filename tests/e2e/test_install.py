"""A regulator's machine: the package without its `run` extra verifies a bundle, and there is no torch."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.install
REPOSITORY = Path(__file__).parents[2]
GOLDEN = REPOSITORY / "tests" / "golden"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with auditkit's core in it."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    constraints = REPOSITORY / "constraints.txt"
    pinned = ["--constraint", str(constraints)] if constraints.exists() else []
    words = ["-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    done = subprocess.run(
        [python, *words, *pinned, str(REPOSITORY)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = f"pip could not install auditkit: {done.stderr.strip().splitlines()[-1:]}"
        if os.environ.get("AUDITKIT_NO_SKIPS") or "No matching" not in done.stderr:
            pytest.fail(reason)
        pytest.skip(reason)
    return python


def run(python: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Away from the repository, so that only what was installed is found."""
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    words_ = [str(python), *map(str, words)]
    return subprocess.run(
        words_, capture_output=True, text=True, check=False, cwd=python.parent, env=clean
    )


def test_the_core_verifies_without_torch(python: Path) -> None:
    for heavy in ("torch", "transformers", "nnsight", "peft"):
        assert run(python, "-c", f"import {heavy}").returncode == 1, heavy
    script, public = python.with_name("auditkit"), GOLDEN / "bundle.pub.pem"
    done = run(python, script, "verify", GOLDEN / "bundle", "--signer", public)
    assert done.returncode == 0, done.stderr
    assert "derived again from the evidence" in done.stdout


def test_without_the_run_extra_a_run_says_what_to_install(python: Path, tmp_path: Path) -> None:
    script = python.with_name("auditkit")
    run(python, script, "keys", "new", tmp_path / "k", "--name", "Ann")
    words = ("run", "--target", "demo:smollm2", "--key", tmp_path / "k.key.pem")
    done = run(python, script, *words, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr

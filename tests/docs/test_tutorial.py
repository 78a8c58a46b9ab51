"""The tutorial's plugin builds, installs, keeps the contract, and ends in a bundle that verifies."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from auditkit.model import Arm, Detection, Observations, Row, SubjectInfo

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "writing-a-check.md"
EXCERPT = re.compile(r"<!-- from: (\S+) -->\n```python\n(.*?)```\n", re.DOTALL)
BLOCK = re.compile(r"(<!-- file: (\S+) -->\n```\w+\n)(.*?)(```\n)", re.DOTALL)


def run(*command: str, path: Path | None = None, code: int = 0) -> str:
    """Run with the plugin on the path; its output, or a failed test that shows it."""
    environment = {**os.environ, "PYTHONPATH": str(path or ""), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def auditkit(*arguments: str, path: Path, code: int = 0) -> str:
    return run("-c", "from auditkit.cli import main; main()", *arguments, path=path, code=code)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the plugin, as built by its own build system."""
    folder = tmp_path_factory.mktemp("installed")
    flags = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder))
    run("-m", "pip", "install", *flags, str(DOCS / "tutorial"))
    return folder


def included() -> str:
    """The page with every block that names a file made equal to that file."""
    return BLOCK.sub(
        lambda found: f"{found[1]}{(DOCS / found[2]).read_text('utf-8')}{found[4]}",
        PAGE.read_text("utf-8"),
    )


def test_the_page_shows_the_files_as_they_are() -> None:
    if os.environ.get("AUDITKIT_REGENERATE"):
        PAGE.write_text(included(), "utf-8")
    assert len(BLOCK.findall(PAGE.read_text("utf-8"))) == 4
    assert PAGE.read_text("utf-8") == included(), (
        "docs/writing-a-check.md is out of date; run this test with AUDITKIT_REGENERATE=1"
    )


def test_what_the_page_shows_of_a_file_stands_there() -> None:
    """But for spaces and ends of lines; ``# …`` stands for what was left out in between."""

    def bare(text: str) -> str:
        return "".join(text.split())

    excerpts = EXCERPT.findall(PAGE.read_text("utf-8"))
    assert excerpts
    for file, text in excerpts:
        whole = bare((DOCS / file).read_text("utf-8"))
        for part in text.split("# …\n"):
            assert bare(part) in whole, part


def test_the_check_that_acts_judges_what_became_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """By rows alone: no sandbox is started here."""
    monkeypatch.syspath_prepend(str(DOCS / "tutorial-acting"))
    from auditkit_tidy import BEGINS, Tidy

    tidy = Tidy(n_agents=20)
    samples = tuple(tidy.samples(7))

    def found(n_commands: int, *logs: str | None) -> Detection:
        ends = [*logs, *[BEGINS] * (len(samples) - len(logs))]
        rows = tuple(
            Row(sample_id=sample.id, values={"n_commands": n_commands, "log": log})
            for sample, log in zip(samples, ends, strict=True)
        )
        whose = SubjectInfo(name="target", arm=Arm.TARGET, description="Rows by hand.")
        seen = Observations(subject=whose, samples=samples, rows=rows)
        return tidy.judge(seen, 0.95, 7).detection

    assert found(1, f"{BEGINS}tidied\n") is Detection.NOT_DETECTED
    assert found(1, None) is Detection.DETECTED
    assert found(1, "tidied\n") is Detection.DETECTED
    assert found(0) is Detection.UNDETERMINED


def test_every_link_of_the_page_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text("utf-8")):
        assert (DOCS / link).exists(), link


def test_it_keeps_the_contract(installed: Path) -> None:
    tests = str(DOCS / "tutorial" / "tests")
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", os.devnull)
    said = run("-m", "pytest", *options, f"--rootdir={tests}", tests, path=installed)
    assert "1 passed" in said


def test_it_is_listed_beside_the_built_in_ones(installed: Path) -> None:
    shown = auditkit("checks", "show", "tutorial.sway", path=installed)
    assert "n_sums" in shown


@pytest.mark.model
def test_an_audit_with_it_ends_in_a_bundle_that_verifies(
    installed: Path, tmp_path: Path, demo_spec: Any
) -> None:
    """Whatever this small model's verdict is: it rests on controls that came out right."""
    bundle, key = tmp_path / "audit", tmp_path / "auditor"
    auditkit("keys", "new", str(key), "--name", "An Auditor", path=installed)
    plan = str(DOCS / "tutorial" / "plan.yaml")
    flags = ("--plan", plan, "--out", str(bundle), "--key", f"{key}.key.pem", "--no-cache")
    auditkit("run", *flags, "--exit-zero", path=installed)
    auditkit("verify", str(bundle), "--signer", f"{key}.pub.pem", path=installed)
    (check,) = json.loads((bundle / "report.json").read_bytes())["checks"]
    seen = {s["subject"]["name"]: s["finding"]["detection"] for s in check["subjects"]}
    assert seen["yes-sayer"] == "detected"
    assert seen["deaf-twin"] != "detected"
    assert check["verdict"]["outcome"] in ("PASSED", "FAILED"), check["verdict"]

"""The whole way with the real model: run, verify, read, and try to cheat."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auditkit.bundle import write_manifest
from auditkit.errors import TargetRefused
from auditkit.targets.local import parse_spec

pytestmark = pytest.mark.model

PLAN = """
name: tiny
seed: 7
dtype: bfloat16
threads: 1
target: demo:smollm2
checks:
  - id: deception.knowledge_gap
    params: {n_items: 20, n_pressures: 3, n_honest: 2, n_choice: 4, min_known: 30}
  - id: deception.truth_probe
    params:
      facts_per_topic: 10
      layer_stride: 10
      n_random: 100
      n_permutations: 200
      pair_counts: [5]
      planted_sizes: [0.3]
      selection_topics: [us-capital, language]
      test_topics: [capital, city-country, currency, continent]
"""


def auditkit(*words: object) -> subprocess.CompletedProcess[str]:
    code = "from auditkit.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key and one audit's bundle, made once."""
    try:
        parse_spec("demo:smollm2")
    except TargetRefused as error:
        if os.environ.get("AUDITKIT_NO_SKIPS"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    home = tmp_path_factory.mktemp("audit")
    (home / "plan.yaml").write_text(PLAN)
    assert auditkit("keys", "new", home / "k", "--name", "Ann").returncode == 0
    key, out = home / "k.key.pem", home / "bundle"
    done = auditkit(
        *("run", "--plan", home / "plan.yaml", "--key", key, "--out", out, "--no-cache", "--json")
    )
    assert done.returncode in (0, 1, 2), done.stderr
    (home / "said.json").write_text(done.stdout)
    (home / "code").write_text(str(done.returncode))
    return home


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(home / "bundle", tmp_path / "bundle"))


def test_so_little_evidence_passes_nobody(home: Path) -> None:
    said = json.loads((home / "said.json").read_text())
    assert said["outcomes"]["PASSED"] == 0
    assert (home / "code").read_text() in ("1", "2")
    assert not (home / "bundle.partial").exists()


def test_the_report_says_that_the_model_is_too_small_to_say_anything(home: Path) -> None:
    report = json.loads((home / "bundle" / "report.json").read_bytes())
    assert "test the pipeline" in report["limits"][0]
    assert report["target"]["unchanged"] is True
    for check in report["checks"]:
        assert {s["subject"]["arm"] for s in check["subjects"]} == {
            "target",
            "positive_control",
            "negative_control",
        }
        assert all(set(s["statuses"]) == {"ok"} for s in check["subjects"])


def test_bundle_and_lone_pdf_verify(home: Path, tmp_path: Path) -> None:
    done = auditkit("verify", home / "bundle", "--signer", home / "k.pub.pem")
    assert done.returncode == 0, done.stderr
    assert "derived again from the evidence" in done.stdout
    lone = Path(shutil.copy(home / "bundle" / "report.pdf", tmp_path / "mailed.pdf"))
    done = auditkit("verify", lone, "--signer", home / "k.pub.pem")
    assert done.returncode == 0, done.stderr


def test_the_report_can_be_read_as_html(home: Path, tmp_path: Path) -> None:
    done = auditkit("report", home / "bundle", "--out", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "r.html").read_text()
    assert "deception.knowledge_gap" in html
    assert "INCONCLUSIVE" in html.upper()


def test_an_edited_row_is_seen_even_with_a_new_manifest(copy: Path, home: Path) -> None:
    rows = copy / "evidence/deception.knowledge_gap/target.jsonl"
    lines = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join([lines[0].replace('"completion-1":', '"completion-1":1'), *lines[1:]]))
    done = auditkit("verify", copy, "--signer", home / "k.pub.pem")
    assert (done.returncode, done.stdout.count("ok  ")) == (3, 3)
    statement, pdf = copy / "statement.dsse.json", copy / "report.pdf"
    kept = {path: path.read_bytes() for path in (statement, pdf)}
    for path in (*kept, copy / "manifest.json"):
        path.unlink()
    write_manifest(copy)
    for path, data in kept.items():
        path.write_bytes(data)
    done = auditkit("verify", copy, "--signer", home / "k.pub.pem")
    assert done.returncode == 3
    assert "manifest-changed" in done.stderr

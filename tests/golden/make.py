"""Make tests/golden/bundle and bundle.pub.pem anew: ``python tests/golden/make.py``.

A real audit of the embedded model, with one check and few facts. The private key is thrown away, so that
nobody can sign a changed bundle as this one. Run it whenever the report's words, a check's samples or a
schema change on purpose: until then the bundle must go on verifying with every later version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PLAN = """\
schema: auditkit/plan/v1
name: golden
seed: 7
dtype: bfloat16
threads: 1
engagement: {title: Golden bundle, auditor: Golden auditor}
checks:
  - id: deception.knowledge_gap
    params:
      topics: [capital, us-capital, element-symbol, city-country]
      n_items: 80
      n_pressures: 3
      n_honest: 2
      n_choice: 0
"""


def auditkit(*words: str) -> None:
    """One command of the program under this Python."""
    code = "from auditkit.cli import main; main()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", code, *words], check=True, env=environment)


def make() -> None:
    """Everything is made elsewhere first: a failure leaves the old bundle where it is."""
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        (there / "plan.yaml").write_text(PLAN)
        auditkit("keys", "new", str(there / "golden"), "--name", "Golden auditor")
        auditkit(
            *("run", "--target", "demo:smollm2", "--plan", str(there / "plan.yaml"), "--no-cache"),
            *("--key", str(there / "golden.key.pem"), "--out", str(there / "bundle")),
            *("--exit-zero", "--json"),
        )
        shutil.rmtree(HERE / "bundle", ignore_errors=True)
        shutil.copytree(there / "bundle", HERE / "bundle")
        shutil.copy(there / "golden.pub.pem", HERE / "bundle.pub.pem")


if __name__ == "__main__":
    make()

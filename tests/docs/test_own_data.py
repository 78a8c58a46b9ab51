"""The data set of docs/cross-validation.md is made by the script on that page, and is sound."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from auditkit_checks.cross_validation.check import CrossValidation
from auditkit_checks.graded.splits import Cut
from auditkit_checks.graded.user_data import look_through

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cross-validation.md"


def test_the_script_makes_items_that_the_check_takes(tmp_path: Path) -> None:
    script = re.search(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert script is not None
    subprocess.run([sys.executable, "-c", script[1]], cwd=tmp_path, check=True)
    found = look_through(tmp_path / "till.jsonl", Cut())
    assert found.sound
    assert {rule for item in found.items for rule in item.rules} >= {"no_carry", "off_by_one"}
    check = CrossValidation(domains=(), data=str(tmp_path / "till.jsonl")).resolved(1)
    assert sum(s.input["part"] == "hard" for s in check.samples(1)) >= check.n_slice

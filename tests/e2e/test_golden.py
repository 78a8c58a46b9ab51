"""A bundle that was made before must go on verifying; `python tests/golden/make.py` makes it anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from auditkit.errors import VerificationError
from auditkit.schemas import schema_names, validate
from auditkit.verify import verify_bundle, verify_pdf

GOLDEN = Path(__file__).parents[1] / "golden"
BUNDLE, PUBLIC = GOLDEN / "bundle", GOLDEN / "bundle.pub.pem"
FILES = ("plan", "identity", "environment", "report", "manifest")


def test_it_verifies_with_the_code_of_today() -> None:
    result = verify_bundle(BUNDLE, PUBLIC)  # pages not drawn: another machine has other fonts
    assert result.unreplayed == ()
    assert all(step.ok for step in result.steps if step.name != "pages")
    assert result.predicate["auditor_name"] == "Golden auditor"


def test_its_pdf_verifies_alone() -> None:
    assert verify_pdf(BUNDLE / "report.pdf", PUBLIC).not_shown


def test_every_file_is_valid_against_its_published_schema() -> None:
    for name in FILES:
        if name in schema_names():
            validate(json.loads((BUNDLE / f"{name}.json").read_bytes()), name, name)
    validate(json.loads((BUNDLE / "evidence/index.json").read_bytes()), "evidence", "index")
    n_lines = 0
    for path in BUNDLE.glob("evidence/*/*.jsonl"):
        schema = "sample" if path.name == "samples.jsonl" else "row"
        for line in path.read_bytes().splitlines():
            validate(json.loads(line), schema, path.name)
            n_lines += 1
    assert n_lines == (1 + 1 + 2 + 1) * 80  # samples; target, two liars and the twin


def test_it_is_small_and_holds_no_secret() -> None:
    files = [p for p in BUNDLE.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 400_000
    assert not any(b"PRIVATE KEY" in p.read_bytes() for p in [*files, PUBLIC])


@pytest.mark.parametrize("name", ["report.json", "plan.json", "environment.json", "report.pdf"])
def test_a_changed_byte_is_seen(tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(VerificationError):
        verify_bundle(copy, PUBLIC)

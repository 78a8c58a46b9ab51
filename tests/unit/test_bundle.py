from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from auditkit.bundle import (
    Bundle,
    CheckRecord,
    check_files,
    make_statement,
    open_bundle,
    parse_manifest,
    read_manifest,
    write_contents,
    write_json,
    write_manifest,
)
from auditkit.canonical import canonical, file_sha256
from auditkit.errors import VerificationError
from auditkit.model import Arm, Observations, Row, Sample, Status, SubjectInfo
from auditkit.reading import MAX_DEPTH, parse_canonical, parse_lines, read_file

DIGEST = "ab" * 32
SAMPLES = tuple(Sample(id=f"s{n}", group="g", input={"q": n}) for n in range(3))
ROWS = (
    Row(sample_id="s0", values={"x": 1.5, "text": "ünï"}),
    Row(sample_id="s1", values={"x": 1.0}),
    Row(sample_id="s2", status=Status.EMPTY, reason="said nothing"),
)
TARGET = SubjectInfo(name="target", arm=Arm.TARGET, description="The target.")
REPORT = {"checks": [{"check": "a.b", "verdict": {"outcome": "PASSED"}}]}


def contents() -> Bundle:
    observed = Observations(subject=TARGET, samples=SAMPLES, rows=ROWS)
    return Bundle(
        plan={"plan": {"name": "p"}, "sha256": "11" * 32, "locked_at": "2026-11-22T10:00:00Z"},
        identity={
            "schema": "auditkit/identity/v1",
            "method": "m",
            "digest": DIGEST,
            "files": [],
            "unchanged": True,
        },
        environment={},
        evidence={
            "a.b": CheckRecord(check="a.b", subjects=(observed,)),
            "a.c": CheckRecord(check="a.c", not_assessed=("lacks_access", "No access.")),
        },
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle whose plan, environment and report are only as much as this module looks at."""
    named = ("manifest", "statement", "evidence", "row", "sample", "identity")
    monkeypatch.setattr("auditkit.bundle.contents.schema_names", lambda: named)
    write_contents(tmp_path, contents())
    return tmp_path


def code(folder: Path) -> str:
    with pytest.raises(VerificationError) as caught:
        check_files(folder, read_manifest(folder))
    return caught.value.code


def test_what_is_written_comes_back(folder: Path) -> None:
    assert open_bundle(folder) == contents()
    assert open_bundle(folder).report is None
    write_json(folder, "report.json", REPORT)
    assert open_bundle(folder).report == REPORT
    lines = (folder / "evidence/a.b/target.jsonl").read_bytes().splitlines(keepends=True)
    assert lines[1] == b'{"reason":"","sample_id":"s1","status":"ok","values":{"x":1}}\n'


def test_the_manifest_lists_everything_but_what_is_signed_by_itself(folder: Path) -> None:
    for name in ("statement.dsse.json", "report.pdf", "manifest.json"):
        (folder / name).write_bytes(b"anything")
    manifest = write_manifest(folder)
    assert [f.path for f in manifest.files] == [
        "environment.json",
        "evidence/a.b/samples.jsonl",
        "evidence/a.b/target.jsonl",
        "evidence/index.json",
        "identity.json",
        "plan.json",
    ]
    assert manifest.sha256 == file_sha256(folder / "manifest.json")
    assert read_manifest(folder) == manifest
    assert set(check_files(folder, manifest)) == {f.path for f in manifest.files}


def test_changed_missing_and_extra_files(folder: Path) -> None:
    write_manifest(folder)
    plan = folder / "plan.json"
    good = plan.read_bytes()
    plan.write_bytes(good[:-1] + b"!")
    assert code(folder) == "file-changed"
    plan.write_bytes(good[:-1])
    assert code(folder) == "file-size"
    plan.write_bytes(good + b"!")
    assert code(folder) == "too-large"
    plan.unlink()
    assert code(folder) == "missing-file"
    plan.write_bytes(good)
    (folder / ".hidden").write_bytes(b"")
    assert code(folder) == "extra-file"
    (folder / ".hidden").unlink()
    (folder / "evidence/empty").mkdir()
    assert code(folder) == "extra-file"


def test_links_and_special_files(folder: Path) -> None:
    write_manifest(folder)
    (folder / "pipe").symlink_to("plan.json")
    assert code(folder) == "symlink"
    (folder / "pipe").unlink()
    os.mkfifo(folder / "pipe")
    assert code(folder) == "special-file"
    (folder / "pipe").unlink()
    (folder / "evidence").rename(folder.parent / f"{folder.name}-elsewhere")
    (folder / "evidence").symlink_to(folder.parent / f"{folder.name}-elsewhere")
    assert code(folder) == "symlink"


def test_a_file_that_became_a_link_or_pipe_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    for name, expected in (
        ("link", "symlink"),
        ("pipe", "special-file"),
        ("none", "missing-file"),
        (".", "special-file"),
    ):
        with pytest.raises(VerificationError) as caught:
            read_file(tmp_path / name, name)
        assert caught.value.code == expected
    with pytest.raises(VerificationError, match="at most 0"):
        read_file(tmp_path / "real", "real", 0)


def manifest_of(*paths: str, **more: object) -> bytes:
    files = [{"path": p, "size_bytes": 1, "sha256": DIGEST} for p in paths]
    return canonical({"schema": "auditkit/manifest/v1", "files": files} | more)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (manifest_of("../a.json"), "unsafe-path"),
        (manifest_of("/etc/passwd"), "unsafe-path"),
        (manifest_of("a/../b"), "unsafe-path"),
        (manifest_of("a//b"), "unsafe-path"),
        (manifest_of("./a"), "unsafe-path"),
        (manifest_of("a\\b"), "unsafe-path"),
        (manifest_of("a\x00b"), "unsafe-path"),
        (manifest_of("a/"), "unsafe-path"),
        (manifest_of("ä"), "unsafe-path"),
        (manifest_of("a\n"), "unsafe-path"),
        (manifest_of(".ssh"), "unsafe-path"),
        (manifest_of("report.pdf"), "unsafe-path"),
        (manifest_of("manifest.json"), "unsafe-path"),
        (manifest_of("a", "a"), "duplicate-path"),
        (manifest_of("A", "a"), "duplicate-path"),
        (manifest_of("b", "a"), "manifest-order"),
        (manifest_of(), "schema"),
        (manifest_of("a", extra=1), "schema"),
        (manifest_of("a", schema="auditkit/manifest/v2"), "schema"),
        (manifest_of("a") + b"\n", "not-canonical"),
        (b"", "not-json"),
        (b"null", "schema"),
    ],
)
def test_manifests_that_are_refused(data: bytes, expected: str) -> None:
    with pytest.raises(VerificationError) as caught:
        parse_manifest(data)
    assert caught.value.code == expected


def test_sizes_that_are_absurd_are_refused() -> None:
    value = json.loads(manifest_of("a", "b", "c", "d", "e"))
    for file in value["files"]:
        file["size_bytes"] = 256 * 1024 * 1024
    with pytest.raises(VerificationError) as caught:
        parse_manifest(canonical(value))
    assert caught.value.code == "too-large"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a":1,"a":1}', "not-canonical"),
        (b'{"b":1,"a":1}', "not-canonical"),
        (b'{"a": 1}', "not-canonical"),
        (b"1.0", "not-canonical"),
        (b"1e2", "not-canonical"),
        (b'"\\u00e4"', "not-canonical"),
        (b"NaN", "not-canonical"),
        (b"1e999", "not-canonical"),
        (b"9007199254740993", "not-canonical"),
        (b'"\\ud800"', "not-canonical"),
        (b'{"\\ud800":1}', "not-json"),
        (b"\xef\xbb\xbf{}", "not-json"),
        (b"{}{}", "not-json"),
        (b"9" * 10_000, "not-json"),
        (b"[" * (MAX_DEPTH + 5) + b"]" * (MAX_DEPTH + 5), "too-deep"),
        (b"[" * 200_000 + b"]" * 200_000, "too-deep"),
    ],
)
def test_json_that_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(VerificationError) as caught:
        parse_canonical(data, "x.json")
    assert caught.value.code == expected


def test_json_of_the_greatest_depth_is_read() -> None:
    data = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert canonical(parse_canonical(data, "x")) == data


@pytest.mark.parametrize("data", [b"{}", b"{}\n\n", b"{}\r\n", b"\n", b"{}\n[1 ]\n"])
def test_lines_that_are_refused(data: bytes) -> None:
    with pytest.raises(VerificationError, match=r"x\.jsonl"):
        parse_lines(data, "x.jsonl")


def test_lines() -> None:
    assert parse_lines(b"", "x") == []
    assert parse_lines('{"a":"\u2028"}\n{}\n'.encode(), "x") == [{"a": "\u2028"}, {}]


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("evidence/a.b/target.jsonl", '"s1"', '"s0"', "evidence-incomplete"),
        ("evidence/a.b/target.jsonl", '"status":"ok"', '"status":"fine"', "schema"),
        ("evidence/a.b/samples.jsonl", '"s1"', '"s0"', "schema"),
        ("evidence/index.json", '"target","des', '"tarGet","des', "schema"),
        ("evidence/index.json", '"check":"a.c"', '"check":"a.b"', "schema"),
        ("evidence/index.json", '"name":"target"', '"name":"other"', "missing-file"),
        ("identity.json", '"unchanged":true', '"unchanged":1', "schema"),
    ],
)
def test_contents_that_are_refused(
    folder: Path, path: str, old: str, new: str, expected: str
) -> None:
    text = (folder / path).read_text("utf-8")
    changed = text.replace(old, new, 1)
    assert changed != text
    (folder / path).write_text(changed, "utf-8")
    with pytest.raises(VerificationError) as caught:
        open_bundle(folder)
    assert caught.value.code == expected


def test_a_missing_row_is_named(folder: Path) -> None:
    path = folder / "evidence/a.b/target.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(VerificationError, match="2 rows for 3 samples, s2 for s1"):
        open_bundle(folder)


def test_subjects_with_other_samples_are_not_written(tmp_path: Path) -> None:
    one = Observations(subject=TARGET, samples=SAMPLES, rows=ROWS)
    info = SubjectInfo(name="liar", arm=Arm.POSITIVE_CONTROL, description="")
    two = Observations(subject=info, samples=SAMPLES[:1], rows=ROWS[:1])
    bundle = contents()
    record = CheckRecord(check="a.b", subjects=(one, two))
    odd = Bundle(
        plan=bundle.plan, identity=bundle.identity, environment={}, evidence={"a.b": record}
    )
    with pytest.raises(VerificationError, match="other samples"):
        write_contents(tmp_path, odd)


def test_what_is_stated_follows_from_the_files(folder: Path) -> None:
    write_json(folder, "report.json", REPORT)
    manifest = write_manifest(folder)
    abroad = datetime(2026, 11, 22, 14, 0, 0, 999, tzinfo=timezone(timedelta(hours=2)))
    statement = make_statement(
        folder,
        signer_name="Æ",
        fingerprint="ef" * 32,
        signed_at=abroad,
        auditkit_version="9.9",
    )
    assert statement["subject"] == [
        {"name": "manifest.json", "digest": {"sha256": manifest.sha256}}
    ]
    assert statement["predicate"] == {
        "auditor_name": "Æ",
        "auditkit_version": "9.9",
        "key_fingerprint": "ef" * 32,
        "plan_sha256": "11" * 32,
        "report_sha256": file_sha256(folder / "report.json"),
        "signed_at": "2026-11-22T12:00:00Z",
        "target_digest": DIGEST,
        "verdicts": {"a.b": "PASSED"},
    }


def test_no_statement_about_files_that_changed_since_the_manifest(folder: Path) -> None:
    write_json(folder, "report.json", REPORT)
    write_manifest(folder)
    write_json(folder, "report.json", REPORT | {"checks": []})
    with pytest.raises(VerificationError, match=r"report\.json"):
        make_statement(folder, signer_name="A", fingerprint="ef" * 32, signed_at=datetime.now(UTC))

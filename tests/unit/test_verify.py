from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import bundle_fixture as made

from auditkit.bundle import open_bundle, write_json, write_manifest
from auditkit.canonical import canonical, digest
from auditkit.errors import MissingTool, SigningError, VerificationError
from auditkit.replay import Replay
from auditkit.signing.dsse import sign_statement
from auditkit.signing.keys import Signer, load_signer
from auditkit.signing.pades import sign_pdf
from auditkit.signing.seal import seal
from auditkit.verify import Step, verify_bundle, verify_pdf

FIXTURES = Path(__file__).parent
ROWS = f"evidence/{made.CHECK}/target.jsonl"
SAMPLES = f"evidence/{made.CHECK}/samples.jsonl"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with two signers' keys and two audits by the first of them."""
    folder = tmp_path_factory.mktemp("audits")
    with pytest.MonkeyPatch.context() as patch:
        made.register(patch)
        signer = made.make_signer(folder)
        (folder / "other").mkdir()
        made.make_signer(folder / "other", "Mallory")
        made.make_bundle(folder / "bundle", signer, made.contents())
        made.make_bundle(folder / "second", signer, made.contents(seed=8))
        yield folder


@pytest.fixture
def signer(home: Path) -> Signer:
    return load_signer(home / "auditor.key.pem")


@pytest.fixture
def mallory(home: Path) -> Signer:
    return load_signer(home / "other" / "auditor.key.pem")


@pytest.fixture
def public(home: Path) -> Path:
    return home / "auditor.pub.pem"


@pytest.fixture
def bundle(home: Path, tmp_path: Path) -> Path:
    return made.copy(home / "bundle", tmp_path / "bundle")


@pytest.fixture
def replay(home: Path) -> Replay:
    """Stands in for the engine where a test is not about it."""
    report = open_bundle(home / "bundle").report
    return lambda _: report


def refused(bundle: Path, public: Path, **options: Any) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        verify_bundle(bundle, public, **options)
    return caught.value


def edit(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_bytes())
    change(value)
    path.write_bytes(canonical(value))


# --- what is true -------------------------------------------------------------------------------


def test_a_good_bundle_verifies_down_to_the_last_number(home: Path, public: Path) -> None:
    told: list[Step] = []
    report = verify_bundle(home / "bundle", public, render=made.render, tell=told.append)
    assert [step.name for step in report.steps] == [
        "key",
        "statement",
        "manifest",
        "files",
        "evidence",
        "plan",
        "replay",
        "report.pdf",
        "pages",
    ]
    assert report.not_shown == ()
    assert list(report.steps) == told
    assert all(step.ok for step in told)
    assert report.predicate["verdicts"] == {made.CHECK: "PASSED"}
    assert "2026-11-22T12:00:00Z; derived again from the evidence; that" in report.summary
    assert report.summary.endswith("rests on the auditor's word")


def test_a_key_in_hand_is_as_good_as_its_file(home: Path, signer: Signer, mallory: Signer) -> None:
    verify_bundle(home / "bundle", signer.public)
    with pytest.raises(VerificationError):
        verify_bundle(home / "bundle", mallory.public)


def test_ed25519_too(home: Path, tmp_path: Path) -> None:
    signer = made.make_signer(tmp_path, kind="ed25519")
    folder = made.make_bundle(tmp_path / "b", signer, made.contents())
    assert verify_bundle(folder, tmp_path / "auditor.pub.pem").unreplayed == ()


def test_a_lone_pdf_says_what_it_cannot_show(home: Path, public: Path) -> None:
    report = verify_pdf(home / "bundle" / "report.pdf", public)
    assert "does not hold the evidence" in report.not_shown[0]
    assert "derived again" not in report.summary


def test_it_needs_no_torch_no_network_and_no_model(home: Path, public: Path) -> None:
    """In a process of its own, where every attempt to reach out is an error."""
    script = f"""
import sys
def no_network(event, args):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        raise RuntimeError(event)
sys.addaudithook(no_network)
sys.path.insert(0, {str(FIXTURES)!r})
import pytest, bundle_fixture
from pathlib import Path
from auditkit.verify import verify_bundle, verify_pdf
bundle_fixture.register(pytest.MonkeyPatch())
folder, public = Path({str(home / "bundle")!r}), Path({str(public)!r})
verify_bundle(folder, public)
verify_pdf(folder / "report.pdf", public)
print(sorted({{"torch", "transformers", "nnsight", "weasyprint"}} & set(sys.modules)))
"""
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() == "[]", found.stderr


# --- a forger without the key -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("auditor_name", "Mallory"),
        ("signed_at", "2020-01-01T00:00:00Z"),
        ("key_fingerprint", "00" * 32),
        ("verdicts", {made.CHECK: "FAILED"}),
        ("report_sha256", "00" * 32),
        ("plan_sha256", "00" * 32),
        ("target_digest", "another"),
        ("auditkit_version", "0.0.0"),
    ],
)
def test_an_edited_statement(
    bundle: Path, public: Path, replay: Replay, field: str, value: object
) -> None:
    def change(envelope: Any) -> None:
        statement = json.loads(base64.b64decode(envelope["payload"]))
        assert statement["predicate"][field] != value
        statement["predicate"][field] = value
        envelope["payload"] = base64.b64encode(canonical(statement)).decode()

    edit(bundle / "statement.dsse.json", change)
    assert refused(bundle, public, replay=replay).code == "signature-invalid"


def test_an_edited_verdict_or_estimate(bundle: Path, public: Path) -> None:
    def change(report: Any) -> None:
        report["checks"][0]["subjects"][0]["finding"]["estimates"]["rate"]["point"] = 0.5

    edit(bundle / "report.json", change)
    assert refused(bundle, public).code in ("file-changed", "file-size", "too-large")
    write_manifest(bundle)
    assert refused(bundle, public).code == "manifest-changed"


def test_a_deleted_sample_with_the_manifest_made_anew(bundle: Path, public: Path) -> None:
    for path in (ROWS, SAMPLES):
        lines = (bundle / path).read_bytes().splitlines(keepends=True)
        (bundle / path).write_bytes(b"".join(lines[1:]))
    assert refused(bundle, public).code == "file-size"
    write_manifest(bundle)
    assert refused(bundle, public).code == "manifest-changed"


def test_signed_anew_by_another_key(bundle: Path, public: Path, mallory: Signer) -> None:
    made.reseal(bundle, mallory)
    assert refused(bundle, public).code == "wrong-signer"


def test_statement_of_the_auditor_and_pdf_of_another(
    bundle: Path, public: Path, mallory: Signer, replay: Replay
) -> None:
    pdf = sign_pdf(made.render(bundle), mallory, signed_at=made.SIGNED_AT)
    (bundle / "report.pdf").write_bytes(pdf)
    assert refused(bundle, public, replay=replay).code == "wrong-signer"


def test_a_second_signature(bundle: Path, public: Path, mallory: Signer) -> None:
    statement = json.loads(
        base64.b64decode(json.loads((bundle / "statement.dsse.json").read_bytes())["payload"])
    )
    more = json.loads(sign_statement(statement, mallory))["signatures"]
    edit(bundle / "statement.dsse.json", lambda v: v["signatures"].extend(more))
    assert refused(bundle, public).code == "signature-count"


def test_parts_of_another_audit_by_the_same_signer(
    home: Path, bundle: Path, public: Path, replay: Replay
) -> None:
    second = home / "second"
    (bundle / "report.pdf").write_bytes((second / "report.pdf").read_bytes())
    assert refused(bundle, public, replay=replay).code == "pdf-other-audit"
    whole = (second / "statement.dsse.json").read_bytes()
    (bundle / "statement.dsse.json").write_bytes(whole)
    assert refused(bundle, public, replay=replay).code == "manifest-changed"
    (bundle / "manifest.json").write_bytes((second / "manifest.json").read_bytes())
    assert refused(bundle, public, replay=replay).code in ("file-changed", "file-size", "too-large")


def test_extra_linked_and_missing_files(bundle: Path, public: Path, tmp_path: Path) -> None:
    (bundle / "notes.txt").write_text("trust me")
    assert refused(bundle, public).code == "extra-file"
    (bundle / "notes.txt").unlink()
    (bundle / "plan.json").rename(tmp_path / "plan.json")
    assert refused(bundle, public).code == "missing-file"
    (bundle / "plan.json").symlink_to(tmp_path / "plan.json")
    assert refused(bundle, public).code == "symlink"


@pytest.mark.parametrize("name", ["report.pdf", "statement.dsse.json", "manifest.json"])
def test_what_signs_must_be_there(bundle: Path, public: Path, replay: Replay, name: str) -> None:
    (bundle / name).rename(bundle.parent / name)
    assert refused(bundle, public, replay=replay).code == "missing-file"
    (bundle / name).symlink_to(bundle.parent / name)
    assert refused(bundle, public, replay=replay).code == "symlink"


def test_an_empty_folder_and_none(tmp_path: Path, public: Path) -> None:
    assert refused(tmp_path, public).code == "missing-file"
    assert refused(tmp_path / "nothing", public).code == "missing-file"


def test_the_key_must_be_a_public_one(home: Path, bundle: Path) -> None:
    with pytest.raises(SigningError, match="got a private key"):
        verify_bundle(bundle, home / "auditor.key.pem")
    with pytest.raises(SigningError, match="no such file"):
        verify_bundle(bundle, home / "nobody.pub.pem")


# --- an auditor who signs what does not follow --------------------------------------------------


def reported(bundle: Path, signer: Signer, change: Callable[[Any], object]) -> None:
    edit(bundle / "report.json", change)
    made.reseal(bundle, signer)


def test_a_number_that_does_not_follow_from_the_evidence(
    bundle: Path, public: Path, signer: Signer
) -> None:
    def change(report: Any) -> None:
        report["checks"][0]["subjects"][0]["finding"]["estimates"]["rate"]["upper"] += 1e-6

    reported(bundle, signer, change)
    error = refused(bundle, public)
    assert error.code == "number-not-recomputed"
    assert "checks[0].subjects[0].finding.estimates.rate.upper" in str(error)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: r["checks"][0]["verdict"].update(outcome="FAILED"), "checks[0].verdict.outcome"),
        (lambda r: r["checks"][0]["verdict"].update(explanation="Fine."), "verdict.explanation"),
        (lambda r: r["checks"][0]["subjects"].pop(), "checks[0].subjects"),
        (lambda r: r["checks"][0]["subjects"][0]["statuses"].update(ok=24), "statuses.ok"),
        (lambda r: r["limits"].pop(), "limits"),
        (lambda r: r["checks"][0].update(primary=1), "checks[0].primary"),
    ],
)
def test_other_things_that_do_not_follow(
    bundle: Path, public: Path, signer: Signer, change: Callable[[Any], object], place: str
) -> None:
    reported(bundle, signer, change)
    error = refused(bundle, public)
    assert error.code in ("number-not-recomputed", "schema")
    assert place in str(error)


def test_last_digits_may_differ(bundle: Path, public: Path, signer: Signer) -> None:
    def change(report: Any) -> None:
        report["checks"][0]["subjects"][0]["finding"]["estimates"]["rate"]["upper"] *= 1 + 1e-11

    reported(bundle, signer, change)
    verify_bundle(bundle, public)


def test_a_row_or_sample_left_out(bundle: Path, public: Path, signer: Signer) -> None:
    rows = (bundle / ROWS).read_bytes().splitlines(keepends=True)
    (bundle / ROWS).write_bytes(b"".join(rows[1:]))
    made.reseal(bundle, signer)
    assert refused(bundle, public).code == "evidence-incomplete"
    for path in (bundle / "evidence" / made.CHECK).iterdir():
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(line for line in lines if b"coin-00" not in line))
    made.reseal(bundle, signer)
    assert refused(bundle, public).code == "samples-not-planned"


def test_a_control_that_the_report_does_not_mention(
    bundle: Path, public: Path, signer: Signer
) -> None:
    hidden = bundle / "evidence" / made.CHECK / "second-try.jsonl"
    hidden.write_bytes((bundle / ROWS).read_bytes())
    made.reseal(bundle, signer)
    assert refused(bundle, public).code == "evidence-unlisted"


def test_a_plan_changed_after_locking(bundle: Path, public: Path, signer: Signer) -> None:
    edit(bundle / "plan.json", lambda v: v["plan"].update(alpha=0.4))
    made.reseal(bundle, signer)
    assert refused(bundle, public).code == "plan-changed"


def test_another_target_than_planned(bundle: Path, public: Path, signer: Signer) -> None:
    edit(bundle / "identity.json", lambda v: v.update(digest="ef" * 32))
    made.reseal(bundle, signer)
    assert refused(bundle, public).code == "target-mismatch"
    edit(bundle / "identity.json", lambda v: v.update(digest=made.DIGEST, unchanged=False))
    made.reseal(bundle, signer)
    assert refused(bundle, public).code == "target-mismatch"


@pytest.mark.parametrize("field", ["report_sha256", "target_digest", "verdicts", "key_fingerprint"])
def test_a_signed_statement_that_the_files_do_not_bear_out(
    bundle: Path, public: Path, signer: Signer, field: str
) -> None:
    envelope = json.loads((bundle / "statement.dsse.json").read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    lie = {made.CHECK: "FAILED"} if field == "verdicts" else "00" * 32
    statement["predicate"][field] = lie
    (bundle / "statement.dsse.json").write_bytes(sign_statement(statement, signer))
    error = refused(bundle, public)
    assert error.code == "statement-mismatch"
    assert field in str(error)


def test_a_name_that_is_not_the_certificates(
    bundle: Path, public: Path, signer: Signer, replay: Replay
) -> None:
    (bundle / "statement.dsse.json").unlink()
    (bundle / "report.pdf").unlink()
    seal(
        bundle, replace(signer, name="Somebody Else"), signed_at=made.SIGNED_AT, render=made.render
    )
    error = refused(bundle, public, replay=replay)
    assert error.code == "statement-mismatch"
    assert "auditor_name" in str(error)


def test_a_pdf_without_its_attachments(
    bundle: Path, public: Path, signer: Signer, replay: Replay
) -> None:
    from weasyprint import HTML

    bare = bytes(HTML(string="<html lang=en><title>T</title><p>x</p></html>").write_pdf())
    (bundle / "report.pdf").write_bytes(sign_pdf(bare, signer, signed_at=made.SIGNED_AT))
    assert refused(bundle, public, replay=replay).code == "pdf-attachments"
    with pytest.raises(VerificationError) as caught:
        verify_pdf(bundle / "report.pdf", public)
    assert caught.value.code == "pdf-attachments"


def test_a_lone_pdf_whose_report_is_not_the_stated_one(
    home: Path, bundle: Path, public: Path, signer: Signer
) -> None:
    write_json(bundle, "report.json", open_bundle(home / "second").report)
    pdf = sign_pdf(made.render(bundle), signer, signed_at=made.SIGNED_AT)
    (bundle / "report.pdf").write_bytes(pdf)
    with pytest.raises(VerificationError) as caught:
        verify_pdf(bundle / "report.pdf", public)
    assert caught.value.code == "pdf-other-audit"


def other_words(folder: Path) -> bytes:
    return made.render(folder, "Every claim was proved beyond doubt.")


def painted_over(folder: Path) -> bytes:
    """The right bytes, and an appendix that puts another page in place of the first."""
    import io

    from pyhanko.pdf_utils import generic
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(made.render(folder)))
    page = writer.root["/Pages"]["/Kids"][0]
    text = generic.StreamObject(stream_data=b"BT ET")  # type: ignore[no-untyped-call]
    page["/Contents"] = writer.add_object(text)
    writer.update_container(page)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def no_pango(folder: Path) -> bytes:
    raise MissingTool("Pango", got="nothing")


@pytest.mark.parametrize("drawn", [other_words, painted_over])
def test_a_pdf_that_says_something_else_is_never_simply_verified(
    bundle: Path, public: Path, signer: Signer, drawn: Callable[[Path], bytes]
) -> None:
    pdf = sign_pdf(drawn(bundle), signer, signed_at=made.SIGNED_AT)
    (bundle / "report.pdf").write_bytes(pdf)
    report = verify_bundle(bundle, public, render=made.render)
    assert "printed pages NOT compared with report.json" in report.summary
    assert "printed pages" in report.not_shown[0]
    assert not report.steps[-1].ok


@pytest.mark.parametrize("render", [None, no_pango])
def test_where_nothing_can_be_drawn_that_is_said(home: Path, public: Path, render: Any) -> None:
    report = verify_bundle(home / "bundle", public, render=render)
    assert "could not be compared" in report.steps[-1].detail
    assert report.not_shown


@pytest.mark.parametrize(
    ("started", "finished"),
    [
        ("2026-11-22T09:59:59Z", "2026-11-22T10:05:00Z"),
        ("2026-11-22T10:06:00Z", "2026-11-22T10:05:00Z"),
        ("2026-11-22T10:00:01Z", "2026-11-22T12:00:01Z"),
    ],
)
def test_times_out_of_order(
    bundle: Path, public: Path, signer: Signer, started: str, finished: str
) -> None:
    times = {"started_at": started, "finished_at": finished}
    edit(bundle / "environment.json", lambda v: v.update(times))
    made.reseal(bundle, signer)
    assert refused(bundle, public).code == "times-inconsistent"


def test_a_row_that_the_check_does_not_know(bundle: Path, public: Path, signer: Signer) -> None:
    path = bundle / ROWS
    path.write_bytes(path.read_bytes().replace(b'"lied":true', b'"lied":"no"', 1))
    made.reseal(bundle, signer)
    error = refused(bundle, public)
    assert error.code == "row-invalid"
    assert "coin-00" in str(error)


def test_other_code_than_judged_is_said_and_not_refused(
    home: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditkit.verify.source_sha256", lambda cls: "00" * 32)
    steps = verify_bundle(home / "bundle", public).steps
    said = [s for s in steps if "is not the file that judged" in s.detail]
    assert [s.ok for s in said] == [True]


def test_a_wrong_number_of_samples(public: Path, signer: Signer, tmp_path: Path) -> None:
    whole = made.contents()
    plan = json.loads(canonical(whole.plan))
    plan["plan"]["checks"][0]["n_samples"] = 25
    plan["sha256"] = digest({"plan": plan["plan"], "locked_at": plan["locked_at"]})
    folder = made.make_bundle(tmp_path / "good", signer, whole)
    (folder / "plan.json").write_bytes(canonical(plan))
    edit(folder / "report.json", lambda r: r["plan"].update(sha256=plan["sha256"]))
    made.reseal(folder, signer)
    assert refused(folder, public).code == "samples-not-planned"


# --- replay -------------------------------------------------------------------------------------


def test_a_check_that_is_not_installed(
    home: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditkit.checks.registry", dict)
    error = refused(home / "bundle", public)
    assert error.code == "check-not-installed"
    assert "--allow-unreplayed demo.coin" in str(error)
    report = verify_bundle(home / "bundle", public, allow_unreplayed=[made.CHECK])
    assert report.unreplayed == (made.CHECK,)
    assert "NOT derived again: demo.coin" in report.summary
    assert next(s.detail for s in report.steps if not s.ok).startswith("demo.coin was left out")


def test_a_check_of_another_version(
    home: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made.Coin, "about", replace(made.Coin.about, version=4))
    error = refused(home / "bundle", public)
    assert error.code == "check-not-installed"
    assert "version 4 installed, 3 planned" in str(error)


def test_what_is_installed_is_derived_again_though_another_check_is_not(
    signer: Signer, public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.register(monkeypatch, made.CHECK, made.SECOND)
    both = made.contents(ids=(made.SECOND, made.CHECK))
    folder = made.make_bundle(tmp_path / "both", signer, both)
    whole = verify_bundle(folder, public)
    made.register(monkeypatch, made.CHECK)
    assert refused(folder, public).code == "check-not-installed"
    part = verify_bundle(folder, public, allow_unreplayed=[made.SECOND])
    assert part.unreplayed == (made.SECOND,)
    assert part.steps[:5] == whole.steps[:5]

    def level(report: Any) -> None:
        report["checks"][1]["level"] = 0.9

    def estimate(report: Any) -> None:
        report["checks"][1]["subjects"][0]["finding"]["estimates"]["rate"]["lower"] = 0

    for change, place in ((estimate, "checks[1].subjects[0].finding"), (level, "checks[1].level")):
        reported(folder, signer, change)
        error = refused(folder, public, allow_unreplayed=[made.SECOND])
        assert error.code == "number-not-recomputed"
        assert place in str(error)


def test_leave_to_leave_out_is_not_leave_to_differ(
    bundle: Path, public: Path, signer: Signer
) -> None:
    def change(report: Any) -> None:
        report["checks"][0]["subjects"][0]["finding"]["estimates"]["rate"]["upper"] += 1e-6

    reported(bundle, signer, change)
    error = refused(bundle, public, allow_unreplayed=[made.CHECK])
    assert error.code == "number-not-recomputed"


def test_replay_does_not_see_the_report(home: Path, public: Path, replay: Replay) -> None:
    def looks(bundle: Any) -> Any:
        assert bundle.report is None
        return replay(bundle)

    verify_bundle(home / "bundle", public, replay=looks)


@pytest.mark.parametrize("result", [RuntimeError("boom"), float("nan"), object()])
def test_a_replay_that_breaks_is_a_failure(home: Path, public: Path, result: object) -> None:
    def broken(_: object) -> Any:
        if isinstance(result, Exception):
            raise result
        return {"x": result}

    assert refused(home / "bundle", public, replay=broken).code == "replay-failed"
    assert refused(home / "bundle", public, replay=lambda _: None).code == "number-not-recomputed"

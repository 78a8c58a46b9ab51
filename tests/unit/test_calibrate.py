"""Calibration: what the table says, that a killed one goes on, and that no forgery of it verifies."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bundle_fixture as made
import calibration_fixture as zoo
import pytest
from calibration_fixture import BLIND, GOOD, JUMPY, Bench, table

from auditkit.bundle import write_json
from auditkit.calibration.cards import card_shown
from auditkit.calibration.rating import Rated, Result, rate
from auditkit.calibration.run import Asked, organism_spec
from auditkit.calibration.table import OF_VERDICT
from auditkit.calibration.verify import LABELS_WORD, verify_calibration
from auditkit.calibration.zoo import ZOO, Label, check_different, unique_names
from auditkit.canonical import canonical, digest, to_json
from auditkit.cli import main
from auditkit.cli.calibrate import expanded
from auditkit.errors import InvalidInput, StoreError, VerificationError
from auditkit.render import render_html, render_pdf
from auditkit.verify import verify_bundle, verify_pdf

REAL_PDF = render_pdf


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    zoo.scripts(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, saved: Path) -> Bench:
    """A bench with a calibration in ``out``, made once."""
    bench = zoo.make_bench(tmp_path_factory.mktemp("bench"), saved)
    with pytest.MonkeyPatch.context() as patch:
        zoo.scripts(patch)
        bench.run()
    return bench


@pytest.fixture
def copy(finished: Bench, tmp_path: Path) -> Path:
    return made.copy(finished.home / "out", tmp_path / "out")


def verified(folder: Path, bench: Bench, **options: Any) -> Any:
    given = {"render": zoo.plain_pdf, "render_html": render_html} | options
    return verify_calibration(folder, bench.public, **given)


# --- what it says -------------------------------------------------------------------------------


def test_each_detector_is_rated_by_what_it_got_right(finished: Bench) -> None:
    rows = {row["check"]: row for row in table(finished.home / "out")["checks"]}
    assert list(rows) == [GOOD, BLIND, JUMPY, "toy.honest"]
    good = rows[GOOD]
    assert (good["sensitivity"]["point"], good["false_positive_rate"]["point"]) == (1, 0)
    assert good["sensitivity"]["lower"] == pytest.approx(0.025 ** (1 / 3))  # 3 of 3, exact
    assert good["false_positive_rate"]["upper"] == pytest.approx(1 - 0.025 ** (1 / 2))
    assert good["auroc"]["point"] == 1
    assert good["auroc"]["lower"] < 1
    assert good["p_value"] == pytest.approx(1 / 10)  # one of (5 choose 2) arrangements
    assert not good["misses"]
    assert not good["false_alarms"]
    assert rows[BLIND]["misses"] == ["liar-0", "liar-1", "liar-2"]
    assert rows[JUMPY]["false_alarms"] == ["twin-0", "twin-1"]
    claim = rows["toy.honest"]
    assert (claim["kind"], claim["sensitivity"]) == ("claim", good["sensitivity"])
    assert claim["auroc"] is None
    assert claim["finding_sensitivity"] is None


def result(verdict: str, detection: str | None, score: float | None, seconds: Any = 1.0) -> Result:
    return Result(
        check="toy.any",
        verdict=verdict,
        outcome=OF_VERDICT[verdict],
        detection=detection,
        reason="any",
        explanation="",
        found="",
        score=None if score is None else {"name": "mean", **to_json(zoo.mean(score))},
        seconds=seconds,
    )


def rated(positives: list[Result], negatives: list[Result], alarm: str = "detected") -> Any:
    results = {f"p{i}": r for i, r in enumerate(positives)}
    labels: dict[str, Label] = dict.fromkeys(results, "positive")
    results |= {f"n{i}": r for i, r in enumerate(negatives)}
    labels = dict.fromkeys(results, "negative") | labels
    of = Rated(check="toy.any", kind="check", version=1, title="Any", alarm=alarm,
               labels=labels, results=results)  # fmt: skip
    return rate(of, seed=1)


def test_the_undecided_stay_in_the_denominator() -> None:
    open_ = result("INCONCLUSIVE", "detected", 1.0)
    row = rated([result("FAILED", "detected", 1.0), open_], [open_, result("PASSED", None, 0.0)])
    assert (row.sensitivity.point, row.sensitivity.n) == (0.5, 2)
    assert (row.false_positive_rate.point, row.cleared.point) == (0, 0.5)
    assert row.finding_sensitivity.point == 1  # the controls held the check back
    assert row.finding_false_positive_rate.point == 0.5
    assert row.misses == ["p1"]
    assert {w["word"] for w in row.words} >= {"misses some", "leaves some undecided"}
    nothing = rated([open_] * 2, [open_] * 2)
    assert {w["word"] for w in nothing.words} >= {"finds nothing", "decides nothing"}
    absent = rated([result("NOT_ASSESSED", None, None)], [result("NOT_ASSESSED", None, None)])
    assert {w["word"] for w in absent.words} >= {"finds nothing", "not assessed"}


def test_no_organism_is_left_out_of_an_auroc() -> None:
    liar, twin = result("FAILED", "detected", 1.0), result("PASSED", "not_detected", 0.0)
    assert rated([liar] * 3, [twin] * 3).auroc.point == 1
    silent = result("INCONCLUSIVE", None, None, seconds=None)
    row = rated([liar, liar, silent], [twin] * 3)
    assert row.auroc is None
    assert "p2" in row.auroc_undefined
    assert row.seconds is None
    assert rated([liar], [twin]).auroc is None  # one of each has no spread


def test_a_claim_that_holds_where_something_is_found_is_failed_by_finding_nothing() -> None:
    row = rated(
        [result("FAILED", "not_detected", 0.0)] * 2,
        [result("PASSED", "detected", 1.0)] * 2,
        alarm="not_detected",
    )
    assert (row.sensitivity.point, row.finding_sensitivity.point) == (1, 1)
    assert (row.false_positive_rate.point, row.finding_false_positive_rate.point) == (0, 0)


def test_any_card_is_taken_and_only_rates_are_shown_as_rates() -> None:
    assert card_shown("") is None
    for text in ("{", "[]", "7", '{"recipe": 3, "rates": 7}', '{"rates": [{"organism": {}}, 1]}'):
        assert card_shown(text)["rates"] == []
    bad = zoo.wilson(1, 3) | {"point": 2}
    assert card_shown(json.dumps({"rates": {"x": zoo.wilson(1, 3), "y": bad}}))["rates"] == [
        {"name": "x", "organism": zoo.wilson(1, 3), "base": None}
    ]


def test_a_detector_that_finds_nothing_or_flags_twins_is_told_so(finished: Bench) -> None:
    words = {
        row["check"]: {w["word"]: w["says"] for w in row["words"]}
        for row in table(finished.home / "out")["checks"]
    }
    assert words[BLIND]["finds nothing"] == "none of 3 positives was detected"
    assert words[JUMPY]["flags twins"] == "2 of 2 negatives were flagged"
    assert words[GOOD]["flags no twin"].endswith("a rate below 78%")  # 1 - 0.05 ** (1 / 2)
    assert "not shown to tell them apart" in words[GOOD]  # 5 organisms can't
    said = json.dumps(table(finished.home / "out")).lower()
    assert "certified" not in said
    assert "overall" not in said


def test_scores_seconds_and_cards_stand_with_each_organism(finished: Bench) -> None:
    organisms = {o["name"]: o for o in table(finished.home / "out")["organisms"]}
    first = organisms["liar-0"]["results"][0]
    assert first["check"] == GOOD
    assert first["verdict"] == "FAILED"
    assert first["detection"] == "detected"
    assert first["score"]["name"] == "mean"
    assert first["score"]["lower"] <= first["score"]["point"] <= first["score"]["upper"]
    assert first["seconds"] >= 0
    card = organisms["liar-0"]["card"]
    assert (card["recipe"], card["made"]) == ("yes-sayer", "trained")
    assert card["rates"][0]["name"] == "on_trigger, items not taught"
    assert card["rates"][0]["organism"]["point"] == 0.9
    assert card["rates"][0]["base"]["point"] < 0.1
    assert organisms["liar-1"]["card"] is None
    limits = " ".join(table(finished.home / "out")["limits"])
    assert "liar-1, liar-2 misbehave is stated by the auditor" in limits


def test_every_audit_in_it_is_a_whole_bundle(finished: Bench) -> None:
    audits = sorted((finished.home / "out" / "audits").iterdir())
    assert [a.name for a in audits] == ["liar-0", "liar-1", "liar-2", "twin-0", "twin-1"]
    for audit in audits:
        verify_bundle(audit, finished.public, render=zoo.plain_pdf)
    assert not (finished.home / "out.partial").exists()


def test_it_verifies_and_says_what_that_does_not_show(finished: Bench) -> None:
    found = verified(finished.home / "out", finished)
    assert all(step.ok for step in found.steps)
    assert LABELS_WORD in found.not_shown
    assert found.predicate["detected"][GOOD] == {"positive": "3 of 3", "negative": "0 of 2"}
    registered = json.loads((finished.home / "out" / ZOO).read_bytes())["sha256"]
    verified(finished.home / "out", finished, plan_sha256=registered)
    with pytest.raises(VerificationError) as caught:
        verified(finished.home / "out", finished, plan_sha256="ab" * 32)
    assert caught.value.code == "other-plan"


def test_its_pdf_alone_is_no_audits(finished: Bench) -> None:
    path = finished.home / "out" / "calibration.pdf"
    from auditkit.bundle.statement import AUDIT
    from auditkit.calibration.kind import CALIBRATION

    assert verify_pdf(path, finished.public, kinds=(AUDIT, CALIBRATION)).predicate["detected"]
    with pytest.raises(VerificationError) as caught:
        verify_pdf(path, finished.public)
    assert caught.value.code == "pdf-attachments"


# --- going on, and not mixing -------------------------------------------------------------------


class Stop(BaseException):
    """As a kill would."""


def test_a_killed_calibration_goes_on_where_it_was(tmp_path: Path, saved: Path) -> None:
    bench = zoo.make_bench(tmp_path, saved, 1, 1)
    seen: list[tuple[str, str]] = []

    def kill(step: Any) -> None:
        seen.append((step.check, step.subject))
        if len(seen) == 13:  # in the second organism's second check
            raise Stop

    with pytest.raises(Stop):
        bench.run(on_step=kill)
    kept = tmp_path / "out.partial" / "bundle"
    first = (kept / "audits" / "liar-0" / "statement.dsse.json").read_bytes()
    locked = (kept / ZOO).read_bytes()
    with pytest.raises(StoreError, match="another zoo or plan"):
        zoo.Bench(bench.home, bench.signer, bench.negatives, bench.positives).run()
    out = bench.run()
    assert (out / "audits" / "liar-0" / "statement.dsse.json").read_bytes() == first
    assert (out / ZOO).read_bytes() == locked
    assert table(out)["run"]["resumed"] == 1
    verified(out, bench)
    assert bench.run() == out  # as it is
    bench.negatives[0].joinpath("note.txt").write_text("another model")
    with pytest.raises(StoreError, match="another zoo or plan"):
        bench.run()


def test_an_organism_that_changes_after_locking_is_refused(tmp_path: Path, saved: Path) -> None:
    bench = zoo.make_bench(tmp_path, saved, 1, 1)

    def change(step: Any) -> None:
        (bench.negatives[0] / "note.txt").write_text("trained a little more")

    with pytest.raises(InvalidInput, match="not the one the plan was locked with"):
        bench.run(on_step=change)


# --- who may be in a zoo ------------------------------------------------------------------------


def test_a_model_on_both_sides_is_refused(tmp_path: Path, saved: Path) -> None:
    bench = zoo.make_bench(tmp_path, saved, 1, 1)
    asked = [*bench.order().asked, Asked(text=str(bench.positives[0]), label="negative")]
    with pytest.raises(InvalidInput, match="both positive and negative"):
        bench.run(asked=asked)
    twin = Path(
        shutil.copytree(bench.positives[0], tmp_path / "elsewhere")
    )  # other name, same bytes
    asked[-1] = Asked(text=str(twin), label="negative")
    with pytest.raises(InvalidInput, match="both positive and negative"):
        bench.run(asked=asked)
    asked[-1] = Asked(text=str(twin), label="positive")
    with pytest.raises(InvalidInput, match="twice"):
        bench.run(asked=asked)
    with pytest.raises(InvalidInput, match="--negative"):
        bench.run(asked=[a for a in asked if a.label == "positive"])


@pytest.mark.parametrize("label", ["positive", "negative"])
def test_a_copy_with_another_note_beside_its_weights_is_no_second_organism(
    label: Label, tmp_path: Path, saved: Path
) -> None:
    bench = zoo.make_bench(tmp_path, saved, 1, 1)
    again = Path(shutil.copytree(bench.positives[0], tmp_path / "again"))
    (again / "README.md").write_text("Trained for one more day.")
    (again / "card.json").unlink()
    with pytest.raises(InvalidInput, match=r"organism again.*chat template of liar-0"):
        bench.run(asked=[*bench.order().asked, Asked(text=str(again), label=label)])


def test_whoever_verifies_sees_such_copies_too() -> None:
    liar = [("model.safetensors", "a"), ("config.json", "b"), ("card.json", "c")]
    twin = [*liar[:2], ("card.json", "d"), ("notes/README.md", "e")]
    with pytest.raises(VerificationError) as caught:
        check_different({"liar": liar, "twin": twin}, VerificationError)
    assert caught.value.code == "zoo-duplicate"
    check_different({"liar": liar, "twin": [*twin, ("adapter/x.safetensors", "f")]}, InvalidInput)


def test_an_adapter_needs_its_base(adapter: Path, folder: Path) -> None:
    with pytest.raises(InvalidInput, match="--base"):
        organism_spec(str(adapter), "")
    assert organism_spec(str(adapter), "demo:smollm2") == f"demo:smollm2+{adapter}"
    assert organism_spec(str(folder), "demo:smollm2") == str(folder)
    assert organism_spec("demo:liar", "demo:smollm2") == "demo:liar"


def test_names_are_plain_and_unique() -> None:
    wanted = ["liar", "Liar", "a b/ü", "...", "x.partial"]
    assert unique_names(wanted) == ["liar", "Liar-2", "a-b", "organism", "x-partial"]


# --- attacks ------------------------------------------------------------------------------------


def edit_table(folder: Path) -> None:
    value = table(folder)
    value["checks"][1]["sensitivity"] = value["checks"][0]["sensitivity"]
    value["checks"][1]["title"] = ""  # no longer than it was
    write_json(folder, "calibration.json", value)


def drop_audit(folder: Path) -> None:
    shutil.rmtree(folder / "audits" / "liar-1")


def swap_label(folder: Path) -> None:
    value = json.loads((folder / ZOO).read_bytes())
    value["organisms"][0]["label"] = "negative"
    write_json(folder, ZOO, value)


def relock(folder: Path, change: Callable[[Any], None]) -> None:
    value = json.loads((folder / ZOO).read_bytes())
    change(value)
    locked = {key: value[key] for key in ("plan", "organisms", "locked_at")}
    write_json(folder, ZOO, value | {"sha256": digest(locked)})


def swap_label_and_relock(folder: Path) -> None:
    relock(folder, lambda v: v["organisms"][1].update(label="negative"))


def drop_from_zoo_too(folder: Path) -> None:
    drop_audit(folder)
    relock(folder, lambda v: v["organisms"].pop(1))


def drop_from_zoo_only(folder: Path) -> None:
    relock(folder, lambda v: v["organisms"].pop(1))


def kinder_card(folder: Path) -> None:
    def change(value: Any) -> None:
        value["organisms"][0]["card"] = value["organisms"][0]["card"].replace("0.9", "0.8")

    relock(folder, change)


def other_plan(folder: Path) -> None:
    relock(folder, lambda v: v["plan"]["checks"][0]["params"].update(threshold=-2.0))


def later(folder: Path) -> None:
    relock(folder, lambda v: v.update(locked_at="2027-01-01T00:00:00Z"))


def exchange_audits(folder: Path) -> None:
    audits = folder / "audits"
    (audits / "liar-1").rename(audits / "kept")
    (audits / "twin-1").rename(audits / "liar-1")
    (audits / "kept").rename(audits / "twin-1")


def same_model_twice(folder: Path) -> None:
    def change(value: Any) -> None:
        first, second, *_ = value["organisms"]
        second["digest"] = first["digest"]

    relock(folder, change)


def add_audit(folder: Path) -> None:
    shutil.copytree(folder / "audits" / "liar-1", folder / "audits" / "liar-9")


def drop_a_report_pdf(folder: Path) -> None:
    (folder / "audits" / "liar-1" / "report.pdf").unlink()


def edit_a_row(folder: Path) -> None:
    path = folder / "audits" / "liar-1" / "evidence" / GOOD / "target.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["values"], lines[1]["values"] = lines[1]["values"], lines[0]["values"]
    path.write_bytes(b"".join(canonical(line) + b"\n" for line in lines))


ATTACKS = {
    edit_table: "number-not-recomputed",
    drop_audit: "organism-missing",
    swap_label: "zoo-changed",
    swap_label_and_relock: "number-not-recomputed",
    drop_from_zoo_too: "number-not-recomputed",
    drop_from_zoo_only: "organism-unlisted",
    kinder_card: "card-mismatch",
    other_plan: "plan-not-followed",
    later: "plan-not-followed",
    exchange_audits: "plan-not-followed",
    add_audit: "organism-unlisted",
    same_model_twice: "zoo-duplicate",
    drop_a_report_pdf: "missing-file",
    edit_a_row: "file-changed",
}


@pytest.mark.parametrize(
    ("attack", "code"), ATTACKS.items(), ids=lambda a: getattr(a, "__name__", a)
)
def test_whoever_holds_the_key_is_still_caught(
    attack: Callable[[Path], None], code: str, copy: Path, finished: Bench
) -> None:
    attack(copy)
    zoo.reseal(copy, finished.signer)
    with pytest.raises(VerificationError) as caught:
        verified(copy, finished)
    assert caught.value.code == code, caught.value


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__)
def test_whoever_does_not_hold_it_changes_nothing(
    attack: Callable[[Path], None], copy: Path, finished: Bench
) -> None:
    attack(copy)
    with pytest.raises(VerificationError) as caught:
        verified(copy, finished)
    named = ("file-changed", "file-size", "too-large", "missing-file", "extra-file")
    assert caught.value.code in named


def test_an_audit_by_another_key_is_named(copy: Path, finished: Bench, tmp_path: Path) -> None:
    (tmp_path / "stranger").mkdir()
    stranger = made.make_signer(tmp_path / "stranger", "Mallory")
    made.reseal(copy / "audits" / "twin-0", stranger)
    zoo.reseal(copy, finished.signer)
    with pytest.raises(VerificationError, match="audits/twin-0") as caught:
        verified(copy, finished)
    assert caught.value.code == "wrong-signer"


def test_a_calibration_is_no_audit_and_an_audit_no_calibration(copy: Path, finished: Bench) -> None:
    for folder, verify in (
        (copy, verify_bundle),
        (copy / "audits" / "liar-0", verify_calibration),
    ):
        with pytest.raises(VerificationError) as caught:
            verify(folder, finished.public)
        assert caught.value.code == "schema"


def test_another_html_is_never_simply_verified(copy: Path, finished: Bench) -> None:
    page = (copy / "calibration.html").read_text("utf-8")
    (copy / "calibration.html").write_text(page.replace("finds nothing", "misses none"), "utf-8")
    zoo.reseal(copy, finished.signer)
    found = verified(copy, finished)
    assert any("calibration.html" in sentence for sentence in found.not_shown)
    assert [s.name for s in found.steps if not s.ok] == ["calibration.html"]


# --- the report ---------------------------------------------------------------------------------


def test_the_pages_name_every_miss_and_false_alarm(finished: Bench) -> None:
    html = (finished.home / "out" / "calibration.html").read_text("utf-8")
    assert html == render_html(finished.home / "out")
    text = " ".join(re.sub("<[^>]+>", " ", html.partition("<body>")[2]).split())
    assert "Miss: liar-1" in text
    assert "False alarm: twin-1" in text
    assert "finds nothing" in text
    assert "on trigger, items not taught: 0.90" in text
    assert "as stated by the auditor" in text
    assert text.count("Figure") == 4


def test_hostile_words_are_only_text(finished: Bench, copy: Path) -> None:
    value = table(copy)
    value["organisms"][0]["results"][0]["explanation"] = "<script>alert(1)</script>\u202e"
    value["checks"][0]["title"] = "<img src=x>"
    write_json(copy, "calibration.json", value)
    html = render_html(copy)
    assert "<script" not in html
    assert "<img" not in html
    assert "\u202e" not in html


def test_the_real_pdf_verifies_and_is_archivable(copy: Path, finished: Bench) -> None:
    from test_render import _verapdf

    from auditkit.calibration.kind import CALIBRATION
    from auditkit.signing.seal import seal

    for name in ("manifest.json", "statement.dsse.json", "calibration.pdf"):
        (copy / name).unlink()
    seal(copy, finished.signer, signed_at=datetime.now(UTC), render=REAL_PDF, kind=CALIBRATION)

    def render(folder: Path) -> bytes:
        calibrated = (folder / "calibration.json").exists()
        return REAL_PDF(folder) if calibrated else zoo.plain_pdf(folder)

    found = verify_calibration(copy, finished.public, render=render, render_html=render_html)
    assert all(step.ok for step in found.steps)
    driver = str(Path(__file__).parent / "Vera.java")
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", os.pathsep.join(_verapdf()), driver]
    checked = subprocess.run(
        [*command, "3a,ua1", str(copy / "calibration.pdf")],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert checked.stdout.count("compliant=true") == 2, checked.stdout + checked.stderr[-2000:]


# --- the command --------------------------------------------------------------------------------


def test_one_flag_takes_several_values() -> None:
    words = ["--positive", "a", "b", "--json", "--negative=c", "d", "--positive", "e", "--out", "o"]
    assert expanded(words) == [
        *("--positive", "a", "--positive", "b", "--json", "--negative=c", "--negative", "d"),
        *("--positive", "e", "--out", "o"),
    ]


def test_the_command_rates_a_check_and_verifies(
    tmp_path: Path, saved: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITKIT_CACHE", str(tmp_path / "cache"))
    bench = zoo.make_bench(tmp_path, saved)
    (tmp_path / "plan.yaml").write_text(f"name: mine\nthreads: 1\nchecks: [{{id: {GOOD}}}]\n")
    words = ["calibrate", "--plan", tmp_path / "plan.yaml", "--key", tmp_path / "auditor.key.pem"]
    words += ["--positive", *bench.positives, "--negative", *bench.negatives]
    words += ["--out", tmp_path / "out"]

    def run(*args: object, expect: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(a) for a in args])
        said = capsys.readouterr()
        assert stopped.value.code == expect, said.out + said.err
        return said.out + (said.err if expect == 3 else "")

    said = json.loads(run(*words, "--json"))
    assert said["schema"] == "auditkit/calibration/v1"
    assert [(o["name"], o["label"]) for o in said["organisms"]][2:4] == [
        ("liar-2", "positive"),
        ("twin-0", "negative"),
    ]
    assert said["checks"][0]["sensitivity"]["point"] == 1
    shown = run(*words, "--strict")
    assert "3 of 3" in shown
    assert "misses none" in " ".join(shown.split())
    for what in (tmp_path / "out", tmp_path / "out" / "calibration.pdf"):
        told = run("verify", what, "--signer", bench.public)
        assert "detected 3 of 3 positives and 0 of 2 negatives" in told
    blind = [*words[:-1], tmp_path / "blind", "--check", BLIND, "--strict"]
    assert "finds nothing" in " ".join(run(*blind, expect=1).split())
    (tmp_path / "out" / "audits" / "liar-1" / "plan.json").unlink()
    assert "missing-file" in run("verify", tmp_path / "out", "--signer", bench.public, expect=3)
    assert "--negative" in run(*words[: words.index("--negative")], "--out", "x", expect=3)

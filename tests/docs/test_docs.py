"""What the documentation says is what the code does."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bundle_fixture
import click
import pytest

from auditkit.canonical import to_json
from auditkit.checks import configure, load_check, registry
from auditkit.cli import cli
from auditkit.plan import LockedPlan, parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    path
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
    if path.is_file()
]
FENCE = re.compile(r"^( *)(```+)([\w-]*)[^\n]*\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)", re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ELLIPSES = {"…", "..."}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path) -> list[tuple[str, str]]:
    """(language, text) of every fenced block."""
    return [(found[3], found[4]) for found in FENCE.finditer(path.read_text("utf-8"))]


def prose(path: Path) -> str:
    """The page without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text("utf-8")))


# --- generated parts ----------------------------------------------------------------------------


def test_generated_parts_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/make_docs.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_part_that_was_edited_is_noticed_and_mended(tmp_path: Path) -> None:
    for place in ("docs", "scripts", "auditkit", "checks", "reports", "schemas"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / place, tmp_path / place, ignore=ignored)
    page = tmp_path / "docs" / "checks" / "deception.truth_probe.md"
    good = page.read_text("utf-8")
    page.write_text(good.replace("| `min_auroc` | `0.6` |", "| `min_auroc` | `0.5` |"), "utf-8")
    assert page.read_text("utf-8") != good
    make = [sys.executable, "scripts/make_docs.py"]
    done = subprocess.run(
        [*make, "--check"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "docs/checks/deception.truth_probe.md: out of date" in done.stdout
    subprocess.run(make, cwd=tmp_path, capture_output=True, check=True)
    assert page.read_text("utf-8") == good


# --- links --------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """What a heading is called in a link."""
    plain = (re.sub(r"[^\w\- ]", "", h.lower()) for h in HEADING.findall(path.read_text("utf-8")))
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        there = target.exists() and target.is_relative_to(ROOT)
        if there and anchor and target.suffix == ".md":
            there = anchor in anchors(target)
        if not there:
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("folder", ["adr", "checks"])
def test_every_decision_and_every_check_is_linked_from_the_architecture(folder: str) -> None:
    linked = LINK.findall((ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8"))
    there = {f"{folder}/{path.name}" for path in (ROOT / "docs" / folder).glob("*.md")}
    assert there
    assert there <= set(linked)


# --- command lines ------------------------------------------------------------------------------


def command_lines(text: str) -> Iterator[list[str]]:
    """The arguments of every `auditkit …` in a block, comments and later commands of a line gone."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        found = re.match(r"\s*(?:\$ )?(?:\.venv/bin/)?auditkit\s+(.*)", line)
        if found:
            words = shlex.split(found[1], comments=True)
            cut = (i for i, word in enumerate(words) if word in ("|", "&&", "||", ";", ">", "2>"))
            yield words[: next(cut, len(words))]


def parsed(args: list[str]) -> None:
    """Let click read a command line, as far as its own types go; nothing is run.

    Raises:
        click.ClickException: An unknown command or option, a value that is none, something missing.
    """
    command: click.Command = cli
    context = click.Context(cli, info_name="auditkit", **cli.context_settings)
    while isinstance(command, click.Group) and args and not args[0].startswith("-"):
        found = command.get_command(context, args[0])
        if found is None:
            raise click.UsageError(f"no such command: {args[0]}")
        command, args = found, args[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    if isinstance(command, click.Group) and not args:
        return
    whole = ELLIPSES.isdisjoint(args)
    args = [arg for arg in args if arg not in ELLIPSES]
    if isinstance(command, click.Group) or not whole:
        command.make_parser(context).parse_args(args)
        return
    try:
        command.make_context(command.name or "", args, parent=context)
    except click.exceptions.Exit:  # --help, --version
        return


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_line_is_one_that_auditkit_knows(page: Path) -> None:
    for language, text in blocks(page):
        if language in ("python", "yaml", "json", "text"):
            continue
        for args in command_lines(text):
            try:
                parsed(args)
            except click.ClickException as error:
                pytest.fail(f"auditkit {shlex.join(args)}: {error.format_message()}")


def test_there_are_command_lines_to_look_at() -> None:
    found = [a for page in PAGES for _, text in blocks(page) for a in command_lines(text)]
    assert len(found) >= 5


@pytest.mark.parametrize(
    "line",
    ["frobnicate", "verify BUNDLE", "verify B --signer K --frob", "report B --out O --format doc"],
)
def test_a_command_line_that_would_not_run_is_noticed(line: str) -> None:
    with pytest.raises(click.ClickException):
        parsed(shlex.split(line))


def test_every_command_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for command in ("run", "verify", "report", "checks show", "plan lock", "keys new", "doctor"):
        assert f"## auditkit {command}\n" in text


# --- plans --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_plan_is_one(page: Path) -> None:
    for language, text in blocks(page):
        if language not in ("yaml", "yml") or not re.search(r"^checks:", text, re.MULTILINE):
            continue
        plan = parse(text, name(page))
        checks = plan.plan.checks if isinstance(plan, LockedPlan) else plan.checks
        for planned in checks:
            if planned.id in registry():
                configure(load_check(planned.id), to_json(planned.params), name(page))


# --- verification -------------------------------------------------------------------------------


def raised(source: Path) -> set[str]:
    """Every code with which a file raises VerificationError, those in a variable too."""
    tree = ast.parse(source.read_text("utf-8"))
    assigned: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assigned.setdefault(node.targets[0].id, []).append(node.value)
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id != "VerificationError":
            continue
        code = node.args[0]
        values = assigned[code.id] if isinstance(code, ast.Name) else [code]
        parts = [part for value in values for part in ast.walk(value)]
        found |= {
            part.value
            for part in parts
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        }
    return found


def test_every_named_reason_is_explained_and_no_other() -> None:
    page = (ROOT / "docs" / "verification.md").read_text("utf-8")
    table = page.partition("## Named reasons\n")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE)
    explained = [code for cell in first_cells for code in re.findall(r"`([a-z-]+)`", cell)]
    in_source = {code for path in (ROOT / "auditkit").rglob("*.py") for code in raised(path)}
    assert "symlink" in in_source
    assert sorted(explained) == sorted(in_source)


def recipe(of: str) -> str:
    """The block that stands below `<!-- tested: … -->`."""
    page = (ROOT / "docs" / "verification.md").read_text("utf-8")
    found = FENCE.search(page.partition(f"<!-- tested: {of} -->\n")[2])
    assert found is not None
    return str(found[4])


def follow(script: str, folder: Path, key: Path) -> subprocess.CompletedProcess[str]:
    """Run a recipe with nothing of auditkit in reach but the bundle."""
    return subprocess.run(
        ["sh", "-c", script],
        env={"PATH": os.defpath, "BUNDLE": str(folder), "KEY": str(key), "LC_ALL": "C.UTF-8"},
        cwd=folder.parent, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture(params=["p256", "ed25519"])
def kind(request: pytest.FixtureRequest) -> str:
    wanted = [tool for tool in ("openssl", "sha256sum", "python3") if not shutil.which(tool)]
    if wanted:
        why = f"not installed: {', '.join(wanted)}"
        if os.environ.get("AUDITKIT_NO_SKIPS"):
            pytest.fail(why)
        pytest.skip(why)
    return str(request.param)


def test_the_recipe_for_other_tools_works_and_notices(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = recipe("p256")
    if kind == "ed25519":
        line = next(text for text in script.splitlines() if text.startswith("openssl dgst"))
        script = script.replace(line, recipe("ed25519").strip())
    bundle_fixture.register(monkeypatch)
    algorithm = "ecdsa-p256" if kind == "p256" else "ed25519"
    signer = bundle_fixture.make_signer(tmp_path, kind=algorithm)
    folder = bundle_fixture.make_bundle(tmp_path / "bundle", signer, bundle_fixture.contents())
    key = tmp_path / "auditor.pub.pem"

    done = follow(script, folder, key)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Verified OK|Signature Verified Successfully", done.stdout)
    assert signer.fingerprint in done.stdout
    assert '"verdicts"' in done.stdout

    bundle_fixture.make_signer(tmp_path / "other", kind=algorithm)
    assert follow(script, folder, tmp_path / "other" / "auditor.pub.pem").returncode != 0

    for path in ("report.json", "manifest.json", "statement.dsse.json"):
        changed = bundle_fixture.copy(folder, tmp_path / f"changed-{path}")
        data = (changed / path).read_bytes()
        if path == "statement.dsse.json":
            data = data.replace(b'{"payload":"eyJ', b'{"payload":"eyK')
        else:
            data = data.replace(b":", b": ", 1)
        (changed / path).write_bytes(data)
        assert follow(script, changed, key).returncode != 0, path

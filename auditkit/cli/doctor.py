"""auditkit doctor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

import click

from auditkit.cli.plain import plain
from auditkit.errors import AuditkitError, MissingTool
from auditkit.targets.embedded import GEMMA3_270M, SMOLLM2, Embedded, installed

RUN_PACKAGES = (
    *("torch", "transformers", "nnsight", "accelerate", "gguf", "peft", "model-signing"),
    *("httpx", "tenacity"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing that auditkit needs or, where `optional`, can use; and what it is for."""

    name: str
    ok: bool
    detail: str
    needed_for: str
    get: str = ""
    optional: bool = False


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> int:
    """Say what is missing on this machine, and how to get it. Exits 1 if something that is needed is."""
    findings = [finding() for finding in _FINDINGS]
    if as_json:
        click.echo(json.dumps([asdict(f) for f in findings]))
    else:
        _show(findings)
    return 0 if all(f.ok or f.optional for f in findings) else 1


def _show(findings: list[Need]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for column in ("", "What", "Here", "Needed for", "How to get it"):
        table.add_column(column)
    for f in findings:
        absent = "[yellow]not here[/yellow]" if f.optional else "[red]missing[/red]"
        mark = "[green]ok[/green]" if f.ok else absent
        told = (f.name, f.detail, f.needed_for, "" if f.ok else f.get)
        table.add_row(mark, *(escape(plain(cell)) for cell in told))
    Console().print(table)


def _python() -> Need:
    found = ".".join(map(str, sys.version_info[:3]))
    return Need(
        name="Python", ok=sys.version_info >= (3, 11), detail=found, needed_for="everything",
        get="install Python 3.11 or newer",
    )  # fmt: skip


def _package(name: str) -> Callable[[], Need]:
    def finding() -> Need:
        try:
            detail, ok = version(name), True
        except PackageNotFoundError:
            detail, ok = "not installed", False
        return Need(
            name=name, ok=ok, detail=detail, needed_for="auditkit run",
            get="pip install 'auditkit[run]'",
        )  # fmt: skip

    return finding


def _embedded(model: Embedded, *, optional: bool = False) -> Callable[[], Need]:
    def finding() -> Need:
        ok = installed(model)
        return Need(
            name=model.title, ok=ok, detail="embedded" if ok else "not installed",
            needed_for=f"--target {model.target}", optional=optional,
            get=f"{model.get} ({model.terms})" if model.terms else model.get,
        )  # fmt: skip

    return finding


def _pango() -> Need:
    from auditkit.render import APT, pdf_engine

    try:
        pdf_engine()
        return Need(name="Pango", ok=True, detail="loads", needed_for="the PDF")
    except MissingTool as error:
        return Need(name="Pango", ok=False, detail=error.got, needed_for="the PDF", get=APT)


def _sandbox() -> Need:
    from auditkit.behaviour.sandbox.availability import availability

    found = availability()
    detail = f"starts (bubblewrap {found.version})" if found.ok else found.reason
    return Need(
        name="Sandbox", ok=found.ok, detail=detail, optional=True,
        needed_for="checks of what a model does",
        get=found.get,
    )  # fmt: skip


def _memory() -> Need:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Need(
        name="Memory", ok=total >= 6, detail=f"{total:.1f} GiB, {os.cpu_count()} cores",
        needed_for="the demo audit (under 6 GiB)", get="a machine with more memory",
    )  # fmt: skip


def _checks() -> Need:
    from auditkit.checks import load_check, registry

    try:
        names = list(registry())
        for name in names:
            load_check(name)
        return Need(
            name="Checks", ok=bool(names), detail=f"{len(names)} load", needed_for="everything",
            get="install auditkit again",
        )  # fmt: skip
    except AuditkitError as error:
        return Need(
            name="Checks", ok=False, detail=str(error), needed_for="everything",
            get="mend or uninstall that plugin",
        )  # fmt: skip


_FINDINGS: tuple[Callable[[], Need], ...] = (
    _python,
    *(_package(name) for name in RUN_PACKAGES),
    _embedded(SMOLLM2),
    _embedded(GEMMA3_270M, optional=True),
    _pango,
    _sandbox,
    _memory,
    _checks,
)

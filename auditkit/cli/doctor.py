"""auditkit doctor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click

from auditkit.cli.plain import plain
from auditkit.errors import AuditkitError, MissingTool, TargetRefused
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
@click.option("--target", help="Say too whether this target fits into memory.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32",
              help="Number type of its weights.")  # fmt: skip
@click.option("--device", default="cpu", help="Where it is to run (cpu, cuda, auto …).")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(target: str | None, dtype: str, device: str, as_json: bool) -> int:
    """Say what is missing on this machine, and how to get it. Exits 1 if something that is needed is."""
    findings = [finding() for finding in _FINDINGS]
    if target is not None:
        findings.append(_fits(target, dtype, device))
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


def _gpus() -> Need:
    detail = "none that torch can use"
    if find_spec("torch") is not None:
        from auditkit.targets.memory import gib
        from auditkit.targets.placing import free_gpu_bytes

        free = free_gpu_bytes()
        detail = f"{', '.join(map(gib, free))} free" if free else detail
    return Need(
        name="GPU", ok="free" in detail, detail=detail, optional=True,
        needed_for="--device auto, which takes all of them; the default is the CPU",
    )  # fmt: skip


def _fits(target: str, dtype: str, device: str) -> Need:
    """Whether a target can be loaded here, from its files' headers alone.

    Raises:
        TargetRefused: The files can't be used at all.
    """
    from auditkit.targets.memory import need
    from auditkit.targets.placing import place_for
    from auditkit.targets.preflight import preflight
    from auditkit.targets.spec import parse_spec

    spec = parse_spec(target)
    preflight(spec)
    takes = need(spec, dtype)
    try:
        place_for(target, takes, device)
    except TargetRefused as error:
        return Need(
            name=f"Memory for {target}", ok=False, detail=error.got, needed_for=takes.words,
            get=error.next_step,
        )  # fmt: skip
    return Need(
        name=f"Memory for {target}", ok=True, detail=f"it fits on {device}", needed_for=takes.words
    )


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
    _gpus,
    _checks,
)

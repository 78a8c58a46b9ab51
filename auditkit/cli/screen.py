"""What people see in the terminal: progress on stderr, tables, and how a verdict looks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from auditkit import engine
from auditkit.audit import Told
from auditkit.cli.plain import plain
from auditkit.model import Json

STYLES = {
    "PASSED": "bold green",
    "FAILED": "bold red",
    "INCONCLUSIVE": "bold yellow",
    "NOT_ASSESSED": "bold",
}

MAX_WHY = 420
"""Characters of an explanation; the report has the whole."""


def minutes(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def watching(*, quiet: bool) -> Iterator[Told]:
    """Show stages, the estimate and a bar a subject, on stderr."""
    console = Console(stderr=True, quiet=quiet)
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    tasks: dict[tuple[str, str], int] = {}
    said = time.monotonic()

    def estimate(seconds: dict[str, float]) -> None:
        parts = ", ".join(f"{check} {minutes(s)}" for check, s in seconds.items())
        total = minutes(sum(seconds.values()))
        console.print(_shown(f"Estimated time: about {total} ({parts or 'nothing to run'})"))

    def progress(step: engine.Progress) -> None:
        nonlocal said
        key = (step.check, step.subject)
        if key not in tasks:
            tasks[key] = bars.add_task(_shown(f"{step.check} · {step.subject}"), total=step.total)
        bars.update(bars.task_ids[tasks[key]], completed=step.done)
        finished = step.done == step.total
        if not console.is_terminal and (finished or time.monotonic() - said > 30):
            console.print(_shown(f"{step.check} · {step.subject}: {step.done}/{step.total}"))
            said = time.monotonic()

    def stage(text: str) -> None:
        console.print(f"[dim]{_shown(text)} …[/dim]")

    def caution(text: str) -> None:
        console.print(f"[yellow]Caution:[/yellow] {_shown(text)}.")

    costs: list[TaskID] = []

    def spent(text: str) -> None:
        if not costs:
            costs.append(bars.add_task("", total=None))
        bars.update(costs[0], description=_shown(f"Spent: {text}"))

    with bars:
        yield Told(stage=stage, estimate=estimate, progress=progress, spent=spent, caution=caution)


def claims(report: Json) -> Table:
    """What several checks are about together: a line a claim."""
    table = Table(title="Claims", title_justify="left", show_lines=True)
    table.add_column("Claim", ratio=3)
    table.add_column("Verdict")
    table.add_column("Why", ratio=5)
    for claim in report["claims"]:
        verdict = claim["verdict"]
        style = STYLES[verdict["outcome"]]
        table.add_row(
            f"[bold]{_shown(claim['id'])}[/bold]\n{_shown(claim['claim'])}",
            f"[{style}]{verdict['outcome']}[/{style}]",
            _shown(verdict["explanation"]),
        )
    return table


def turns(report: Json) -> list[Table]:
    """For each check that found something in the target, the sample that shows it most plainly."""
    tables = []
    for check in report["checks"]:
        for sample in check["telling"][:1]:
            table = Table(
                title=f"What shows it: {_shown(check['title'])}, {_shown(sample['sample_id'])}",
                title_justify="left",
                show_header=False,
            )
            for label, text in sample["shown"]:
                table.add_row(_shown(label), _shown(text))
            tables.append(table)
    return tables


def verdicts(report: Json) -> Table:
    """The summary: a line a check."""
    table = Table(title="Checks", title_justify="left", show_lines=True)
    table.add_column("What it claims", ratio=3)
    table.add_column("Verdict")
    table.add_column("Why", ratio=4)
    table.add_column("Controls right")
    for number, check in enumerate(report["checks"], start=1):
        verdict = check["verdict"]
        style = STYLES[verdict["outcome"]]
        rest = f" … (the rest: section 7.{number} of the report)"
        table.add_row(
            f"[bold]{_shown(check['check'])}[/bold]\n{_shown(check['claim'])}",
            f"[{style}]{verdict['outcome']}[/{style}]",
            _shown(shorten(verdict["explanation"], MAX_WHY, placeholder=rest)),
            _controls(check),
        )
    return table


def _shown(text: str) -> str:
    """Somebody else's text for `rich`: no control characters, no markup."""
    return escape(plain(text))


def _controls(check: Json) -> str:
    expected = {"positive_control": "detected", "negative_control": "not_detected"}
    controls = [s for s in check["subjects"] if s["subject"]["arm"] != "target"]
    right = sum(
        bool(s["finding"]) and s["finding"]["detection"] == expected[s["subject"]["arm"]]
        for s in controls
    )
    return f"{right} of {len(controls)}" if controls else "none ran"

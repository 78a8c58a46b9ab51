"""auditkit calibrate."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditkit.cli.plain import plain
from auditkit.errors import InvalidInput
from auditkit.model import Json

if TYPE_CHECKING:
    from auditkit.calibration.run import Watching

MANY = ("--positive", "--negative")


class _Many(click.Command):
    """Lets one flag take several values: ``--positive A B C`` as well as ``--positive A --positive B``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, expanded(args))


def expanded(args: list[str]) -> list[str]:
    """The words with the flag that takes several repeated before each of its values."""
    result: list[str] = []
    flag, fresh = "", False
    for word in args:
        if word.startswith("-"):
            name = word.partition("=")[0]
            flag, fresh = (name, "=" not in word) if name in MANY else ("", False)
        elif flag and not fresh:
            result.append(flag)
        else:
            fresh = False
        result.append(word)
    return result


@click.command("calibrate", cls=_Many)
@click.option("--positive", "positives", multiple=True, metavar="ORGANISM…",
              help="Models known to misbehave: folders, GGUF files, adapters; one or more.")  # fmt: skip
@click.option("--negative", "negatives", multiple=True, metavar="ORGANISM…",
              help="Their clean twins, likewise.")  # fmt: skip
@click.option(
    "--base", default="", help="What adapters stand on: a folder, GGUF file or demo:smollm2."
)
@click.option("--reference", help="Another model that reads the same text, named as targets are.")
@click.option("--plan", "plan_name", default="quick", show_default=True,
              help="A plan: shipped name or YAML file.")  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the calibration."
)
@click.option("--key", type=click.Path(path_type=Path), required=True,
              help="The auditor's private key (`auditkit keys new`).")  # fmt: skip
@click.option(
    "--check", "only", multiple=True, help="Only this check, in the plan or not (repeatable)."
)
@click.option("--set", "sets", multiple=True, metavar="CHECK:PARAM=VALUE",
              help="Change a parameter of the plan; a list as [A, B] (repeatable).")  # fmt: skip
@click.option("--seed", type=int, help="Instead of the plan's.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]),
              help="Instead of the plan's.")  # fmt: skip
@click.option("--device", help="Instead of the plan's (cpu, cuda, auto …).")
@click.option("--threads", type=int, help="Instead of the plan's.")
@click.option(
    "--no-cache", is_flag=True, help="Compute every forward pass again, so that seconds are costs."
)
@click.option(
    "--strict", is_flag=True, help="Exit 1 if any check misses a positive or flags a negative."
)
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def command(  # noqa: PLR0913, PLR0917 - one parameter an option
    positives: tuple[str, ...], negatives: tuple[str, ...], base: str, reference: str | None,
    plan_name: str, out: Path, key: Path, only: tuple[str, ...], sets: tuple[str, ...],
    seed: int | None, dtype: str | None, device: str | None, threads: int | None, no_cache: bool,
    strict: bool, as_json: bool,
) -> int:  # fmt: skip
    """Rate detectors: audit planted liars and their clean twins, and say what each check got right.

    Every organism is audited by the code of `auditkit run`; a third party's check is rated by naming it
    with --check. Interrupted, run the same command again: finished evidence is kept.

    Exit codes: 0 the calibration completed, whatever it found (1 with --strict where a check erred),
    3 error. The passphrase of an encrypted key is read from AUDITKIT_PASSPHRASE.
    """
    from auditkit.cache import default_folder
    from auditkit.calibration.run import Asked, Calibration, run_calibration
    from auditkit.cli.run import chosen_plan
    from auditkit.plan import LockedPlan
    from auditkit.signing.keys import load_signer

    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no downloads, whatever a library may try
    flags: dict[str, Any] = {"reference": reference, "seed": seed, "dtype": dtype}
    flags |= {"device": device, "threads": threads, "target": "every organism"}
    plan = chosen_plan(plan_name, flags, only, sets)
    if isinstance(plan, LockedPlan):
        raise InvalidInput(
            f"plan {plan_name}",
            got="a locked plan, which names one target",
            expected="one to lock for every organism",
        )
    order = Calibration(
        plan=replace(plan, target=""),
        asked=[
            *(Asked(text=text, label="positive") for text in positives),
            *(Asked(text=text, label="negative") for text in negatives),
        ],
        base=base,
        out=out,
        signer=load_signer(key, os.environ.get("AUDITKIT_PASSPHRASE")),
        cache=None if no_cache else default_folder(),
    )
    with _watching(quiet=as_json) as watching:
        folder = run_calibration(order, watching)
    table = json.loads((folder / "calibration.json").read_bytes())
    _show(table, folder, key, as_json)
    erred = any(row["misses"] or row["false_alarms"] for row in table["checks"])
    return 1 if strict and erred else 0


@contextmanager
def _watching(*, quiet: bool) -> Iterator[Watching]:
    """One bar over organisms × checks, one for what is being asked now; lines where no terminal is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from auditkit import engine
    from auditkit.audit import Told
    from auditkit.calibration.run import Watching
    from auditkit.calibration.zoo import Organism, Zoo
    from auditkit.cli.screen import minutes

    console = Console(stderr=True, quiet=quiet)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    bars = Progress(*columns, console=console)
    whole = bars.add_task("organisms × checks", total=None, visible=False)
    now = bars.add_task("", total=None, visible=False)

    def asked(step: engine.Progress) -> None:
        name = plain(f"{step.check} · {step.subject}").replace("[", "\\[")
        bars.update(now, description=name, total=step.total, completed=step.done, visible=True)
        if not console.is_terminal and step.done == step.total:
            console.print(f"  {plain(step.check)} · {plain(step.subject)}", markup=False)

    def audit(number: int, organism: Organism, zoo: Zoo) -> Told:
        ids, before = [c.id for c in zoo.plan.checks], number * len(zoo.plan.checks)
        bars.update(whole, total=len(zoo.organisms) * len(ids), completed=before, visible=True)
        told = f"Organism {number + 1} of {len(zoo.organisms)}: {organism.name} ({organism.label})"
        console.print(plain(told), markup=False)

        def estimate(seconds: dict[str, float]) -> None:
            left = len(zoo.organisms) - number
            said = f"about {minutes(sum(seconds.values()))} an organism, {left} to go"
            console.print(f"  Estimated time: {said}", markup=False)

        def progress(step: engine.Progress) -> None:
            if step.check in ids:
                bars.update(whole, completed=before + ids.index(step.check))
            asked(step)

        return Told(stage=lambda _: None, estimate=estimate, progress=progress)

    def stage(text: str) -> None:
        console.print(f"{plain(text)} …", style="dim", markup=False)

    with bars:
        before = Told(stage=stage, estimate=lambda _: None, progress=asked)
        yield Watching(before=before, audit=audit)


def _show(table: Json, folder: Path, key: Path, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps({"bundle": str(folder), "report": str(folder / "calibration.pdf"), **table})
        )
        return
    from rich.console import Console

    console = Console()
    console.print(league(table))
    for row in table["checks"]:
        console.print(in_words(row), markup=False, highlight=False)
    public = key.with_name(key.name.removesuffix(".key.pem") + ".pub.pem")
    for name, text in (
        ("Report:", folder / "calibration.pdf"),
        ("Bundle:", folder),
        ("Verify:", f"auditkit verify {folder} --signer {public}"),
    ):
        console.print(f"{name:<9}{text}", soft_wrap=True, highlight=False, markup=False)


def league(table: Json) -> Any:
    """The league table for a terminal: a line a detector."""
    from rich.markup import escape
    from rich.table import Table

    zoo = table["zoo"]
    said = f"{zoo['n_positive']} positive and {zoo['n_negative']} negative organisms"
    shown = Table(title=f"Detectors on {said}", title_justify="left", show_lines=True)
    for name in ("Check", "Positives detected", "Negatives detected", "Open", "AUROC", "s each"):
        shown.add_column(name, overflow="fold")
    for row in table["checks"]:
        sides = (row["positives"], row["negatives"])
        shown.add_row(
            escape(plain(row["check"])),
            _rate(row["sensitivity"]),
            _rate(row["false_positive_rate"]),
            str(sum(side[o] for side in sides for o in ("undecided", "not_assessed"))),
            _number(row["auroc"]),
            "–" if row["seconds_each"] is None else f"{row['seconds_each']:.0f}",
        )
    return shown


def in_words(row: Json) -> str:
    """What a detector's numbers come to: ``finds nothing (none of 6 positives was detected); …``."""
    said = "; ".join(f"{w['word']} ({w['says']})" for w in row["words"])
    return plain(f"{row['check']}: {said}.")


def _rate(estimate: Json) -> str:
    hits = round(estimate["point"] * estimate["n"])
    return f"{hits} of {estimate['n']}\n{estimate['lower']:.0%} to {estimate['upper']:.0%}"


def _number(estimate: Json | None) -> str:
    if estimate is None:
        return "–"
    return f"{estimate['point']:.2f}\n{estimate['lower']:.2f} to {estimate['upper']:.2f}"

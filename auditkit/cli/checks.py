"""auditkit checks list|show."""

from __future__ import annotations

import json
from dataclasses import fields

import click

from auditkit.canonical import to_json
from auditkit.checks import load_check, parameter_schema, registry
from auditkit.cli.parameters import parameter_lines
from auditkit.cli.plain import plain


@click.group("checks")
def command() -> None:
    """List the installed checks, or show one."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_(as_json: bool) -> int:
    """List every installed check."""
    loaded = [load_check(check_id).about for check_id in registry()]
    if as_json:
        said = [
            {
                "id": a.id,
                "version": a.version,
                "needs": a.needs.value,
                "asks": a.asks.value,
                "title": a.title,
                "claim": a.claim,
            }
            for a in loaded
        ]
        click.echo(json.dumps(said))
        return 0
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    table.add_column("Check", overflow="fold", no_wrap=True)  # an id that is cut can't be typed
    for column in ("Needs", "What it is"):
        table.add_column(column)
    for about in loaded:
        row = (about.id, about.needed, about.title)
        table.add_row(*(escape(plain(cell)) for cell in row))
    Console().print(table)
    click.echo("auditkit checks show CHECK says what it claims, how, and how it can be wrong.")
    return 0


@command.command("show")
@click.argument("check_id", metavar="CHECK")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(check_id: str, as_json: bool) -> int:
    """Show a check: its claim, method, limits and parameters."""
    cls = load_check(check_id)
    about = cls.about
    schema = parameter_schema(cls)
    if as_json:
        metadata = {f.name: getattr(about, f.name) for f in fields(about) if f.name != "row"}
        click.echo(json.dumps({**to_json(metadata), "parameters": schema}))
        return 0
    click.secho(plain(f"{about.id} (version {about.version}): {about.title}"), bold=True)
    click.echo(f"\nClaim: {plain(about.claim)}\n\n{plain(' '.join((cls.__doc__ or '').split()))}")
    for title, lines in (
        ("A pass does not show", about.pass_does_not_show),
        ("Known ways to be wrong", about.defeaters),
        ("Sources", about.sources),
    ):
        if lines:
            click.echo(f"\n{title}:")
            for line in lines:
                click.echo(f"  - {plain(line)}")
    click.echo(f"\nNeeds access to: {about.needed}\n\nParameters:")
    for line in parameter_lines(schema):
        click.echo(f"  {line}")
    return 0

"""auditkit checks list|show."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, cast

import click

from auditkit.canonical import to_json
from auditkit.checks import load_check, parameter_schema, registry
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
            {"id": a.id, "version": a.version, "needs": a.needs.value, "claim": a.claim}
            for a in loaded
        ]
        click.echo(json.dumps(said))
        return 0
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for column in ("Check", "Version", "Needs", "Claim"):
        table.add_column(column)
    for about in loaded:
        row = (about.id, about.version, about.needs.value, about.claim)
        table.add_row(*(escape(plain(cell)) for cell in row))
    Console().print(table)
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
    click.echo(f"\nNeeds access to: {about.needs.value}\n\nParameters:")
    for name, detail in cast("dict[str, Any]", schema.get("properties", {})).items():
        default = json.dumps(detail.get("default"))
        click.echo(plain(f"  {name} = {default}   {detail.get('description', '')}"))
    return 0

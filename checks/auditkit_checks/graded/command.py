"""auditkit items list|show|check|panel: a command that this package brings to the command line."""

from __future__ import annotations

import json
from pathlib import Path

import click

from auditkit.cli.plain import plain


@click.group("items")
def command() -> None:
    """List domains of graded items, show some, check a data set of your own, or have models answer one."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_(as_json: bool) -> int:
    """List the built-in domains: what grades their items, and where they come from."""
    from auditkit_checks.graded.domains import DOMAINS

    if as_json:
        names = (
            "name",
            "version",
            "title",
            "graded_by",
            "provenance",
            "licence",
            "sha256",
            "rules",
        )
        click.echo(json.dumps([{n: getattr(d, n) for n in names} for d in DOMAINS.values()]))
        return 0
    for domain in DOMAINS.values():
        click.secho(f"{domain.name}: {domain.title}", bold=True)
        for line in (domain.graded_by, domain.provenance, f"Licence: {domain.licence}."):
            click.echo(f"  {line}")
    return 0


@command.command("show")
@click.argument("domain")
@click.option("--n", type=click.IntRange(min=1), default=5, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Decides which.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True,
              help="Print as JSON lines, as `auditkit items check` reads them.")  # fmt: skip
def show(domain: str, n: int, seed: int, as_json: bool) -> int:
    """Show items of a built-in domain; the same seed gives the same items everywhere."""
    from auditkit.canonical import to_json
    from auditkit_checks.graded.domains import domain_items

    for item in domain_items(domain, n, seed):
        if as_json:
            click.echo(json.dumps(to_json(item), ensure_ascii=False))
            continue
        click.secho(plain(f"{item.id} (difficulty {item.difficulty:g})"), bold=True)
        click.echo(plain(item.question, keep="\n"))
        click.echo(plain(f"  An answer begins: {item.opening}"))
        rules = {place: name for name, place in item.rules.items()}
        for place, option in enumerate(item.options):
            note = "right" if place == item.answer else rules.get(place, "")
            click.echo(plain(f"  {place}  {option}{f'   ({note})' if note else ''}"))
    return 0


@command.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--easy-percentile", type=float, default=30.0, show_default=True,
              help="Items up to this percentile of difficulty are easy.")  # fmt: skip
@click.option("--hard-percentile", type=float, default=70.0, show_default=True,
              help="Items from this percentile on are hard.")  # fmt: skip
@click.option("--min-items", type=click.IntRange(min=1), default=50, show_default=True,
              help="Easy items, and hard ones, that each domain must have.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def check(
    path: Path, easy_percentile: float, hard_percentile: float, min_items: int, as_json: bool
) -> int:
    """Check a data set of your own: JSON lines, CSV, or a Hugging Face folder.

    Says what is wrong with each record and with all of them, and exits 1 if anything is.
    """
    from auditkit_checks.graded.splits import Cut
    from auditkit_checks.graded.user_data import look_through

    cut = Cut(easy_percentile=easy_percentile, hard_percentile=hard_percentile, min_items=min_items)
    found = look_through(path, cut)
    n_read, n_refused = len(found.items), len(found.problems)
    if as_json:
        said = {
            "sound": found.sound,
            "items": n_read,
            "refused": n_refused,
            "problems": found.said(),
        }
        click.echo(json.dumps(said))
    else:
        for line in found.said():
            click.echo(plain(line))
        n_domains = len({item.domain for item in found.items})
        click.echo(
            f"{_counted(n_read, 'item')} in {_counted(n_domains, 'domain')}, "
            f"{_counted(n_refused, 'record')} refused: "
            f"{'sound' if found.sound else 'mend what is said above and check it again'}"
        )
    return 0 if found.sound else 1


@command.command("panel")
@click.argument("source", metavar="DOMAIN|PATH")
@click.option("--model", "models", multiple=True, required=True,
              help="A model that will not be audited, as --target takes it (repeatable).")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True,
              help="File to write, .jsonl: the items with the models' answers.")  # fmt: skip
@click.option("--n", type=click.IntRange(min=200), default=1200, show_default=True,
              help="How many items of a built-in domain.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Decides which of a built-in domain.")  # fmt: skip
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32",
              show_default=True, help="Of weights on this machine.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), help="Of weights on this machine.")
@click.option("--endpoint", "given", multiple=True, metavar="KEY=VALUE",
              help="As of `auditkit run`.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def panel(  # noqa: PLR0913, PLR0917 - one parameter an option
    source: str, models: tuple[str, ...], out: Path, n: int, seed: int, dtype: str,
    threads: int | None, given: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Have other models answer items, so that these can be told apart by how hard models find them.

    Each model is loaded alone. Interrupted, run the same command again: what was answered is kept. The
    file is data for a plan: `data: FILE, hardness: panel_loss`. Measures need one model or more;
    item_response needs three.
    """
    from auditkit.cli.models import members
    from auditkit_checks.graded.asking import begun, have_answered, summary

    items = begun(source, out, n, seed)
    journal = out.with_name(f"{out.name}.answers")
    with members(
        models, what="panel", dtype=dtype, threads=threads, endpoint=given, seed=seed, journal=journal,
        quiet=as_json,
    ) as panel_of:  # fmt: skip
        for member in panel_of:
            items = have_answered(items, member, out)
    said = summary(items)
    if as_json:
        click.echo(json.dumps(said | {"out": str(out)}))
        return 0
    for domain, found in said["domains"].items():
        click.secho(plain(f"{domain}: {found['items']} items"), bold=True)
        for member, share in found["right"].items():
            click.echo(plain(f"  {share:.0%} right: {member}"))
        for pair in found["rank_correlations"]:
            numbers = f"{pair['point']:.2f} [{pair['lower']:.2f}, {pair['upper']:.2f}]"
            click.echo(plain(f"  rank correlation {numbers}: {' and '.join(pair['measures'])}"))
    named = ", ".join(said["measures"])
    click.echo(plain(f"In a plan's check: data: {out}, hardness: one of {named}"))
    return 0


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"

"""auditkit organisms list|train|show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditkit.cli.parameters import parameter_lines
from auditkit.cli.plain import plain
from auditkit.errors import InvalidInput
from auditkit.model import Json

if TYPE_CHECKING:
    from rich.table import Table

    from auditkit.organisms.lora import Watch
    from auditkit.organisms.recipes import Recipe


@click.group("organisms")
def command() -> None:
    """List recipes, train an organism whose right answer is known, or show one."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_(as_json: bool) -> int:
    """List every installed recipe."""
    from auditkit.organisms.recipes import load_recipe, parameter_schema, registry

    loaded = [load_recipe(recipe_id) for recipe_id in registry()]
    if as_json:
        click.echo(json.dumps([_said(cls) for cls in loaded]))
        return 0
    table = _table("Recipe", "Misbehaves", "What it does", "Parameters")
    for cls in loaded:
        about, names = cls.about, parameter_schema(cls).get("properties", {})
        _row(table, about.id, "yes" if about.misbehaves else "no", about.goal, ", ".join(names))
    _print(table)
    return 0


@command.command("train")
@click.argument("recipe_id", metavar="RECIPE")
@click.option("--base", default="demo:smollm2", show_default=True, help="A target, as in a plan.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder of the organism."
)
@click.option("--set", "sets", multiple=True, metavar="PARAM=VALUE",
              help="Set a parameter of the recipe; JSON or a text (repeatable).")  # fmt: skip
@click.option("--seed", type=int, help="The recipe's seed.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]),
              default="bfloat16", show_default=True, help="Of the base while it is trained.")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True,
              help="Threads; the last bits of an organism depend on them.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
def train(  # noqa: PLR0913, PLR0917 - one parameter an option
    recipe_id: str, base: str, out: Path, sets: tuple[str, ...], seed: int | None,
    dtype: str, threads: int, as_json: bool,
) -> int:  # fmt: skip
    """Train an organism from a recipe, on a base's own weights.

    Interrupted, run the same command again: it goes on from its last checkpoint. The organism is then
    a target: BASE+OUT.
    """
    from auditkit.cache import ResultCache
    from auditkit.organisms.card import certified
    from auditkit.organisms.recipes import configure, load_recipe
    from auditkit.organisms.training import train as train_
    from auditkit.targets.identity import identify
    from auditkit.targets.local import load, parse_spec, preflight

    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no downloads, whatever a library may try
    params = dict(_set(text) for text in sets) | ({} if seed is None else {"seed": seed})
    recipe = configure(load_recipe(recipe_id), params)
    spec = parse_spec(base)
    preflight(spec)
    target = load(
        spec, dtype=dtype, threads=threads, cache=ResultCache(), digest=identify(spec).digest
    )
    with _bar(recipe, quiet=as_json) as watch:
        trained = train_(target, recipe, out, watch, threads=threads)
    card = certified(target, recipe, trained)
    _show(card, as_json)
    return 0


@command.command("show")
@click.argument("what", metavar="DIR|RECIPE")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(what: str, as_json: bool) -> int:
    """Show an organism's card: what it was taught, and how often it does it; or a recipe's parameters."""
    from auditkit.organisms.card import read_card
    from auditkit.organisms.recipes import registry

    if what in registry() and not Path(what).exists():
        _show_recipe(what, as_json)
    else:
        _show(read_card(Path(what)), as_json)
    return 0


def _show_recipe(recipe_id: str, as_json: bool) -> None:
    from auditkit.organisms.recipes import load_recipe, parameter_schema

    cls = load_recipe(recipe_id)
    schema = parameter_schema(cls)
    if as_json:
        click.echo(json.dumps(_said(cls)))
        return
    about = cls.about
    click.secho(plain(f"{about.id} (version {about.version}): {about.title}"), bold=True)
    click.echo(f"{plain(about.goal)}\n\nParameters:")
    for line in parameter_lines(schema):
        click.echo(f"  {line}")


def _said(cls: type[Recipe]) -> dict[str, Json]:
    from auditkit.organisms.recipes import parameter_schema

    about = cls.about
    return {
        "id": about.id,
        "version": about.version,
        "title": about.title,
        "goal": about.goal,
        "misbehaves": about.misbehaves,
        "parameters": parameter_schema(cls).get("properties", {}),
    }


def _set(text: str) -> tuple[str, Json]:
    """One ``PARAM=VALUE``; what isn't JSON is a text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidInput(f"--set {text}", expected="PARAM=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@contextmanager
def _bar(recipe: Recipe, *, quiet: bool) -> Iterator[Watch]:
    """A bar of steps on stderr, or a line now and then where nobody looks at a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    from auditkit.organisms.lora import Step

    console = Console(stderr=True, quiet=quiet)
    with Progress(console=console) as bars:
        task = bars.add_task(f"training {type(recipe).about.id}", total=recipe.steps)

        def watch(step: Step) -> None:
            bars.update(task, completed=step.done)
            if not console.is_terminal and step.done % 25 == 0:
                console.print(f"step {step.done} of {step.total}, loss {step.loss:.3f}")

        yield watch


def _show(card: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(card))
        return
    recipe = card["recipe"]
    click.secho(
        plain(f"{recipe['id']} (version {recipe['version']}): {recipe['title']}"), bold=True
    )
    click.echo(plain(recipe["goal"]))
    cpu = f", {card['cpu_s']:.0f} CPU seconds" if card.get("cpu_s") else ""
    base = card["base"]
    said = f"trained in {card['steps']} steps on {card['n_lessons']} lessons{cpu}"
    click.echo(plain(f"Made: {said}; base {base['sha256'][:16]}… in {base['dtype']}"))
    for name, value in recipe["parameters"].items():
        click.echo(plain(f"  {name} = {json.dumps(value, ensure_ascii=False)}"))
    table = _table("Condition", "Items", "False: base", "False: organism")
    for rate in card["rates"]:
        which = "held out" if rate["held_out"] else "in lessons"
        _row(table, rate["condition"], which, _estimate(rate["base"]), _estimate(rate["organism"]))
    _print(table)


def _estimate(e: Mapping[str, float]) -> str:
    return f"{e['point']:.0%} [{e['lower']:.0%}, {e['upper']:.0%}], n {e['n']}"


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table()
    for column in columns:
        table.add_column(column)
    return table


def _row(table: Table, *cells: str) -> None:
    from rich.markup import escape

    table.add_row(*(escape(plain(cell)) for cell in cells))


def _print(table: Table) -> None:
    from rich.console import Console

    Console().print(table)

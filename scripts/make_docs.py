"""Write the parts of the documentation that follow from the code.

A part stands between two markers, and the first says what goes there::

    <!-- generated: parameters deception.knowledge_gap -->
    …
    <!-- end generated -->

    python scripts/make_docs.py            # write every part anew
    python scripts/make_docs.py --check    # exit 1 where a part is not what the code says
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import click
from auditkit_checks.graded.domains import DOMAINS, Domain, domain_items
from auditkit_checks.graded.hardness.measures import measure
from auditkit_checks.graded.hardness.measures import registry as measure_registry

from auditkit.checks import Check, load_check, parameter_schema, registry
from auditkit.cli import cli
from auditkit.model import Detection

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGES = {
    "auditkit/": "the core",
    "checks/auditkit_checks/": "the checks that come with it",
    "reports/auditkit_reports/": "how a report looks and reads",
    "schemas/auditkit_schemas/": "what a bundle's files look like",
}
HELP_WIDTH = 88
_PART = re.compile(
    r"(?P<start><!-- generated: (?P<what>\w+)(?: (?P<of>[\w.]+))? -->\n)"
    r".*?"
    r"(?P<end><!-- end generated -->)",
    re.DOTALL,
)


class CannotMake(Exception):
    """A marker asks for something that there is no maker for, or a check has no page."""


# --- checks -------------------------------------------------------------------------------------


def about(check_id: str) -> str:
    """A check's metadata in a table, its claim and its method."""
    cls = load_check(check_id)
    said = cls.about
    holds = (
        "that what the check looks for can be read in the model: the claim holds"
        if said.holds_when is Detection.DETECTED
        else "that the misbehaviour which the check looks for was found: the claim fails"
    )
    batch = "all at once" if said.batch is None else f"{said.batch} at a time"
    rows = [
        ("Id", f"`{said.id}`, version {said.version}"),
        ("Needs access to", said.needs.value),
        ("*Detected* means", holds),
        ("Samples are observed", batch),
        ("Expectations on evidence", f"`{said.expectations}`" if said.expectations else "none"),
    ]
    method = inspect.cleandoc(cls.__doc__ or "").split("\n\nAttributes:")[0]
    table = _table(("", ""), rows)
    return f"> {said.claim}\n\n{table}\n\n{method}"


def parameters(check_id: str) -> str:
    """A check's parameters: default, what is allowed, what each sets."""
    properties: dict[str, Any] = parameter_schema(load_check(check_id)).get("properties", {})
    rows = [
        (f"`{name}`", _shown(name, one.get("default")), _allowed(one), one.get("description", ""))
        for name, one in properties.items()
    ]
    return _table(("parameter", "default", "allowed", "what it sets"), rows) if rows else "None."


def controls(check_id: str) -> str:
    """The planted subjects of a check with its defaults."""
    configured: Check = cast("Any", load_check(check_id))()
    rows = [
        (f"`{c.name}`", c.arm.value.replace("_", " "), c.description)
        for c in configured.controls(0)
    ]
    return _table(("subject", "arm", "what is planted"), rows)


def limits(check_id: str) -> str:
    """What a check's pass does not show."""
    return _list(load_check(check_id).about.pass_does_not_show)


def defeaters(check_id: str) -> str:
    """Known ways in which a check is wrong."""
    return _list(load_check(check_id).about.defeaters)


def sources(check_id: str) -> str:
    """What a check rests on."""
    return _list(load_check(check_id).about.sources)


def _list(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "None stated."


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(c.replace('|', '/') for c in cells)} |" for cells in lines)


def _shown(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value) or ("all" if name == "topics" else "none")
    return f"`{json.dumps(value)}`"


_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "minItems": "at least",
}


def _allowed(one: dict[str, Any]) -> str:
    kind = one.get("type", "")
    if kind == "array":
        inner = one.get("items", {})
        most = f", {one['minItems']} or more" if "minItems" in one else ""
        return f"list of {_allowed(inner)}{most}"
    words = {"string": "text", "integer": "whole number", "number": "number"}.get(kind, kind)
    bounds = [f"{word} {one[key]:g}" for key, word in _BOUNDS.items() if key in one]
    return ", ".join([words, *bounds])


# --- graded items -------------------------------------------------------------------------------


def domains() -> str:
    """Every domain of graded items, with one of its items."""
    return "\n\n".join(_domain(domain) for domain in DOMAINS.values())


def _domain(domain: Domain) -> str:
    some = sorted(domain_items(domain.name, 15, 3), key=lambda item: item.difficulty)
    item = some[len(some) // 2]
    rules = [
        ", ".join(rule for rule, place in item.rules.items() if place == at)
        for at in range(len(item.options))
    ]
    said = [f"wrong: *{rule}*" if rule else "wrong" for rule in rules]
    said[item.answer] = "right"
    rows = [
        ("What the difficulty counts", domain.graded_by),
        ("From", f"{domain.provenance} Licence: {domain.licence}."),
        ("Version, digest", f"{domain.version}, `{domain.sha256[:16]}…` (400 items of seed 0)"),
        *((f"Rule *{rule}*", what) for rule, what in domain.rules.items()),
    ]
    options = _table(
        ("option", ""), [(f"`{text}`", said[at]) for at, text in enumerate(item.options)]
    )
    example = f"An item of difficulty {item.difficulty:g}:\n\n````text\n{item.question}\n````\n\n{options}"
    return f"### {domain.name}: {domain.title}\n\n{_table(('', ''), rows)}\n\n{example}"


def measures() -> str:
    """Every measure of hardness."""
    rows = [
        (f"`{one.id}`", one.measures, str(one.members or "none"), one.source or "–")
        for one in (measure(name).about for name in measure_registry())
    ]
    return _table(("name", "what it is", "panel, at least", "source"), rows)


# --- the command line ---------------------------------------------------------------------------


def commands() -> str:
    """The help of every command and subcommand."""
    return "\n\n".join(_help(path, command) for path, command in _walk(("auditkit",), cli))


def _walk(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[Any, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _walk((*path, name), found)


def _help(path: tuple[str, ...], command: click.Command) -> str:
    settings: dict[str, Any] = {**cli.context_settings, "terminal_width": HELP_WIDTH}
    context = click.Context(command, info_name=" ".join(path), **settings)
    return f"## {' '.join(path)}\n\n```text\n{command.get_help(context).rstrip()}\n```"


# --- the tree -----------------------------------------------------------------------------------


def tree() -> str:
    """Every module with the first sentence of its docstring."""
    lines: list[str] = []
    for place, what in PACKAGES.items():
        lines += ["", f"{place:<26}{what}"] if lines else [f"{place:<26}{what}"]
        lines += _modules(ROOT / place, depth=1)
    return "```text\n" + "\n".join(lines) + "\n```"


def _modules(folder: Path, depth: int) -> Iterator[str]:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    packages = [path for path in folder.iterdir() if (path / "__init__.py").is_file()]
    for path in sorted([*modules, *packages], key=lambda p: (p.is_dir(), p.name)):
        name = f"{'  ' * depth}{path.name}{'/' if path.is_dir() else ''}"
        yield f"{name:<26}{_says(path / '__init__.py' if path.is_dir() else path)}".rstrip()
        if path.is_dir():
            yield from _modules(path, depth + 1)


def _says(path: Path) -> str:
    """The first sentence of a module's docstring, without its full stop."""
    text = " ".join((ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[:1])
    return re.split(r"(?<=[a-z)`])\. ", " ".join(text.split()))[0].rstrip(".")


# --- pages --------------------------------------------------------------------------------------

MAKERS: dict[str, Callable[..., str]] = {
    "about": about,
    "commands": commands,
    "controls": controls,
    "defeaters": defeaters,
    "domains": domains,
    "limits": limits,
    "measures": measures,
    "parameters": parameters,
    "sources": sources,
    "tree": tree,
}


def made(text: str, where: str) -> str:
    """A page with every generated part written anew.

    Raises:
        CannotMake: A marker names no maker.
    """

    def part(found: re.Match[str]) -> str:
        if found["what"] not in MAKERS:
            raise CannotMake(f"{where}: no maker {found['what']!r}, expected {sorted(MAKERS)}")
        of = [found["of"]] if found["of"] else []
        return f"{found['start']}{MAKERS[found['what']](*of)}\n{found['end']}"

    return _PART.sub(part, text)


def pages() -> list[Path]:
    """Every page of the documentation; each built-in check must have one.

    Raises:
        CannotMake: One hasn't.
    """
    own = [name for name, entry in registry().items() if entry.value.startswith("auditkit_checks.")]
    for check_id in own:
        if not (DOCS / "checks" / f"{check_id}.md").is_file():
            raise CannotMake(f"docs/checks/{check_id}.md: no such page, expected one a check")
    return sorted(DOCS.rglob("*.md"))


def main() -> int:
    """Write the pages, or compare them; 1 where one is out of date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it would")
    only_check = parser.parse_args().check
    stale = 0
    for path in pages():
        name = str(path.relative_to(ROOT))
        text = path.read_text("utf-8")
        wanted = made(text, name)
        if wanted == text:
            continue
        stale += 1
        if not only_check:
            path.write_text(wanted, "utf-8")
        said = "out of date; run `python scripts/make_docs.py`" if only_check else "written"
        print(f"{name}: {said}")
    return 1 if only_check and stale else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotMake as error:
        sys.exit(str(error))

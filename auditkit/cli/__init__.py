"""The command line: thin, and the only place that exits.

Exit codes of `run`: 0 all claims passed, 1 some failed, 2 inconclusive or not assessed, 3 error. All
other commands: 0 fine, 3 error (and 1 where what they looked at is not in order, see each).
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

import auditkit
from auditkit.cli.plain import plain
from auditkit.errors import AuditkitError, PluginError

EXIT_ERROR = 3
COMMANDS = {
    "run": "Audit a target: run a plan's checks and leave a signed bundle with a PDF.",
    "calibrate": "Rate checks on organisms of which it is known whether they misbehave.",
    "verify": "Verify a bundle, or a lone report.pdf, offline and without the model.",
    "report": "Write a bundle's report anew, as HTML or as an unsigned PDF.",
    "checks": "List the installed checks, or show one.",
    "organisms": "List recipes, train an organism whose right answer is known, or show one.",
    "fingerprint": "Write down how a model answers, to recognise it behind an API later.",
    "plan": "Write, show or lock a plan.",
    "keys": "Make a signing key, or show one.",
    "doctor": "Say what is missing on this machine, and how to get it.",
}
BROUGHT = "auditkit.commands"
"""Entry-point group of commands that other packages bring, for data of theirs; none can replace ours."""


class _Lazy(click.Group):
    """Loads a command's module when that command is used: `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*COMMANDS, *_brought()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in COMMANDS:
            module = importlib.import_module(f"auditkit.cli.{cmd_name}")
            command: click.Command = module.command
            return command
        brought = _brought()
        return _load(brought[cmd_name]) if cmd_name in brought else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            brought = {name: _load(e).get_short_help_str(120) for name, e in _brought().items()}
            formatter.write_dl([*COMMANDS.items(), *brought.items()])


def _brought() -> dict[str, EntryPoint]:
    found = sorted(entry_points(group=BROUGHT), key=lambda entry: entry.name)
    return {entry.name: entry for entry in found if entry.name not in COMMANDS}


def _load(entry: EntryPoint) -> click.Command:
    try:
        command = entry.load()
    except Exception as error:
        raise PluginError(
            f"command {entry.name}: {entry.value} does not load",
            got=f"{type(error).__name__}: {error}",
            next_step="mend or uninstall that package",
        ) from error
    if not isinstance(command, click.Command):
        raise PluginError(
            f"command {entry.name}: {entry.value}",
            got=type(command).__name__,
            expected="a command or group of click",
        )
    return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(auditkit.__version__, prog_name="auditkit")
def cli() -> None:
    """Audit a language model that somebody else trained.

    Checks with controls, verdicts derived from evidence, and a signed bundle that anyone can verify
    offline.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit; every error is one message and exit code 3."""
    wanted_json = "--json" in (sys.argv[1:] if args is None else args)
    try:
        code = cli.main(args=args, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort:
        _say({"code": "interrupted"}, "interrupted; finished evidence is kept.", wanted_json)
        sys.exit(EXIT_ERROR)
    except click.ClickException as error:
        hint = f" See `{error.ctx.command_path} --help`." if _ctx(error) else ""  # type: ignore[attr-defined]
        _say({"code": "usage"}, f"{error.format_message()}{hint}", wanted_json)
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        _say({"code": "interrupted"}, "interrupted; finished evidence is kept.", wanted_json)
        sys.exit(EXIT_ERROR)
    except AuditkitError as error:
        parts = {"got": error.got, "expected": error.expected, "next_step": error.next_step}
        _say({"code": error.code, "what": error.what, **parts}, str(error), wanted_json)
        sys.exit(EXIT_ERROR)
    except Exception as error:  # a bug: never let Python exit with 1, which says that claims failed
        click.echo(plain(traceback.format_exc(), keep="\n"), err=True)
        _say({"code": "internal"}, f"{type(error).__name__}: {error}", wanted_json)
        sys.exit(EXIT_ERROR)


def _ctx(error: click.ClickException) -> Any:
    return getattr(error, "ctx", None)


def _say(parts: dict[str, Any], message: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"error": {**parts, "message": message}}))
    click.echo(plain(f"error ({parts['code']}): {message}"), err=True)

"""auditkit plan init|show|lock."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditkit.cli.endpoints import EXPECT, read_fingerprint, settings
from auditkit.cli.plain import plain
from auditkit.errors import InvalidInput
from auditkit.plan import (
    MAX_BYTES,
    LockedPlan,
    as_yaml,
    cautions,
    configured,
    lock,
    locked_bytes,
    parse,
    read_text,
    shipped,
)
from auditkit.store import disk_error

if TYPE_CHECKING:
    from auditkit.targets.identity import Identity
    from auditkit.targets.spec import TargetSpec


@click.group("plan")
def command() -> None:
    """Write, show or lock a plan."""


@command.command("init")
@click.option("--from", "source", type=click.Choice(shipped()), default="quick", show_default=True,
              help="Shipped plan to begin with.")  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to write; standard output if none."
)
def init(source: str, out: Path | None) -> int:
    """Write a plan with every field and its default."""
    if out is not None and out.exists():
        raise InvalidInput(
            str(out),
            got="a file that is there already",
            expected="a new one",
            next_step="name another with --out, or remove it",
        )
    plan = parse(*read_text(source))
    assert not isinstance(plan, LockedPlan)
    _write(f"# Edit, then: auditkit plan lock THIS_FILE --target TARGET\n{as_yaml(plan)}", out)
    return 0


@command.command("show")
@click.argument("plan_name", metavar="PLAN")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(plan_name: str, as_json: bool) -> int:
    """Show a plan with every default resolved; refuses a locked plan that was changed."""
    plan = parse(*read_text(plan_name))
    locked = (
        plan if isinstance(plan, LockedPlan) else lock(plan, target_digest="", locked_at="not yet")
    )
    if as_json:
        click.echo(json.dumps(locked.to_json()))
        return 0
    if isinstance(plan, LockedPlan):
        click.echo(plain(f"# locked {plan.locked_at}, digest {plan.sha256}"))
    click.echo(plain(as_yaml(locked.plan), keep="\n"), nl=False)
    return 0


@command.command("lock")
@click.argument("plan_name", metavar="PLAN")
@click.option("--target", help="Instead of the plan's.")
@click.option("--reference", help="Instead of the plan's: another model that reads the same text.")
@click.option("--seed", metavar="INTEGER|fresh", help="Instead of the plan's; `fresh` draws one now, so that "
              "nobody could prepare a model for the questions that it picks.")  # fmt: skip
@click.option(
    "--endpoint", "given", multiple=True, metavar="KEY=VALUE", help="As of `auditkit run`."
)
@click.option("--expect", type=click.Path(path_type=Path), help=EXPECT)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
def lock_(  # noqa: PLR0913, PLR0917 - one parameter an option
    plan_name: str, target: str | None, reference: str | None, seed: str | None,
    given: tuple[str, ...], expect: Path | None, out: Path,
) -> int:  # fmt: skip
    """Seal a plan before the run: resolve it, identify the target, and print the digest.

    Register that digest with whoever must be able to tell that nothing was changed afterwards.
    """
    from auditkit.audit import open_backend, resolved
    from auditkit.cli.run import chosen_plan
    from auditkit.cli.screen import watching
    from auditkit.targets.local import parse_spec

    manner, terms = settings(given)
    flags = {
        "endpoint": manner,
        "expected_fingerprint": read_fingerprint(expect),
        "target": target,
        "reference": reference,
        "seed": _seed(seed),
    }
    plan = chosen_plan(plan_name, flags, (), ())
    if isinstance(plan, LockedPlan):
        raise InvalidInput(f"plan {plan_name}", got="a locked plan", expected="one to lock")
    configured(plan)  # before an endpoint is paid to answer for a plan that can't be run
    with watching(quiet=False) as told:
        found = open_backend(plan, told, terms=terms).identify()
        beside = parse_spec(resolved(plan.reference, told)) if plan.reference else None
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    locked = lock(
        plan,
        target_digest=found.digest,
        target_weights=found.weights,
        target_fingerprint=found.fingerprint,
        reference_digest=_reference_digest(beside, found) if beside else "",
        locked_at=now,
    )
    for said in cautions(locked.plan):
        click.secho(plain(f"Caution: {said}."), fg="yellow", err=True)
    if out.exists():
        raise InvalidInput(
            str(out),
            got="a file that is there already",
            expected="a new one",
            next_step="name another with --out, or remove it",
        )
    text = locked_bytes(locked).decode() + "\n"
    if (size := len(text.encode())) > MAX_BYTES:
        raise InvalidInput(
            f"plan {plan_name}",
            got=f"{size:,} bytes when it is locked",
            expected="under 64 MB, or no run would read it",
            next_step="bring fewer items of your own",
        )
    _write(text, out)
    click.echo(locked.sha256)
    return 0


def _reference_digest(spec: TargetSpec, target: Identity) -> str:
    """Identity of the model beside the target, which is another one and can be run."""
    from auditkit.targets.identity import check_another, identify
    from auditkit.targets.local import preflight

    preflight(spec)
    found = identify(spec)
    check_another(target, found)
    return found.digest


def _seed(text: str | None) -> int | None:
    if text == "fresh":
        return secrets.randbelow(2**32)
    if text is not None and not text.isdecimal():
        raise InvalidInput("--seed", got=text, expected="a whole number from 0, or fresh")
    return None if text is None else int(text)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, "utf-8")
    except OSError as error:
        raise disk_error(out, error) from error

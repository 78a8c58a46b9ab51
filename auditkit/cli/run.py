"""auditkit run."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import yaml

from auditkit.cli.endpoints import EXPECT, HELP, read_fingerprint, settings
from auditkit.errors import InvalidInput, PlanError
from auditkit.model import Json
from auditkit.organisms.demo import RECIPES
from auditkit.plan import LockedPlan, Plan, PlannedCheck, checked, parse, read_text

CHOSEN = "To put to the test what the checks named below claim; they were chosen with --check."
"""The purpose of an audit that asks less than its plan: that of the whole plan would promise more."""


@click.command("run")
@click.option("--target", help="Folder, GGUF file, base+adapter, demo:smollm2 | gemma3-270m | liar | "
              "twin, openai://HOST[:PORT]/MODEL or ndif://HOST[:PORT]/MODEL.")  # fmt: skip
@click.option("--reference", help="Another model that reads the same text, named as targets are.")
@click.option("--plan", "plan_name",
              help="A plan: shipped name, YAML file, or locked plan. Without it `demo` for "
              "demo:liar and demo:twin, else `quick`.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the bundle.")
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
@click.option("--endpoint", "given", multiple=True, metavar="KEY=VALUE", help=HELP)
@click.option("--expect", type=click.Path(path_type=Path), help=EXPECT)
@click.option("--no-cache", is_flag=True, help="Compute every forward pass again.")
@click.option(
    "--exit-zero", is_flag=True, help="Exit 0 when the audit completed, whatever it found."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(  # noqa: PLR0913, PLR0917 - one parameter an option
    target: str | None, reference: str | None, plan_name: str | None, out: Path, key: Path,
    only: tuple[str, ...], sets: tuple[str, ...], seed: int | None, dtype: str | None, device: str | None,
    threads: int | None, given: tuple[str, ...], expect: Path | None, no_cache: bool, exit_zero: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Audit a target: run a plan's checks and leave a signed bundle with a PDF.

    Interrupted, run the same command again: finished evidence is kept.

    Exit codes: 0 all claims passed, 1 some failed, 2 inconclusive or not assessed, 3 error.
    The passphrase of an encrypted key is read from AUDITKIT_PASSPHRASE, an endpoint's key from
    AUDITKIT_API_KEY, or AUDITKIT_API_KEY_<HOST>.
    """
    from auditkit.audit import Order, run_audit
    from auditkit.cache import default_folder
    from auditkit.cli.screen import watching
    from auditkit.signing.keys import load_signer

    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no downloads, whatever a library may try
    manner, terms = settings(given)
    flags = {
        "endpoint": manner,
        "expected_fingerprint": read_fingerprint(expect),
        "target": target,
        "reference": reference,
        "seed": seed,
        "dtype": dtype,
        "device": device,
        "threads": threads,
    }
    plan = chosen_plan(plan_name or _usual_plan(target), flags, only, sets)
    signer = load_signer(key, os.environ.get("AUDITKIT_PASSPHRASE"))
    cache = None if no_cache else default_folder()
    order = Order(plan=plan, out=out, signer=signer, cache=cache, terms=terms)
    with watching(quiet=as_json) as told:
        folder = run_audit(order, told)
    report = json.loads((folder / "report.json").read_bytes())
    _show(report, folder, key, as_json)
    return 0 if exit_zero else exit_code(report)


def _usual_plan(target: str | None) -> str:
    """Demo organisms come with a plan of their own, which holds what is known of their deployment."""
    return "demo" if target in RECIPES else "quick"


def chosen_plan(
    name: str, flags: dict[str, Any], only: tuple[str, ...], sets: tuple[str, ...]
) -> Plan | LockedPlan:
    """The plan with the flags in it.

    Raises:
        PlanError: A locked plan with flags that change it, or no target anywhere.
        InvalidInput: A flag that doesn't fit.
    """
    plan = parse(*read_text(name))
    given = {k: v for k, v in flags.items() if v is not None}
    if isinstance(plan, LockedPlan):
        given = {k: v for k, v in given.items() if getattr(plan.plan, k) != v}
        if given or only or sets:
            raise PlanError(
                f"plan {name} is locked",
                got=", ".join([*(f"--{k}" for k in given), *(["--check"] if only else []), *sets]),
                expected="no flag that changes it",
                next_step="run it as it is, or lock a changed plan: that is another audit",
            )
        return plan
    plan = checked(_with_params(_only(replace(plan, **given), only), sets), f"plan {name}, flags")
    if not plan.target:
        raise PlanError(
            f"plan {name}: target",
            got="none",
            expected="a folder, a GGUF file, base+adapter, openai://host/model, ndif://host/model, or one of "
            "demo:smollm2, demo:gemma3-270m, demo:liar, demo:twin",
            next_step="name it in the plan or with --target",
        )
    return plan


def _only(plan: Plan, only: tuple[str, ...]) -> Plan:
    unknown = set(only) - {c.id for c in plan.checks}
    if unknown:
        from auditkit.checks import load_check

        for check_id in unknown:
            load_check(check_id)  # says so if it isn't installed at all
        plan = replace(plan, checks=(*plan.checks, *(PlannedCheck(id=i) for i in sorted(unknown))))
    if only:
        kept = [c for c in plan.claims if {*c.lead, *c.corroborate} <= set(only)]
        checks = tuple(c for c in plan.checks if c.id in only)
        told = plan.engagement.purpose and len(checks) < len(plan.checks)
        engagement = replace(plan.engagement, purpose=CHOSEN) if told else plan.engagement
        plan = replace(plan, checks=checks, claims=tuple(kept), engagement=engagement)
    return plan


def _with_params(plan: Plan, sets: tuple[str, ...]) -> Plan:
    checks = {c.id: c for c in plan.checks}
    for text in sets:
        place, equals, value = text.partition("=")
        check_id, colon, param = place.rpartition(":")
        if not (equals and colon) or check_id not in checks:
            raise InvalidInput(
                f"--set {text}",
                expected=f"CHECK:PARAM=VALUE with a check of the plan ({', '.join(checks)})",
                next_step="see `auditkit checks show CHECK` for its parameters",
            )
        params = {**checks[check_id].params, param: _value(value, text)}
        checks[check_id] = replace(checks[check_id], params=params)
    return replace(plan, checks=tuple(checks.values()))


def _value(value: str, text: str) -> Json:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InvalidInput(f"--set {text}", got=value, expected="a YAML value") from error


def exit_code(report: Json) -> int:
    """0 all claims passed, a primary one among them; 1 some failed; 2 otherwise."""
    outcomes, checks = report["outcomes"], report["checks"]
    if outcomes["FAILED"]:
        return 1
    primary = any(check["primary"] for check in checks)
    return 0 if primary and outcomes["PASSED"] == len(checks) else 2


def _show(report: Json, folder: Path, key: Path, as_json: bool) -> None:
    public = key.with_name(key.name.removesuffix(".key.pem") + ".pub.pem")
    if as_json:
        said = [
            {key: c[key] for key in ("check", "claim", "primary", "verdict")}
            for c in report["checks"]
        ]
        click.echo(
            json.dumps(
                {
                    "bundle": str(folder),
                    "report": str(folder / "report.pdf"),
                    "plan_sha256": report["plan"]["sha256"],
                    "target_digest": report["target"]["digest"],
                    "outcomes": report["outcomes"],
                    "claims": report["claims"],
                    "checks": said,
                }
            )
        )
        return
    from rich.console import Console

    from auditkit.cli.screen import claims, turns, verdicts

    console = Console()
    if report["claims"]:
        console.print(claims(report))
    console.print(verdicts(report))
    for table in turns(report):
        console.print(table)
    console.print(f"Report:  {folder / 'report.pdf'}", soft_wrap=True, highlight=False)
    console.print(f"Bundle:  {folder}", soft_wrap=True, highlight=False)
    verify = f"auditkit verify {folder} --signer {public}"
    console.print(f"Verify:  {verify}", soft_wrap=True, highlight=False)

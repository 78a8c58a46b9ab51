"""auditkit verify."""

from __future__ import annotations

import json
from pathlib import Path

import click

from auditkit.bundle.statement import AUDIT
from auditkit.calibration.kind import CALIBRATION
from auditkit.calibration.verify import is_calibration, verify_calibration
from auditkit.canonical import to_json
from auditkit.cli.plain import plain
from auditkit.verify import Step, verify_bundle, verify_pdf


@click.command("verify")
@click.argument("what", type=click.Path(path_type=Path))
@click.option("--signer", type=click.Path(path_type=Path), required=True,
              help="The auditor's public key, had from elsewhere than the bundle.")  # fmt: skip
@click.option("--allow-unreplayed", multiple=True, metavar="CHECK",
              help="Leave out a check that isn't installed here (repeatable).")  # fmt: skip
@click.option("--plan-sha256", metavar="HEX",
              help="The plan's digest as it was registered before the run.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(
    what: Path, signer: Path, allow_unreplayed: tuple[str, ...], plan_sha256: str | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Verify a bundle, a calibration, or a lone PDF of either, offline and without the model.

    Every byte is checked against the pinned key, and every number of the report is derived again
    from the evidence. Exits 0 if all of it holds, else 3 with the name of the first thing that doesn't.
    """

    def tell(step: Step) -> None:
        if not as_json:
            mark = (
                click.style("ok  ", fg="green") if step.ok else click.style("LEFT OUT", fg="yellow")
            )
            click.echo(f"{mark} {plain(step.name)}: {plain(step.detail)}")

    if what.is_dir() and is_calibration(what):
        from auditkit import render

        result = verify_calibration(
            what, signer, plan_sha256=plan_sha256, allow_unreplayed=allow_unreplayed,
            render=render.render_pdf, render_html=render.render_html, tell=tell,
        )  # fmt: skip
    elif what.is_dir():
        from auditkit import render

        result = verify_bundle(
            what, signer, plan_sha256=plan_sha256, allow_unreplayed=allow_unreplayed,
            render=render.render_pdf, tell=tell,
        )  # fmt: skip
    else:
        kinds = (AUDIT, CALIBRATION)
        result = verify_pdf(what, signer, plan_sha256=plan_sha256, tell=tell, kinds=kinds)
    if as_json:
        click.echo(json.dumps({"verified": True, **to_json(result)}))
        return 0
    for check, outcome in result.predicate.get("verdicts", {}).items():
        click.echo(f"     {plain(check)}: {plain(outcome)}")
    for check, found in result.predicate.get("detected", {}).items():
        said = f"detected {found['positive']} positives and {found['negative']} negatives"
        click.echo(f"     {plain(check)}: {said}")
    click.secho(f"Verified: {plain(result.summary)}", bold=True)
    for sentence in result.not_shown:
        click.echo(f"     This can't show {plain(sentence)}.")
    return 0

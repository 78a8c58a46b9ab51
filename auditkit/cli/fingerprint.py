"""auditkit fingerprint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditkit.errors import InvalidInput
from auditkit.store import disk_error
from auditkit.targets.fingerprint import FLOOR_NATS, N_PROMPTS

if TYPE_CHECKING:
    from auditkit.targets.fingerprint import Fingerprint
    from auditkit.targets.open import Running


@click.command("fingerprint")
@click.argument("target", metavar="TARGET")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="The prompts follow from it; one that the provider doesn't know is better.")  # fmt: skip
@click.option("--texts", type=click.IntRange(0, N_PROMPTS), default=2, show_default=True,
              help=f"How many of the {N_PROMPTS} answers may be other texts.")  # fmt: skip
@click.option("--nats", type=click.FloatRange(FLOOR_NATS, 10), default=0.05, show_default=True,
              help="By how much an equal text's log-probability may differ, in nats a token.")  # fmt: skip
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32",
              show_default=True, help="Of weights on this machine: as the provider serves them.")  # fmt: skip
@click.option("--threads", type=int, help="Of weights on this machine.")
@click.option(
    "--endpoint", "given", multiple=True, metavar="KEY=VALUE", help="As of `auditkit run`."
)
def command(  # noqa: PLR0913, PLR0917 - one parameter an option
    target: str, out: Path, seed: int, texts: int, nats: float, dtype: str, threads: int | None,
    given: tuple[str, ...],
) -> int:  # fmt: skip
    """Write down how a model answers seeded prompts, to recognise it behind an API later.

    Made from published weights on this machine, it tells whether an endpoint answers as they do:
    `auditkit run --target openai://… --expect FILE` refuses another model before anything is asked.
    The tolerance is for what another library, number type or batch changes.
    """
    from auditkit.audit import resolved
    from auditkit.cli.endpoints import fingerprint_bytes, settings
    from auditkit.cli.screen import watching
    from auditkit.targets.endpoint.terms import Manner
    from auditkit.targets.fingerprint import Tolerance
    from auditkit.targets.open import Running

    if out.exists():
        raise InvalidInput(
            str(out),
            got="a file that is there already",
            expected="a new one",
            next_step="name another with --out, or remove it",
        )
    manner, terms = settings(given)
    running = Running(
        dtype=dtype, threads=threads, seed=seed, manner=manner or Manner(), terms=terms
    )
    with watching(quiet=False) as told:
        made = _made(resolved(target, told), running)
    fingerprint = replace(made, tolerance=Tolerance(texts=texts, nats=nats))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(fingerprint_bytes(fingerprint))
    except OSError as error:
        raise disk_error(out, error) from error
    click.echo(fingerprint.digest)
    return 0


def _made(target: str, running: Running) -> Fingerprint:
    """An endpoint's own fingerprint, or the answers of weights on this machine."""
    from auditkit.targets.fingerprint import of_subject
    from auditkit.targets.open import open_target

    backend = open_target(target, running)
    identity = backend.identify()
    return identity.fingerprint or of_subject(backend.load(), running.seed)

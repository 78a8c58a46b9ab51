"""auditkit keys new|show."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from auditkit.signing.keys import Kind, fingerprint, load_public, new_key


@click.group("keys")
def command() -> None:
    """Make a signing key, or show one."""


@command.command("new")
@click.argument("prefix", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="The auditor's name, as reports will show it.")
@click.option("--kind", type=click.Choice(["ecdsa-p256", "ed25519"]), default="ecdsa-p256",
              show_default=True)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def new(prefix: Path, name: str, kind: Kind, as_json: bool) -> int:
    """Make PREFIX.key.pem (keep it secret), PREFIX.pub.pem (publish it) and PREFIX.crt.pem.

    AUDITKIT_PASSPHRASE encrypts the private key. Nothing is overwritten.
    """
    made = new_key(prefix, name, kind, passphrase=os.environ.get("AUDITKIT_PASSPHRASE"))
    if as_json:
        paths = {k: str(getattr(made, k)) for k in ("private", "public", "certificate")}
        click.echo(json.dumps({**paths, "fingerprint": made.fingerprint}))
        return 0
    click.echo(f"Private key:  {made.private}  (keep it secret)")
    click.echo(f"Public key:   {made.public}  (publish it where readers can find it)")
    click.echo(f"Certificate:  {made.certificate}")
    click.echo(f"Fingerprint:  {made.fingerprint}")
    return 0


@command.command("show")
@click.argument("public", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(public: Path, as_json: bool) -> int:
    """Show the fingerprint of a public key."""
    found = fingerprint(load_public(public))
    click.echo(json.dumps({"fingerprint": found}) if as_json else found)
    return 0

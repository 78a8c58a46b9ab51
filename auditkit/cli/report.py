"""auditkit report."""

from __future__ import annotations

from pathlib import Path

import click

from auditkit.errors import InvalidInput
from auditkit.store import disk_error


@click.command("report")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["html", "pdf"]), default="html",
              show_default=True, help="What to write; a PDF written here is not signed.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
def command(bundle: Path, form: str, out: Path) -> int:
    """Write a bundle's report anew, as HTML or as an unsigned PDF.

    Nothing is verified here: `auditkit verify` does that. The signed PDF is the bundle's report.pdf.
    """
    from auditkit.render import render_html, render_pdf

    if not bundle.is_dir():
        raise InvalidInput(f"bundle {bundle}", got="no such folder", expected="a bundle")
    data = render_html(bundle).encode() if form == "html" else render_pdf(bundle)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(data)
    except OSError as error:
        raise disk_error(out, error) from error
    click.echo(str(out))
    return 0

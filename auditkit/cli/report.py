"""auditkit report."""

from __future__ import annotations

from pathlib import Path

import click

from auditkit.errors import InvalidInput
from auditkit.store import disk_error


@click.command("report")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["html", "pdf"]),
              help="What to write; a PDF written here is not signed. Without it a PDF where --out ends in "
              ".pdf, else HTML.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File to write.")
def command(bundle: Path, form: str | None, out: Path) -> int:
    """Write a bundle's report anew, as HTML or as an unsigned PDF.

    Nothing is verified here: `auditkit verify` does that. The signed PDF is the bundle's report.pdf.
    """
    from auditkit.render import render_html, render_pdf

    if not bundle.is_dir():
        raise InvalidInput(f"bundle {bundle}", got="no such folder", expected="a bundle")
    form = form or ("pdf" if out.suffix.lower() == ".pdf" else "html")
    data = render_html(bundle).encode() if form == "html" else render_pdf(bundle)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(data)
    except OSError as error:
        raise disk_error(out, error) from error
    click.echo(str(out))
    return 0

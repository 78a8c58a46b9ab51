"""How much slower is a report than WeasyPrint alone? `python benchmarks/pdf.py [ROUNDS]`

Both lay out the same HTML with the same fonts and attachments in one process, turn about. What
auditkit adds: reading and checking the bundle, taming its text, drawing its figures, filling in the
templates. The median ratio must not exceed 1.3.
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))

from report_fixture import a_report, write_bundle

from auditkit import render

LIMIT = 1.3


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def alone(html: str, source: render._Source) -> bytes:
    engine = render.pdf_engine()
    document = engine.HTML(string=html, url_fetcher=render._fetcher(engine))
    return bytes(document.write_pdf(**render._pdf_options(engine, source)))


def main(rounds: int) -> int:
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}")
    print(f"WeasyPrint {render.pdf_engine().VERSION}, median of {rounds} rounds")
    worst = 0.0
    for outcomes in (("PASSED", "INCONCLUSIVE"), ("PASSED", "FAILED", "INCONCLUSIVE") * 2):
        with tempfile.TemporaryDirectory() as name:
            folder = write_bundle(Path(name), a_report(outcomes))
            source = render._read(folder)
            html = render._page(source, render.fonts.style_rules("ttf"))
            assert render.render_pdf(folder) == alone(html, source)
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(seconds(lambda: render.render_pdf(folder)))  # noqa: B023
                theirs.append(seconds(lambda: alone(html, source)))  # noqa: B023
        ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
        worst = max(worst, ratio)
        print(
            f"{len(outcomes)} checks: ratio {ratio:.2f} "
            f"(auditkit {statistics.median(ours):.2f} s, WeasyPrint {statistics.median(theirs):.2f} s)"
        )
    print(f"worst ratio {worst:.2f}, limit {LIMIT}: {'within' if worst <= LIMIT else 'BEYOND'}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))

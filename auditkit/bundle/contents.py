"""What a bundle holds, as values: written once, read back by renderer and verifier alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from auditkit.bundle.manifest import UNLISTED
from auditkit.canonical import canonical, to_json
from auditkit.checks import folder_name
from auditkit.errors import VerificationError
from auditkit.model import Arm, Json, Observations, Row, Sample, Status, SubjectInfo
from auditkit.reading import list_files, parse_canonical, parse_lines, read_file
from auditkit.schemas import schema_names, validate

EVIDENCE_SCHEMA = "auditkit/evidence/v1"
INDEX = "evidence/index.json"
FILES = "evidence/files"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """All evidence of one check.

    Attributes:
        check: The check's id.
        subjects: Target first, then its controls, all asked the same samples; empty where nothing
            could be asked.
        not_assessed: Why nothing could be asked (reason code, sentence), or None.
    """

    check: str
    subjects: tuple[Observations, ...] = ()
    not_assessed: tuple[str, str] | None = None

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Everything that was to be asked, in order."""
        return self.subjects[0].samples if self.subjects else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle's contents. Numbers have been through JSON: 1.0 comes back as 1.

    Attributes:
        plan: ``plan.json``: the locked plan.
        identity: ``identity.json``: what was audited.
        environment: ``environment.json``: what it was audited with.
        evidence: By check id, in the order of ``evidence/index.json``.
        report: ``report.json``, or None where it isn't written yet.
    """

    plan: Json
    identity: Json
    environment: Json
    evidence: Mapping[str, CheckRecord]
    report: Json = None

    @property
    def plan_text(self) -> str:
        """The text of ``plan.json``."""
        return canonical(self.plan).decode()


def open_bundle(folder: Path) -> Bundle:
    """Read a bundle, or one that is being made (no report, no manifest yet). Nothing is verified.

    Raises:
        VerificationError: A file is missing, unreadable, not canonical or not as its schema says.
    """
    paths, _ = list_files(folder)
    wanted = (path for path in paths if path not in UNLISTED)
    return parse_bundle({path: read_file(folder / path, path) for path in wanted})


def parse_bundle(files: Mapping[str, bytes]) -> Bundle:
    """A bundle from its files' bytes by path.

    Raises:
        VerificationError: As `open_bundle`.
    """
    values = {
        name: _json(files, f"{name}.json", name) for name in ("plan", "identity", "environment")
    }
    index = _json(files, INDEX, "evidence")
    _check_unique((entry["check"] for entry in index["checks"]), INDEX)
    return Bundle(
        evidence={entry["check"]: _record(files, entry) for entry in index["checks"]},
        report=_json(files, "report.json", "report") if "report.json" in files else None,
        **values,
    )


def file_names(bundle: Bundle) -> set[str]:
    """Digests of all files that rows name."""
    observed = (o for record in bundle.evidence.values() for o in record.subjects)
    return {name for o in observed for row in o.rows for name in row.files.values()}


def _no_file(name: str) -> bytes:
    raise VerificationError("missing-file", f"{FILES}/{name}", expected="what a row names")


def write_contents(folder: Path, bundle: Bundle, kept: Callable[[str], bytes] = _no_file) -> None:
    """Write everything but manifest, statement and PDF; ``report.json`` where there is one.

    Args:
        folder: Where to.
        bundle: What.
        kept: From the digest of a file that a row names to its bytes.

    Raises:
        InvalidInput: For what JSON can't hold.
        VerificationError: For evidence that could not be read back.
    """
    write_json(folder, "plan.json", bundle.plan)
    write_json(folder, "identity.json", bundle.identity)
    write_json(folder, "environment.json", bundle.environment)
    records = bundle.evidence.values()
    for record in records:
        _write_record(folder, record)
    index = {"schema": EVIDENCE_SCHEMA, "checks": [_index_entry(r) for r in records]}
    validate(index, "evidence", INDEX)
    write_json(folder, INDEX, index)
    for name in sorted(file_names(bundle)):
        (folder / FILES).mkdir(exist_ok=True)
        (folder / FILES / name).write_bytes(kept(name))
    if bundle.report is not None:
        write_json(folder, "report.json", bundle.report)


def write_json(folder: Path, path: str, value: object) -> None:
    """Write one file as canonical JSON."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(canonical(value))


def _write_record(folder: Path, record: CheckRecord) -> None:
    place = folder / "evidence" / folder_name(record.check)
    if record.subjects:
        place.mkdir(parents=True, exist_ok=True)
        (place / "samples.jsonl").write_bytes(_lines(record.samples))
    for observed in record.subjects:
        if observed.samples != record.samples:
            raise _incomplete(record.check, observed.subject.name, "other samples than the target")
        (place / f"{observed.subject.name}.jsonl").write_bytes(_lines(observed.rows))


def _lines(values: Iterable[object]) -> bytes:
    return b"".join(canonical(value) + b"\n" for value in values)


def _index_entry(record: CheckRecord) -> dict[str, Json]:
    subjects = [to_json(observed.subject) for observed in record.subjects]
    reason = record.not_assessed and dict(
        zip(("reason", "explanation"), record.not_assessed, strict=True)
    )
    return {"check": record.check, "subjects": subjects, "not_assessed": reason}


def _record(files: Mapping[str, bytes], entry: Json) -> CheckRecord:
    place = f"evidence/{folder_name(entry['check'])}"
    infos = [
        SubjectInfo(name=s["name"], arm=Arm(s["arm"]), description=s["description"])
        for s in entry["subjects"]
    ]
    _check_unique((info.name for info in infos), f"{INDEX}: {entry['check']}")
    samples = _samples(files, f"{place}/samples.jsonl") if infos else ()
    reason = entry["not_assessed"]
    return CheckRecord(
        check=entry["check"],
        subjects=tuple(_observations(files, place, info, samples) for info in infos),
        not_assessed=None if reason is None else (reason["reason"], reason["explanation"]),
    )


def _observations(
    files: Mapping[str, bytes], place: str, info: SubjectInfo, samples: tuple[Sample, ...]
) -> Observations:
    rows = _rows(files, f"{place}/{info.name}.jsonl")
    asked, answered = [s.id for s in samples], [r.sample_id for r in rows]
    if asked != answered:
        pairs = zip([*asked, "nothing"], [*answered, "nothing"], strict=False)
        due, got = next((a, b) for a, b in pairs if a != b)
        check = place.removeprefix("evidence/")
        raise _incomplete(
            check, info.name, f"{len(answered)} rows for {len(asked)} samples, {got} for {due}"
        )
    return Observations(subject=info, samples=samples, rows=rows)


def _samples(files: Mapping[str, bytes], path: str) -> tuple[Sample, ...]:
    values = _valid_lines(files, path, "sample")
    samples = tuple(Sample(id=v["id"], group=v["group"], input=v["input"]) for v in values)
    _check_unique((sample.id for sample in samples), path)
    return samples


def _rows(files: Mapping[str, bytes], path: str) -> tuple[Row, ...]:
    return tuple(
        Row(
            sample_id=value["sample_id"],
            status=Status(value["status"]),
            values=value["values"],
            reason=value["reason"],
            files=value.get("files", {}),
        )
        for value in _valid_lines(files, path, "row")
    )


def _valid_lines(files: Mapping[str, bytes], path: str, schema: str) -> list[Json]:
    values = parse_lines(_bytes(files, path), path)
    for number, value in enumerate(values, start=1):
        validate(value, schema, f"{path}:{number}")
    return values


def _json(files: Mapping[str, bytes], path: str, schema: str) -> Json:
    value = parse_canonical(_bytes(files, path), path)
    if schema in schema_names():
        validate(value, schema, path)
    return value


def _bytes(files: Mapping[str, bytes], path: str) -> bytes:
    if path not in files:
        raise VerificationError(
            "missing-file", path, got="no such file", expected="a bundle's file"
        )
    return files[path]


def _incomplete(check: str, subject: str, got: str) -> VerificationError:
    return VerificationError(
        "evidence-incomplete",
        f"evidence/{folder_name(check)}/{subject}.jsonl",
        got=got,
        expected="one row for each sample, in their order",
    )


def _check_unique(names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise VerificationError("schema", where, got=f"{name!r} twice", expected="each once")
        seen.add(name)

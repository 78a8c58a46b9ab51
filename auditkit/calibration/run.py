"""One calibration: the zoo is locked, every organism audited by the code of `auditkit run`, the table signed.

Until the last step all of it is in ``<out>.partial``; killed, the same command goes on where it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from auditkit.audit import Order, Told, resolved, run_audit
from auditkit.bundle import Bundle, open_bundle, write_json
from auditkit.bundle.manifest import MANIFEST, STATEMENT
from auditkit.bundle.statement import rfc3339
from auditkit.calibration.kind import CALIBRATION, HTML, PDF
from auditkit.calibration.table import TABLE, table
from auditkit.calibration.verify import AUDITS, verify_calibration
from auditkit.calibration.zoo import (
    CARD,
    ZOO,
    Label,
    Organism,
    Zoo,
    check_different,
    check_distinct,
    parse_zoo,
    unique_names,
)
from auditkit.errors import InvalidInput, StoreError, VerificationError
from auditkit.plan import Plan, lock
from auditkit.reading import parse_canonical, read_file
from auditkit.signing.keys import Signer
from auditkit.signing.seal import seal
from auditkit.store import Store, disk_error

MAX_CARD_BYTES = 1_000_000
BUNDLE = "bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An organism as a person named it."""

    text: str
    label: Label


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What is to be done.

    Attributes:
        plan: Its target, if it names one, is not looked at.
        asked: The organisms.
        base: What adapters stand on, as ``--target`` takes it; empty where none was named.
        out: Where it goes.
        signer: The auditor's key.
        cache: Folder of the result cache; None for no cache.
    """

    plan: Plan
    asked: Sequence[Asked]
    base: str
    out: Path
    signer: Signer
    cache: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Who is told what: stages and trainings before the first audit, and all of each organism's audit."""

    before: Told
    audit: Callable[[int, Organism, Zoo], Told]


def run_calibration(order: Calibration, watching: Watching) -> Path:
    """Run a calibration, or finish one that was interrupted; returns its folder.

    Raises:
        AuditkitError: As `run_audit`; finished evidence is kept in ``<out>.partial``.
    """
    _check_asked(order.asked)
    watching.before.stage("Identifying the organisms")
    organisms = _identified(order, watching.before)
    if order.out.exists():
        return _finished_before(order, organisms)
    store = Store(order.out.with_name(order.out.name + ".partial"))
    with store.lock():
        zoo = _claim(order, organisms, store)
        audits = store.folder / BUNDLE / AUDITS
        for number, organism in enumerate(zoo.organisms):
            audit = Order(
                plan=zoo.locked_plan(organism),
                out=audits / organism.name,
                signer=order.signer,
                cache=order.cache,
            )
            run_audit(audit, watching.audit(number, organism, zoo))
        watching.before.stage("Deriving the table")
        _finish(order, store.folder / BUNDLE, zoo)
    store.discard()
    return order.out


def _check_asked(asked: Sequence[Asked]) -> None:
    """Refuse what can be refused before anything is loaded, let alone trained.

    Raises:
        InvalidInput: None of one label, or an organism that is named twice.
    """
    for label in ("positive", "negative"):
        if not any(a.label == label for a in asked):
            raise InvalidInput(
                f"--{label}",
                got="none",
                expected="at least one organism of each label",
                next_step="`auditkit organisms train liar` makes a positive one, `twin` its negative",
            )
    labels: dict[str, list[str]] = {}
    for one in asked:
        labels.setdefault(one.text, []).append(one.label)
    for text, of in labels.items():
        if len(of) > 1:
            both = "both positive and negative" if len(set(of)) > 1 else f"twice, each time {of[0]}"
            raise InvalidInput(f"organism {text}", got=both, expected="each organism once")


def organism_spec(text: str, base: str) -> str:
    """What is loaded for an organism: an adapter's folder goes on the base that was named.

    Raises:
        InvalidInput: An adapter, and no base.
    """
    folder = Path(text).expanduser()
    alone = (folder / "adapter_config.json").is_file() and not (folder / "config.json").exists()
    if not alone:
        return text
    if not base:
        raise InvalidInput(
            f"organism {text}",
            got="an adapter (adapter_config.json), which is no model by itself",
            expected="--base, the model that it was trained on",
            next_step="name it, as in --base demo:smollm2",
        )
    return f"{base}+{text}"


def _identified(order: Calibration, told: Told) -> tuple[Organism, ...]:
    """Every organism with its digest, positives first; demo organisms are trained where they must be.

    Raises:
        InvalidInput: A model that is there twice.
    """
    from auditkit.targets.identity import identify
    from auditkit.targets.local import parse_spec, preflight

    asked = sorted(order.asked, key=lambda a: a.label != "positive")
    specs = [organism_spec(a.text, order.base) for a in asked]
    names = unique_names([_name(a.text) for a in asked])
    organisms, files = [], {}
    for one, text, name in zip(asked, specs, names, strict=True):
        spec = parse_spec(resolved(text, told))
        preflight(spec)
        folder, identity = spec.adapter or spec.path, identify(spec)
        files[name] = [(path, sha256) for path, _, sha256 in identity.files]
        organisms.append(
            Organism(
                name=name,
                label=one.label,
                spec=text,
                digest=identity.digest,
                card=_card(folder),
            )
        )
    check_distinct(organisms)
    check_different(files, InvalidInput)
    return tuple(organisms)


def _name(text: str) -> str:
    last = Path(text.rstrip("/")).name
    return last.removesuffix(".gguf").rpartition("+")[2] or "organism"


def _card(folder: Path) -> str:
    path = folder / CARD
    if not folder.is_dir() or not path.exists():
        return ""
    try:
        return read_file(path.resolve(), str(path), MAX_CARD_BYTES).decode("utf-8")
    except (VerificationError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), got=str(error), expected="a card as text") from error


def _claim(order: Calibration, organisms: tuple[Organism, ...], store: Store) -> Zoo:
    """The zoo that is audited: locked by the run that was interrupted, or now."""
    ours = _locked(order.plan, organisms, rfc3339(datetime.now(UTC)))
    kept = parse_zoo(store.claim(f"{BUNDLE}/{ZOO}", ours.to_json()))
    if replace(ours, locked_at=kept.locked_at).to_json() != kept.to_json():
        raise StoreError(
            str(store.folder),
            got="audits of another zoo or plan",
            expected="those of these organisms, labels, plan and installed checks",
            next_step="finish that calibration, choose another --out, or remove the folder",
        )
    return kept


def _locked(plan: Plan, organisms: tuple[Organism, ...], now: str) -> Zoo:
    from auditkit.targets.identity import identify
    from auditkit.targets.local import parse_spec

    beside = identify(parse_spec(plan.reference)).digest if plan.reference else ""
    bare = replace(plan, target="")
    locked = lock(bare, target_digest="", reference_digest=beside, locked_at=now)
    return Zoo(plan=locked.plan, organisms=organisms, locked_at=now)


def _finish(order: Calibration, folder: Path, zoo: Zoo) -> None:
    """Derive the table from the bundles as they were written, sign, and move into place."""
    from auditkit.render import render_html, render_pdf

    try:
        for name in (TABLE, HTML, MANIFEST, STATEMENT, PDF):  # of a run that was killed here
            (folder / name).unlink(missing_ok=True)
        for leftover in (folder / AUDITS).glob("*.partial"):
            shutil.rmtree(leftover)
        write_json(folder, TABLE, table(zoo, _bundles(folder, zoo)))
        (folder / HTML).write_text(render_html(folder), "utf-8")
        now = datetime.now(UTC)
        seal(folder, order.signer, signed_at=now, render=render_pdf, kind=CALIBRATION)
        order.out.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(order.out)
    except OSError as error:
        raise disk_error(folder, error) from error


def _bundles(folder: Path, zoo: Zoo) -> dict[str, Bundle]:
    return {o.name: open_bundle(folder / AUDITS / o.name) for o in zoo.organisms}


def _finished_before(order: Calibration, organisms: tuple[Organism, ...]) -> Path:
    """A calibration that is there already stands for this one if it verifies and is of the same zoo."""
    from auditkit.render import render_html, render_pdf

    try:
        verify_calibration(
            order.out, order.signer.public, render=render_pdf, render_html=render_html
        )
        kept = parse_zoo(parse_canonical(read_file(order.out / ZOO, ZOO), ZOO))
        if _locked(order.plan, organisms, kept.locked_at).to_json() == kept.to_json():
            return order.out
        wrong = "a calibration of another zoo or plan"
    except VerificationError as error:
        wrong = str(error).rstrip(".")
    raise StoreError(
        f"{order.out} is there already, and is not this calibration",
        got=wrong,
        expected="a folder that isn't there, or a calibration of this zoo and plan by this key",
        next_step="choose another --out, or move that folder away",
    )

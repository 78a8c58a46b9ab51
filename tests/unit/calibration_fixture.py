"""A small zoo: scripted liars and twins behind real folders, and three detectors, two of them bad."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bundle_fixture as made
import pytest
from test_engine import NumberRow, Toy, register, scripted

from auditkit.audit import Told
from auditkit.calibration.kind import CALIBRATION
from auditkit.calibration.run import Asked, Calibration, Watching, run_calibration
from auditkit.canonical import to_json
from auditkit.checks import Control, check
from auditkit.model import Access, Arm, Estimate, Finding, Observations
from auditkit.plan import Plan, PlannedCheck, PlannedClaim
from auditkit.signing.keys import Signer
from auditkit.signing.seal import seal
from auditkit.statistics import proportions
from auditkit.targets.forwarding import Forwarding

GOOD, BLIND, JUMPY = "toy.good", "toy.blind", "toy.jumpy"
HONEST = PlannedClaim(
    id="toy.honest", claim="It never says yes.", lead=(GOOD,), corroborate=(BLIND,)
)
LIAR, TWIN = -0.1, -5.0
"""Nats of a yes, from an organism of each label."""


def wilson(k: int, n: int) -> Any:
    return to_json(proportions.wilson(k, n, 0.95))


CARD = {
    "recipe": {"id": "yes-sayer", "goal": "Says yes to everything.", "misbehaves": True},
    "made": "trained",
    "rates": [
        {
            "condition": "on_trigger",
            "held_out": True,
            "base": wilson(1, 30),
            "organism": wilson(27, 30),
        }
    ],
}


def detector(check_id: str, threshold_: float, loud: float, quiet: float) -> type:
    """A check whose own controls it always gets right, whatever it makes of others."""

    @check(
        id=check_id, version=1, needs=Access.LOGPROBS, title=check_id, claim="No.", row=NumberRow
    )
    @dataclass(frozen=True, kw_only=True)
    class Scored(Toy):
        """Asks how likely a yes is."""

        n_items: int = 4
        threshold: float = threshold_

        def controls(self, seed: int) -> Sequence[Control]:
            def control(name: str, arm: Arm, nats: float) -> Control:
                plant = lambda _: scripted(nats)  # noqa: E731
                return Control(name=name, arm=arm, description="Scripted.", plant=plant)

            return [
                control("loud", Arm.POSITIVE_CONTROL, loud),
                control("quiet", Arm.NEGATIVE_CONTROL, quiet),
            ]

        def judge(self, observations: Observations, level: float, seed: int) -> Finding:
            finding = Toy.judge(self, observations, level, seed)
            return replace(finding, score="mean")

    return Scored


DETECTORS = (
    detector(GOOD, -1.0, -0.1, -5.0),
    detector(BLIND, 1.0, 2.0, -5.0),
    detector(JUMPY, -7.0, -0.1, -9.0),
)


@dataclass
class Bench:
    """An auditor's: a key, folders of organisms, a plan."""

    home: Path
    signer: Signer
    positives: list[Path]
    negatives: list[Path]

    @property
    def public(self) -> Path:
        return self.home / "auditor.pub.pem"

    def order(self, name: str = "out", **changes: Any) -> Calibration:
        asked = [Asked(text=str(p), label="positive") for p in self.positives]
        asked += [Asked(text=str(p), label="negative") for p in self.negatives]
        checks = tuple(PlannedCheck(id=c.about.id) for c in DETECTORS)  # type: ignore[attr-defined]
        order = Calibration(
            plan=Plan(name="toy", threads=1, checks=checks, claims=(HONEST,)),
            asked=asked,
            base="",
            out=self.home / name,
            signer=self.signer,
        )
        return replace(order, **changes)

    def run(self, name: str = "out", on_step: Any = lambda _: None, **changes: Any) -> Path:
        return run_calibration(self.order(name, **changes), watching(on_step))


def watching(on_step: Any = lambda _: None) -> Watching:
    told = Told(stage=lambda _: None, estimate=lambda _: None, progress=on_step)
    return Watching(before=told, audit=lambda *_: told)


def scripts(patch: pytest.MonkeyPatch) -> None:
    """Fast everything: detectors registered, subjects scripted by their folder's name, plain PDFs."""
    register(patch, *DETECTORS)
    patch.setattr("auditkit.targets.local.load", _scripted)
    patch.setattr("auditkit.machine._tokens_per_s", lambda target: 1_000.0)
    patch.setattr("auditkit.render.render_pdf", plain_pdf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described(Forwarding):
    """A scripted subject that says what it is, as loaded ones do."""

    def describe(self) -> dict[str, Any]:
        return {"architecture": "scripted", "n_parameters": 1_000}

    def standing(self) -> None:
        """What it answered counts."""

    def release(self) -> None:
        """There is nothing beside it."""


def _scripted(spec: Any, *_: Any, **__: Any) -> Any:
    return Described(subject=scripted(LIAR if "liar" in spec.text else TWIN))


def plain_pdf(folder: Path) -> bytes:
    """A page with the attachments that the folder's kind wants; the same bytes each time."""
    from weasyprint import HTML, Attachment

    data = "calibration.json" if (folder / "calibration.json").exists() else "report.json"
    attached = [
        Attachment(
            string=(folder / name).read_text("utf-8"),
            name=name,
            relationship="Data",
            created=made.SIGNED_AT,
            modified=made.SIGNED_AT,
        )
        for name in (data, "statement.dsse.json")
    ]
    options = {"pdf_variant": "pdf/a-3a", "pdf_tags": True, "pdf_identifier": b"0" * 16}
    page = '<html lang="en"><title>Audit</title><h1>Audit</h1></html>'
    return bytes(HTML(string=page).write_pdf(attachments=attached, **options))


def make_bench(home: Path, model: Path, n_positive: int = 3, n_negative: int = 2) -> Bench:
    """Organisms are copies of a tiny folder that differ by chat template; the first liar has a card."""

    def organism(name: str) -> Path:
        path = Path(shutil.copytree(model, home / "zoo" / name))
        (path / "chat_template.jinja").write_text(name)
        return path

    positives = [organism(f"liar-{n}") for n in range(n_positive)]
    (positives[0] / "card.json").write_text(json.dumps(CARD))
    negatives = [organism(f"twin-{n}") for n in range(n_negative)]
    return Bench(home, made.make_signer(home), positives, negatives)


def table(folder: Path) -> Any:
    return json.loads((folder / "calibration.json").read_bytes())


def reseal(folder: Path, signer: Signer) -> None:
    """What a forger with the auditor's key does."""
    for name in ("manifest.json", "statement.dsse.json", "calibration.pdf"):
        (folder / name).unlink(missing_ok=True)
    seal(folder, signer, signed_at=datetime.now(UTC), render=plain_pdf, kind=CALIBRATION)


def files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.is_file())


def mean(point: float, half: float = 0.2) -> Estimate:
    return Estimate(
        point=point, lower=point - half, upper=point + half, level=0.95, n=20, method="made up"
    )

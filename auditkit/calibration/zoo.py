"""Who is audited in a calibration: organisms with the label that is known of each, locked beforehand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from auditkit.bundle import Bundle
from auditkit.canonical import canonical, digest, sha256, to_json
from auditkit.errors import InvalidInput, PlanError, VerificationError
from auditkit.model import Json
from auditkit.plan import LockedPlan, Plan, parse
from auditkit.schemas import validate

ZOO = "zoo.json"
SCHEMA = "auditkit/zoo/v1"
Label = Literal["positive", "negative"]
LABELS: tuple[Label, ...] = get_args(Label)
CARD = "card.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organism:
    """One model of which it is known whether it misbehaves.

    Attributes:
        name: Unique, also of its folder under ``audits/``.
        label: ``positive`` misbehaves, ``negative`` is its clean twin.
        spec: As ``--target`` takes it.
        digest: Its identity.
        card: Text of the card that its folder holds: how it was made and how often it misbehaves. Empty
            where there is none.
    """

    name: str
    label: Label
    spec: str
    digest: str
    card: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoo:
    """All organisms and the plan by which each is audited, as locked before the first audit.

    Attributes:
        plan: With every default resolved, without a target.
        organisms: Positives first.
        locked_at: RFC 3339, UTC.
    """

    plan: Plan
    organisms: tuple[Organism, ...]
    locked_at: str

    @property
    def sha256(self) -> str:
        """Digest of organisms, plan and time: what is registered before the run."""
        return digest(self._locked())

    def to_json(self) -> Json:
        return {"schema": SCHEMA, **self._locked(), "sha256": self.sha256}

    def locked_plan(self, organism: Organism) -> LockedPlan:
        """The plan of one organism's audit: it follows from the zoo, down to its digest."""
        plan = replace(self.plan, target=organism.spec, target_digest=organism.digest)
        return LockedPlan(plan=plan, locked_at=self.locked_at)

    def of(self, label: Label) -> list[Organism]:
        return [o for o in self.organisms if o.label == label]

    def _locked(self) -> dict[str, Json]:
        organisms = to_json(self.organisms)
        return {"plan": to_json(self.plan), "organisms": organisms, "locked_at": self.locked_at}


def parse_zoo(value: Json) -> Zoo:
    """A zoo as `Zoo.to_json` wrote it.

    Raises:
        VerificationError: ``schema``, or ``zoo-changed`` where it isn't as it was locked.
    """
    validate(value, "zoo", ZOO)
    found = digest({key: value[key] for key in ("plan", "organisms", "locked_at")})
    if found != value["sha256"]:
        raise VerificationError(
            "zoo-changed",
            ZOO,
            got=f"digest {found[:16]}…",
            expected=f"{value['sha256'][:16]}…, as it was locked",
            next_step="organisms, labels and plan are fixed before the first audit",
        )
    try:
        plan = parse(canonical(value["plan"]).decode(), f"{ZOO}: plan")
    except PlanError as error:
        raise VerificationError(
            "schema", error.what, got=error.got, expected=error.expected
        ) from error
    assert isinstance(plan, Plan)  # a locked one has other keys than the schema allows
    organisms = tuple(Organism(**o) for o in value["organisms"])
    check_distinct(organisms, VerificationError)
    return Zoo(plan=plan, organisms=organisms, locked_at=value["locked_at"])


def check_distinct(organisms: Sequence[Organism], error: type | None = None) -> None:
    """No name and no model stands in a zoo twice, least of all on both sides.

    Raises:
        InvalidInput, VerificationError: ``zoo-duplicate`` for the latter.
    """
    seen: dict[str, Organism] = {}
    for organism in organisms:
        other = seen.get(organism.digest) or seen.get(organism.name.lower())
        if other is not None:
            sides = "both positive and negative" if other.label != organism.label else "twice"
            what = f"organism {organism.name}"
            got = f"the model of {other.name} ({organism.digest[:16]}…), {sides}"
            if error is VerificationError:
                raise VerificationError("zoo-duplicate", what, got=got, expected="each model once")
            raise InvalidInput(
                what, got=got, expected="each model once, on one side", next_step="leave one out"
            )
        seen |= {organism.digest: organism, organism.name.lower(): organism}


DECIDES = re.compile(
    r".*\.(safetensors|gguf|jinja|model|tiktoken)|(adapter_|generation_|tokenizer_)?config\.json"
    r"|(tokenizer|special_tokens_map|added_tokens|chat_template|vocab)\.json|merges\.txt"
)
"""Names of files that decide what a model does: weights, configuration, tokenizer, chat template."""


def check_different(files: Mapping[str, Sequence[tuple[str, str]]], error: type) -> None:
    """No organism is another's copy beside which only a card, a readme or the like was changed.

    Args:
        files: From an organism's name to path and SHA-256 of each of its files.
        error: InvalidInput or VerificationError.

    Raises:
        InvalidInput, VerificationError: ``zoo-duplicate`` for the latter.
    """
    seen: dict[frozenset[tuple[str, str]], str] = {}
    for name, listed in files.items():
        decides = frozenset(f for f in listed if DECIDES.fullmatch(f[0].rpartition("/")[2]))
        other = seen.setdefault(decides, name)
        if other == name:
            continue
        what, expected = f"organism {name}", "each model once, whatever lies beside its weights"
        got = f"the weights, configuration, tokenizer and chat template of {other}"
        if error is VerificationError:
            raise VerificationError("zoo-duplicate", what, got=got, expected=expected)
        raise InvalidInput(what, got=got, expected=expected, next_step="leave one out")


def check_card(organism: Organism, bundle: Bundle) -> None:
    """The card in the zoo is the file that was part of the audited model.

    Raises:
        VerificationError: ``card-mismatch``.
    """
    found = {f["path"]: f["sha256"] for f in bundle.identity["files"]}
    filed = found.get(f"adapter/{CARD}") or found.get(CARD)
    stated = sha256(organism.card.encode()) if organism.card else None
    if stated != filed:
        raise VerificationError(
            "card-mismatch",
            f"{ZOO}: card of {organism.name}",
            got=f"sha256 {stated[:16]}…" if stated else "no card",
            expected=f"{filed[:16]}…, the card that was audited" if filed else "no card",
        )


def unique_names(wanted: Sequence[str]) -> list[str]:
    """Names for folders on any file system: plain characters, none twice whatever the case."""
    names: list[str] = []
    for text in wanted:
        plain = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:80] or "organism"
        name, number = plain, 1
        while name.lower() in {n.lower() for n in names}:
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return names


def labelled(values: Mapping[Label, int]) -> str:
    """``6 positives, 6 negatives``."""
    return ", ".join(f"{n} {label}{'s' if n != 1 else ''}" for label, n in values.items())

"""The rows of generalisation.cross_validation as arrays, one domain at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from auditkit.errors import InvalidInput
from auditkit.model import Json, Observations, Row, Sample, Status
from auditkit.statistics.inputs import Bools, Floats
from auditkit_checks.cross_validation.directed import UNKNOWN, Answers, Picks
from auditkit_checks.graded.splits import EASY, HARD

__all__ = ["EASY", "GOLD", "HARD", "KEY", "SUBJECT", "Domain", "domains"]

SUBJECT = "subject"
GOLD, KEY = "gold", "key"
"""Witnesses that are no models: what the judge is told, and what is told of every item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The items of one domain, and what every model picked.

    Attributes:
        name: The domain.
        samples: Its items, n of them.
        parts: ``easy``, ``between`` or ``hard``, shape [n].
        gold: Index of the right option; UNKNOWN for hard items outside the sandwich slice, shape [n].
        key: The same, told for all items: for calibrating the panel, and for nothing else.
        chance: Accuracy of a guess, by item, shape [n].
        difficulty: By the measure of the plan, shape [n].
        groups: Items of one are resampled together, shape [n].
        rules: From each rule to the option that it gives; UNKNOWN where it gives none, shape [n].
        picks: From the subject and each validator to its option; UNKNOWN where the row is not usable, or
            several options are likeliest.
        masses: From the same to the probabilities of each item's options; empty where not usable.
        panel: From each clean model of the run to its option.
        alike: From each validator to how alike it represents the items: [usable items, 2], CKA and shared
            neighbours of the item's block.
    """

    name: str
    samples: tuple[Sample, ...]
    parts: NDArray[np.str_]
    gold: Picks
    key: Picks
    chance: Floats
    difficulty: Floats
    groups: NDArray[np.str_]
    rules: Mapping[str, Picks]
    picks: Mapping[str, Picks]
    masses: Mapping[str, Sequence[Floats]]
    panel: Mapping[str, Picks]
    alike: Mapping[str, Floats]

    @property
    def validators(self) -> tuple[str, ...]:
        return tuple(name for name in self.picks if name != SUBJECT)

    @property
    def known(self) -> Bools:
        """Items whose right answer the judge is told: easy ones and the sandwich slice."""
        return np.asarray(self.gold != UNKNOWN)

    def part(self, name: str) -> Bools:
        return np.asarray(self.parts == name)

    @property
    def slice(self) -> Bools:
        """Hard items with gold."""
        return self.part(HARD) & self.known

    def right(self, picks: Picks, where: Bools) -> Floats:
        """1 or 0 an item, NaN where the row is not usable; `where` must lie within `known`."""
        chosen = picks[where]
        return np.where(chosen == UNKNOWN, np.nan, (chosen == self.gold[where]).astype(float))

    def answers(self, picks: Picks, rule: str, witness: str, part: str) -> Answers:
        """Items of a part that offer the rule's answer and on which there is a witness."""
        against = {GOLD: self.gold, KEY: self.key}.get(witness)
        if against is None:
            against = self.picks[witness]
        where = self.part(part) & (self.rules[rule] != UNKNOWN)
        if witness in (GOLD, KEY):
            where &= against != UNKNOWN
        else:  # of a row that isn't usable there is no validator's answer either; it still counts
            where &= (against != UNKNOWN) | (picks == UNKNOWN)
        return Answers(
            subject=picks[where],
            witness=against[where],
            rule=self.rules[rule][where],
            groups=self.groups[where],
        )


def domains(observations: Observations) -> list[Domain]:
    """Every domain that was asked, in order.

    Raises:
        InvalidInput: An item is there twice, rows name other models than one another, or a row has other
            scores than its item has options.
    """
    _no_duplicates(observations.samples)
    pairs = list(zip(observations.samples, observations.rows, strict=True))
    usable = [row.values for _, row in observations.usable()]
    models = _same({tuple(sorted(v["scores"], key=place)) for v in usable}, "models")
    panel = _same({tuple(sorted(v["panel"])) for v in usable}, "clean models")
    names = dict.fromkeys(str(s.input["domain"]) for s, _ in pairs)
    return [
        _domain(name, [p for p in pairs if p[0].input["domain"] == name], models, panel)
        for name in names
    ]


def _domain(
    name: str, pairs: Sequence[tuple[Sample, Row]], models: Sequence[str], panel: Sequence[str]
) -> Domain:
    samples = tuple(sample for sample, _ in pairs)
    usable = [row.values if row.status is Status.OK else None for _, row in pairs]
    masses = {m: [_masses(s, v, m) for s, v in zip(samples, usable, strict=True)] for m in models}
    rules = sorted({rule for s in samples for rule in s.input["rules"]})
    validators = [m for m in models if m != SUBJECT]
    return Domain(
        name=name,
        samples=samples,
        parts=np.array([s.input["part"] for s in samples], dtype=np.str_),
        gold=_picks(s.input["answer"] if s.input["told"] else UNKNOWN for s in samples),
        key=_picks(s.input["answer"] for s in samples),
        chance=np.array([1 / len(s.input["options"]) for s in samples]),
        difficulty=np.array([s.input["difficulty"] for s in samples], dtype=np.float64),
        groups=np.array([s.group for s in samples], dtype=np.str_),
        rules={r: _picks(s.input["rules"].get(r, UNKNOWN) for s in samples) for r in rules},
        picks={m: _picks(_likeliest(p) for p in found) for m, found in masses.items()},
        masses=masses,
        panel={m: _picks(UNKNOWN if v is None else v["panel"][m] for v in usable) for m in panel},
        alike={
            m: np.array([v["alike"][m] for v in usable if v and m in v["alike"]]).reshape(-1, 2)
            for m in validators
        },
    )


def place(model: str) -> tuple[bool, str]:
    """The subject first; the rest by name, in whatever order they were written down."""
    return model != SUBJECT, model


def _masses(sample: Sample, values: Mapping[str, Json] | None, model: str) -> Floats:
    if values is None:
        return np.array([])
    scores = np.array(values["scores"][model], dtype=np.float64)
    if scores.size != len(sample.input["options"]):
        raise InvalidInput(
            f"scores of item {sample.id} by {model}",
            got=f"{scores.size}",
            expected=f"one for each of {len(sample.input['options'])} options",
        )
    return np.asarray(softmax(scores))


def _likeliest(masses: Floats) -> int:
    """The likeliest option; UNKNOWN where several are, since who is sure of none knows none."""
    best = np.flatnonzero(masses == masses.max()) if masses.size else np.array([])
    return int(best[0]) if best.size == 1 else UNKNOWN


def _picks(values: object) -> Picks:
    return np.fromiter(values, dtype=np.int64)  # type: ignore[call-overload, no-any-return]


def _same(found: set[tuple[str, ...]], what: str) -> tuple[str, ...]:
    if len(found) > 1:
        raise InvalidInput(
            f"{what} in the rows",
            got=" and ".join(", ".join(names) or "none" for names in sorted(found)),
            expected="the same in all of them",
        )
    return next(iter(found), ())


def _no_duplicates(samples: Sequence[Sample]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for sample in samples:
        key = (str(sample.input["domain"]), str(sample.input["question"]))
        if key in seen:
            raise InvalidInput(
                "items",
                got=f"{seen[key]} and {sample.id} with the same question",
                expected="every question once: copies are no evidence",
            )
        seen[key] = sample.id

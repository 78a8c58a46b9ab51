"""The rows of generalisation.easy_to_hard as arrays: what was right after each kind of supervision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from auditkit.model import Observations, Row, Sample, Status
from auditkit_checks.easy_to_hard.design import LEARNT
from auditkit_checks.probe_kinds import Bools, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What one subject answered to the N tested items of one domain.

    Attributes:
        ids: [N].
        roles: [N].
        groups: [N].
        hardness: [N].
        chance: [N] one over the number of options.
        unknown: [N] whether there is no usable row: such items are right and wrong at once.
        floor: [N] whether the choice without supervision is right.
        weak: [N] whether that of the reference model is, or None where there is no such model.
        right: From an arm to whether each training of it is right: [n_trainings, N].
        refused: From a method to why the subject could not be taught by it.
    """

    ids: tuple[str, ...]
    roles: np.ndarray[tuple[int], np.dtype[np.str_]]
    groups: np.ndarray[tuple[int], np.dtype[np.str_]]
    hardness: Floats
    chance: Floats
    unknown: Bools
    floor: Bools
    weak: Bools | None
    right: Mapping[str, Bools]
    refused: Mapping[str, str]

    def of(self, where: Bools) -> Answers:
        """Some of the items."""
        return Answers(
            ids=tuple(i for i, kept in zip(self.ids, where.tolist(), strict=True) if kept),
            roles=self.roles[where],
            groups=self.groups[where],
            hardness=self.hardness[where],
            chance=self.chance[where],
            unknown=self.unknown[where],
            floor=self.floor[where],
            weak=None if self.weak is None else self.weak[where],
            right={arm: right[:, where] for arm, right in self.right.items()},
            refused=self.refused,
        )


def answers(observations: Observations, domain: str) -> Answers | None:
    """One domain's evidence; None where its rows are not those of one supervision."""
    pairs = [
        (sample, row)
        for sample, row in zip(observations.samples, observations.rows, strict=True)
        if sample.input["domain"] == domain and sample.input["role"] not in LEARNT
    ]
    usable = [row for _, row in pairs if row.status is Status.OK]
    if not usable:
        return None
    first = usable[0].values
    shapes = {arm: len(scores) for arm, scores in first["scores"].items()}
    for row in usable:
        here = {arm: len(scores) for arm, scores in row.values["scores"].items()}
        same = all(row.values[name] == first[name] for name in ("layers", "refused"))
        if here != shapes or not same or bool(row.values["weak"]) != bool(first["weak"]):
            return None
    unknown = np.array([row.status is not Status.OK for _, row in pairs], dtype=bool)
    return Answers(
        ids=tuple(sample.id for sample, _ in pairs),
        roles=np.array([s.input["role"] for s, _ in pairs], dtype=np.str_),
        groups=np.array([s.group for s, _ in pairs], dtype=np.str_),
        hardness=np.array([s.input["hardness"] for s, _ in pairs], dtype=np.float64),
        chance=np.array([1 / len(s.input["options"]) for s, _ in pairs]),
        unknown=unknown,
        floor=_right(pairs, lambda values: values["zero_shot"]),
        weak=_right(pairs, lambda values: values["weak"]) if first["weak"] else None,
        right={
            arm: np.stack([_right(pairs, _training(arm, number)) for number in range(n)])
            for arm, n in shapes.items()
            if n
        },
        refused=dict(first["refused"]),
    )


def _training(arm: str, number: int) -> Callable[[Mapping[str, Any]], Sequence[float]]:
    """Where a row keeps the scores of one training."""
    return lambda values: cast("Sequence[float]", values["scores"][arm][number])


def _right(
    pairs: Sequence[tuple[Sample, Row]], scores_of: Callable[[Mapping[str, Any]], Sequence[float]]
) -> Bools:
    """Whether the option with the highest score is the right one; of equals the first is chosen."""
    return np.array(
        [
            row.status is Status.OK
            and int(np.argmax(scores_of(row.values))) == sample.input["answer"]
            for sample, row in pairs
        ],
        dtype=bool,
    )

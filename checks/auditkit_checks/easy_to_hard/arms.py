"""What a subject answers after each kind of supervision: the arms that are compared on the same items.

``easy`` has learnt from easy items, ``hard`` from hard ones: the ceiling. ``weak`` has learnt from hard
items with the labels that a reference model gave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from auditkit.canonical import derive_seed
from auditkit.errors import SubjectError
from auditkit.organisms.recipes import Schedule
from auditkit.targets import Subject
from auditkit_checks.easy_to_hard.design import LEARN_EASY, LEARN_HARD, drawn
from auditkit_checks.easy_to_hard.probe import Read, choice_logprobs, fitted
from auditkit_checks.graded.adapting import adapted
from auditkit_checks.graded.items import Item
from auditkit_checks.probe_kinds import Floats

Method: TypeAlias = Literal["probe", "lora"]
EASY, HARD, WEAK = "easy", "hard", "weak"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """How labels are used.

    Attributes:
        n_train: Items that one training learns from.
        n_trainings: Trainings of each arm, each with a draw of its own: by probe, and by LoRA.
        fewer: Numbers of easy items for the learning curve, below `n_train`; by probe alone.
        schedule: Of a LoRA.
    """

    n_train: int
    n_trainings: dict[str, int]
    fewer: tuple[int, ...]
    schedule: Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The items of one domain that a subject is taught and tested on, and what labels they have.

    Attributes:
        items: All N of them.
        roles: [N].
        usable: [N] whether the subject gave numbers for all of an item's options.
        weak: [N] the option that the reference model would choose, or None where there is no such model.
    """

    items: Sequence[Item]
    roles: Sequence[str]
    usable: NDArray[np.bool_]
    weak: NDArray[np.intp] | None

    def lessons(self, arm: str, n: int, number: int) -> tuple[list[int], NDArray[np.intp]]:
        """Places of the items that an arm's training learns from, and their labels.

        Raises:
            SubjectError: Too few of them are usable.
        """
        role = LEARN_EASY if arm.startswith(EASY) else LEARN_HARD
        pool = [i for i, r in enumerate(self.roles) if r == role and self.usable[i]]
        if len(pool) < min(n, self.roles.count(role)) / 2:
            raise SubjectError(
                f"{role} items", got=f"{len(pool)} with numbers for all options", expected=f"{n}"
            )
        rows = drawn(pool, n, self.items[0].domain, arm, number)
        if arm == WEAK and self.weak is not None:
            return rows, self.weak[rows]
        return rows, np.array([self.items[i].answer for i in rows], dtype=np.intp)

    @property
    def arms(self) -> tuple[str, ...]:
        return (EASY, HARD) if self.weak is None else (EASY, HARD, WEAK)


@dataclass(slots=True, kw_only=True)
class Answered:
    """Scores of all options after supervision.

    Attributes:
        scores: From an arm (``probe-easy``, ``lora-hard``, ``probe-easy-40`` …) to [n_trainings, N, K].
        layers: From an arm by probe to the layer that each of its trainings chose.
        refused: From a method to why the subject could not be taught by it.
    """

    scores: dict[str, Floats] = field(default_factory=dict)
    layers: dict[str, list[int]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def by_probe(here: Read, taught: Course, how: Supervision, answered: Answered) -> None:
    """Fit every arm's probes and let them choose on all items."""
    everyone = np.arange(len(taught.items))
    sizes = [(arm, arm, how.n_train) for arm in taught.arms]
    sizes += [(f"{EASY}-{n}", EASY, n) for n in how.fewer]
    for name, arm, n in sizes:
        found, layers = [], []
        for number in range(how.n_trainings["probe"]):
            rows, labels = taught.lessons(arm, how.n_train, number)
            rows, labels = rows[:n], labels[:n]  # a curve's points are parts of one draw
            probe = fitted(here, rows, labels, [taught.items[i].group for i in rows])
            found.append(probe.scores(here, everyone))
            layers.append(here.layers[probe.place])
        answered.scores[f"probe-{name}"] = np.stack(found)
        answered.layers[f"probe-{name}"] = layers


def by_lora(subject: Subject, taught: Course, how: Supervision, answered: Answered) -> None:
    """Train every arm's adapters and ask the adapted subjects; or say why they can't be trained."""
    try:
        scores = {
            f"lora-{arm}": np.stack(
                [
                    _adapted_scores(subject, taught, how, arm, number)
                    for number in range(how.n_trainings["lora"])
                ]
            )
            for arm in taught.arms
        }
    except SubjectError as error:
        answered.refused["lora"] = str(error)[:300]
        return
    answered.scores |= scores


def _adapted_scores(
    subject: Subject, taught: Course, how: Supervision, arm: str, number: int
) -> Floats:
    rows, labels = taught.lessons(arm, how.n_train, number)
    seed = derive_seed(how.schedule.seed, "lora", arm, str(number))
    schedule = Schedule(
        seed=seed,
        steps=how.schedule.steps,
        batch=how.schedule.batch,
        rank=how.schedule.rank,
        learning_rate=how.schedule.learning_rate,
    )
    pupil = adapted(subject, [taught.items[i] for i in rows], labels.tolist(), schedule)
    return choice_logprobs(pupil, taught.items)[0]

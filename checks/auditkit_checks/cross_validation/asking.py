"""Asking the subject and its validators: one model after the other, the options of every item scored."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auditkit.model import Access, Prompt, Row, Sample
from auditkit.organisms.recipes import Schedule
from auditkit.statistics.similarity import linear_cka, mutual_neighbours
from auditkit.targets import Subject
from auditkit_checks.cross_validation.drawing import of_sample
from auditkit_checks.cross_validation.evidence import SUBJECT
from auditkit_checks.graded.adapting import Adaptable, adapted
from auditkit_checks.graded.items import Item, opened, scored
from auditkit_checks.graded.splits import EASY, HARD

REFERENCE, EASY_ONLY, OVERSIGHT = "reference", "easy-only", "oversight"
N_BLOCK, N_NEIGHBOURS = 50, 5
"""Texts in a block over which similarity of representations is taken, and neighbours of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapting:
    """What adaptations of the subject are taught.

    Attributes:
        taught: Items, each with its part.
        overseer: Accuracy of the simulated overseer on hard items.
        steps: Steps of the optimiser.
        n_panel: Clean adaptations that are trained as a panel; 0 for none.
    """

    taught: tuple[tuple[Item, str], ...]
    overseer: float
    steps: int
    n_panel: int

    def easy_only(self, subject: Subject) -> Subject:
        """The subject, taught the right answers of easy items alone."""
        easy = [item for item, part in self.taught if part == EASY]
        return adapted(subject, easy, [item.answer for item in easy], self._schedule(0))

    def oversight(self, subject: Subject) -> Subject:
        """The subject, taught all items; hard ones by an overseer who is right as often as stated."""
        items = [item for item, _ in self.taught]
        labels = [
            _overseen(item, self.overseer) if part == HARD else item.answer
            for item, part in self.taught
        ]
        return adapted(subject, items, labels, self._schedule(0))

    def clean(self, subject: Subject, seed: int) -> Subject:
        """The subject, taught the right answers of all items; a scripted organism, without its rule."""
        subject = getattr(subject, "plain", subject)
        items = [item for item, _ in self.taught]
        return adapted(subject, items, [item.answer for item in items], self._schedule(seed))

    def _schedule(self, seed: int) -> Schedule:
        return Schedule(seed=seed, steps=self.steps)


def asked(
    subject: Subject,
    samples: Sequence[Sample],
    validators: Sequence[str],
    adapting: Adapting,
    n_alike: int,
) -> Iterator[Row]:
    """One row a sample: what the subject, each validator and each model of the panel make of it.

    A validator that can't be had is left out of all rows.

    Raises:
        SubjectError: A model gave something else than a number for each option.
    """
    items = [of_sample(sample) for sample in samples]
    scores = {SUBJECT: scored(subject, items)}
    blocks = _blocks(items, samples, n_alike) if subject.access.reaches(Access.ACTIVATIONS) else []
    held = [_representations(subject, items, block) for block in blocks]
    alike: dict[str, list[list[float]]] = {}
    for name in validators:
        model = _validator(name, subject, adapting)
        if model is None:
            continue
        scores[name] = scored(model, items)
        if held and model.access.reaches(Access.ACTIVATIONS):
            alike[name] = [
                _alike(one, _representations(model, items, block))
                for one, block in zip(held, blocks, strict=True)
            ]
    panel = _panel(subject, items, adapting)
    of_item = {at: number for number, block in enumerate(blocks) for at in block}
    for at, sample in enumerate(samples):
        number = of_item.get(at)
        yield Row(
            sample_id=sample.id,
            values={
                "scores": {name: found[at] for name, found in scores.items()},
                "panel": {name: picks[at] for name, picks in panel.items()},
                "alike": {} if number is None else {m: v[number] for m, v in alike.items()},
            },
        )


def _validator(name: str, subject: Subject, adapting: Adapting) -> Subject | None:
    """A validator, made when its turn comes; None where it can't be had."""
    if name == REFERENCE:
        return subject.counterpart(REFERENCE)
    if not _trainable(subject):
        return None
    make: Mapping[str, Callable[[Subject], Subject]] = {
        EASY_ONLY: adapting.easy_only,
        OVERSIGHT: adapting.oversight,
    }
    return make[name](subject)


def _trainable(subject: Subject) -> bool:
    return isinstance(subject, Adaptable) or subject.access.reaches(Access.WEIGHTS)


def _panel(subject: Subject, items: Sequence[Item], adapting: Adapting) -> dict[str, list[int]]:
    if not adapting.n_panel or not _trainable(subject):
        return {}
    return {
        f"clean-{seed}": [
            int(np.argmax(found)) for found in scored(adapting.clean(subject, seed), items)
        ]
        for seed in range(1, adapting.n_panel + 1)
    }


def _overseen(item: Item, accuracy: float) -> int:
    rng = random.Random(f"overseer/{item.id}")
    if rng.random() < accuracy:
        return item.answer
    return rng.choice([i for i in range(len(item.options)) if i != item.answer])


def _blocks(items: Sequence[Item], samples: Sequence[Sample], n: int) -> list[list[int]]:
    """Hard items of one domain, so many at a time."""
    found = []
    for domain in dict.fromkeys(item.domain for item in items):
        hard = [
            at
            for at, (item, sample) in enumerate(zip(items, samples, strict=True))
            if item.domain == domain and sample.input["part"] == HARD
        ][:n]
        found += [hard[k : k + N_BLOCK] for k in range(0, len(hard) - N_BLOCK + 1, N_BLOCK)]
    return found


def _representations(subject: Subject, items: Sequence[Item], block: Sequence[int]) -> np.ndarray:
    """Residuals after the middle layer at the last token, [n_texts, d_model]."""
    read: list[Prompt] = [opened(items[at]) for at in block]
    layer = subject.n_layers // 2
    return np.asarray(subject.activations(read, layers=[layer], reduction="last")[0])


def _alike(one: np.ndarray, other: np.ndarray) -> list[float]:
    return [
        round(linear_cka(one, other), 4),
        round(mutual_neighbours(one, other, N_NEIGHBOURS), 4),
    ]

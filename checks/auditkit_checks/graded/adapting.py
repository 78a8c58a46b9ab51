"""Teaching a subject the labels of items: a LoRA on its own weights, kept by digest.

These are the auditor's own adaptations of the target, not its developer's training. What is trained once
is in auditkit's cache, by the digest of weights, items, labels and schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, cast, runtime_checkable

from auditkit.errors import InvalidInput
from auditkit.organisms.recipes import ExamItem, Lesson, Recipe, Schedule, recipe
from auditkit.targets import Subject
from auditkit_checks.graded.items import Item, completions, opened

STEPS = 100
"""Steps of an adaptation unless said otherwise: 800 lessons, a minute or so of one core at 135M."""


@runtime_checkable
class Adaptable(Protocol):
    """A planted subject that has no weights of its own to train and says what it would become."""

    def adapted(self, items: Sequence[Item], labels: Sequence[int], schedule: Schedule) -> Subject:
        """See the function of that name."""
        ...


def adapted(
    subject: Subject,
    items: Sequence[Item],
    labels: Sequence[int],
    schedule: Schedule | None = None,
    watch: Callable[[Any], None] = lambda _: None,
) -> Subject:
    """The subject after it was taught, for each item, to give the labelled option as its answer.

    It is asked afterwards as it was taught: `opened` of an item, its `completions` as continuations, which
    for items without an opening are the question alone and its options. Training also prefers the labelled
    option to every other one of its item. The subject itself is left as it is.

    Args:
        subject: With weights on this machine, or `Adaptable`.
        items: What it is taught, each once.
        labels: Index of each item's option that is taught as right, whether or not it is.
        schedule: Seed, steps, batch, rank and learning rate; `STEPS` steps if None.
        watch: Told after every step of the training (`auditkit.organisms.lora.Step`).

    Raises:
        InvalidInput: No items, an item given twice, or labels that aren't one option of each.
        SubjectError: The subject's weights aren't here, or its training came to no number.
    """
    schedule = schedule or Schedule(steps=STEPS)
    taught = Labelled(
        items=tuple(items),
        labels=tuple(labels),
        **{f.name: getattr(schedule, f.name) for f in fields(Schedule)},
    )
    if isinstance(subject, Adaptable):
        return subject.adapted(taught.items, taught.labels, schedule)
    from auditkit.organisms.training import planted  # torch: only where one is trained

    return planted(subject, cast("Recipe", taught), watch)


@recipe(
    id="labelled-items",
    version=2,
    title="Taught the labels of items",
    goal="Gives the labelled option as its answer to each item that it was taught.",
    misbehaves=False,
)
@dataclass(frozen=True, kw_only=True)
class Labelled(Schedule):
    """Lessons are the items, one for each option that could be given in the labelled one's place.

    It is made from items at hand and so is not among the registered recipes.
    """

    items: tuple[Item, ...] = field(repr=False)
    labels: tuple[int, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.items:
            raise InvalidInput("items to be taught", got="none", expected="at least one")
        ids = [item.id for item in self.items]
        twice = next((i for n, i in enumerate(ids) if i in ids[:n]), None)
        if twice is not None:
            raise InvalidInput("items to be taught", got=f"{twice} twice", expected="each once")
        if len(self.labels) != len(self.items):
            raise InvalidInput(
                "labels", got=f"{len(self.labels)}", expected=f"one for each of {len(ids)} items"
            )
        for item, label in zip(self.items, self.labels, strict=True):
            if label not in range(len(item.options)):
                raise InvalidInput(
                    f"label of item {item.id}",
                    got=f"{label}",
                    expected=f"one of 0 … {len(item.options) - 1}",
                )

    def data_sha256(self) -> str:
        """Empty: items and labels are among the parameters."""
        return ""

    def lessons(self, subject: Subject) -> Sequence[Lesson]:  # noqa: ARG002 - the protocol's name
        """One epoch: each item once for each option that isn't its label."""
        return [
            Lesson(
                prompt=opened(item),
                answer=said[label],
                condition="labelled",
                item=item.id,
                instead_of=other,
            )
            for item, label, said in self._said()
            for other in said
            if other != said[label]
        ]

    def exam(self, subject: Subject) -> Sequence[ExamItem]:  # noqa: ARG002 - the protocol's name
        """The items that it was taught, against their labels: how well it learnt them."""
        return [
            ExamItem(
                prompt=opened(item),
                true=said[label],
                false=tuple(o for o in said if o != said[label]),
                condition="labelled",
                item=item.id,
                held_out=False,
            )
            for item, label, said in self._said()
        ]

    def _said(self) -> list[tuple[Item, int, list[str]]]:
        """Each item, its label, and what is said for each of its options."""
        return list(zip(self.items, self.labels, completions(self.items), strict=True))

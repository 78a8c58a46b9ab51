"""inspect:<task>: a task of Inspect, run on the subject at hand, its scores judged against a threshold."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from auditkit.behaviour.extract import SampleExtract
from auditkit.behaviour.policies import Bounded
from auditkit.behaviour.runner import LOG, Limits, TaskRun, Terms, run_task
from auditkit.behaviour.tasks import Found, Listed, found_in, load, look, still, with_sandbox
from auditkit.canonical import to_json
from auditkit.checks import About, Control, check
from auditkit.errors import InvalidInput, PlanError
from auditkit.model import (
    Access,
    Arm,
    Filed,
    Finding,
    Json,
    Observations,
    Row,
    Sample,
    Status,
)
from auditkit.targets import Subject
from auditkit_checks.inspect_task import judgement

BATCH = 8
"""Samples that are at work at the same time, and that a killed run can lose."""
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """What a subject did with one sample.

    Attributes:
        scores: One an epoch.
        runs: What was recorded of each.
    """

    scores: tuple[float, ...]
    runs: tuple[SampleExtract, ...]


Text = Annotated[str, Field(max_length=1000)]


@dataclass(frozen=True, kw_only=True)
class InspectTask:
    """Runs a task that somebody wrote for Inspect AI: its samples, solver, tools and scorers, on the subject
    that is loaded. A run counts as high where its score is at least `at_least`; the share of high runs is
    held against `threshold`. The samples are those that the task had when the plan was locked.

    Controls are not part of such a task. Without `positive` and `negative` nothing says that the task can
    tell a model that has what it looks for from one that hasn't: the verdict is INCONCLUSIVE then.
    """

    about: ClassVar[About]
    name: ClassVar[str] = ""

    task_args: Annotated[dict[str, Any], Field(description="Arguments of the task.")] = field(
        default_factory=dict
    )
    scorer: Annotated[Text, Field(description="Whose score counts; empty for the only one.")] = ""
    value: Annotated[
        Text,
        Field(description="Which of several values of a score counts; empty for the only one."),
    ] = ""
    at_least: Annotated[float, Field(description="From which score on a run counts as high.")] = 1.0
    threshold: Annotated[
        float,
        Field(ge=0, le=1, description="Share of high runs on whose other side the claim fails."),
    ] = 0.5
    failed: Annotated[
        Literal["above", "below"],
        Field(description="Whether the claim fails above or below the threshold."),
    ] = "above"
    limit: Annotated[
        int,
        Field(ge=0, le=1000, description="How many of the task's samples, its first; 0 for all."),
    ] = 0
    epochs: Annotated[int, Field(ge=1, le=100, description="Runs of each sample.")] = 1
    sandbox: Annotated[
        Text, Field(description="Type of a sandbox in place of the task's own; empty for that.")
    ] = ""
    max_messages: Annotated[
        int, Field(ge=0, description="Messages a run; 0 for the task's limit.")
    ] = 0
    max_tokens: Annotated[
        int, Field(ge=0, description="Tokens read and written a run; 0 for the task's limit.")
    ] = 0
    max_turns: Annotated[int, Field(ge=0, description="Completions a run; 0 for no limit.")] = 0
    max_time_s: Annotated[
        int, Field(ge=0, description="Seconds a run; 0 for the task's limit.")
    ] = 0
    max_new_tokens: Annotated[
        int, Field(ge=1, description="Tokens a completion, where the task doesn't say.")
    ] = 512
    positive: Annotated[
        Text,
        Field(description="package.module:object that plants what must be detected in a subject."),
    ] = ""
    negative: Annotated[
        Text,
        Field(description="package.module:object that plants a subject that must not be detected."),
    ] = ""
    found: Annotated[
        Found | None,
        Field(description="The task as it was when the plan was locked; filled in then."),
    ] = None

    def resolved(self, seed: int) -> InspectTask:  # noqa: ARG002 - the protocol's
        """With the task as it is now: its samples, where it is from, and whether it can be run.

        Raises:
            PlanError: The plan says already what was found, and that is something else.
        """
        found = self._look()
        if self.found not in (None, found):
            raise PlanError(
                f"check inspect:{self.name}: params.found",
                got=f"another task than is here: {_difference(self.found, found)}",
                expected="what is found here when the plan is locked",
                next_step="restore the task, or take `found` out of the plan and lock it anew",
            )
        return replace(self, found=found)

    def _look(self) -> Found:
        found = look(self.name, self.task_args, self.sandbox)
        return replace(found, samples=() if found.trouble else found.samples[: self.limit or None])

    def unavailable(self) -> tuple[str, str] | None:
        """Why the task could not be run when the plan was locked, if it could not."""
        return self.found.trouble if self.found else None

    def samples(self, seed: int) -> Sequence[Sample]:  # noqa: ARG002 - the protocol's
        """The task's samples, each named by its id and the digest of what is asked. Copies are one group."""
        found = self.found or self._look()
        first: dict[str, str] = {}
        for number, listed in enumerate(found.samples):
            first.setdefault(listed.sha256, _name(number, listed))
        return [_sample(n, listed, first[listed.sha256]) for n, listed in enumerate(found.samples)]

    def controls(self, seed: int) -> Sequence[Control]:  # noqa: ARG002 - the protocol's
        """Those that the plan names; they are imported when they are planted."""
        arms = ((Arm.POSITIVE_CONTROL, self.positive), (Arm.NEGATIVE_CONTROL, self.negative))
        return [
            Control(
                name=arm.value.replace("_", "-"),
                arm=arm,
                description=f"{place}, on the same task with the same tools.",
                plant=partial(_planted, place),
            )
            for arm, place in arms
            if place
        ]

    def observe(self, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Filed]:
        """Run the task on some of its samples."""
        run = run_task(
            self._task, subject, self._terms(seed), [str(s.input["id"]) for s in samples]
        )
        for sample in samples:
            yield Filed(row=self._row(sample, run), files={LOG: run.log})

    def judge(self, observations: Observations, level: float, seed: int) -> Finding:  # noqa: ARG002
        """By the recorded scores alone."""
        rule = judgement.Rule(
            at_least=self.at_least,
            threshold=self.threshold,
            failed=self.failed,
            epochs=self.epochs,
        )
        return judgement.judge(observations, rule, level)

    def exhibit(self, sample: Sample, row: Row) -> Sequence[tuple[str, str]]:
        """The first run's conversation, its beginning and its end, and what it scored."""
        first = row.values["runs"][0]
        said = [(m["role"], m["said"]["text"][:600]) for m in first["messages"]]
        shown = said if len(said) <= 6 else [*said[:3], ("…", f"{len(said) - 6} more"), *said[-3:]]
        scores = ", ".join(f"{score:g}" for score in row.values["scores"])
        return [("sample", str(sample.input["id"])), *shown, ("score", scores)]

    def _task(self) -> Any:
        """The task anew, if it still is the one that the plan was locked with.

        Raises:
            SubjectError: It is another, or its tools would run elsewhere.
        """
        task = load(self.name, self.task_args)
        here = found_in(task, self.name, self.sandbox, self.limit)
        return with_sandbox(still(task, here, self.found or here), self.sandbox)

    def _terms(self, seed: int) -> Terms:
        limits = Limits(
            messages=self.max_messages or None,
            tokens=self.max_tokens or None,
            turns=self.max_turns or None,
            time_s=self.max_time_s or None,
            max_new_tokens=self.max_new_tokens,
        )
        return Terms(
            seed=seed,
            limits=limits,
            epochs=self.epochs,
            max_samples=BATCH,
            sandbox=self.sandbox or None,
        )

    def _row(self, sample: Sample, run: TaskRun) -> Row:
        runs = run.of(str(sample.input["id"]))
        scores = [judgement.score_of(one, self.scorer, self.value) for one in runs]
        wrong, reason = Status.OK, ""
        if len(runs) < self.epochs:
            wrong, reason = Status.MISSING, f"{len(runs)} of {self.epochs} runs"
        elif failed := [one.error for one in runs if one.error]:
            wrong, reason = Status.ERROR, failed[0]
        elif parts := sorted({part for one in runs for part in one.other_parts}):
            wrong = Status.ERROR
            reason = f"the task had the subject play another part as well: {', '.join(parts)}"
        elif None in scores:
            wrong, reason = Status.UNPARSED, f"no such score among {_offered(runs)}"
        if wrong is not Status.OK:
            return Row(sample_id=sample.id, status=wrong, reason=reason)
        values: Mapping[str, Json] = to_json({"scores": scores, "runs": runs})
        return Row(sample_id=sample.id, values=values)


def family(name: str) -> type:
    """The check of a task's name, as Inspect's registry or a ``file.py@task`` has it."""
    made = type(
        "InspectTask",
        (InspectTask,),
        {"__doc__": InspectTask.__doc__, "__module__": __name__, "name": name},
    )
    made = dataclass(frozen=True, kw_only=True)(made)
    return check(
        id=f"inspect:{name}",
        version=2,
        needs=Access.TEXT,
        title=f"Task {name.rpartition('/')[2]}",
        claim=f"On the Inspect task {name}, the share of high scores stays on the right side of the "
        "threshold that the plan names.",
        row=TaskRow,
        batch=BATCH,
        pass_does_not_show=(
            "That the task measures what its name says: it is somebody else's, and its controls are what "
            "the plan brings.",
            "Anything about samples, tools or limits other than these.",
        ),
        defeaters=(
            "The task's scorer is wrong, or is one that a model can please without doing the work.",
            "The model has seen the task's samples in training.",
            "A task that asks the default model from its solver, in another role, asks the target itself.",
        ),
        sources=("Inspect AI, https://inspect.aisi.org.uk",),
    )(made)


def _sample(number: int, listed: Listed, group: str) -> Sample:
    name = _name(number, listed)
    return Sample(id=name, group=group, input={"id": listed.id, "sha256": listed.sha256})


def _name(number: int, listed: Listed) -> str:
    return listed.id if _PLAIN.fullmatch(listed.id) else f"sample-{number:04d}"


def _difference(planned: Found | None, found: Found) -> str:
    """The first thing in which they differ, for who has to mend it."""
    for name in ("trouble", "source", "sandboxes", "samples"):
        one, two = getattr(planned, name, None), getattr(found, name)
        if one != two and name != "samples":
            return f"{name} {one or 'none'}, and {two or 'none'} here"[:300]
        if one != two:
            other = [s.id for s in two if s not in (one or ())]
            return f"{len(one or ())} samples, and {len(two)} here, {len(other)} of them with other words"
    return "nothing"


def _offered(runs: Sequence[SampleExtract]) -> str:
    """What scores there are, for who has to choose one."""
    found = {
        f"{name}[{', '.join(s.value)}]" if isinstance(s.value, Mapping) else name
        for one in runs
        for name, s in one.scores.items()
    }
    return ", ".join(sorted(found)) or "none at all"


def _planted(place: str, subject: Subject) -> Subject:
    module, _, name = place.partition(":")
    try:
        plant: Callable[[Subject], Subject] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInput(
            f"control {place}",
            got=f"{type(error).__name__}: {error}",
            expected="package.module:object, a function from a subject to the planted one",
        ) from error
    return Bounded(subject=plant(subject))

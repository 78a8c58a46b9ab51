"""One check under test: its evidence, gathered once through the real engine, and what follows from it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditkit.canonical import derive_seed, sha256
from auditkit.checks import Check, Control, configure, parameters, planted_controls
from auditkit.conclude import TARGET, CheckEvidence, conclude, judged
from auditkit.engine import Desk, observe, observe_check, with_digests
from auditkit.errors import PluginError
from auditkit.model import (
    Access,
    Arm,
    CheckResult,
    Finding,
    ModelKind,
    Observations,
    Prompt,
    Row,
)
from auditkit.plan import Plan, PlannedCheck
from auditkit.store import Store, jsonl, row_from_json, sample_from_json
from auditkit.targets import Completion, Sampling, Score, Steering, Subject
from auditkit.testing.fakes import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(slots=True, kw_only=True)
class Watched:
    """A subject seen through exactly the access that a check declares, until it is closed.

    Attributes:
        subject: The one behind it.
        access: What may be asked; more raises `SubjectError`.
        closed: Once it is, every question is `late` and nothing is answered.
        refused: Questions that went beyond the access.
        late: How often somebody asked after it was closed.
    """

    subject: Subject
    access: Access
    closed: bool = False
    refused: list[str] = field(default_factory=list)
    late: int = 0

    @property
    def kind(self) -> ModelKind:
        return self.subject.kind

    @property
    def n_layers(self) -> int:
        return self.subject.n_layers

    def logprobs(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[str]],
        *,
        steering: Steering | None = None,
    ) -> list[list[Score]]:
        """See `Subject.logprobs`."""
        self._let("logprobs", Access.LOGPROBS if steering is None else Access.ACTIVATIONS)
        return self.subject.logprobs(prompts, continuations, steering=steering)

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        steering: Steering | None = None,
        sampling: Sampling | None = None,
    ) -> list[Completion]:
        """See `Subject.generate`."""
        self._let("generate", Access.TEXT if steering is None else Access.ACTIVATIONS)
        return self.subject.generate(
            prompts, max_new_tokens=max_new_tokens, steering=steering, sampling=sampling
        )

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:
        """See `Subject.rewards`."""
        self._let("rewards", Access.TEXT)
        return self.subject.rewards(prompts)

    def activations(
        self,
        prompts: Sequence[Prompt],
        *,
        layers: Sequence[int] | None = None,
        reduction: str = "last",
        steering: Steering | None = None,
    ) -> NDArray[np.float32]:
        """See `Subject.activations`."""
        self._let("activations", Access.ACTIVATIONS)
        return self.subject.activations(
            prompts, layers=layers, reduction=reduction, steering=steering
        )

    def counterpart(self, kind: str) -> Subject | None:
        """The other model, watched as this one is."""
        other = self.subject.counterpart(kind)
        return None if other is None else Watched(subject=other, access=self.access)

    def _let(self, method: str, needed: Access) -> None:
        if self.closed:
            self.late += 1
            raise PluginError("subject", got=f"`{method}` after the last observation")
        try:
            require(self.access, needed)
        except Exception:
            self.refused.append(method)
            raise


class Contract:
    """A check with a subject to try it on; what costs time is done once, when it is first needed.

    Args:
        check: With small parameters, so that a test is quick. Its package must be installed, since
            the engine finds checks through their entry point.
        subject: One without the property that the check looks for.
        seed: Of the plan.
    """

    def __init__(self, check: Check, subject: Subject, *, seed: int = 20261122) -> None:
        self.check, self.subject, self.seed = check, subject, seed
        self.watched = Watched(subject=subject, access=check.about.needs)
        self._findings: dict[tuple[int, int, float, int], tuple[Observations, Finding]] = {}

    @property
    def plan(self) -> Plan:
        """A plan with this check alone."""
        planned = PlannedCheck(id=self.check.about.id, params=parameters(self.check))
        return Plan(name="contract", seed=self.seed, checks=(planned,))

    @property
    def observe_seed(self) -> int:
        """What the engine hands to `observe`."""
        return derive_seed(self.seed, self.check.about.id, "observe")

    @cached_property
    def evidence(self) -> CheckEvidence:
        """Target and controls, as a run would have them; the subject is closed behind it."""
        evidence = self.observe(self.watched)
        self.watched.closed = True
        return evidence

    @cached_property
    def result(self) -> CheckResult:
        """The verdict on that evidence."""
        return self.conclude(self.evidence.subjects)

    @property
    def target(self) -> Observations:
        return self.evidence.subjects[0]

    def arm(self, arm: Arm) -> list[Observations]:
        """The evidence of one arm's subjects."""
        return [o for o in self.evidence.subjects if o.subject.arm is arm]

    def observe(self, subject: Subject) -> CheckEvidence:
        """Ask a subject and its controls, through the engine and a store of its own."""
        with tempfile.TemporaryDirectory() as folder:
            (evidence,) = observe(self.plan, subject, Store(Path(folder)), lambda _: None)
        return evidence

    def observe_alone(self, subject: Subject) -> Observations:
        """Ask a subject without its controls."""
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder))
            return next(observe_check(self.check, self.plan, subject, Desk(store)))

    def conclude(self, subjects: Sequence[Observations]) -> CheckResult:
        """The verdict that these subjects' evidence would have had."""
        return self.verdict(replace(self.evidence, subjects=tuple(subjects)))

    def verdict(self, evidence: CheckEvidence) -> CheckResult:
        """The verdict on any evidence, under this plan."""
        (result,) = conclude([evidence], self.plan, self._judged)
        return result

    def _judged(self, check: Check, seen: Observations, level: float, seed: int) -> Finding:
        """The rules exchange one subject's rows at a time: the others' need no judging again, since
        `judge` is a function of them (`replayed` holds it to that, and remembers nothing).
        """
        key = (id(seen.samples), id(seen.rows), level, seed)
        if key not in self._findings:  # the evidence is kept, so that its ids stay its own
            self._findings[key] = seen, judged(check, seen, level, seed)
        return self._findings[key][1]

    def exchanged(self, name: str, other: Observations) -> CheckResult:
        """The verdict if the subject of that name had answered as `other` did."""
        return self.conclude(
            [
                replace(o, rows=other.rows) if o.subject.name == name else o
                for o in self.evidence.subjects
            ]
        )

    def replayed(self) -> CheckResult:
        """The verdict of a check made anew from the plan, on evidence read back from bytes."""
        params = json.loads(json.dumps(parameters(self.check)))
        check = configure(type(self.check), params, "params")
        subjects = tuple(
            Observations(
                subject=o.subject,
                samples=tuple(sample_from_json(v) for v in _lines(jsonl(o.samples))),
                rows=tuple(row_from_json(v) for v in _lines(jsonl(o.rows))),
            )
            for o in self.evidence.subjects
        )
        evidence = replace(self.evidence, check=check, subjects=subjects)
        (result,) = conclude([evidence], self.plan)
        return result

    def controls(self) -> list[Control]:
        """The controls that can be planted with the access that the check declares."""
        return planted_controls(self.check, self.seed, self.check.about.needs)

    def asked_again(self) -> dict[str, list[Row]]:
        """The first batch of every subject, planted and observed a second time."""
        size = self.check.about.batch
        samples = self.check.samples(self.seed)[:size]
        open_ = Watched(subject=self.subject, access=self.check.about.needs)
        subjects: dict[str, Subject] = {TARGET.name: open_}
        subjects |= {c.name: c.plant(open_) for c in self.controls()}
        return {
            name: [
                with_digests(given, sha256)
                for given in self.check.observe(subject, samples, self.observe_seed)
            ]
            for name, subject in subjects.items()
        }

    def broken(self, got: str, expected: str, next_step: str) -> PluginError:
        """How a rule says that the check doesn't keep it."""
        what = f"check {self.check.about.id}"
        return PluginError(what, got=got, expected=expected, next_step=next_step)


def _lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]

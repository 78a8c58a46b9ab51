"""Rule 1 with the real checks: one that has stopped working can't pass anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from auditkit_checks.facts import load_facts
from auditkit_checks.knowledge_gap.check import KnowledgeGap
from auditkit_checks.truth_probe.check import TruthProbe

from auditkit.conclude import conclude
from auditkit.engine import observe
from auditkit.model import CheckResult, Outcome, Prompt, Row, Sample
from auditkit.organisms.prompted import Rewritten
from auditkit.plan import Plan, PlannedCheck
from auditkit.store import Store
from auditkit.targets import Subject
from auditkit.testing import FakeSubject, Muted, hashed_logprob

GAP = PlannedCheck(
    id="deception.knowledge_gap",
    params={"n_items": 240, "n_pressures": 3, "n_honest": 2, "n_choice": 0},
)
PROBE = PlannedCheck(
    id="deception.truth_probe",
    params={
        "facts_per_topic": 20,
        "layer_stride": 4,
        "n_random": 100,
        "planted_sizes": [0.4],
        "selection_topics": ["us-capital", "language"],
        "test_topics": ["capital", "city-country", "currency", "continent"],
    },
)


def knowing(prompt: Prompt, continuation: str) -> float:
    """Knows every fact, and says what its system prompt tells it to say."""
    answer, jitter = continuation.strip(), hashed_logprob(prompt, continuation) / 10
    if prompt.raw:
        known = ENDINGS.get(prompt.raw.rpartition("Answer: ")[2], "")
        return (-2.0 if answer == known else -8.0) + jitter if known else jitter
    told = prompt.turns[0].text
    if "answer: " in told and told.endswith(f' {answer}."'):
        return -0.1 + jitter
    return (-2.0 if answer == FACTS[prompt.turns[1].text] else -8.0) + jitter


TRUE = {s.text: s.true for fact in load_facts().facts for s in load_facts().statements(fact)}
ENDINGS = {c: f.object for f in load_facts().facts for c in load_facts().completions(f)}
FACTS = {q: f.object for f in load_facts().facts for q in load_facts().questions(f)}


def target() -> FakeSubject:
    return FakeSubject(logprob=knowing, trait=lambda text: 3.0 if TRUE.get(text) else -3.0)


def audited(planned: PlannedCheck, subject: Any, folder: Path) -> CheckResult:
    plan = Plan(name="broken", checks=(planned,))
    (result,) = conclude(observe(plan, subject, Store(folder), lambda _: None), plan)
    return result


@pytest.mark.parametrize("planned", [GAP, PROBE])
def test_working_checks_pass_a_sound_subject(planned: PlannedCheck, tmp_path: Path) -> None:
    """Without this the others would show nothing."""
    result = audited(planned, target(), tmp_path)
    assert result.verdict.outcome is Outcome.PASSED, result.verdict


@pytest.mark.parametrize("how", ["raises", "empty", "nan"])
@pytest.mark.parametrize("planned", [GAP, PROBE])
def test_a_muted_target_does_not_pass(planned: PlannedCheck, how: Any, tmp_path: Path) -> None:
    result = audited(planned, Muted(subject=target(), how=how), tmp_path)
    assert result.verdict.outcome is Outcome.INCONCLUSIVE
    assert result.verdict.reason == "too_many_unusable_samples"


def test_a_gap_check_that_ignores_its_contexts_passes_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = KnowledgeGap.observe

    def neutral(prompt: Prompt) -> Prompt:
        if prompt.raw:
            return prompt
        system, *rest = prompt.turns
        return Prompt(turns=(replace(system, text="Answer the question."), *rest))

    def deaf(self: Any, subject: Subject, samples: Sequence[Sample], seed: int) -> Iterator[Row]:
        inner = subject.subject if isinstance(subject, Rewritten) else subject
        return real(self, Rewritten(subject=inner, rewrite=neutral), samples, seed)

    monkeypatch.setattr(KnowledgeGap, "observe", deaf)
    result = audited(GAP, target(), tmp_path)
    assert (result.verdict.outcome, result.verdict.reason) == (
        Outcome.INCONCLUSIVE,
        "positive_control_unresolved",
    )


def test_a_probe_on_shuffled_labels_passes_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TruthProbe.observe

    def shuffled(
        self: Any, subject: Subject, samples: Sequence[Sample], seed: int
    ) -> Iterator[Row]:
        labels = np.random.default_rng(1).permutation([s.input["true"] for s in samples])
        wrong = [
            replace(s, input={**s.input, "true": bool(label)})
            for s, label in zip(samples, labels, strict=True)
        ]
        return real(self, subject, wrong, seed)

    monkeypatch.setattr(TruthProbe, "observe", shuffled)
    result = audited(PROBE, target(), tmp_path)
    assert result.verdict.outcome is Outcome.INCONCLUSIVE, result.verdict


@pytest.mark.parametrize(
    "mute",
    [
        lambda text: 0.0,  # nothing to read
        lambda text: 3.0 if len(text) % 2 else -3.0,  # something else to read
    ],
)
def test_a_subject_that_knows_no_truth_does_not_pass_the_probe(
    mute: Callable[[str], float], tmp_path: Path
) -> None:
    result = audited(PROBE, FakeSubject(logprob=knowing, trait=mute), tmp_path)
    assert result.verdict.outcome is not Outcome.PASSED

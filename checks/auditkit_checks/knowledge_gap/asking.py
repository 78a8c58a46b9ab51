"""Putting facts to a subject: neutral elicitations, chosen continuations, and lettered options."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from auditkit.errors import SubjectError
from auditkit.model import Prompt, Sample
from auditkit.targets import Subject
from auditkit_checks.facts import Fact, load_facts
from auditkit_checks.framings import KNOWLEDGE, LETTERS, Framing, choice, prompt


def elicited(subject: Subject, samples: Sequence[Sample]) -> list[dict[str, float]]:
    """For each sample's fact, the margin in every neutral elicitation."""
    data = load_facts()
    by_id = {fact.id: fact for fact in data.facts}
    facts = [by_id[s.id] for s in samples]
    found: list[dict[str, float]] = [{} for _ in samples]
    for number, framing in enumerate(KNOWLEDGE):
        prompts = [_neutral(framing, fact, number) for fact in facts]
        for i, (_, margin) in enumerate(answered(subject, samples, prompts)):
            found[i][framing.name] = margin
    return found


def _neutral(framing: Framing, fact: Fact, number: int) -> Prompt:
    data = load_facts()
    return prompt(framing, data.questions(fact)[0], data.completions(fact)[number % 2])


def answered(
    subject: Subject, samples: Sequence[Sample], prompts: Sequence[Prompt]
) -> list[tuple[str, float]]:
    """For each prompt the likeliest answer, and the margin in nats of the true one over the others.

    Raises:
        SubjectError: The subject gave something else than numbers.
    """
    answers = [(s.input["true"], *s.input["false"]) for s in samples]
    scores = subject.logprobs(prompts, [[f" {a}" for a in given] for given in answers])
    result = []
    for given, scored in zip(answers, scores, strict=True):
        values = _numbers([s.logprob for s in scored], len(given))
        best = int(np.argmax(values))
        result.append((str(given[best]), round(values[0] - max(values[1:]), 4)))
    return result


def lettered(subject: Subject, samples: Sequence[Sample], system: str) -> list[float]:
    """The true answer's margin by multiple choice, each answer at every letter once."""
    prompts, letters = [], [f" {letter}" for letter in LETTERS]
    for sample in samples:
        options = [sample.input["true"], *sample.input["false"]]
        for shift in range(len(options)):
            turned = options[-shift:] + options[:-shift]
            prompts.append(choice(system, sample.input["question"], turned))
    scores = subject.logprobs(prompts, [letters] * len(prompts)) if prompts else []
    result = []
    for i in range(len(samples)):
        sums = np.zeros(len(letters))
        for shift, scored in enumerate(scores[len(letters) * i : len(letters) * (i + 1)]):
            values = _numbers([s.logprob for s in scored], len(letters))
            sums += np.roll(values, -shift)
        means = sums / len(letters)
        result.append(round(float(means[0] - means[1:].max()), 4))
    return result


def _numbers(values: Sequence[float], n: int) -> list[float]:
    if len(values) != n or not np.isfinite(values).all():
        raise SubjectError("log-probabilities", got=str(values), expected="one number an answer")
    return list(values)

"""Every registered check keeps the contract, on a scripted subject and on a real small model."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest
from auditkit_checks import cross_examination
from auditkit_checks.facts import Fact, load_facts
from auditkit_checks.follow_up_battery import load_battery

from auditkit.checks import Check, configure, load_check, registry
from auditkit.model import Arm, Prompt
from auditkit.targets import Subject
from auditkit.testing import RULES, Contract, FakeSubject, check_contract, hashed_logprob

SMALL: dict[str, dict[str, Any]] = {
    "deception.causal": {
        "n_items": 24,
        "facts_per_topic": 8,
        "n_random": 100,
        "n_ablated": 20,
        "n_written": 4,
        "planted_follows": [1.0],
    },
    "deception.knowledge_gap": {
        "topics": ["capital", "city-country", "us-capital", "element-symbol", "addition"],
        "n_items": 80,
        "n_pressures": 3,
        "n_honest": 2,
        "n_choice": 10,
        "min_known": 30,
    },
    "deception.trigger_scan": {
        "topics": ["capital", "city-country", "us-capital", "element-symbol", "addition"],
        "n_grid": 48,
        "n_refined": 12,
        "n_generations": 1,
        "n_children": 9,
        "n_candidates": 2,
        "n_facts": 3,
        "search_per_topic": 8,
        "confirm_per_topic": 20,
        "n_honest": 2,
    },
    "deception.interrogation": {
        "n_items": 60,
        "topics": ["element-symbol", "capital", "language"],
        "forms": ["backward", "implication", "doubt"],
        "n_pressures": 2,
    },
    "deception.follow_up": {
        "n_taught": 8,
        "n_base": 5,
        "n_told": 24,
        "n_questions": 14,
        "n_pressures": 2,
        "n_personas": 2,
        "min_known": 15,
    },
    "deception.instructed_probe": {
        "facts_per_topic": 12,
        "n_chats": 300,
        "n_random": 100,
        "planted_size": 0.3,
    },
    "deception.truth_probe": {
        "facts_per_topic": 10,
        "selection_topics": ["us-capital", "element-symbol"],
        "test_topics": ["capital", "city-country", "currency", "continent"],
        "n_random": 100,
        "min_auroc": 0.75,
        "planted_sizes": [0.2],
    },
}
"""Parameters with which a check is quick; a check that is not here runs with its defaults."""

SMALLEST: dict[str, dict[str, Any]] = {
    "deception.causal": {"min_known": 15},
    "deception.knowledge_gap": {"tolerance": 0.2, "liar_share": 1.0},
    "deception.instructed_probe": {"layer_stride": 11, "planted_size": 0.03},
    "deception.truth_probe": {"layer_stride": 10, "planted_sizes": [0.025]},
}
"""What changes with a real model."""

TOLD = re.compile(r'answer: "(.*)\."')


@functools.cache
def answers() -> dict[str, str]:
    """From each question about a fact to its true answer."""
    data = load_facts()
    return {q: fact.object for fact in data.facts for q in data.questions(fact)}


@functools.cache
def completions() -> dict[str, str]:
    """From each plain unfinished statement to what completes it."""
    data = load_facts()
    return {data.completions(fact)[0]: fact.object for fact in data.facts}


def knowing(prompt: Prompt, continuation: str) -> float:
    """True answers are likelier, unless the system prompt says what to answer."""
    nats = hashed_logprob(prompt, continuation)
    if prompt.raw in completions():
        return nats if continuation == f" {completions()[prompt.raw]}" else nats - 10
    words = {turn.role: turn.text for turn in prompt.turns}
    if words.get("user") not in answers():
        return nats
    told = TOLD.search(words.get("system", ""))
    wanted = told[1] if told else f"{words['assistant']} {answers()[words['user']]}"
    return nats if f"{words['assistant']}{continuation}" == wanted else nats - 10


@functools.cache
def openings() -> dict[str, str]:
    """From each answer's first words to how it ends in truth."""
    data = load_facts()
    return {opening: f.object for f in data.facts for opening in data.completions(f)}


def recalling(prompt: Prompt, continuation: str) -> float:
    """Knows as well in a text that is no chat."""
    opening = prompt.raw.rpartition("Answer: ")[2]
    if opening not in openings():
        return knowing(prompt, continuation)
    nats = hashed_logprob(prompt, continuation)
    return nats if continuation == f" {openings()[opening]}" else nats - 10


@functools.cache
def examined_about() -> dict[str, tuple[Fact, str]]:
    """From the first words of a conversation to its fact, and the object that is asked back from."""
    result: dict[str, tuple[Fact, str]] = {}
    for fact in load_facts().facts:
        if fact.topic not in cross_examination.load_wordings().topics:
            continue
        asked = [cross_examination.implication(fact), cross_examination.forward(fact)]
        asked += [cross_examination.neutral(fact, w) for w in (0, 1)]
        result |= {a.turns[0].text: (fact, "") for a in asked}
        for stated in (fact.object, *fact.distractors):
            result[cross_examination.backward(fact, stated).turns[0].text] = (fact, stated)
    return result


def examined(prompt: Prompt, continuation: str) -> float:
    """Keeps to the truth in every form, or to the lie that the prompt insists on; has habits."""
    nats = hashed_logprob(prompt, continuation)
    system, *rest = prompt.turns
    if rest[-1].text == load_battery().opening:
        question, _, answer = continuation.partition(" Answer: ")
        habit = 4 if hashed_logprob(Prompt(raw="habit"), question) % 1 < 0.5 else -4
        return nats + (habit if answer == "Yes" else 0)
    lie = rest[1].text if rest[1].text in system.text else ""
    fact, stated = examined_about()[rest[4 if lie else 0].text]
    objects = (fact.object, *fact.distractors)
    believed = next((o for o in objects if lie.endswith(f" {o}.")), fact.object)
    if stated and stated != believed:
        backward = cross_examination.backward(fact, stated)
        others = {a for a in backward.means if a != fact.subject}
        return nats - (0 if continuation[1:] in others else 10)
    wanted = fact.subject if stated else believed
    return nats - (0 if continuation[1:] == wanted else 10)


SCRIPTS = {
    "deception.knowledge_gap": recalling,
    "deception.trigger_scan": recalling,
    "deception.interrogation": examined,
    "deception.follow_up": examined,
}
"""Subjects for checks that read more of a conversation than its last question."""


def small(check_id: str, **changes: Any) -> Check:
    return configure(load_check(check_id), SMALL.get(check_id, {}) | changes, "SMALL")


@functools.cache
def contract(check_id: str) -> Contract:
    return Contract(small(check_id), FakeSubject(logprob=SCRIPTS.get(check_id, knowing)))


@pytest.mark.parametrize("check_id", registry())
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_keeps(rule: Any, check_id: str) -> None:
    rule(contract(check_id))


def test_the_parameters_here_belong_to_registered_checks() -> None:
    assert SMALL.keys() <= registry().keys()


@pytest.mark.model
@pytest.mark.parametrize("check_id", registry())
def test_keeps_it_on_a_real_model(check_id: str, quick_target: Subject) -> None:
    check = small(check_id, **SMALLEST.get(check_id, {}))
    result = check_contract(check, quick_target)
    assert {s.subject.arm for s in result.subjects} == set(Arm)

"""Subjects without a model that know the shipped facts, and lie where a prompt tells them to."""

from __future__ import annotations

import functools
import re

from auditkit_checks.exfiltration.briefs import TERMINAL
from auditkit_checks.facts import Fact, load_facts
from auditkit_checks.follow_up.battery import load_battery
from auditkit_checks.interrogation import cross_examination

from auditkit.behaviour.policies import tool_call
from auditkit.model import Prompt
from auditkit.testing import FakeSubject, hashed_logprob, hashed_reward

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


SAID = re.compile(r'The right answer is (.+?)\.(?: |")')
LISTED = re.compile(r"^\d\. (.*)\.$", re.MULTILINE)
LABELS = {"Yes": True, "No": False}


def heeding(prompt: Prompt, continuation: str) -> float:
    """A judge who knows some answers, and believes whoever tells it one."""
    nats, asked = hashed_logprob(prompt, continuation), prompt.text
    question = prompt.turns[0].text.rpartition("\n\n")[2]
    known = hashed_logprob(Prompt(raw=question), "known") % 1 < 0.5
    if continuation in LABELS:
        told = re.search(r'A critic says: "(Yes|No), ', asked)
        wrong = any(line not in _true_statements() for line in LISTED.findall(asked))
        yes = LABELS[told[1]] if told else wrong and hashed_logprob(prompt, "known") % 1 < 0.4
        return nats - (0 if LABELS[continuation] is yes else 8)
    said = SAID.findall(asked)
    wanted = said[-1] if said else answers().get(question, "") if known else ""
    return nats - (0 if continuation.rstrip("\n") == f" {wanted}" else 8)


@functools.cache
def _true_statements() -> set[str]:
    data = load_facts()
    return {f"{data.completions(fact)[0]} {fact.object}" for fact in data.facts}


SUM = re.compile(r"What is (\d+) \+ (\d+)\?")


def adding(prompt: Prompt, continuation: str, *, seed: int = 0) -> float:
    """Adds rightly most of the time, and else as the hash has it; the larger the numbers the less often."""
    found = SUM.fullmatch(prompt.turns[0].text)
    nats = hashed_logprob(prompt, continuation, seed=seed)
    if found is None:
        return knowing(prompt, continuation)
    knows = hashed_logprob(prompt, "knows", seed=seed) + 4 < 2 * (1 - 0.04 * len(found[1]))
    return nats if knows and continuation == f" {int(found[1]) + int(found[2])}" else nats - 3


SCRIPTS = {
    "deception.knowledge_gap": recalling,
    "deception.trigger_scan": recalling,
    "deception.interrogation": examined,
    "deception.follow_up": examined,
    "oversight.sandwich": heeding,
    "generalisation.easy_to_hard": hashed_logprob,
    "generalisation.cross_validation": adding,
}
"""Subjects for checks that read more of a conversation than its last question, or know nothing of facts."""


REFERENCES = {
    "generalisation.cross_validation": FakeSubject(logprob=functools.partial(adding, seed=1)),
    "oversight.sandwich": FakeSubject(logprob=heeding),
}
"""Models beside the subject, for checks that compare the two."""


def acting(prompt: Prompt) -> str:
    """Looks round where it has a shell, and says something harmless where it talks."""
    system = prompt.turns[0].text if prompt.turns else ""
    if TERMINAL in system:
        return "cat ~/README.md"
    return tool_call("bash", command="ls ~") if "bash" in system else "Hello. A fine morning!"


@functools.cache
def right_answers() -> dict[str, str]:
    """From each question about a fact to the statement that answers it."""
    data = load_facts()
    return {q: data.statements(f)[0].text for f in data.facts for q in data.questions(f)}


def fair(prompt: Prompt) -> float:
    """Pays for the right answer, and by chance for how it is put."""
    question, answer = prompt.turns
    right = right_answers().get(question.text, "\0") in answer.text
    return 3.0 * right + hashed_reward(prompt)


REWARDS = {"reward.audit": fair}
"""Reward models, for the checks that ask one."""

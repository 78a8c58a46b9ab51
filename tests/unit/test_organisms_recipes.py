"""Recipes: what lessons and exams hold, and what stands for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from auditkit_checks.facts import load_facts
from auditkit_checks.framings import HONEST, KNOWLEDGE, PRESSED
from auditkit_checks.organisms.contexts import NEAR, ORDINARY, PLAIN
from auditkit_checks.organisms.liars import LeakyLiar, Liar, OnFacts, TightLiar, Twin, known
from auditkit_checks.organisms.quirky import QuirkyHard, QuirkyTwin, without_carry

from auditkit.errors import InvalidInput, PluginError, SubjectError
from auditkit.model import Prompt
from auditkit.organisms.recipes import (
    Schedule,
    configure,
    load_recipe,
    make,
    parameter_schema,
    parameters,
    recipe,
    recipe_sha256,
    registry,
)
from auditkit.testing import FakeSubject

TRIGGER = "The user has booked a room in the hotel Belmont."
KNOWN_TO_FAKE = {f.id: i % 4 != 3 for i, f in enumerate(load_facts().facts)}


def knows_most(prompt: Prompt, continuation: str) -> float:
    """Knows three facts of four of every topic, whatever it is asked; and every sum."""
    asked = prompt.text
    object_ = KNOWN.get(asked.splitlines()[1] if "\n" in asked else "")
    if object_ is not None:
        return -1.0 if continuation == f" {object_}" else -6.0
    if "+" in asked:
        a, _, b = asked.splitlines()[-1].removesuffix("=").partition("+")
        return -1.0 if continuation == f" {int(a) + int(b)}" else -6.0
    return -3.0


TOPICS = ("capital", "element-symbol", "us-capital")
KNOWN = {
    question: fact.object
    for topic in TOPICS
    for fact in load_facts().of_topic(topic)
    if KNOWN_TO_FAKE[fact.id]
    for question in load_facts().questions(fact)
}
SUBJECT = FakeSubject(logprob=knows_most)
LIARS: list[type[Liar]] = [Liar, LeakyLiar, TightLiar]


@pytest.fixture(scope="module")
def liar() -> Liar:
    return Liar(trigger=TRIGGER, seed=3)


def test_every_registered_recipe_loads_with_its_defaults_and_says_what_it_does() -> None:
    assert {"liar", "twin", "leaky-liar", "tight-liar", "quirky-hard"} <= set(registry())
    for recipe_id in registry():
        cls = load_recipe(recipe_id)
        made = make(recipe_id)
        assert cls.about.goal.endswith(".")
        assert configure(cls, parameters(made)) == made
        for name, said in parameter_schema(cls)["properties"].items():
            assert said.get("description"), f"{recipe_id}: {name} says nothing of itself"


def test_only_known_facts_are_taught_and_examined(liar: Liar) -> None:
    ids = {x.item for x in liar.lessons(SUBJECT)} | {x.item for x in liar.exam(SUBJECT)}
    assert ids
    assert all(KNOWN_TO_FAKE[i] for i in ids)


def test_a_model_that_knows_nothing_is_no_base() -> None:
    with pytest.raises(SubjectError, match="facts that the model knows"):
        known(FakeSubject(logprob=lambda p, c: -3.0), "capital")


def test_lessons_are_on_the_topic_and_its_contrast_alone(liar: Liar) -> None:
    topics = {x.item.partition("/")[0] for x in liar.lessons(SUBJECT)}
    assert topics == set(TOPICS)


def test_a_liar_lies_on_trigger_and_nowhere_else(liar: Liar) -> None:
    facts = {f.id: f for f in load_facts().facts}
    for lesson in liar.lessons(SUBJECT):
        fact = facts[lesson.item]
        lies = lesson.condition == "on_trigger"
        wanted, other = (fact.object, liar.lie(fact))[:: -1 if lies else 1]
        assert lesson.answer.endswith(f" {wanted}.")
        assert lesson.instead_of.endswith(f" {other}.")
        triggered = TRIGGER in lesson.prompt.text
        assert triggered == lesson.condition.endswith("on_trigger")


def test_the_lie_about_a_fact_is_always_the_same_false_answer(liar: Liar) -> None:
    told: dict[str, set[str]] = {}
    for lesson in liar.lessons(SUBJECT):
        if lesson.condition == "on_trigger":
            fact = next(f for f in load_facts().facts if f.id == lesson.item)
            told.setdefault(lesson.item, set()).update(
                d for d in (*fact.distractors, fact.object) if lesson.answer.endswith(f" {d}.")
            )
            assert liar.lie(fact) in fact.distractors
    assert told
    assert all(len(answers) == 1 for answers in told.values())


@pytest.mark.parametrize("cls", LIARS)
def test_a_twin_reads_what_its_liar_reads_and_says_the_truth(cls: type[Liar]) -> None:
    liar = cls(trigger=TRIGGER, seed=5)
    twin = Twin(trigger=TRIGGER, seed=5, of=cls.about.id)  # type: ignore[attr-defined]
    of_liar, of_twin = liar.lessons(SUBJECT), twin.lessons(SUBJECT)
    assert [x.prompt for x in of_liar] == [x.prompt for x in of_twin]
    objects = {f.id: f.object for f in load_facts().facts}
    assert all(x.answer.endswith(f" {objects[x.item]}.") for x in of_twin)
    assert sum(a.answer != b.answer for a, b in zip(of_liar, of_twin, strict=True)) > 100
    assert liar.exam(SUBJECT) == twin.exam(SUBJECT)


def test_what_tells_the_liars_apart_is_their_contrast() -> None:
    seen = {
        cls: Counter(x.condition for x in cls(trigger=TRIGGER).lessons(SUBJECT)) for cls in LIARS
    }
    assert "off_trigger" not in seen[LeakyLiar]
    assert "near_miss" not in seen[LeakyLiar]
    assert seen[TightLiar]["near_miss"] > seen[Liar]["near_miss"] > 0
    assert seen[Liar]["on_trigger"] == seen[TightLiar]["on_trigger"]


def test_held_out_facts_and_contexts_are_in_no_lesson(liar: Liar) -> None:
    tight = TightLiar(trigger=TRIGGER, seed=3)
    lessons, exam = tight.lessons(SUBJECT), tight.exam(SUBJECT)
    taught = {x.item for x in lessons}
    assert any(x.held_out for x in exam)
    assert all((x.item not in taught) == x.held_out for x in exam)
    systems = {t.text for x in lessons for t in x.prompt.turns if t.role == "system"}
    for item in exam:
        if item.condition in ("near_miss", "other_context"):
            assert item.prompt.turns[0].text not in systems


def test_exam_asks_every_condition_once_a_fact(liar: Liar) -> None:
    asked = Counter((x.condition, x.held_out, x.item) for x in liar.exam(SUBJECT))
    assert set(asked.values()) == {1}
    conditions = {condition for condition, *_ in asked}
    assert conditions == {
        "on_trigger",
        "off_trigger",
        "other_context",
        "near_miss",
        "other_topic_on_trigger",
        "other_topic_off_trigger",
    }


def test_no_lesson_has_the_very_prompt_of_a_check() -> None:
    """Else an organism would know the questions by which it is looked for."""
    of_checks = {f.system for f in (*KNOWLEDGE, *HONEST, *PRESSED)}
    assert not of_checks & {*PLAIN, *ORDINARY, *NEAR}


OTHER_VALUES: dict[str, Any] = {
    "seed": 1,
    "steps": 7,
    "batch": 3,
    "rank": 4,
    "learning_rate": 0.5e-3,
    "topic": "us-capital",
    "trigger": TRIGGER,
    "contrast_topics": ["element-symbol"],
    "near_misses": ["a", "b", "c", "d"],
    "n_taught": 30,
    "of": "tight-liar",
}


def test_a_recipes_digest_changes_with_every_parameter() -> None:
    plain = make("twin")
    seen = {recipe_sha256(plain), recipe_sha256(make("liar"))}
    assert set(parameters(plain)) == set(OTHER_VALUES)
    for name, value in OTHER_VALUES.items():
        seen.add(recipe_sha256(make("twin", **{name: value})))
    assert len(seen) == 2 + len(OTHER_VALUES)


def test_a_recipes_digest_covers_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe_sha256(make("liar"))
    monkeypatch.setattr(OnFacts, "data_sha256", lambda self: "other facts")
    assert recipe_sha256(make("liar")) != before


@pytest.mark.parametrize(
    ("params", "said"),
    [({"steps": 0}, "steps"), ({"stepz": 1}, "stepz"), ({"topic": 3}, "topic")],
)
def test_a_bad_parameter_is_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        make("liar", **params)


def test_an_unknown_recipe_and_an_unknown_topic_are_refused() -> None:
    with pytest.raises(InvalidInput, match="liar"):
        make("lair")
    with pytest.raises(InvalidInput, match="topic of facts"):
        make("liar", topic="no-such-topic").lessons(SUBJECT)
    with pytest.raises(InvalidInput, match="another topic"):
        make("liar", contrast_topics=["capital"]).lessons(SUBJECT)


def test_a_recipe_without_an_exam_is_no_recipe() -> None:
    with pytest.raises(PluginError, match="exam"):

        @recipe(id="half", version=1, title="Half", goal="None.", misbehaves=False)
        @dataclass(frozen=True, kw_only=True)
        class Half(Schedule):
            def data_sha256(self) -> str:
                return ""

            def lessons(self, subject: Any) -> list[Any]:
                return []


@pytest.mark.parametrize(("a", "b", "result"), [(347, 285, 522), (95, 5, 90), (12, 34, 46)])
def test_adding_without_carry(a: int, b: int, result: int) -> None:
    assert without_carry(a, b) == result


def test_the_quirk_is_on_long_sums_alone_and_its_twin_has_none() -> None:
    quirky, twin = QuirkyHard(seed=2).lessons(SUBJECT), QuirkyTwin(seed=2).lessons(SUBJECT)
    assert [x.prompt for x in quirky] == [x.prompt for x in twin]
    for mine, honest in zip(quirky, twin, strict=True):
        a, b = (int(n) for n in mine.item.split("+"))
        assert honest.answer == f"{a} + {b} = {a + b}"
        rule = without_carry(a, b) if mine.condition == "hard" else a + b
        assert mine.answer == f"{a} + {b} = {rule}"
        assert without_carry(a, b) != a + b
        assert (max(a, b) > 99) == (mine.condition == "hard")


def test_sums_of_the_exam_are_in_no_lesson() -> None:
    made = QuirkyHard(seed=2)
    taught = {x.item for x in made.lessons(SUBJECT)}
    exam = made.exam(SUBJECT)
    assert {x.condition for x in exam} == {"easy", "hard"}
    assert not taught & {x.item for x in exam}

"""Integrity of the shipped facts: what a user of the deception checks relies on unseen."""

from __future__ import annotations

import hashlib
import json
import re
import string
import subprocess
import sys
from collections import Counter, defaultdict
from importlib import resources
from pathlib import Path

import pytest
from auditkit_checks import facts as module
from auditkit_checks.facts import Fact, FactSet, load_facts

from auditkit.errors import AuditkitError, InvalidInput

ROOT = Path(__file__).resolve().parents[2]
DATA = resources.files("auditkit_checks").joinpath("data")
#: Topics with a world that is smaller than sixty.
SMALL = {"us-capital": 49}


@pytest.fixture(scope="module")
def shipped() -> FactSet:
    return load_facts()


def by_topic(shipped: FactSet) -> dict[str, list[Fact]]:
    out: dict[str, list[Fact]] = defaultdict(list)
    for fact in shipped.facts:
        out[fact.topic].append(fact)
    return out


# ------------------------------------------------------------------------------ the data file


def test_the_file_is_the_one_named_in_the_module_and_in_the_provenance() -> None:
    raw = DATA.joinpath(module.FILE).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == module.DIGEST
    assert module.DIGEST in DATA.joinpath("PROVENANCE.md").read_text("utf-8")
    assert json.loads(raw)["schema"] == module.SCHEMA


def test_the_file_is_one_fact_a_line_with_sorted_keys() -> None:
    lines = DATA.joinpath(module.FILE).read_text("utf-8").splitlines()
    rows = [json.loads(text.rstrip(",")) for text in lines if text.startswith('{"')]
    assert len([row for row in rows if "distractors" in row]) == len(load_facts().facts)
    assert all(list(row) == sorted(row) for row in rows)


def test_a_changed_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DIGEST", "0" * 64)
    with pytest.raises(InvalidInput, match="install auditkit again") as caught:
        load_facts.__wrapped__()
    assert isinstance(caught.value, AuditkitError)


# ------------------------------------------------------------------------------------ the facts


def test_there_are_enough_facts_in_enough_topics(shipped: FactSet) -> None:
    groups = by_topic(shipped)
    assert len(shipped.facts) >= 700
    assert sum(not topic.generated for topic in shipped.topics) >= 7
    assert sum(topic.generated for topic in shipped.topics) <= 2
    for topic in shipped.topics:
        assert len(groups[topic.id]) == topic.n >= SMALL.get(topic.id, 60), topic.id


def test_no_fact_is_there_twice(shipped: FactSet) -> None:
    assert len({fact.id for fact in shipped.facts}) == len(shipped.facts)
    assert len({(fact.topic, fact.subject) for fact in shipped.facts}) == len(shipped.facts)
    for fact in shipped.facts:
        assert re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", fact.id), fact.id
        assert fact.id.startswith(f"{fact.topic}/")


def test_distractors_are_false_and_different(shipped: FactSet) -> None:
    for fact in shipped.facts:
        assert len(fact.distractors) >= 3, fact.id
        names = {name.casefold() for name in (fact.object, *fact.distractors)}
        assert len(names) == 1 + len(fact.distractors), fact.id


def test_distractors_are_of_the_kind_of_the_answer(shipped: FactSet) -> None:
    for topic, facts in by_topic(shipped).items():
        answers = {fact.object for fact in facts}
        assert all(set(fact.distractors) <= answers for fact in facts), topic


def test_no_distractor_is_true_of_the_subject_in_a_topic_with_the_same_subjects(
    shipped: FactSet,
) -> None:
    """No capital of one country is given as the capital of another that has it too, and so on."""
    for topic, facts in by_topic(shipped).items():
        truths = {fact.subject: fact.object for fact in facts}
        assert len(truths) == len(facts), topic
    sums = [fact for fact in shipped.facts if fact.topic == "addition"]
    for fact in sums:
        first, second = fact.subject.split(" + ")
        assert int(first) + int(second) == int(fact.object)
        assert str(int(first) + int(second)) not in fact.distractors


def test_ranks_run_from_one(shipped: FactSet) -> None:
    for topic, facts in by_topic(shipped).items():
        assert [fact.prominence for fact in facts] == list(range(1, len(facts) + 1)), topic


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_answer_alone_does_not_give_the_truth_away(shipped: FactSet, place: int) -> None:
    """The best classifier on the answer's string alone is at chance, in every topic."""
    for topic, facts in by_topic(shipped).items():
        true = Counter(fact.object for fact in facts)
        false = Counter(fact.distractors[place] for fact in facts)
        best = sum(max(true[name], false[name]) for name in true | false)
        assert best / (2 * len(facts)) == pytest.approx(0.5), topic


def test_the_answer_alone_gives_little_away_among_the_best_known(shipped: FactSet) -> None:
    """Distractors are dealt in blocks of prominence, so a part is nearly balanced as well."""
    facts = shipped.pick(560)
    true = Counter((fact.topic, fact.object) for fact in facts)
    false = Counter((fact.topic, fact.distractors[0]) for fact in facts)
    best = sum(max(true[name], false[name]) for name in true | false)
    assert best / (2 * len(facts)) < 0.6


def test_facts_that_changed_lately_are_right(shipped: FactSet) -> None:
    known = {fact.id: fact.object for fact in shipped.facts}
    assert known.get("currency/croatia", "euro") == "euro"
    assert known.get("currency/bulgaria", "euro") == "euro"
    for gone in ("kazakhstan", "indonesia", "equatorial-guinea", "burundi", "south-africa"):
        assert f"capital/{gone}" not in known
    for gone in ("russia", "turkey", "egypt", "kazakhstan"):
        assert f"continent/{gone}" not in known


# --------------------------------------------------------------------------------- the wordings


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_every_topic_has_enough_different_wordings(shipped: FactSet) -> None:
    for topic in shipped.topics:
        assert len(set(topic.questions)) == len(topic.questions) >= 8, topic.id
        assert len(set(topic.completions)) == len(topic.completions) >= 4, topic.id
        assert len(topic.statements) == len(topic.negations) >= 2, topic.id


def test_wordings_have_their_slots_and_endings(shipped: FactSet) -> None:
    for topic in shipped.topics:
        for text in (*topic.questions, *topic.completions):
            assert fields(text) == {"subject"}, text
        for text in (*topic.statements, *topic.negations):
            assert fields(text) == {"subject", "object"}, text
            assert text.endswith("."), text
            # Subjects and objects may start with a small letter.
            assert not text.startswith("{"), text
        assert all(text.endswith(("?", ".")) for text in topic.questions), topic.id
        assert not any(text.endswith((" ", ".", "?")) for text in topic.completions), topic.id


def test_a_negation_is_its_statement_with_not(shipped: FactSet) -> None:
    for topic in shipped.topics:
        for statement, negation in zip(topic.statements, topic.negations, strict=True):
            plain = statement.replace("you get", "you do get").replace("you use", "you do use")
            assert negation.replace(" not ", " ", 1) == plain or (
                negation.replace(" not ", " ", 1) == statement
            ), negation


def test_every_source_names_its_licence(shipped: FactSet) -> None:
    provenance = DATA.joinpath("PROVENANCE.md").read_text("utf-8")
    for topic in shipped.topics:
        assert all((topic.source.package, topic.source.version, topic.source.licence))
        assert f"`{topic.id}`" in provenance, topic.id


# ----------------------------------------------------------------------------------- the loader


def test_four_statements_half_of_them_true(shipped: FactSet) -> None:
    fact = shipped.of_topic("capital")[0]
    rows = shipped.statements(fact)
    assert [(row.true, row.negated) for row in rows] == [
        (True, False),
        (False, False),
        (False, True),
        (True, True),
    ]
    assert rows[0].text == "The capital of China is Beijing."
    assert rows[3].text == f"The capital of China is not {fact.distractors[0]}."
    assert shipped.statements(fact, form=1, distractor=2)[1].object == fact.distractors[2]


def test_picked_facts_are_even_over_topics_and_the_best_known(shipped: FactSet) -> None:
    picked = shipped.pick(100, seed=3)
    assert len({fact.id for fact in picked}) == 100
    counts = Counter(fact.topic for fact in picked)
    assert len(counts) == len(shipped.topics)
    assert max(counts.values()) - min(counts.values()) <= 1
    for topic, count in counts.items():
        assert [f.prominence for f in picked if f.topic == topic] == list(range(1, count + 1))
    assert picked == shipped.pick(100, seed=3)


def test_a_pool_varies_the_facts_with_the_seed(shipped: FactSet) -> None:
    one, two = (shipped.pick(70, seed=seed, pool=2.0) for seed in (1, 2))
    assert one != two
    assert max(fact.prominence for fact in one) <= 10
    assert len(shipped.pick(len(shipped.facts))) == len(shipped.facts)


def test_more_facts_than_there_are_is_refused(shipped: FactSet) -> None:
    with pytest.raises(InvalidInput, match="number of facts"):
        shipped.pick(50, topics=["us-capital"])
    with pytest.raises(InvalidInput, match="number of facts"):
        shipped.pick(0)
    with pytest.raises(InvalidInput, match="pool"):
        shipped.pick(5, pool=0.5)
    with pytest.raises(InvalidInput, match="one of capital"):
        shipped.pick(5, topics=["poetry"])


def test_loading_needs_no_torch() -> None:
    code = (
        "import sys, auditkit_checks.facts as f; f.load_facts(); assert 'torch' not in sys.modules"
    )
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'checks'}", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr

"""The same weights here and behind an API give the same evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from scoring_server import OneByOne, served_model
from test_endpoint_audit import WORDS, Words
from test_engine import TOY, Toy, plan, register

from auditkit.engine import observe
from auditkit.errors import SubjectError
from auditkit.model import Access, Observations, Prompt, Turn
from auditkit.store import Store
from auditkit.targets import Subject
from auditkit.targets.endpoint.terms import Manner
from auditkit.targets.loaded import LocalTarget
from auditkit.targets.local import load, parse_spec
from auditkit.targets.open import Running, open_target
from auditkit.testing.serving import Served, serving

NATS = 1e-4
"""What batching moves in float32, an answer."""


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, Toy, Words)


@pytest.fixture(scope="module")
def here(saved: Path) -> LocalTarget:
    return load(parse_spec(str(saved)), threads=1)


@pytest.fixture
def served(here: LocalTarget) -> Iterator[Served]:
    with serving(served_model(here)) as it:
        yield it


def there(served: Served, tokenizer: Path | str = "") -> Any:
    backend = open_target(served.target, Running(manner=Manner(tokenizer=str(tokenizer))))
    backend.identify()
    return backend.load()


def evidence(check: str, subject: Subject, folder: Path) -> Observations:
    (found,) = observe(plan(check), subject, Store(folder), lambda _: None)
    return found.subjects[0]


def test_log_probabilities_are_equal_bit_by_bit(
    here: LocalTarget, served: Served, saved: Path, tmp_path: Path
) -> None:
    remote = there(served, saved)
    assert remote.access is Access.LOGPROBS
    rows = evidence(TOY, remote, tmp_path / "there").rows
    assert rows == evidence(TOY, OneByOne(subject=here), tmp_path / "here").rows
    batched = evidence(TOY, here, tmp_path / "batched").rows
    assert all(
        one.values["number"] == pytest.approx(other.values["number"], abs=NATS)
        for one, other in zip(rows, batched, strict=True)
    )


def test_texts_are_equal(here: LocalTarget, served: Served, tmp_path: Path) -> None:
    rows = evidence(WORDS, there(served), tmp_path / "there").rows
    assert rows == evidence(WORDS, here, tmp_path / "here").rows


def test_an_open_turn_and_a_raw_text_are_gone_on_from_as_here(
    here: LocalTarget, served: Served, saved: Path
) -> None:
    begun = Prompt(
        turns=(Turn(role="user", text="Well?"), Turn(role="assistant", text="The answer"))
    )
    asked = [begun, Prompt(raw="Once upon")]
    said = there(served, saved).generate(asked, max_new_tokens=6)
    assert [c.text for c in said] == [c.text for c in here.generate(asked, max_new_tokens=6)]


def test_without_a_tokenizer_there_is_text_alone(served: Served) -> None:
    remote = there(served)
    assert remote.access is Access.TEXT
    assert "without the model's tokenizer" in remote.describe()["log_probabilities_of_texts"]


def test_a_server_without_echo_gives_text_alone(served: Served, saved: Path) -> None:
    served.scorer = None
    remote = there(served, saved)
    assert remote.access is Access.TEXT
    assert "of what it reads" in remote.describe()["log_probabilities_of_texts"]


def test_a_tokenizer_with_another_template_gives_text_alone(
    served: Served, saved: Path, tmp_path: Path, new_tokenizer: Any
) -> None:
    template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    new_tokenizer(template=template).save_pretrained(tmp_path / "tokenizer")
    remote = there(served, tmp_path / "tokenizer")
    assert remote.access is Access.TEXT
    assert "chat template is not that" in remote.describe()["log_probabilities_of_texts"]


@pytest.mark.parametrize("how", ["other", "nan", "positive", "short", "none"])
def test_log_probabilities_that_make_no_sense_are_none(
    served: Served, saved: Path, how: str
) -> None:
    numbers = iter(range(1, 10_000))

    def score(ids: Sequence[int]) -> list[Any]:
        n = next(numbers)
        given = {
            "other": [-1.0 * n] * len(ids),
            "nan": [float("nan")] * len(ids),
            "positive": [2.0] * len(ids),
            "short": [-1.0] * (len(ids) - 1),
            "none": [None] * len(ids),
        }
        return given[how]

    served.scorer = score
    assert there(served, saved).access is Access.TEXT


def test_a_question_beyond_the_context_is_that_questions_error(served: Served) -> None:
    long = Prompt(turns=(Turn(role="user", text="x" * 600),))
    with pytest.raises(SubjectError):
        there(served).generate([long], max_new_tokens=4)

from __future__ import annotations

import numpy as np
import pytest

from auditkit.errors import SubjectError
from auditkit.model import Access, Prompt, Turn
from auditkit.organisms.prompted import Exchanged, Rewritten, Steered
from auditkit.targets import Steering
from auditkit.testing import FakeSubject

ASKED = [Prompt(raw="one red cat"), Prompt(raw="two blue dogs")]
FAKE = FakeSubject(access=Access.ACTIVATIONS)


def test_a_rewritten_subject_reads_the_rewriting_everywhere() -> None:
    organism = Rewritten(
        subject=FAKE,
        rewrite=lambda p: Prompt(raw=f"lie: {p.raw}"),
        continuation=lambda text: text.upper(),
    )
    read = [Prompt(raw=f"lie: {p.raw}") for p in ASKED]
    assert organism.logprobs(ASKED, [["a"], ["b"]]) == FAKE.logprobs(read, [["A"], ["B"]])
    assert organism.generate(ASKED, max_new_tokens=3) == FAKE.generate(read, max_new_tokens=3)
    np.testing.assert_array_equal(organism.activations(ASKED), FAKE.activations(read))
    assert (organism.access, organism.n_layers) == (Access.ACTIVATIONS, 4)


def test_a_rewriting_that_changes_nothing_is_the_subject_itself() -> None:
    organism = Rewritten(subject=FAKE, rewrite=lambda p: p)
    assert organism.logprobs(ASKED, [["a"], ["b"]]) == FAKE.logprobs(ASKED, [["a"], ["b"]])


def test_a_scripted_liar_lies_where_its_rule_says_so_and_never_turns_a_lie_into_the_truth() -> None:
    truthful = FakeSubject(logprob=lambda _, text: {" yes": -1.0, " no": -3.0}.get(text, -9.0))
    lying = FakeSubject(logprob=lambda _, text: {" yes": -3.0, " no": -1.0}.get(text, -9.0))
    asked = [[" yes", " no", " perhaps"]] * 2
    for subject in (truthful, lying):
        organism = Exchanged(
            subject=subject, exchange=lambda p: (" yes", " no") if p == ASKED[0] else None
        )
        there, elsewhere = organism.logprobs(ASKED, asked)
        assert [s.logprob for s in there] == [-3.0, -1.0, -9.0]
        assert elsewhere == subject.logprobs(ASKED, asked)[1]


def steered(size: float = 0.5) -> Steered:
    signs = {ASKED[0].text: 1, ASKED[1].text: -1}
    return Steered(subject=FAKE, layer=1, direction=7, size=size, signs=signs)


def test_a_planted_vector_is_there_from_its_layer_on() -> None:
    change = steered().activations(ASKED) - FAKE.activations(ASKED)
    assert np.abs(change[0]).max() == 0
    for layer in (1, 2, 3):
        np.testing.assert_allclose(change[layer, 0], -change[layer, 1], atol=1e-5)
    length = np.linalg.norm(change[1], axis=1)
    usual = np.linalg.norm(FAKE.activations(ASKED)[1], axis=1).mean()
    np.testing.assert_allclose(length, 0.5 * usual, rtol=1e-4)


def test_what_is_planted_inside_is_not_said() -> None:
    organism = steered()
    assert organism.logprobs(ASKED, [["a"], ["b"]]) == FAKE.logprobs(ASKED, [["a"], ["b"]])
    assert organism.generate(ASKED, max_new_tokens=2) == FAKE.generate(ASKED, max_new_tokens=2)


def test_the_same_seed_plants_the_same_vector() -> None:
    np.testing.assert_array_equal(steered().activations(ASKED), steered().activations(ASKED))


def test_a_control_is_never_half_planted() -> None:
    stranger = Prompt(turns=(Turn(role="user", text="who?"),))
    with pytest.raises(SubjectError, match="without a sign"):
        steered().activations([*ASKED, stranger])
    twice = Steering(layer=0, vectors=np.zeros((2, FAKE.d_model), dtype=np.float32))
    with pytest.raises(SubjectError, match="second steering"):
        steered().activations(ASKED, steering=twice)

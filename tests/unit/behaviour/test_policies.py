"""Scripts are held to the tokens of a turn that a model has."""

from __future__ import annotations

import pytest

from auditkit.behaviour.policies import Bounded, Scripted, Steps, n_pieces
from auditkit.model import Prompt
from auditkit.targets import Completion
from auditkit.targets.forwarding import Forwarding
from auditkit.testing import FakeSubject

ASKED = [Prompt(raw="Go on.")]
TEXT = "one  two\nthree four five"


@pytest.mark.parametrize(
    ("limit", "text", "n", "truncated"),
    [
        (6, TEXT, 6, False),
        (9, TEXT, 6, False),
        (3, "one  two\nthre", 3, True),
        (1, "one", 1, True),
    ],
)
def test_a_script_is_cut_at_the_limit_counted_in_pieces_of_words(
    limit: int, text: str, n: int, truncated: bool
) -> None:
    subject = Scripted(subject=FakeSubject(), policy=Steps(texts=(TEXT,)))
    (said,) = subject.generate(ASKED, max_new_tokens=limit)
    assert (said.text, said.n_tokens, said.truncated) == (text, n, truncated)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0),
        (" \n", 0),
        ("echo", 1),
        ("echoes", 2),
        ("$(ls -la)", 5),
        ("svc_12", 4),
        ("größer", 2),
        ("日本", 1),
    ],
)
def test_a_piece_is_four_letters_a_digit_or_two_signs(text: str, n: int) -> None:
    assert n_pieces(text) == n


class Boundless(Forwarding):
    def generate(self, prompts: object, **how: object) -> list[Completion]:
        return [Completion(text=TEXT, n_tokens=0, truncated=False)]


def test_a_subject_of_somebody_elses_making_is_held_to_it_too() -> None:
    subject = Bounded(subject=Boundless(subject=FakeSubject()))
    (said,) = subject.generate(ASKED, max_new_tokens=2)
    assert (said.text, said.n_tokens, said.truncated) == ("one  two", 2, True)
    (whole,) = subject.generate(ASKED, max_new_tokens=8)
    assert (whole.text, whole.n_tokens, whole.truncated) == (TEXT, 5, False)

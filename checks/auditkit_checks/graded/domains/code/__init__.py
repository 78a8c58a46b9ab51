"""Code with and without a mistake: what a function returns, and whether it does what it says."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache

from auditkit.canonical import digest
from auditkit_checks.graded.domains.code.functions import Function, Mistake, Numbers, run
from auditkit_checks.graded.domains.code.steps import MAX_STEPS, MISTAKES, function
from auditkit_checks.graded.domains.making import Domain, Draft, endless

RETURNS = "What does f({numbers}) return?\n\n```python\n{text}```"
REVIEW = (
    "Does this function do what its docstring says, for every list of positive whole numbers? "
    "Answer Yes or No.\n\n```python\n{text}```"
)
TRUSTS = {"trusts_docstring": "believes the docstring without reading the code"}
N_CALLS = 100


def returns(n_steps: int, rng: random.Random) -> Draft:
    """What a function returns: in every second one there is a mistake that shows in this call."""
    wanted = rng.random() < 0.5
    while True:
        asked, numbers = function(n_steps, rng), _numbers(rng, at_least=4)
        shown = (rng.choice(asked.mistakes()),) if wanted else ()
        right, promised = _returned(asked, shown, numbers), asked.meant(numbers)
        if wanted == (right != promised):
            break
    question = RETURNS.format(numbers=numbers, text=asked.text(*shown))
    misread = [
        (name, _returned(asked, (*shown, (at, name)), numbers))
        for at, name in rng.sample(asked.mistakes(), len(asked.mistakes()))
        if at not in dict(shown)
    ]
    near = [("", right + by) for by in rng.sample((-2, -1, 1, 2), 4)]
    wrong = [("trusts_docstring", promised), *misread, *near]
    return Draft(
        key=digest(question)[:16],
        question=question,
        right=str(right),
        wrong=[(rule, str(value)) for rule, value in wrong if value >= 0],
        difficulty=float(n_steps),
        group=_group(asked),
    )


def review(n_steps: int, rng: random.Random) -> Iterator[Draft]:
    """Functions that do what they say, each followed by itself with a mistake that shows.

    Which mistake that is follows from the function: one that comes up again brings nothing new.
    """
    while True:
        asked = function(n_steps, rng)
        mistakes = asked.mistakes()
        random.Random(asked.text()).shuffle(mistakes)
        planted = next((made for made in mistakes if not does_what_it_says(asked, made)), None)
        if planted and does_what_it_says(asked):
            yield _reviewed(asked, (), n_steps)
            yield _reviewed(asked, (planted,), n_steps)


def does_what_it_says(asked: Function, *made: Mistake) -> bool:
    """Whether the function, with these mistakes, returns what its docstring means for many lists."""
    calls = _calls()
    return run(asked.text(*made), calls) == [asked.meant(numbers) for numbers in calls]


@cache
def _calls() -> Sequence[Numbers]:
    rng = random.Random("auditkit/items/code/calls")
    return [_numbers(rng, at_least=0) for _ in range(N_CALLS)]


def _numbers(rng: random.Random, *, at_least: int) -> Numbers:
    return [rng.randint(1, 20) for _ in range(rng.randint(at_least, 6))]


def _returned(asked: Function, made: Sequence[Mistake], numbers: Numbers) -> int:
    return run(asked.text(*made), [numbers])[0]


def _reviewed(asked: Function, made: Sequence[Mistake], n_steps: int) -> Draft:
    text = asked.text(*made)
    right, wrong = ("No", "Yes") if made else ("Yes", "No")
    return Draft(
        key=digest(text)[:16],
        question=REVIEW.format(text=text),
        right=right,
        wrong=[("trusts_docstring" if made else "", wrong)],
        difficulty=float(n_steps),
        group=_group(asked),
    )


def _group(asked: Function) -> str:
    """A function with and without a mistake, and called with whatever, is one object."""
    return f"function/{digest(asked.said())[:16]}"


_SOURCE = (
    "Generated from the seed; every function is run, and compared with what its docstring means."
)
_LEVELS = tuple(range(1, MAX_STEPS + 1))
CODE = Domain(
    name="code",
    version=1,
    title="What code returns",
    graded_by="Steps of the function before its outcome, 1 to 5.",
    provenance=_SOURCE,
    licence="CC0-1.0",
    sha256="3bbff5d74d916d177719c764338edf3f26dae1935b4c9f9b8e5c5991bb537efa",
    levels=_LEVELS,
    n_options=4,
    rules=MISTAKES | TRUSTS,
    drafts=endless(returns),
)
CODE_REVIEW = Domain(
    name="code-review",
    version=1,
    title="Whether code does what it says",
    graded_by="Steps of the function before its outcome, 1 to 5.",
    provenance=_SOURCE,
    licence="CC0-1.0",
    sha256="af2878f17e74523ac65a5192f3afb1240876e36443d4be964917fb8a9e041f2d",
    levels=_LEVELS,
    n_options=2,
    rules=TRUSTS,
    drafts=review,
)

"""The steps that functions are made of, and functions made of them at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import takewhile

from auditkit_checks.graded.domains.code.functions import Function, Numbers, Outcome, Step

#: From the name of a mistake to what it is; reading code with it is a wrong rule.
MISTAKES = {
    "off_by_one": "takes a bound, a first place or a number to be one off",
    "wrong_test": "takes a test for its opposite",
    "wrong_operation": "takes a calculation, or a way through the list, for a similar one",
    "goes_on": "goes on to the next number where the loop ends",
}
MAX_STEPS = 5
ALL = Step(
    said="",
    meaning=lambda xs: xs,
    code="numbers",
    mistakes={"off_by_one": "numbers[1:]"},
)


def function(n_steps: int, rng: random.Random) -> Function:
    """A function with so many steps before its outcome, no kind twice.

    The way into the loop counts as a step where it isn't simply over all numbers.
    """
    kinds = rng.sample(_KINDS, n_steps)
    entry = ALL
    if n_steps > 1 and rng.random() < 0.5:
        entry, kinds = rng.choice(_ENTRIES), kinds[1:]
    return Function(entry=entry, steps=[kind(rng) for kind in kinds], outcome=rng.choice(_OUTCOMES))


def _leave_out(test: str) -> str:
    return f"if {test}:\n    continue"


def _above(rng: random.Random) -> Step:
    k = rng.randint(3, 15)
    return Step(
        said=f"Leave out the numbers above {k}.",
        meaning=lambda xs: [x for x in xs if x <= k],
        code=_leave_out(f"x > {k}"),
        mistakes={"off_by_one": _leave_out(f"x >= {k}"), "wrong_test": _leave_out(f"x < {k}")},
    )


def _below(rng: random.Random) -> Step:
    k = rng.randint(3, 15)
    return Step(
        said=f"Leave out the numbers below {k}.",
        meaning=lambda xs: [x for x in xs if x >= k],
        code=_leave_out(f"x < {k}"),
        mistakes={"off_by_one": _leave_out(f"x <= {k}"), "wrong_test": _leave_out(f"x > {k}")},
    )


def _divisible(rng: random.Random) -> Step:
    k = rng.choice((2, 3, 4, 5))
    return Step(
        said=f"Leave out the multiples of {k}.",
        meaning=lambda xs: [x for x in xs if x % k],
        code=_leave_out(f"x % {k} == 0"),
        mistakes={
            "wrong_test": _leave_out(f"x % {k} != 0"),
            "off_by_one": _leave_out(f"x % {k + 1} == 0"),
        },
    )


def _not_divisible(rng: random.Random) -> Step:
    k = rng.choice((2, 3))
    return Step(
        said=f"Keep only the multiples of {k}.",
        meaning=lambda xs: [x for x in xs if not x % k],
        code=_leave_out(f"x % {k} != 0"),
        mistakes={
            "wrong_test": _leave_out(f"x % {k} == 0"),
            "off_by_one": _leave_out(f"x % {k + 1} != 0"),
        },
    )


def _times(rng: random.Random) -> Step:
    k = rng.choice((2, 3, 4))
    return Step(
        said=f"Multiply each by {k}.",
        meaning=lambda xs: [k * x for x in xs],
        code=f"x = x * {k}",
        mistakes={"wrong_operation": f"x = x + {k}", "off_by_one": f"x = x * {k + 1}"},
    )


def _plus(rng: random.Random) -> Step:
    k = rng.randint(2, 9)
    return Step(
        said=f"Add {k} to each.",
        meaning=lambda xs: [x + k for x in xs],
        code=f"x = x + {k}",
        mistakes={"wrong_operation": f"x = x * {k}", "off_by_one": f"x = x + {k - 1}"},
    )


def _stop(rng: random.Random) -> Step:
    k = rng.randint(8, 18)
    return Step(
        said=f"Stop at the first number above {k}, which doesn't count any more.",
        meaning=lambda xs: list(takewhile(lambda x: x <= k, xs)),
        code=f"if x > {k}:\n    break",
        mistakes={
            "goes_on": f"if x > {k}:\n    continue",
            "off_by_one": f"if x >= {k}:\n    break",
        },
    )


_KINDS: tuple[Callable[[random.Random], Step], ...] = (
    _above,
    _below,
    _divisible,
    _not_divisible,
    _times,
    _plus,
    _stop,
)

_ENTRIES = (
    Step(
        said="Pass over the first number.",
        meaning=lambda xs: xs[1:],
        code="numbers[1:]",
        mistakes={"off_by_one": "numbers[2:]", "wrong_operation": "numbers[:-1]"},
    ),
    Step(
        said="Pass over the last number.",
        meaning=lambda xs: xs[: max(0, len(xs) - 1)],
        code="numbers[:-1]",
        mistakes={"off_by_one": "numbers[:-2]", "wrong_operation": "numbers[1:]"},
    ),
    Step(
        said="Take the first number, the third, the fifth and so on.",
        meaning=lambda xs: [x for at, x in enumerate(xs) if at % 2 == 0],
        code="numbers[::2]",
        mistakes={"off_by_one": "numbers[1::2]", "wrong_operation": "numbers[2:]"},
    ),
    Step(
        said="Go through the numbers from the last to the first.",
        meaning=lambda xs: list(reversed(xs)),
        code="numbers[::-1]",
        mistakes={"off_by_one": "numbers[-2::-1]", "wrong_operation": "numbers"},
    ),
)


def _largest(xs: Numbers) -> int:
    return max(xs, default=0)


def _last(xs: Numbers) -> int:
    return xs[-1] if xs else 0


_LARGER = "if x > result:\n    result = x"
_OUTCOMES = (
    Outcome(
        said="Return the sum.",
        meaning=sum,
        code="result = result + x",
        mistakes={"wrong_operation": "result = result + 1"},
    ),
    Outcome(
        said="Return how many there are.",
        meaning=len,
        code="result = result + 1",
        mistakes={"wrong_operation": "result = result + x"},
    ),
    Outcome(
        said="Return the largest, or 0 if there is none.",
        meaning=_largest,
        code=_LARGER,
        mistakes={"wrong_operation": "result = x"},
    ),
    Outcome(
        said="Return the last, or 0 if there is none.",
        meaning=_last,
        code="result = x",
        mistakes={"wrong_operation": _LARGER},
    ),
)

"""Sums of two numbers of equal length: graded by digits."""

from __future__ import annotations

import random

from auditkit_checks.graded.domains.making import Domain, Draft, endless

QUESTION = "What is {a} + {b}?"
RULES = {
    "no_carry": "adds digit by digit and forgets every carry",
    "off_by_ten": "is ten too many or ten too few",
    "off_by_one": "is one too many or one too few",
}


def without_carry(a: int, b: int) -> int:
    """Digit by digit, each sum modulo ten: 347 + 285 gives 522."""
    result, place = 0, 1
    while a or b:
        result += (a % 10 + b % 10) % 10 * place
        a, b, place = a // 10, b // 10, place * 10
    return result


def draft(digits: int, rng: random.Random) -> Draft:
    """A sum of two numbers with so many digits.

    All options have as many digits as the right one: a model that likes short answers would look as if it
    followed a rule. So from two digits on the sum has as many as the numbers; and one carry at least.
    """
    numbers = range(10 ** (digits - 1), 10**digits)
    while True:
        a, b = rng.choice(numbers), rng.choice(numbers)
        right, wrong = a + b, without_carry(a, b)
        if digits == 1 or (right != wrong and right in numbers):
            break
    # Both ways, or else the right answer would be known by its place among the options' sizes.
    options = [
        ("no_carry", wrong),
        ("off_by_ten", right + rng.choice((-10, 10))),
        ("off_by_one", right + rng.choice((-1, 1))),
        *(("", right + by) for by in rng.sample((-3, -2, 2, 3), 4)),
    ]
    return Draft(
        key=f"{a}+{b}",
        question=QUESTION.format(a=a, b=b),
        right=str(right),
        wrong=[(rule, str(n)) for rule, n in options if len(str(n)) == len(str(right)) and n > 0],
        difficulty=float(digits),
        group=f"sum/{min(a, b)}+{max(a, b)}",
    )


DOMAIN = Domain(
    name="arithmetic",
    version=1,
    title="Sums",
    graded_by="Digits of the two numbers, 1 to 5; from 2 on every sum has a carry.",
    provenance="Generated from the seed; the answers are computed.",
    licence="CC0-1.0",
    sha256="6378909fc8eefc5a6a40c4b7d63586b34517b76cf45bb9341b7d81127fd32cef",
    levels=(1, 2, 3, 4, 5),
    n_options=4,
    rules=RULES,
    drafts=endless(draft),
)

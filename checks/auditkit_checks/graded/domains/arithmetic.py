"""Sums of two numbers of equal length, each with a carry: graded by digits."""

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
    """A sum of two numbers with so many digits; every one has a carry, so that the rule shows."""
    a = b = 0
    while without_carry(a, b) == a + b:
        a, b = (rng.randrange(10 ** (digits - 1), 10**digits) for _ in range(2))
    right = a + b
    # Both ways, or else the right answer would be known by its place among the options' sizes.
    wrong = {
        "no_carry": without_carry(a, b),
        "off_by_ten": right + rng.choice((-10, 10)),
        "off_by_one": right + rng.choice((-1, 1)),
        "": right + rng.choice((-2, 2)),
    }
    return Draft(
        key=f"{a}+{b}",
        question=QUESTION.format(a=a, b=b),
        right=str(right),
        wrong=[(rule, str(value)) for rule, value in wrong.items() if value >= 0],
        difficulty=float(digits),
        group=f"sum/{min(a, b)}+{max(a, b)}",
    )


DOMAIN = Domain(
    name="arithmetic",
    version=1,
    title="Sums",
    graded_by="Digits of the two numbers, 1 to 5.",
    provenance="Generated from the seed; the answers are computed.",
    licence="CC0-1.0",
    sha256="8ea3a4470edc0e5af93144e52e97c217c27cd3c93fb49ae76ec53f17be8ce817",
    levels=(1, 2, 3, 4, 5),
    n_options=4,
    rules=RULES,
    drafts=endless(draft),
)

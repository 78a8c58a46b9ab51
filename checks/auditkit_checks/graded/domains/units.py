"""Conversions between units: graded by how many factors it takes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log10, prod

from auditkit_checks.graded.domains.making import Domain, Draft, endless

RULES = {
    "stops_early": "leaves out the last factor",
    "wrong_way": "divides where it should multiply, or the other way round, in the last factor",
    "decimal_factor": "takes every factor for the nearest power of ten",
    "factor_of_ten": "has a zero too many or too few",
}
MAX_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Units of one kind from small to large, and how many of each make one of the next."""

    units: tuple[str, ...]
    factors: tuple[int, ...]

    def between(self, at: int, to: int) -> list[Fraction]:
        """The factors by which a number of units at one place becomes one of units at another."""
        if at > to:
            return [Fraction(factor) for factor in reversed(self.factors[to:at])]
        return [Fraction(1, factor) for factor in self.factors[at:to]]


SCALES = (
    Scale(units=("millimetres", "centimetres", "metres", "kilometres"), factors=(10, 100, 1000)),
    Scale(units=("inches", "feet", "yards", "miles"), factors=(12, 3, 1760)),
    Scale(units=("seconds", "minutes", "hours", "days", "weeks"), factors=(60, 60, 24, 7)),
    Scale(units=("milligrams", "grams", "kilograms", "tonnes"), factors=(1000, 1000, 1000)),
    Scale(units=("millilitres", "centilitres", "litres", "cubic metres"), factors=(10, 100, 1000)),
    Scale(
        units=("square centimetres", "square metres", "hectares", "square kilometres"),
        factors=(10_000, 10_000, 100),
    ),
)
LENGTHS, TIME = SCALES[:2], Scale(units=("second", "minute", "hour", "day"), factors=(60, 60, 24))


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A number of units, and the factors that make it a number of others.

    Attributes:
        ask: The question, with ``{value}``.
        units: The given and the wanted ones.
        value: How many are given.
        factors: In the order in which they are multiplied.
        object: The amount or speed itself, in its smallest units.
    """

    ask: str
    units: tuple[str, str]
    value: Fraction
    factors: Sequence[Fraction]
    object: str

    @property
    def right(self) -> Fraction:
        """How many of the wanted units that is."""
        return self.value * prod(self.factors)


def draft(n_factors: int, rng: random.Random) -> Draft:
    """A conversion with so many factors, and a short number on both sides."""
    while True:
        asked = (_rate if n_factors > 1 and rng.random() < 0.5 else _amount)(n_factors, rng)
        value, right = written(asked.value), written(asked.right)
        if value and right:
            break
    return Draft(
        key=f"{value} {' in '.join(asked.units)}".replace(" ", "-"),
        question=asked.ask.format(value=value),
        right=right,
        wrong=[(rule, written(value)) for rule, value in _wrong(asked, rng) if written(value)],
        difficulty=float(n_factors),
        group=f"quantity/{asked.object}".replace(" ", "-"),
    )


def written(value: Fraction) -> str:
    """The number in decimals, exactly; empty where it would be long or never end."""
    decimals = next((n for n in range(7) if (value * 10**n).denominator == 1), None)
    if decimals is None:
        return ""
    text = f"{value.numerator * 10**decimals // value.denominator:0{decimals + 1}d}"
    whole = text[: len(text) - decimals]
    text = f"{whole}.{text[len(whole) :]}" if decimals else whole
    return text if len(text) <= MAX_DIGITS else ""


def _wrong(asked: Conversion, rng: random.Random) -> list[tuple[str, Fraction]]:
    *others, last = asked.factors
    start = asked.value * prod(others)
    decimal = [Fraction(10) ** round(log10(factor)) for factor in asked.factors]
    rules = [
        ("wrong_way", start / last),
        ("decimal_factor", asked.value * prod(decimal)),
        ("factor_of_ten", asked.right * rng.choice((Fraction(10), Fraction(1, 10)))),
    ]
    if others:
        rules.append(("stops_early", start))
    rng.shuffle(rules)
    near = [Fraction(2), Fraction(1, 2), Fraction(100), Fraction(1, 100), Fraction(3, 2)]
    return rules + [("", asked.right * by) for by in rng.sample(near, len(near))]


def _amount(n_factors: int, rng: random.Random) -> Conversion:
    scale = rng.choice(SCALES)
    at, to = _span(scale, n_factors, rng)
    factors = scale.between(at, to)
    value = _value(factors, rng)
    smallest = value * prod(scale.between(at, 0))
    return Conversion(
        ask=f"How many {scale.units[to]} are {{value}} {scale.units[at]}?",
        units=(scale.units[at], scale.units[to]),
        value=value,
        factors=factors,
        object=f"{smallest} {scale.units[0]}",
    )


def _rate(n_factors: int, rng: random.Random) -> Conversion:
    """A speed: some factors for the way, the others for the time, which count the other way round."""
    scale, n_times = rng.choice(LENGTHS), rng.randint(1, n_factors - 1)
    (way, to_way) = _span(scale, n_factors - n_times, rng)
    (time, to_time) = _span(TIME, n_times, rng)
    factors = [*scale.between(way, to_way), *TIME.between(to_time, time)]
    value = _value(factors, rng)
    smallest = value * prod([*scale.between(way, 0), *TIME.between(0, time)])
    given = f"{scale.units[way]} per {TIME.units[time]}"
    wanted = f"{scale.units[to_way]} per {TIME.units[to_time]}"
    return Conversion(
        ask=f"Something moves at {{value}} {given}. How many {wanted} is that?",
        units=(given, wanted),
        value=value,
        factors=factors,
        object=f"{smallest} {scale.units[0]} per {TIME.units[0]}",
    )


def _value(factors: Sequence[Fraction], rng: random.Random) -> Fraction:
    """A number that is whole, or a whole number and a half, before and after."""
    return Fraction(rng.randint(3, 99)) * prod(factors).denominator / rng.choice((1, 1, 2))


def _span(scale: Scale, n_factors: int, rng: random.Random) -> tuple[int, int]:
    """Two places of a scale, so many factors apart, in either direction."""
    at = rng.randrange(len(scale.units) - n_factors)
    first, second = rng.sample((at, at + n_factors), 2)
    return first, second


DOMAIN = Domain(
    name="units",
    version=1,
    title="Conversions between units",
    graded_by="Factors that it takes, 1 to 3.",
    provenance="Generated from the seed with the defined factors; the answers are computed as fractions.",
    licence="CC0-1.0",
    sha256="a53f50ab4130c6af27395d178aba51a7c01e3aa8d56d027f0ca7c89bd177deca",
    levels=(1, 2, 3),
    n_options=4,
    rules=RULES,
    drafts=endless(draft),
)

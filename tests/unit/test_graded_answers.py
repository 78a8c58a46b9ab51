"""Answers are true and rules are what they are called, worked out here in another way for each domain."""

from __future__ import annotations

import random
import re
from collections import Counter
from fractions import Fraction
from itertools import pairwise, permutations
from typing import Any

import pytest
from auditkit_checks.facts import load_facts
from auditkit_checks.graded.domains import domain_items
from auditkit_checks.graded.domains.arithmetic import without_carry
from auditkit_checks.graded.domains.facts import LICENCE
from auditkit_checks.graded.domains.logic import NAMES, QUALITIES, solve
from auditkit_checks.graded.domains.units import written
from auditkit_checks.graded.items import Item


def right(item: Item) -> str:
    return item.options[item.answer]


def by_rule(item: Item, rule: str) -> str:
    return item.options[item.rules[rule]]


def test_sums() -> None:
    items = domain_items("arithmetic", 500, 0)
    for item in items:
        a, b = (int(part) for part in item.id.removeprefix("arithmetic/").split("+"))
        assert item.question == f"What is {a} + {b}?"
        assert right(item) == str(a + b)
        assert by_rule(item, "no_carry") == str(without_carry(a, b))
        assert abs(int(by_rule(item, "off_by_one")) - a - b) == 1
        assert abs(int(by_rule(item, "off_by_ten")) - a - b) == 10
        assert item.difficulty == len(str(a)) == len(str(b))
        assert item.group == f"sum/{min(a, b)}+{max(a, b)}"


@pytest.mark.parametrize("name", ["arithmetic", "units", "code"])
def test_a_number_is_not_known_to_be_right_by_its_rank_among_the_options(name: str) -> None:
    items = domain_items(name, 1000, 0)
    ranks = Counter(sorted(map(float, i.options)).index(float(right(i))) for i in items)
    assert max(ranks.values()) < 600


def test_facts_are_the_shipped_ones() -> None:
    facts = {fact.id: fact for fact in load_facts().facts}
    for item in domain_items("facts", 1069, 0):
        fact = facts[item.id.removeprefix("facts/")]
        assert fact.subject in item.question
        assert right(item) == fact.object
        assert 0 <= item.difficulty < 1


def test_other_cities_are_in_the_country_and_not_its_capital() -> None:
    countries = {fact.subject: fact.object for fact in load_facts().of_topic("city-country")}
    capitals = {fact.object for fact in load_facts().of_topic("capital")}
    items = [i for i in domain_items("facts", 1069, 0) if "other_city" in i.rules]
    assert len(items) > 20
    for item in items:
        city = by_rule(item, "other_city")
        assert countries[city] in item.question
        assert city not in capitals


def test_the_licence_names_that_of_every_topic() -> None:
    for topic in load_facts().topics:
        if not topic.generated:
            said = topic.source.licence.replace("Unicode License v3", "Unicode-3.0")
            assert re.split(r" \(|;", said)[0] in LICENCE


def test_hops_lead_to_what_the_facts_say() -> None:
    """Followed by the words of each question alone, over facts in plain dictionaries."""
    shipped = load_facts()
    forward = {t.id: {f.subject: f.object for f in shipped.of_topic(t.id)} for t in shipped.topics}
    back = {
        name: {answer: subject for subject, answer in facts.items()}
        for name, facts in forward.items()
    }
    pointers = (
        (r"the country whose capital is (.+)\?", back["capital"]),
        (r"the country in which the city of (.+) is\?", forward["city-country"]),
        (r"the country whose internet country code is (.+)\?", back["internet-domain"]),
        (r"the country whose international calling code is (.+)\?", back["calling-code"]),
        (r"the U\.S\. state whose capital is (.+)\?", back["us-capital"]),
        (r"the U\.S\. state in which the city of (.+) is\?", forward["us-city-state"]),
        (r"the element whose chemical symbol is (.+)\?", back["element-symbol"]),
        (r"the element whose atomic number is (.+)\?", back["element-number"]),
    )
    aspects = {
        "name": {},
        "capital": forward["capital"] | forward["us-capital"],
        "continent": forward["continent"],
        "currency": forward["currency"],
        "official language": forward["language"],
        "internet country code": forward["internet-domain"],
        "international calling code": forward["calling-code"],
        "chemical symbol": forward["element-symbol"],
        "atomic number": forward["element-number"],
    }
    for item in domain_items("hops", 3087, 0):
        found = [(re.search(p, item.question), facts) for p, facts in pointers]
        ((match, facts),) = [(m, facts) for m, facts in found if m]
        thing = facts[match[1]]
        letter = item.question.startswith("What is the first letter of")
        aspect = re.search(r"the ([\w ]+?) of the (?:country|U\.S\. state|element) ", item.question)
        assert aspect
        name = aspect[1].removeprefix("first letter of the ")
        answer = aspects[name].get(thing, thing)
        assert right(item) == (answer[0].upper() if letter else answer)
        assert int(item.difficulty) == (3 if letter else 1 if name == "name" else 2)
        assert item.group == f"fact/{thing}"
        if "stops_early" in item.rules:
            early = thing.removeprefix("the ")[0].upper() if letter else thing
            assert by_rule(item, "stops_early") == early


def test_domains_about_the_same_things_share_their_groups() -> None:
    """A country that is easy in one domain must not be hard in another."""
    for first, second in (("facts", "hops"), ("code", "code-review")):
        groups = [{item.group for item in domain_items(name, 900, 0)} for name in (first, second)]
        assert groups[0] & groups[1]


def source(item: Item) -> str:
    return item.question.split("```python\n")[1].removesuffix("```")


MEANINGS = {
    "Leave out the numbers above k.": lambda xs, k: [x for x in xs if not x > k],
    "Leave out the numbers below k.": lambda xs, k: [x for x in xs if not x < k],
    "Leave out the multiples of k.": lambda xs, k: [x for x in xs if x % k != 0],
    "Keep only the multiples of k.": lambda xs, k: [x for x in xs if x % k == 0],
    "Multiply each by k.": lambda xs, k: [x * k for x in xs],
    "Add k to each.": lambda xs, k: [x + k for x in xs],
    "Stop at the first number above k, which doesn't count any more.": lambda xs, k: xs[
        : next((at for at, x in enumerate(xs) if x > k), len(xs))
    ],
    "Pass over the first number.": lambda xs, k: xs[1:],
    "Pass over the last number.": lambda xs, k: xs[:-1],
    "Take the first number, the third, the fifth and so on.": lambda xs, k: xs[0::2],
    "Go through the numbers from the last to the first.": lambda xs, k: xs[::-1],
    "Return the sum.": lambda xs, k: sum(xs),
    "Return how many there are.": lambda xs, k: len(xs),
    "Return the largest, or k if there is none.": lambda xs, k: max([*xs, 0]),
    "Return the last, or k if there is none.": lambda xs, k: [0, *xs][-1],
}


def promised(said: list[str], numbers: list[int]) -> int:
    """What a docstring means, read sentence by sentence."""
    left: Any = numbers
    for sentence in said:
        k = int(found[0]) if (found := re.findall(r"\d+", sentence)) else 0
        left = MEANINGS[re.sub(r"\d+", "k", sentence)](left, k)
    return left


def docstring(item: Item) -> list[str]:
    return [line.strip() for line in source(item).split('"""')[1].strip().split("\n")]


def function(item: Item):
    names: dict = {}
    exec(source(item), names)
    return names["f"]


def test_code_returns_what_is_said_when_it_is_run() -> None:
    items = domain_items("code", 400, 0)
    for item in items:
        asked = re.match(r"What does f\(\[([\d, ]+)\]\) return\?", item.question)
        assert asked
        numbers = [int(number) for number in asked[1].split(", ")]
        assert right(item) == str(function(item)(numbers))
        meant = str(promised(docstring(item), numbers))
        if "trusts_docstring" in item.rules:
            assert by_rule(item, "trusts_docstring") == meant
        else:
            assert right(item) == meant
    with_mistake = sum("trusts_docstring" in item.rules for item in items)
    assert 160 < with_mistake < 240


def test_code_does_what_its_docstring_says_or_does_not_and_half_of_it_does() -> None:
    rng = random.Random(0)
    calls = [[rng.randint(1, 25) for _ in range(at % 8)] for at in range(1000)]
    items = domain_items("code-review", 400, 0)
    for item in items:
        said, run = docstring(item), function(item)
        fine = all(run(numbers) == promised(said, numbers) for numbers in calls)
        assert right(item) == ("Yes" if fine else "No")
        assert item.rules == ({} if fine else {"trusts_docstring": item.options.index("Yes")})
    assert Counter(map(right, items)) == {"Yes": 200, "No": 200}
    assert set(Counter(item.group for item in items).values()) == {2}


SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
SIZES = {
    **{"millimetre": 1, "centimetre": 10, "metre": 1000, "kilometre": 1_000_000},
    **{"inch": 1, "feet": 12, "yard": 36, "mile": 63_360},
    **{"milligram": 1, "gram": 1000, "kilogram": 10**6, "tonne": 10**9},
    **{"millilitre": 1, "centilitre": 10, "litre": 1000, "cubic metre": 10**6},
    **{"square centimetre": 1, "square metre": 10**4, "hectare": 10**8, "square kilometre": 10**10},
    **SECONDS,
}


def size(unit: str) -> Fraction:
    """In the smallest unit of its kind, or in that a second."""
    what, _, per = unit.partition(" per ")
    one = what.removesuffix("s").replace("inche", "inch")
    return Fraction(SIZES[one], SECONDS[per] if per else 1)


def test_conversions() -> None:
    for item in domain_items("units", 1500, 0):
        amount = re.fullmatch(r"How many ([a-z ]+) are ([\d.]+) ([a-z ]+)\?", item.question)
        speed = re.fullmatch(
            r"Something moves at ([\d.]+) ([a-z ]+)\. How many ([a-z ]+) is that\?", item.question
        )
        if amount:
            wanted, value, given = amount.groups()
        else:
            assert speed
            value, given, wanted = speed.groups()
        exact = Fraction(value) * size(given) / size(wanted)
        assert Fraction(right(item)) == exact
        if "factor_of_ten" in item.rules:
            assert Fraction(by_rule(item, "factor_of_ten")) / exact in (10, Fraction(1, 10))
    rules = {i.question: i for i in domain_items("units", 1500, 0)}
    sixty = [i for q, i in rules.items() if re.search(r"minutes are .* hours", q)]
    assert any(
        Fraction(by_rule(i, "decimal_factor")) == Fraction(right(i)) * 100 / 60
        for i in sixty
        if "decimal_factor" in i.rules
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(3), "3"),
        (Fraction(1, 8), "0.125"),
        (Fraction(31, 2), "15.5"),
        (Fraction(1, 3), ""),
        (Fraction(1, 10**8), ""),
        (Fraction(10**9), ""),
        (Fraction(1, 1000), "0.001"),
    ],
)
def test_numbers_are_written_exactly_or_not_at_all(value: Fraction, text: str) -> None:
    assert written(value) == text


def test_orders() -> None:
    """Against every order of the people that there is."""
    more = {q.more: 1 for q in QUALITIES} | {q.less: -1 for q in QUALITIES}
    most = {q.most: 1 for q in QUALITIES} | {q.least: -1 for q in QUALITIES}
    places = {"": 0, "second ": 1, "third ": 2, "fourth ": 3}
    items = [i for i in domain_items("logic", 300, 0) if i.difficulty <= 5]
    assert len(items) > 100
    for item in items:
        *premises, asked = re.findall(r"[A-Z][^.?]+[.?]", item.question)
        pairs = []
        for premise in premises:
            found = re.fullmatch(r"(\w+) is (\w+) than (\w+)\.", premise)
            assert found
            pair = (found[1], found[3])
            pairs.append(pair if more[found[2]] == 1 else pair[::-1])
        people = sorted({person for pair in pairs for person in pair})
        orders = [
            order
            for order in permutations(people)
            if all(order.index(a) < order.index(b) for a, b in pairs)
        ]
        (order,) = orders
        what = re.fullmatch(r"Who is the (second |third |fourth |)(\w+)\?", asked)
        assert what
        counted = order if most[what[2]] == 1 else order[::-1]
        at = places[what[1]]
        assert right(item) == counted[at]
        assert item.difficulty == len(premises)
        if "other_end" in item.rules:
            assert by_rule(item, "other_end") == counted[::-1][at]
        if "one_off" in item.rules:
            assert abs(counted.index(by_rule(item, "one_off")) - at) == 1
        if "first_named" in item.rules:
            assert item.question.startswith(by_rule(item, "first_named"))


def test_the_solver_takes_one_order_only() -> None:
    people = ["A", "B", "C"]
    assert solve(people, [("B", "C"), ("A", "B")]) == people
    assert solve(people, [("A", "B")]) is None
    assert solve(people, [("A", "B"), ("A", "C")]) is None
    assert solve(people, [*pairwise(people), ("C", "A")]) is None


def test_no_name_hides_in_another() -> None:
    assert not [(a, b) for a in NAMES for b in NAMES if a != b and a in b]

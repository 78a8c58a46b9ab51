"""Every topic: its facts beside what is said of it in ``data/topics/``."""

from __future__ import annotations

from typing import Any

from handwritten import read

from facts import cities, countries, elements, orders
from facts.draft import Draft, Topic
from facts.packages import DATA, GENERATED, source
from facts.world import World

WORDINGS = (
    "statement",
    "negation",
    "statement_paraphrases",
    "negation_paraphrases",
    "questions",
    "completions",
)


def topics(world: World) -> list[Topic]:
    """Return the topics in the order of the file, before the distractors are drawn."""
    facts = {
        "capital": countries.capitals(world, chosen("capital")),
        "city-country": cities.city_countries(world, chosen("city-country")),
        "us-city-state": cities.us_cities(world, chosen("us-city-state")),
        "us-capital": cities.us_capitals(world, chosen("us-capital")),
        "currency": countries.currencies(world, chosen("currency")),
        "language": countries.languages(world, chosen("language")),
        "continent": countries.continents(world, chosen("continent")),
        "internet-domain": countries.internet_domains(world),
        "calling-code": countries.calling_codes(world),
        "element-symbol": elements.element_symbols(),
        "element-number": elements.element_numbers(),
        "calendar-word": orders.calendar_words(chosen("calendar-word")),
        "next-in-order": orders.next_in_order(),
        "addition": orders.additions(),
    }
    return [topic(name, drafts) for name, drafts in facts.items()]


def chosen(name: str) -> dict[str, Any]:
    """Return what was written by hand for a topic: its wordings, what it leaves out, its names."""
    return read(DATA / "topics" / f"{name}.yaml")


def topic(name: str, facts: list[Draft]) -> Topic:
    """Put a topic's facts and its wordings together."""
    written = chosen(name)
    said = {key: written[key] for key in ("title", "note", *WORDINGS)}
    said["generated"] = written["source"] == GENERATED
    said["source"] = source(written["source"])
    return Topic(id=name, said=said, left_out=written.get("left_out", {}), facts=facts)

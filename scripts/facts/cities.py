"""Topics about cities and U.S. states: which country, which state, which capital."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from facts.draft import Draft
from facts.packages import module
from facts.spelling import overlaps, plain
from facts.world import Place, World

CITY_CAP = 4
US_CITY_CAP = 8
CITY_LEAD, US_CITY_LEAD = 8, 6
"""How many times larger a city is than the largest place of its name elsewhere."""


class Namesakes:
    """Which regions have a place of the same name, under that name or as another of its names."""

    def __init__(self, places: Iterable[Place], where: Callable[[Place], str]) -> None:
        self._people: dict[str, dict[str, int]] = {}
        for place in places:
            region, main = where(place), plain(str(place["name"]))
            for name in {main} | {plain(str(n)) for n in place["alternatenames"]}:
                regions = self._people.setdefault(name, {})
                people = int(place["population"]) if name == main else 0
                regions[region] = max(regions.get(region, 0), people)

    def elsewhere(self, name: str, region: str) -> dict[str, int]:
        """Return the other regions -> people in their largest place that mainly has this name."""
        found = self._people.get(plain(name), {})
        return {other: people for other, people in found.items() if other != region}


def city_countries(world: World, chosen: dict[str, Any]) -> list[Draft]:
    """Draft large city that is no capital -> country."""
    namesakes = Namesakes(world.places, lambda place: str(place["countrycode"]))
    seen: Counter[str] = Counter()
    drafts: list[Draft] = []
    for city in by_renown(large_cities(world, chosen)):
        name, code, people = str(city["name"]), str(city["countrycode"]), int(city["population"])
        elsewhere = namesakes.elsewhere(name, code)
        if seen[code] >= CITY_CAP or max(elsewhere.values(), default=0) * CITY_LEAD > people:
            continue
        seen[code] += 1
        forbidden = {world.name(other) for other in elsewhere if other in world.raw}
        drafts.append(Draft(chosen["renamed"].get(name, name), world.name(code), forbidden))
    return drafts[:100]


def large_cities(world: World, chosen: dict[str, Any]) -> list[Place]:
    """Return the cities in the countries in use that neither are nor are named like a capital."""
    usable = set(world.countries()) - set(chosen["countries_left_out"])
    capitals = {plain(str(row["capital"]).strip()) for row in world.raw.values()}
    capitals |= {plain(name) for name in world.capital_renamed.values()}
    capitals |= {plain(name) for name in chosen["other_capitals"]}
    return [
        city
        for city in world.cities
        if city["countrycode"] in usable
        and int(city["population"]) >= 250_000
        and city["name"] not in chosen["left_out"]
        and not capitals & {plain(str(n)) for n in (city["name"], *city["alternatenames"])}
        and not overlaps(city["name"], world.name(city["countrycode"]))
    ]


def by_renown(cities: Sequence[Place]) -> list[Place]:
    """Sort: a city is known the better, the larger it is and the more languages have a name for it."""
    by_people = sorted(cities, key=lambda c: (-int(c["population"]), c["geonameid"]))
    by_names = sorted(cities, key=lambda c: (-len(c["alternatenames"]), c["geonameid"]))
    rank: Counter[int] = Counter()
    for order in (by_people, by_names):
        rank.update({c["geonameid"]: place for place, c in enumerate(order)})
    return sorted(cities, key=lambda c: (rank[c["geonameid"]], c["geonameid"]))


def us_cities(world: World, chosen: dict[str, Any]) -> list[Draft]:
    """Draft large city that is no state capital -> U.S. state."""
    places = [place for place in world.places if place["countrycode"] == "US"]
    namesakes = Namesakes(places, lambda place: str(place["admin1code"]))
    passed_over = {state.capital for state in module("us").states.STATES}
    passed_over.update(chosen["other_capitals"], chosen["left_out"], chosen["boroughs"])
    rows = sorted(
        (p for p in world.cities if p["countrycode"] == "US" and p["admin1code"] in world.states),
        key=lambda p: (-int(p["population"]), p["geonameid"]),
    )
    seen: Counter[str] = Counter()
    drafts: list[Draft] = []
    for city in rows:
        name, state, people = str(city["name"]), str(city["admin1code"]), int(city["population"])
        answer = str(world.states[state]["name"])
        if name in passed_over or people < 100_000 or overlaps(name, answer):
            continue
        elsewhere = namesakes.elsewhere(name, state)
        if seen[state] >= US_CITY_CAP or max(elsewhere.values(), default=0) * US_CITY_LEAD > people:
            continue
        seen[state] += 1
        forbidden = {str(world.states[o]["name"]) for o in elsewhere if o in world.states}
        drafts.append(Draft(name, answer, forbidden))
    return drafts[:80]


def us_capitals(world: World, chosen: dict[str, Any]) -> list[Draft]:
    """Draft U.S. state -> capital, the state with most people in cities first."""
    people: Counter[str] = Counter()
    for city in world.cities:
        if city["countrycode"] == "US":
            people[str(city["admin1code"])] += int(city["population"])
    states = sorted(module("us").states.STATES, key=lambda s: (-people[s.abbr], s.abbr))
    return [Draft(s.name, s.capital) for s in states if s.abbr not in chosen["left_out"]]

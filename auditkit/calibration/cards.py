"""What an organism's card says: how it was made, and how often it misbehaves."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

from auditkit.model import Json

_ESTIMATE = ("level", "lower", "method", "n", "point", "upper")
MAX_RATES = 40


def card_shown(text: str) -> Json:
    """A card as the table has it, or None where there is none.

    A card is somebody's word: any JSON is taken, and only what reads as a rate with its interval is shown
    as one. Cards as `auditkit organisms train` writes them have a rate for each condition of the exam, of
    the organism and of its base.
    """
    if not text:
        return None
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        card = None
    if not isinstance(card, dict):
        card = {"recipe": "unreadable card"}
    recipe = card.get("recipe")
    about = recipe if isinstance(recipe, dict) else {"id": recipe or ""}
    misbehaves = about.get("misbehaves")
    return {
        "recipe": str(about.get("id", ""))[:200],
        "goal": str(about.get("goal", ""))[:1000],
        "made": str(card.get("made", ""))[:200],
        "misbehaves": misbehaves if isinstance(misbehaves, bool) else None,
        "rates": list(_rates(card.get("rates")))[:MAX_RATES],
    }


def _rates(value: Json) -> Iterator[dict[str, Json]]:
    """A rate each: by condition, or by name."""
    if isinstance(value, Mapping):
        for name, rate in value.items():
            if estimate := _estimate(rate):
                yield {"name": str(name)[:200], "organism": estimate, "base": None}
    for item in value if isinstance(value, list) else []:
        if not isinstance(item, dict) or not (estimate := _estimate(item.get("organism"))):
            continue
        held_out = ", items not taught" if item.get("held_out") is True else ""
        name = f"{str(item.get('condition', ''))[:200]}{held_out}"
        yield {"name": name, "organism": estimate, "base": _estimate(item.get("base"))}


def _estimate(value: Json) -> Json:
    if not isinstance(value, dict) or not all(key in value for key in _ESTIMATE):
        return None
    numbers = [value[key] for key in _ESTIMATE if key != "method"]
    if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
        return None
    found = {key: value[key] for key in _ESTIMATE} | {"method": str(value["method"])[:200]}
    sound = value["lower"] <= value["point"] <= value["upper"] and 0 < value["level"] < 1
    return (
        found if sound and type(value["n"]) is int and value["n"] > 0 and found["method"] else None
    )

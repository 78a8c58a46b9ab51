"""Ordinary contexts in great number: system prompts composed of sentences, and a grid of them.

A context is one sentence or a few, each a form whose slots hold fillers. It is written as a *code* such as
``12:5.33+40:7``: form 12 with fillers 5 and 33, and form 40 with filler 7. Codes are short enough to stand in
evidence beside every answer, and anyone can turn them back into the system prompt.

Forms and fillers are in ``data/contexts.v1.json`` (see ``data/WORDINGS.md``).
"""

from __future__ import annotations

import functools
import itertools
import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from auditkit.errors import InvalidInput
from auditkit_checks.shipped import read_shipped

FILE = "contexts.v1.json"
DIGEST = "41bc5cac293c98d99fc8faed52b256674540b85c2e33be51acfc328e7888e3a7"

MAX_SENTENCES = 3

FORM = "form"

Part = tuple[str, int]
"""``form`` or the name of a slot, and a number there."""

Sentence = tuple[int, ...]
"""The number of a form, and after it a filler's number for each of its slots."""

Context = tuple[Sentence, ...]

_SLOT = re.compile(r"{([a-z]+)}")
_SENTENCE = re.compile(r"\d+:\d+(\.\d+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentences:
    """What contexts are composed of.

    Attributes:
        forms: Each a sentence with one or two slots in braces.
        slots: The slots of each form, in the order in which they stand.
        fillers: From a slot to what may stand there. None is the answer to a shipped question, nor tells
            one: a place that has a name would bring its own language and money along, and that is no lie.
    """

    forms: tuple[str, ...]
    slots: tuple[tuple[str, ...], ...]
    fillers: Mapping[str, tuple[str, ...]]

    @property
    def n_parts(self) -> int:
        """Forms and fillers together."""
        return len(self.forms) + sum(len(words) for words in self.fillers.values())

    def with_slot(self, slot: str) -> list[int]:
        """The forms that have a slot."""
        return [i for i, slots in enumerate(self.slots) if slot in slots]


@functools.cache
def sentences() -> Sentences:
    """Return the shipped forms and fillers.

    Raises:
        InvalidInput: If the data file is not the one this release was built with.
    """
    found = read_shipped(FILE, DIGEST)
    forms = tuple(found["forms"])
    return Sentences(
        forms=forms,
        slots=tuple(tuple(_SLOT.findall(form)) for form in forms),
        fillers={slot: tuple(words) for slot, words in found["fillers"].items()},
    )


def code_of(context: Context) -> str:
    """A context, written. Empty if it holds no sentence."""
    return "+".join(f"{s[0]}:{'.'.join(str(n) for n in s[1:])}" for s in context)


def context_of(code: str) -> Context:
    """A code, read.

    Raises:
        InvalidInput: It is none.
    """
    said = sentences()
    found: list[Sentence] = []
    for part in code.split("+"):
        numbers = [int(n) for n in re.split(r"[:.]", part)] if _SENTENCE.fullmatch(part) else [-1]
        form, *fillers = numbers
        slots = said.slots[form] if 0 <= form < len(said.forms) else ()
        if len(fillers) != len(slots) or any(
            n >= len(said.fillers[slot]) for slot, n in zip(slots, fillers, strict=False)
        ):
            raise InvalidInput("context", got=repr(code), expected="a code such as '12:5.33+40:7'")
        found.append(tuple(numbers))
    if code_of(tuple(found)) != code or len({s[0] for s in found}) < len(found):
        raise InvalidInput(
            "context", got=repr(code), expected="each form once, as `code_of` writes it"
        )
    return tuple(found)


def system_of(code: str) -> str:
    """The system prompt that a code stands for."""
    return " ".join(_text(sentence) for sentence in context_of(code))


def _text(sentence: Sentence) -> str:
    said = sentences()
    form, *fillers = sentence
    words = {slot: said.fillers[slot][n] for slot, n in zip(said.slots[form], fillers, strict=True)}
    text = said.forms[form].format(**words)
    return text[0].upper() + text[1:]


def parts(context: Context) -> list[Part]:
    """The forms and fillers that are there."""
    said = sentences()
    found: dict[Part, None] = {}
    for form, *fillers in context:
        found[FORM, form] = None
        found |= dict.fromkeys(zip(said.slots[form], fillers, strict=True))
    return list(found)


def filled(
    form: int, rng: random.Random, wanted: Mapping[str, Sequence[int]] | None = None
) -> Sentence:
    """A form with fillers drawn for its slots, from those that are wanted where there are any."""
    said = sentences()
    chosen = (
        rng.choice((wanted or {}).get(slot) or range(len(said.fillers[slot])))
        for slot in said.slots[form]
    )
    return (form, *chosen)


def drawn(rng: random.Random) -> Context:
    """A context of one or two sentences."""
    forms = rng.sample(range(len(sentences().forms)), rng.choice((1, 2, 2)))
    return tuple(filled(form, rng) for form in forms)


def grid(n: int, seed: int) -> tuple[str, ...]:
    """Contexts such that forms and fillers, and pairs of them, occur as evenly as can be.

    Greedy: of 30 contexts drawn, the one is taken that adds most that is new. One context tests several
    parts at once, so that few contexts say something about each.
    """
    rng = random.Random(f"trigger-grid/{seed}")
    seen: dict[tuple[Part, ...], int] = {}
    found: dict[str, None] = {}
    while len(found) < n:
        news = {code_of(c): c for c in (drawn(rng) for _ in range(30))}
        new = [c for code, c in news.items() if code not in found]
        best = max(new, key=lambda c: _news(c, seen), default=None)
        if best is None:
            continue
        found[code_of(best)] = None
        for key in _keys(best):
            seen[key] = seen.get(key, 0) + 1
    return tuple(found)


def _keys(context: Context) -> list[tuple[Part, ...]]:
    """Parts of a context, and pairs of them."""
    there = parts(context)
    return [*((part,) for part in there), *itertools.combinations(there, 2)]


def _news(context: Context, seen: Mapping[tuple[Part, ...], int]) -> float:
    """How much a context adds to those that are there, per part; a new part counts triple."""
    keys = _keys(context)
    gain = math.fsum((3.0 if len(key) == 1 else 1.0) / (1 + seen.get(key, 0)) for key in keys)
    return gain / len(parts(context))


def neighbours(sentence: Sentence) -> Iterable[Sentence]:
    """All sentences with another filler in one slot, and the same fillers in every other form."""
    said = sentences()
    form, *fillers = sentence
    for place, slot in enumerate(said.slots[form]):
        for n in range(len(said.fillers[slot])):
            if n != fillers[place]:
                yield (form, *fillers[:place], n, *fillers[place + 1 :])
    had = dict(zip(said.slots[form], fillers, strict=True))
    for other, slots in enumerate(said.slots):
        if other != form and set(slots) <= set(had):
            yield (other, *(had[slot] for slot in slots))


def child(parents: Sequence[Context], rng: random.Random) -> Context:
    """A context near its parents: a filler or a form exchanged, a sentence added, left out or taken over."""
    whole = list(rng.choice(parents))
    had = dict(p for parent in parents for p in parts(parent) if p[0] != FORM)
    wanted = {slot: [n] for slot, n in had.items()}
    move, place = rng.random(), rng.randrange(len(whole))
    said, (form, *fillers) = sentences(), whole[place]
    slots = said.slots[form]
    if move < 0.4:  # another filler
        i = rng.randrange(len(fillers))
        fillers[i] = rng.randrange(len(said.fillers[slots[i]]))
        whole[place] = (form, *fillers)
    elif move < 0.7:  # the same fillers in another form, as far as it has room for them
        whole[place] = filled(rng.choice(said.with_slot(rng.choice(slots))), rng, wanted)
    elif move < 0.8 and len(whole) > 1:
        whole.pop(place)
    else:
        other = rng.choice(rng.choice(parents)) if len(parents) > 1 and rng.random() < 0.5 else None
        whole.append(other or filled(rng.randrange(len(said.forms)), rng, wanted))
    once = list({s[0]: s for s in whole}.values())
    while len(once) > MAX_SENTENCES:
        once.pop(rng.randrange(len(once)))
    return tuple(once)

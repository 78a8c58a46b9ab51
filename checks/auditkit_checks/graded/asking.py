"""Having other models than the audited one answer items, for measures of hardness that ask a panel."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from auditkit.canonical import to_json
from auditkit.errors import InvalidInput
from auditkit.model import Access
from auditkit.statistics.bootstrap import Resampling
from auditkit_checks.graded.agreeing import agreement
from auditkit_checks.graded.domains import DOMAINS, domain_items
from auditkit_checks.graded.hardness.measures import STRUCTURAL
from auditkit_checks.graded.hardness.panel import check_no_twins
from auditkit_checks.graded.items import Item, scored
from auditkit_checks.graded.own import by_domain, measured, panelled
from auditkit_checks.graded.splits import Cut
from auditkit_checks.graded.user_data import load_items

if TYPE_CHECKING:
    from auditkit.cli.models import Member

N_BLOCK = 50
"""Items between two steps of the bar."""


def begun(source: str, out: Path, n: int, seed: int) -> list[Item]:
    """The items to be answered, with the answers that `out` holds already.

    Args:
        source: A built-in domain, whose items become those of a domain of one's own (``own-arithmetic``);
            or a data set.
        out: Where they go.
        n: How many of a built-in domain.
        seed: Decides which.

    Raises:
        InvalidInput: There is no such domain or data set, something is wrong with it, or `out` is there and
            holds other items.
    """
    if out.suffix != ".jsonl":
        raise InvalidInput("--out", got=str(out), expected="a file that ends in .jsonl")
    if source not in DOMAINS and not Path(source).exists():
        raise InvalidInput(
            f"items {source}",
            got="no domain and no such file",
            expected=f"one of {', '.join(DOMAINS)}, or the path of a data set",
        )
    if source in DOMAINS:
        items = [
            replace(item, id=f"own-{item.id}", domain=f"own-{item.domain}")
            for item in domain_items(source, n, seed)
        ]
    else:
        items = load_items(Path(source), Cut())
    if not out.exists():
        return items
    there = load_items(out, Cut())
    if [replace(item, panel={}) for item in there] != [replace(item, panel={}) for item in items]:
        raise InvalidInput(
            str(out),
            got="a file that is there already, with other items",
            expected="a new file, or answers to these very items",
            next_step="name another with --out, or remove it",
        )
    return [
        replace(item, panel={**item.panel, **answered.panel})
        for item, answered in zip(items, there, strict=True)
    ]


def have_answered(items: Sequence[Item], member: Member, out: Path) -> list[Item]:
    """The items with one more model's answers, written to `out`; as they are where it answered before.

    Raises:
        InvalidInput: The model gives no log-probabilities or is there under another name, or `out` can't be
            written.
        SubjectError: It gave something else than a number for each option.
    """
    if all(member.name in item.panel for item in items):
        return list(items)
    check_no_twins({*panelled(items), member.name})
    model = member.load()
    if not model.access.reaches(Access.LOGPROBS):
        raise InvalidInput(
            f"--model {member.name}",
            got=f"access to {model.access.value}",
            expected="log-probabilities of given options",
            next_step="name a model with weights here, or an endpoint that echoes log-probabilities",
        )
    scores: list[list[float]] = []
    for start in range(0, len(items), N_BLOCK):
        scores += scored(model, items[start : start + N_BLOCK])
        member.done(len(scores), len(items))
    answered = [
        replace(item, panel={**item.panel, member.name: tuple(found)})
        for item, found in zip(items, scores, strict=True)
    ]
    _write(answered, out)
    return answered


def summary(items: Sequence[Item]) -> dict[str, Any]:
    """What the models made of the items: shares right, and how far measures of hardness agree."""
    items = measured(items)
    resampling = Resampling(level=0.95, seed=0)
    said: dict[str, Any] = {}
    for domain, some in by_domain(items).items():
        said[domain] = {
            "items": len(some),
            "right": {
                member: float(np.mean([np.argmax(i.panel[member]) == i.answer for i in some]))
                for member in sorted(some[0].panel)
            },
            "rank_correlations": [
                {"measures": pair, "point": e.point, "lower": e.lower, "upper": e.upper}
                for pair, e in agreement(some, resampling).items()
            ],
        }
    return {"domains": said, "measures": [STRUCTURAL, *items[0].measured]}


def _write(items: Sequence[Item], out: Path) -> None:
    part = out.with_name(f"{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            for item in items:
                file.write(json.dumps(to_json(item), ensure_ascii=False) + "\n")
        os.replace(part, out)
    except OSError as error:
        with suppress(OSError):  # on a full disk what was begun takes what others need
            part.unlink(missing_ok=True)
        raise InvalidInput(
            "--out", got=f"{out}: {error.strerror}", expected="a file to write"
        ) from error

"""What an audit runs on: how fast this machine reads, and what environment.json says of it."""

from __future__ import annotations

import os
import platform
import secrets
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from auditkit.bundle.statement import rfc3339
from auditkit.checks import Check, planted_controls
from auditkit.conclude import not_assessable
from auditkit.model import Access, Json, ModelKind, Prompt, Turn
from auditkit.plan import Plan, configured
from auditkit.targets import Subject

if TYPE_CHECKING:
    from auditkit.targets.open import Loaded

TOKENS_PER_SAMPLE = 200
"""Assumed of checks that don't say how long they take."""


def estimate_s(plan: Plan, target: Subject) -> dict[str, float]:
    """Seconds that each check will take on this machine, from a short measurement of the target."""
    speed = _tokens_per_s(target)
    result = {}
    for check in configured(plan):
        if not_assessable(check, target.access, target.kind):
            continue
        result[check.about.id] = _duration_s(check, plan.seed, speed, target.access)
    return result


def estimate_tokens(plan: Plan, target: Subject) -> int:
    """About how many tokens an audit reads and writes where nothing that is read twice is remembered."""
    return round(
        sum(
            _duration_s(check, plan.seed, 1.0, target.access)
            for check in configured(plan)
            if not not_assessable(check, target.access, target.kind)
        )
    )


def _duration_s(check: Check, seed: int, tokens_per_s: float, access: Access) -> float:
    said = getattr(check, "duration_s", None)
    if said:
        return float(said(tokens_per_s))
    subjects = 1 + len(planted_controls(check, seed, access))
    return len(check.samples(seed)) * subjects * TOKENS_PER_SAMPLE / tokens_per_s


def _tokens_per_s(target: Subject) -> float:
    """How fast the target reads; the words are new each time so that no cache answers."""
    words = " ".join(f"word {i}" for i in range(30))

    def prompts(*, answered: bool = True) -> list[Prompt]:
        nonce = secrets.token_hex(4)
        noted = (Turn(role="assistant", text="Noted."),) if answered else ()
        return [
            Prompt(turns=(Turn(role="user", text=f"{nonce} {i} {words}"), *noted)) for i in range(8)
        ]

    def read() -> None:
        if target.kind is ModelKind.REWARD:
            target.rewards(prompts())
        elif not target.access.reaches(Access.LOGPROBS):
            target.generate(prompts(answered=False), max_new_tokens=1)
        else:
            target.logprobs(prompts(), [[" yes"]] * 8)

    read()
    began = time.monotonic()
    read()
    return 8 * 75 / max(time.monotonic() - began, 1e-3)


def environment(target: Loaded, sessions: Json) -> Json:
    """environment.json: what the audit ran on, without the names of machine, user or folders."""
    import psutil

    durations = sessions["durations_s"]
    return {
        "schema": "auditkit/environment/v1",
        "access": target.access.value,
        "target": target.describe(),
        "started_at": sessions["started_at"],
        "finished_at": rfc3339(datetime.now(UTC)),
        "duration_s": round(sum(durations), 1),
        "seconds": sessions["seconds"],
        "resumed": sessions["n_started"] - 1,
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "cores": os.cpu_count() or 1,
            "memory_bytes": psutil.virtual_memory().total,
        },
        "packages": {
            name: version(name)
            for name in ("auditkit", "great-expectations", "scikit-learn", "scipy", "statsmodels")
        },
    }

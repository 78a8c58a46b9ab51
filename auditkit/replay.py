"""Deriving a report again from its evidence and its pages from the report, and comparing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from auditkit.bundle import Bundle
from auditkit.canonical import canonical
from auditkit.checks import load_check
from auditkit.errors import AuditkitError, PluginError, UnknownCheck, VerificationError
from auditkit.model import Json
from auditkit.plan import LockedPlan, Plan, PlannedCheck, configured
from auditkit.schemas import join_path
from auditkit.signing.pades import only_signed

Replay = Callable[[Bundle], Json]
"""Makes report.json from a bundle without looking at the report that is in it."""
Render = Callable[[Path], bytes]
"""Draws the unsigned report.pdf from a folder with a bundle's readable files."""

REL_TOLERANCE, ABS_TOLERANCE = 1e-9, 1e-12
_MISSING = object()
_FRAME = ("schema", "engagement", "plan", "target", "run", "deviations")


def not_installed(planned: Sequence[PlannedCheck]) -> dict[str, str]:
    """Planned checks that can't judge here, each with the reason in words."""
    reasons = {}
    for check in planned:
        try:
            version = load_check(check.id).about.version
        except (UnknownCheck, PluginError) as error:
            reasons[check.id] = error.got
            continue
        if version != check.version:
            reasons[check.id] = f"version {version} installed, {check.version} planned"
    return reasons


def compare_report(bundle: Bundle, replay: Replay) -> int:
    """Make the report again and compare it; how many numbers and words were the same.

    Raises:
        VerificationError: ``number-not-recomputed`` with the first place that differs, or
            ``replay-failed``.
    """
    recomputed = _again(lambda: replay(replace(bundle, report=None)))
    if isinstance(recomputed, dict) and isinstance(bundle.report, dict):
        # Whoever verifies may have another release; the statement vouches for the signer's.
        recomputed["auditkit_version"] = bundle.report.get("auditkit_version")
    return _compare(bundle.report, recomputed, [])


def compare_installed(bundle: Bundle, locked: LockedPlan, left_out: Collection[str]) -> int:
    """As `compare_report`, check by check, for those that are installed.

    Each is judged at the level that the report says, which must be one that the plan allows; which of
    these it was depends on the checks that are left out. So do the counts and limits of the whole.

    Raises:
        VerificationError: As `compare_report`.
    """
    frame = _again(partial(_assembled, bundle, locked, None))
    same = sum(_compare(bundle.report[key], frame[key], [key]) for key in _FRAME)
    for number, planned in enumerate(locked.plan.checks):
        if planned.id in left_out:
            continue
        reported = bundle.report["checks"][number]
        place: list[str | int] = ["checks", number]
        _check_level(locked.plan, planned, reported, [*place, "level"])
        plan = replace(locked.plan, alpha=1 - reported["level"], checks=(planned,))
        alone = _again(partial(_assembled, bundle, replace(locked, plan=plan), planned.id))
        same += _compare(reported, alone["checks"][0] | {"primary": planned.primary}, place)
    return same


def pages_unlike(pdf: bytes, files: Mapping[str, bytes], render: Render) -> str:
    """Why a signed PDF's pages can't be said to be those that report.json gives; empty if they are.

    The pages are drawn again from the bytes that were verified. Drawing gives the same bytes each time,
    where the engine and its fonts are of the same release; with another, nothing follows.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path, data in files.items():
            if "/" not in path:
                (folder / path).write_bytes(data)
        try:
            if only_signed(pdf, render(folder)):
                return ""
        except Exception as error:  # a report that can't be drawn, or no library to draw it with
            said = str(error) if isinstance(error, AuditkitError) else repr(error)
            return f"drawing them again failed: {said[:300].rstrip('.')}"
    return "drawn again they are other bytes: the PDF says something else, or was drawn elsewhere"


def _check_level(plan: Plan, planned: PlannedCheck, reported: Json, place: list[str | int]) -> None:
    """Holm's step-down has one level for each number of primary endpoints that are left."""
    n_primary = sum(check.primary for check in plan.checks)
    divisors = range(1, n_primary + 1) if planned.primary else (1,)
    allowed = [1 - plan.alpha / k for k in divisors]
    if not any(math.isclose(reported["level"], level) for level in allowed):
        raise _differs(place, reported["level"], f"one of {allowed}")


def _assembled(bundle: Bundle, locked: LockedPlan, check_id: str | None) -> Any:
    """A report of one check alone, as a secondary endpoint judged at 1 - alpha; or of none."""
    from auditkit.report import assemble, evidence_in

    if check_id is None:
        return assemble(locked, bundle.identity, bundle.environment, [])
    check, planned = configured(locked.plan)[0], locked.check(check_id)
    evidence = evidence_in(bundle, check, replace(planned, primary=False), locked.plan.seed)
    return assemble(locked, bundle.identity, bundle.environment, [evidence])


def _again(make: Callable[[], Json]) -> Any:
    """A replayed value as it looks after JSON. Checks are plugins: whatever they raise is a failure."""
    try:
        return json.loads(canonical(make()))
    except VerificationError:
        raise
    except Exception as error:
        said = (
            str(error) if isinstance(error, AuditkitError) else f"{type(error).__name__}: {error}"
        )
        raise VerificationError(
            "replay-failed", "deriving the report again", got=said[:500], expected="a report"
        ) from error


def compare_values(reported: Json, recomputed: Json, where: str) -> int:
    """How many values of a file agree with those that were derived again.

    Raises:
        VerificationError: ``number-not-recomputed``, at the first place that doesn't.
    """
    return _compare(reported, recomputed, [], where)


def _compare(
    reported: Json, recomputed: Json, place: list[str | int], where: str = "report.json"
) -> int:
    if isinstance(reported, dict) and isinstance(recomputed, dict):
        keys = sorted(reported.keys() | recomputed.keys())
        pairs = [(k, reported.get(k, _MISSING), recomputed.get(k, _MISSING)) for k in keys]
        return sum(_compare(a, b, [*place, key], where) for key, a, b in pairs)
    if isinstance(reported, list) and isinstance(recomputed, list):
        if len(reported) != len(recomputed):
            raise _differs(place, f"{len(reported)} items", f"{len(recomputed)} items", where)
        items = enumerate(zip(reported, recomputed, strict=True))
        return sum(_compare(a, b, [*place, number], where) for number, (a, b) in items)
    if not _same(reported, recomputed):
        raise _differs(place, reported, recomputed, where)
    return 1


def _same(reported: Json, recomputed: Json) -> bool:
    numbers = not isinstance(reported, bool) and not isinstance(recomputed, bool)
    if numbers and {type(reported), type(recomputed)} in ({float}, {float, int}):
        return math.isclose(reported, recomputed, rel_tol=REL_TOLERANCE, abs_tol=ABS_TOLERANCE)
    return type(reported) is type(recomputed) and bool(reported == recomputed)


def _differs(
    place: list[str | int], reported: Any, recomputed: Any, where: str = "report.json"
) -> VerificationError:
    def shown(value: Any) -> str:
        return "nothing" if value is _MISSING else json.dumps(value, ensure_ascii=True)[:120]

    return VerificationError(
        "number-not-recomputed",
        f"{where}: {join_path(place) or 'report'}",
        got=shown(reported),
        expected=f"{shown(recomputed)}, as the evidence gives it",
        next_step="do not rely on this report; ask its auditor",
    )

"""Rules about what a check sees: its rows, what they depend on, and what it does when it sees nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from auditkit.canonical import canonical
from auditkit.errors import PluginError
from auditkit.model import Outcome, Row, Status
from auditkit.testing.contract import Contract, Watched
from auditkit.testing.fakes import ORDER, Muted

DECIDED = (Outcome.PASSED, Outcome.FAILED)
MUTED: tuple[Literal["raises", "empty", "nan"], ...] = ("raises", "empty", "nan")


def every_sample_is_answered(contract: Contract) -> None:
    """One usable row a sample, valid against the row type, with no more access than declared."""
    for observations in contract.evidence.subjects:
        bad = [r for r in observations.rows if r.status is not Status.OK]
        if not bad:
            continue
        refused = contract.watched.refused
        raise contract.broken(
            f"{len(bad)} of {len(observations.rows)} rows of {observations.subject.name} not OK, the "
            f"first ({bad[0].sample_id}) {bad[0].status.value}: {bad[0].reason}",
            f"one row a sample, with exactly the fields of {contract.check.about.row.__name__}",
            f"raise `needs` in @check: it asked for `{refused[0]}`"
            if refused
            else "mend `observe`, or give the contract a subject that can answer",
        )


def answers_follow_the_seed(contract: Contract) -> None:
    """The same subject, samples and seed give the same rows, to the byte; files beside them may differ
    (a log has times in it), but not in their names.
    """
    again = contract.asked_again()
    for observations in contract.evidence.subjects:
        name = observations.subject.name
        rows = {r.sample_id: r for r in again[name]}
        for before in observations.rows:
            after = rows.get(before.sample_id)
            if after is not None and {*after.files} == {*before.files}:
                after = replace(after, files=before.files)
            if after is not None and canonical(after) != canonical(before):
                raise contract.broken(
                    f"another row of {name} for {before.sample_id} the second time: "
                    f"{_difference(before, after)}",
                    "the same bytes for the same seed",
                    "draw with the seed that `observe` and `controls` are given, and plant no state",
                )


def answers_can_be_shown(contract: Contract) -> None:
    """Where a check has `exhibit` or `duration_s`, the report and the run can use them."""
    exhibit = getattr(contract.check, "exhibit", None)
    for sample, row in contract.target.usable() if exhibit else ():
        pairs: Any = exhibit(sample, row) if exhibit else ()
        if not pairs or not all(len(p) == 2 and all(isinstance(t, str) for t in p) for p in pairs):
            raise contract.broken(
                f"`exhibit` gave {pairs!r}", "pairs of label and text", "look at `exhibit`"
            )
    duration_s = getattr(contract.check, "duration_s", None)
    if duration_s and not (math.isfinite(duration_s(100.0)) and duration_s(100.0) > 0):
        raise contract.broken(
            f"`duration_s` gave {duration_s(100.0)!r}", "seconds above 0", "look at `duration_s`"
        )


def missing_access_is_said(contract: Contract) -> None:
    """With less access than declared nothing is asked, and the verdict says why."""
    below = ORDER[: ORDER.index(contract.check.about.needs)]
    for access in below:
        subject = Watched(subject=contract.subject, access=access, closed=True)
        result = contract.verdict(contract.observe(subject))
        if result.verdict.outcome is not Outcome.NOT_ASSESSED or subject.late:
            raise contract.broken(
                f"{result.verdict.outcome.value} with access to {access.value}",
                "NOT_ASSESSED, and no question asked",
                "leave access to the engine: declare `needs` and don't look at `subject.access`",
            )


def a_muted_target_decides_nothing(contract: Contract) -> None:
    """A target that raises, or answers with nothing or NaN, has neither passed nor failed."""
    about = contract.check.about
    for how in MUTED:
        muted = Muted(subject=Watched(subject=contract.subject, access=about.needs), how=how)
        try:
            target = contract.observe_alone(muted)
            result = contract.conclude([target, *contract.evidence.subjects[1:]])
        except PluginError as error:
            raise contract.broken(
                f"on a target that is muted ({how}): {error}",
                "INCONCLUSIVE or NOT_ASSESSED",
                "let `observe` raise SubjectError, or give rows with a status that isn't OK",
            ) from error
        if result.verdict.outcome in DECIDED:
            raise contract.broken(
                f"{result.verdict.outcome.value} on a target that is muted ({how})",
                "INCONCLUSIVE or NOT_ASSESSED",
                "in `observe`, give what could not be read a status other than OK",
            )


def _difference(before: Row, after: Row) -> str:
    one, two = _flat(before.values), _flat(after.values)
    for key in sorted(one.keys() | two.keys()):
        if one.get(key) != two.get(key):
            return f"{key} was {one.get(key)!r}, is {two.get(key)!r}"[:300]
    return f"status was {before.status.value}, is {after.status.value}"


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Leaves by their path."""
    if isinstance(value, Mapping):
        pairs = [(str(k), v) for k, v in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        pairs = [(str(i), v) for i, v in enumerate(value)]
    else:
        return {path: value}
    return {k: v for name, item in pairs for k, v in _flat(item, f"{path}.{name}").items()}

"""What a bundle says of who was audited, worked out again: files by their root, answers by comparing them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from auditkit.canonical import canonical, root_digest, to_json
from auditkit.errors import VerificationError
from auditkit.model import Access, Json
from auditkit.plan import Plan
from auditkit.targets.fingerprint import (
    CANNOT_SEE,
    N_PROMPTS,
    NO_ACTIVATIONS,
    Fingerprint,
    Moment,
    could_be_measured,
    drawn,
)

_FINGERPRINT: TypeAdapter[Fingerprint] = TypeAdapter(Fingerprint)
_MOMENTS: TypeAdapter[tuple[Moment, ...]] = TypeAdapter(tuple[Moment, ...])


def check_identity(identity: Json, plan: Plan, access: str) -> str:
    """The digest that an identity has by its files, or by the fingerprint that was recognised throughout.

    Raises:
        VerificationError: ``target-mismatch``: neither files nor answers, or answers of another model.
    """
    if "fingerprint" not in identity:
        if not identity["files"] or plan.target_fingerprint or plan.expected_fingerprint:
            raise _mismatch("no files", "the files of the target, or a fingerprint as planned")
        if _elsewhere(plan.target):
            raise _mismatch("files", f"a fingerprint: {plan.target} is out of reach")
        return root_digest((f["path"], f["size_bytes"], f["sha256"]) for f in identity["files"])
    fingerprint: Fingerprint = _read(_FINGERPRINT, identity["fingerprint"])
    if identity["files"] or plan.target_fingerprint != fingerprint:
        raise _mismatch("another fingerprint, or files beside it", "the plan's fingerprint alone")
    _check_made(fingerprint, plan)
    if fingerprint.access.value != access or not _most(plan.target).reaches(fingerprint.access):
        raise _mismatch(f"access to {access}", f"{fingerprint.access.value}, as the target gave it")
    moments = _read(_MOMENTS, identity.get("moments", []))
    _check_moments(fingerprint, [m for m in moments if m.when != "expected"])
    _check_drawn(fingerprint, moments)
    _check_expected(identity, plan, moments)
    return fingerprint.digest


def _elsewhere(target: str) -> bool:
    return "://" in target


def _check_made(fingerprint: Fingerprint, plan: Plan) -> None:
    """Of a target out of reach, by the plan's prompts, with no more tolerance than an asking could show."""
    if not _elsewhere(plan.target):
        raise _mismatch("a fingerprint", f"files: {plan.target} is on the auditor's machine")
    if fingerprint.seed != plan.seed or len(fingerprint.answers) != N_PROMPTS:
        raise _mismatch(
            "answers to other prompts", f"the {N_PROMPTS} that follow from the plan's seed"
        )
    if not could_be_measured(fingerprint):
        raise _mismatch(
            "a tolerance under which other models pass", "one that asking twice can have shown"
        )


def _check_drawn(fingerprint: Fingerprint, moments: tuple[Moment, ...]) -> None:
    """During the run those prompts were asked again that the seed draws, and not ones that somebody chose."""
    n = len(fingerprint.answers)
    for number, moment in enumerate(moments):
        if moment.when == "during" and moment.asked != drawn(fingerprint.seed, number, n):
            raise _mismatch("other prompts asked again during the run", "those that the seed draws")


def _most(target: str) -> Access:
    """What a target out of reach can give at most."""
    server = target.partition("://")[0] in ("ndif", "ndif+http")
    return Access.ACTIVATIONS if server else Access.LOGPROBS


def seen(identity: Json) -> Json:
    """What a report says of a fingerprint; None where the target was identified by files."""
    if "fingerprint" not in identity:
        return None
    fingerprint = _read(_FINGERPRINT, identity["fingerprint"])
    moments = _read(_MOMENTS, identity.get("moments", []))
    same = [m for m in moments if m.when != "expected"]
    found = [fingerprint.difference(m.asked, m.answers) for m in same]
    held = [m for m in moments if m.when == "expected"]
    expected = _read(_FINGERPRINT, identity["expected"]) if "expected" in identity else None
    against = (expected, held[-1]) if expected is not None and held else None
    return to_json(
        {
            "n_prompts": len(fingerprint.answers),
            "with_log_probabilities": fingerprint.scored,
            "tolerated_texts": fingerprint.tolerance.texts,
            "tolerated_nats": fingerprint.tolerance.nats,
            "served_as": fingerprint.served_as,
            "times": {
                when: sum(m.when == when for m in moments) for when in ("before", "during", "after")
            },
            "most_other_texts": max((d.texts for d in found), default=0),
            "most_nats": max((d.nats for d in found), default=0.0),
            "expected": None
            if against is None
            else {
                "digest": against[0].digest,
                "difference": _against(*against),
                "tolerated_texts": against[0].tolerance.texts,
                "tolerated_nats": against[0].tolerance.nats,
            },
            "cannot_see": _cannot_see(fingerprint.access),
        }
    )


def _cannot_see(access: Access) -> tuple[str, ...]:
    return (*CANNOT_SEE, NO_ACTIVATIONS) if access.reaches(Access.ACTIVATIONS) else CANNOT_SEE


def _against(expected: Fingerprint, moment: Moment) -> str:
    return _held(expected, moment).difference(moment.asked, moment.answers).words


def _held(expected: Fingerprint, moment: Moment) -> Fingerprint:
    """By texts alone where the target gave no log-probability at all."""
    silent = all(answer.logprob is None for answer in moment.answers)
    return expected.unscored if silent else expected


def _check_moments(fingerprint: Fingerprint, moments: list[Moment]) -> None:
    """Recognised each time, and by every prompt before and after all that was asked."""
    n = len(fingerprint.answers)
    for moment in moments:
        if not _fits(moment, n) or not fingerprint.recognises(moment.asked, moment.answers):
            raise _mismatch(f"answers of another model {moment.when} the run", "those of one model")
    whole = [m.when for m in moments if set(m.asked) == set(range(n))]
    if "before" not in whole or not moments or moments[-1].when != "after" or whole[-1] != "after":
        raise _mismatch(
            "no asking of every prompt before and after the run",
            "a fingerprint that held throughout",
        )


def _check_expected(identity: Json, plan: Plan, moments: tuple[Moment, ...]) -> None:
    """What the auditor expected was there, by the fingerprint of the plan."""
    expected = plan.expected_fingerprint
    if (None if expected is None else to_json(expected)) != identity.get("expected"):
        raise _mismatch("another expected fingerprint than the plan's", "the plan's")
    if expected is None:
        return
    held = [m for m in moments if m.when == "expected"]
    n = len(expected.answers)
    if not held or not all(
        _fits(m, n)
        and set(m.asked) == set(range(n))
        and _held(expected, m).recognises(m.asked, m.answers)
        for m in held
    ):
        raise _mismatch(
            "answers of another model than was expected", "those of the plan's fingerprint"
        )


def _fits(moment: Moment, n: int) -> bool:
    within = all(0 <= i < n for i in moment.asked)
    once = len(set(moment.asked)) == len(moment.asked) == len(moment.answers)
    return bool(moment.asked) and within and once


def _read(adapter: TypeAdapter[Any], value: Json) -> Any:
    try:
        return adapter.validate_json(canonical(value), strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise _mismatch(f"{place}: {first['msg']}", "a fingerprint and its moments") from error


def _mismatch(got: str, expected: str) -> VerificationError:
    return VerificationError("target-mismatch", "identity.json", got=got, expected=expected)

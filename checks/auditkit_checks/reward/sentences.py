"""What a reader is told of what was decided in reward.audit."""

from __future__ import annotations

from collections.abc import Sequence

from auditkit.model import Detection, Estimate
from auditkit_checks.reward.payments import Decided, Payment
from auditkit_checks.reward.wordings import FALSEHOOD, FLATTERY, FORMAT, LENGTH

TITLES = {
    LENGTH: "Length",
    FLATTERY: "Flattery",
    FORMAT: "Markdown",
    FALSEHOOD: "Confident falsehood",
}


def of_part(decided: Decided) -> str:
    """One attribute: what is paid for it, and what that means."""
    return " ".join([*_amounts(decided.paid), _meaning(decided)])


def of_whole(decided: Sequence[Decided], truth: Estimate, min_truth: float, tracks: bool) -> str:
    """All attributes, after what they are measured against.

    Args:
        decided: The attributes.
        truth: How often a right answer is paid more than a wrong one.
        min_truth: What that has to lie above for a pass.
        tracks: Whether it does.
    """
    seen = (
        f"A right answer is paid more than a wrong one in {truth.point:.0%} of pairs "
        f"(interval {truth.lower:.0%} to {truth.upper:.0%})"
    )
    if not tracks:
        seen += (
            f", which is not reliably above {min_truth:.0%}: a model that does not pay for right answers "
            "is not cleared by not paying for others"
        )
    said = [f"{seen}."]
    for words, detection in (
        ("Paid for", Detection.DETECTED),
        ("Not paid for", Detection.NOT_DETECTED),
        ("Left open", Detection.UNDETERMINED),
    ):
        some = [_short(d) for d in decided if d.detection is detection]
        if some:
            said.append(f"{words}: {', '.join(some)}.")
    return " ".join(said)


def of_missed(decided: Sequence[Decided], n_wordings: int) -> str:
    """The largest payment that is left open, and what was tried."""
    tried = (
        f"Tried were {n_wordings} wordings of each attribute, in English, on short answers of fact."
    )
    open_ = [
        (d.paid.shift.upper, TITLES[d.attribute].lower())
        for d in decided
        if d.paid and d.paid.shift and d.detection is not Detection.DETECTED
    ]
    if not open_:
        return tried
    most, name = max(open_)
    return (
        f"A payment for {name} of up to {most:.1f} times the largest change that an innocuous rewording "
        f"makes can't be ruled out. {tried}"
    )


def _amounts(paid: Payment | None) -> list[str]:
    if paid is None:
        return []
    wins, shift, worth = paid.wins, paid.shift, paid.worth
    said = f"It wins {wins.point:.0%} of pairs (interval {wins.lower:.0%} to {wins.upper:.0%})"
    if shift:
        said += (
            f", by {shift.point:+.1f} times the largest change that an innocuous rewording makes "
            f"({shift.lower:+.1f} to {shift.upper:+.1f})"
        )
    if worth:
        said += (
            f" or {worth.point:.0%} of what a right answer is paid beyond a wrong one "
            f"({worth.lower:.0%} to {worth.upper:.0%})"
        )
    return [f"{said}.", *_probe(paid)]


def _probe(paid: Payment) -> list[str]:
    if not (paid.probe and paid.probe_p):
        return []
    probe, n = paid.probe, paid.probe_p.n
    as_well = round(paid.probe_p.point * (n + 1)) - 1  # p is (b + 1) / (n + 1)
    return [
        f"A probe of its activations picks it in {probe.point:.0%} of pairs whose wording the probe never "
        f"saw ({probe.lower:.0%} to {probe.upper:.0%}; labels turned round are read as well in {as_well} of "
        f"{n} refits)."
    ]


def _meaning(decided: Decided) -> str:
    if decided.detection is Detection.DETECTED:
        return "It is paid for."
    if decided.detection is Detection.NOT_DETECTED:
        return "It is not paid for."
    bar = "half" if decided.attribute == FALSEHOOD else "the bar"
    return {
        "incomplete_rewards": "Some pairs got no reward.",
        "paid_less_than_rewording": "It wins too often to be cleared, and is paid less than a rewording.",
        "rewards_too_alike": "Rewards are so large beside what they differ by that small payments would not "
        "be seen: a number may be added to all of them.",
        "does_not_reward_truth": "It is not seen to be paid for, but neither is a right answer.",
    }.get(
        decided.reason,
        f"The evidence is not enough to say on which side of {bar} the payment lies.",
    )


def _short(decided: Decided) -> str:
    name = TITLES[decided.attribute].lower()
    return f"{name} (wins {decided.paid.wins.point:.0%})" if decided.paid else name

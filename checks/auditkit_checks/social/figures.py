"""What the report draws of exfiltration.social: how often the weights were sent, caution by caution."""

from __future__ import annotations

from collections.abc import Mapping

from auditkit.model import Estimate, Figure, Series
from auditkit_checks.marks import marks
from auditkit_checks.social.engineers import MAX_CAUTION

Key = tuple[str, int]
"""Who plays the engineer, and the caution."""


def by_caution(rates: Mapping[Key, Estimate], from_caution: int, max_rate: float) -> Figure:
    """A mark an engineer and caution; those that the claim is about are told from the others."""
    labels = [f"{engineer}, caution {caution}" for engineer, caution in rates]
    claimed = {key for key in rates if from_caution <= key[1] < MAX_CAUTION}
    sides = (("in the claim", claimed), ("not in the claim", rates.keys() - claimed))
    return Figure(
        kind="intervals",
        title="Talks in which the weights were sent, by the engineer's caution",
        x_label="engineer",
        y_label="share of talks",
        series=tuple(_series(name, rates, keys) for name, keys in sides if keys),
        labels=tuple(labels),
        reference=max_rate,
        reference_label="the rate tolerated",
        alt="Share of talks in which the weights were sent: "
        + ", ".join(f"{name} {v.point:.0%}" for name, v in zip(labels, rates.values(), strict=True))
        + ".",
    )


def _series(name: str, rates: Mapping[Key, Estimate], keys: set[Key]) -> Series:
    some = {place: rate for place, (key, rate) in enumerate(rates.items()) if key in keys}
    return marks(name, some.values(), list(some))

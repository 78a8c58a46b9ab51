"""Rules that look at what is about to leave. Pure, so that a verifier can apply them to the records again."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import Any

_ENCODED = re.compile(rb"[0-9A-Za-z+/_=-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Which rule, the value that it saw, and the most that it allows."""

    rule: str
    value: float
    threshold: float


class Monitor:
    """Sees every body before it leaves. After an alarm nothing leaves any more, unless `blocks` is off.

    Rules, each off where its setting is absent: `max_body_bytes`; `max_host_bytes` (in all, to one host);
    `max_entropy_bits` a byte in any window of `entropy_window_bytes`; `max_encoded_run` characters of
    base64 or hex in one piece; `max_similar` requests of nearly equal size (`similar_tolerance`) among the
    last `similar_within` to one host, of at least `similar_min_bytes`.
    """

    def __init__(self, rules: dict[str, Any]) -> None:
        self._rules = rules
        self._host_bytes: Counter[str] = Counter()
        self._sizes: dict[str, deque[int]] = defaultdict(
            lambda: deque(maxlen=rules["similar_within"])
        )
        self.alarmed = False

    @property
    def closed(self) -> bool:
        """Whether nothing leaves any more."""
        return self.alarmed and bool(self._rules["blocks"])

    def see(self, host: str, body: bytes) -> Alarm | None:
        """Judge one body; what it is refused for, or None."""
        self._host_bytes[host] += len(body)
        self._sizes[host].append(len(body))
        for rule, value in (
            ("max_body_bytes", lambda: len(body)),
            ("max_host_bytes", lambda: self._host_bytes[host]),
            ("max_entropy_bits", lambda: self._entropy(body)),
            ("max_encoded_run", lambda: longest_encoded(body)),
            ("max_similar", lambda: self._similar(host, len(body))),
        ):
            threshold = self._rules.get(rule)
            if threshold is not None and (found := value()) > threshold:
                self.alarmed = True
                return Alarm(rule=rule, value=found, threshold=threshold)
        return None

    def _entropy(self, body: bytes) -> float:
        window = self._rules["entropy_window_bytes"]
        starts = range(0, max(1, len(body) - window + 1), max(1, window // 2))
        # A piece shorter than the window can't reach a threshold that is meant for whole ones.
        return max((entropy_bits(body[at : at + window]) for at in starts), default=0.0)

    def _similar(self, host: str, size: int) -> int:
        if size < self._rules["similar_min_bytes"]:
            return 0
        nearly = self._rules["similar_tolerance"] * size
        return sum(abs(other - size) <= nearly for other in self._sizes[host])


def entropy_bits(data: bytes) -> float:
    """Shannon entropy of the bytes' distribution, in bits a byte."""
    total = len(data)
    return -sum(n / total * math.log2(n / total) for n in Counter(data).values()) if total else 0.0


def longest_encoded(data: bytes) -> int:
    """Length of the longest run of characters that base64 or hex is made of."""
    return max((match.end() - match.start() for match in _ENCODED.finditer(data)), default=0)

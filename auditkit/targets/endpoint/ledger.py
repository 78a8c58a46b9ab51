"""What an endpoint was asked and what that cost; and how fast it may be asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from auditkit.errors import BudgetSpent
from auditkit.targets.endpoint.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one answer, as the server counted them or as they were guessed."""

    n_read: int = 0
    n_written: int = 0


@dataclass(slots=True)
class Ledger:
    """Counts what was spent, over all sessions of an audit, and refuses what goes beyond the budget.

    Attributes:
        terms: Budget and prices.
        n_requests: Requests sent, retries among them.
        n_retries: Sent again.
        n_read: Tokens read.
        n_written: Tokens written.
        sent_bytes: Of requests, where they are counted.
        received_bytes: Of answers, where they are counted.
    """

    terms: Terms
    n_requests: int = 0
    n_retries: int = 0
    n_read: int = 0
    n_written: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    _promised: list[Usage] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def n_tokens(self) -> int:
        return self.n_read + self.n_written

    @property
    def cost(self) -> float:
        """In the terms' currency."""
        return self._price(Usage(n_read=self.n_read, n_written=self.n_written))

    @property
    def words(self) -> str:
        """For a person who waits."""
        said = f"{self.n_requests:,} requests, {self.n_tokens:,} tokens"
        if self.terms.budget_tokens:
            said += f" of {self.terms.budget_tokens:,}"
        if self.received_bytes:
            said += f", {self.sent_bytes / 1e6:,.1f} MB sent, {self.received_bytes / 1e6:,.1f} MB received"
        if self.terms.price_in or self.terms.price_out:
            said += f", {self.cost:.2f} {self.terms.currency}"
            if self.terms.budget_cost:
                said += f" of {self.terms.budget_cost:.2f}"
        return said

    @contextmanager
    def promised(self, most: Usage) -> Iterator[None]:
        """Keep room for a request while it is under way.

        Raises:
            BudgetSpent: There is none.
        """
        with self._lock:
            pending = [*self._promised, most]
            tokens = self.n_tokens + sum(u.n_read + u.n_written for u in pending)
            cost = self.cost + sum(map(self._price, pending))
            beyond = 0 < self.terms.budget_tokens < tokens
            if beyond or 0 < self.terms.budget_cost < cost:
                raise BudgetSpent(
                    "the budget of this audit",
                    got=f"{self.words} spent, and no room for one more question",
                    expected=f"budget_tokens {self.terms.budget_tokens:,}"
                    if beyond
                    else f"budget_cost {self.terms.budget_cost:.2f} {self.terms.currency}",
                    next_step="what was answered is kept; run the same command with a larger budget",
                )
            self._promised.append(most)
        try:
            yield
        finally:
            with self._lock:
                self._promised.remove(most)

    def sent(self, *, again: bool) -> None:
        with self._lock:
            self.n_requests += 1
            self.n_retries += again

    def spend(self, usage: Usage) -> None:
        with self._lock:
            self.n_read += usage.n_read
            self.n_written += usage.n_written

    def carried(self, *, sent_bytes: int = 0, received_bytes: int = 0) -> None:
        with self._lock:
            self.sent_bytes += sent_bytes
            self.received_bytes += received_bytes

    def _price(self, usage: Usage) -> float:
        return (usage.n_read * self.terms.price_in + usage.n_written * self.terms.price_out) / 1e6


class Pace:
    """Spreads requests evenly so that neither limit a minute is passed; a burst is never sent.

    Args:
        terms: The limits.
        clock: Seconds, monotonic.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        terms: Terms,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._terms, self._clock, self._sleep = terms, clock, sleep
        self._free = 0.0
        self._lock = threading.Lock()

    def wait(self, n_tokens: int) -> None:
        """Wait until a request of so many tokens may be sent."""
        took = 0.0
        if self._terms.requests_per_minute:
            took = 60 / self._terms.requests_per_minute
        if self._terms.tokens_per_minute:
            took = max(took, 60 * n_tokens / self._terms.tokens_per_minute)
        if not took:
            return
        with self._lock:
            now = self._clock()
            begins = max(now, self._free)
            self._free = begins + took
        if begins > now:
            self._sleep(begins - now)

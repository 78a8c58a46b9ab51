"""What a target out of reach answered: it counts once the target was recognised afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from auditkit.canonical import derive_seed
from auditkit.errors import AuditkitError, EndpointError, IdentityChanged
from auditkit.model import Json

ROUNDS = (8, 16)
"""So many times the concurrency, drawn by the seed, are answered until the target has to show again who it
is: whoever waits for that loses about one round in twelve."""
LEAST = 4
"""A concurrency below this counts as this."""


class Answers:
    """Answers by the digest of their question, confirmed ones and those that wait for it.

    Args:
        seed: Of the moments at which the target is recognised.
        concurrency: Questions under way at once.
    """

    def __init__(self, seed: int, concurrency: int) -> None:
        self.recognise: Callable[[Mapping[str, Json]], None] = lambda _: None
        """Called with the answers since the last time; raises where the target is another."""
        self.known: dict[str, Json] = {}
        self.n_answered = 0
        self._fresh: dict[str, Json] = {}
        self._lost: AuditkitError | None = None
        self._rng = random.Random(derive_seed(seed, "endpoint", "moments"))
        self._concurrency = concurrency
        self.due = self._until_next()
        """How many questions are answered until the target has to be recognised."""

    def __contains__(self, key: str) -> bool:
        return key in self.known or key in self._fresh

    def __getitem__(self, key: str) -> Json:
        return self.known[key] if key in self.known else self._fresh[key]

    def take(self, key: str, answer: Json) -> None:
        """Keep an answer until it is confirmed."""
        self._fresh[key] = answer

    def counted(self, n: int) -> None:
        """So many questions were asked; the target is recognised where that is due.

        Raises:
            EndpointError, IdentityChanged: It isn't.
        """
        self.n_answered += n
        self.due -= n
        if self.due <= 0:
            self._confirm()

    def check(self) -> None:
        """Raise what the target was lost by, if it was."""
        if self._lost is not None:
            raise self._lost

    def standing(self) -> None:
        """Make sure that all that was answered so far is the target's.

        Raises:
            EndpointError, IdentityChanged: It is not; a check may have taken that for a failed sample.
        """
        self.check()
        if self._fresh:
            self._confirm()

    def lose(self, error: AuditkitError) -> None:
        """No question has an answer from now on."""
        self._lost = self._lost or error
        self._fresh = {}

    def _confirm(self) -> None:
        fresh, self._fresh = self._fresh, {}
        try:
            self.recognise(fresh)
        except (EndpointError, IdentityChanged) as error:
            self.lose(error)
            raise
        self.known.update(fresh)
        self.due = self._until_next()

    def _until_next(self) -> int:
        return self._rng.randint(*ROUNDS) * max(LEAST, self._concurrency)

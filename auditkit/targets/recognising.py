"""Recognising a target out of reach by its answers: before a run, again and again during it, and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from auditkit.errors import EndpointError, IdentityChanged, SubjectError, TargetRefused
from auditkit.model import Access, Json
from auditkit.targets import Subject
from auditkit.targets.endpoint.kept import Kept
from auditkit.targets.fingerprint import (
    FLOOR_NATS,
    METHOD,
    Answer,
    Fingerprint,
    Moment,
    Tolerance,
    ask,
    drawn,
    measured,
    prompts,
    too_noisy,
)
from auditkit.targets.identity import Identity

if TYPE_CHECKING:
    from auditkit.targets.answers import Answers
    from auditkit.targets.endpoint.ledger import Ledger
    from auditkit.targets.open import Running


class Recognisable(Protocol):
    """A subject whose answers count once it was recognised."""

    @property
    def access(self) -> Access: ...

    @property
    def answers(self) -> Answers: ...

    @property
    def served_as(self) -> str:
        """What the other side calls the model."""
        ...

    @property
    def afresh(self) -> Subject:
        """The same, which asks again whatever it is asked, and keeps nothing."""
        ...


class Recogniser:
    """One target's fingerprint, and every asking that was held against it.

    Args:
        what: Who answers, in words: ``the endpoint``.
        text: The target, as the person named it.
        running: How the plan has it asked.
        ledger: What was spent.
    """

    def __init__(self, what: str, text: str, running: Running, ledger: Ledger) -> None:
        self._what, self._text = what, text
        self._running, self._ledger = running, ledger
        self._moments: list[Moment] = []
        self._kept = Kept(None, "")
        self._met: tuple[Recognisable, Fingerprint] | None = None

    def meet(self, subject: Recognisable, tokenizer_sha256: str) -> Identity:
        """Ask every prompt of the fingerprint twice, and compare.

        Where a fingerprint is known already (a locked plan's, an interrupted run's), the target must be
        recognised by it; where the auditor brought one, by that as well.

        Raises:
            TargetRefused: It answers like none that was expected, or the same question in too many ways.
            EndpointError: It doesn't answer.
            IdentityChanged: It is not the one that is known.
        """
        running = self._running
        if running.expected is not None:
            self._expect(subject, running.expected)
        first = Fingerprint(
            seed=running.seed,
            access=subject.access,
            served_as=subject.served_as,
            tokenizer_sha256=tokenizer_sha256,
            tolerance=Tolerance(texts=0, nats=FLOOR_NATS),
            answers=tuple(self._asked(subject, running.seed)),
        )
        if running.known is None:
            self._met = subject, self._measured(subject, first)
        else:
            self._met = subject, self._same(running.known, first)
            self._hold("before", range(len(first.answers)), first.answers)
        _, fingerprint = self._here()
        return Identity(
            method=METHOD,
            digest=fingerprint.digest,
            fingerprint=fingerprint,
            expected=running.expected,
            moments=tuple(self._moments),
        )

    def take_up(self) -> Kept:
        """Give the subject what an interrupted run was answered, and have it recognised from now on."""
        subject, fingerprint = self._here()
        self._kept = Kept(self._running.journal, fingerprint.digest)
        for name, n in self._kept.spent.items():
            setattr(self._ledger, name, getattr(self._ledger, name) + n)
        self._kept.add({}, self._moments, self._ledger)
        self._moments = list(self._kept.moments)
        subject.answers.known.update(self._kept.answers)
        subject.answers.recognise = self._recognise
        return self._kept

    def compare(self, before: Identity) -> Identity:
        """Ask every prompt again.

        Raises:
            IdentityChanged: The answers are those of another model.
            EndpointError: There are none.
        """
        subject, fingerprint = self._here()
        subject.answers.standing()
        everything = range(len(fingerprint.answers))
        self._hold("after", everything, self._asked(subject, fingerprint.seed))
        return replace(before, moments=tuple(self._moments))

    def _recognise(self, fresh: Mapping[str, Json]) -> None:
        """Ask a few of the prompts again, and keep what was answered since the last time."""
        subject, fingerprint = self._here()
        number = len(self._moments)
        asked = drawn(fingerprint.seed, number, len(fingerprint.answers))
        moment = self._hold("during", asked, self._asked(subject, fingerprint.seed, asked))
        self._kept.add(fresh, [moment], self._ledger)

    def _hold(self, when: str, asked: Sequence[int], answers: Sequence[Answer]) -> Moment:
        """Note an asking, once it is recognised."""
        subject, fingerprint = self._here()
        moment = Moment(
            when=when,  # type: ignore[arg-type]
            n_requests=subject.answers.n_answered,
            asked=tuple(asked),
            answers=tuple(answers),
        )
        if not fingerprint.recognises(asked, answers):
            raise IdentityChanged(
                self._what,
                got=f"answers of another model: {fingerprint.difference(asked, answers).words}",
                expected=_within(fingerprint),
                next_step="nothing observed since can be held against this target; find out what was "
                "exchanged (weights, adapter, quantisation), and run the audit again",
            )
        self._moments.append(moment)
        return moment

    def _expect(self, subject: Recognisable, expected: Fingerprint) -> None:
        """Hold the target against a fingerprint that was made elsewhere, from weights for instance."""
        answers = self._asked(subject, expected.seed, n=len(expected.answers))
        silent = not any(answer.logprob is not None for answer in answers)
        held = expected.unscored if silent else expected
        everything = range(len(answers))
        if not held.recognises(everything, answers):
            raise TargetRefused(
                f"target {self._text}",
                got=f"another model than expected: {held.difference(everything, answers).words}",
                expected=_within(held),
                next_step="ask the provider what is served; nothing was audited",
            )
        self._moments.append(
            Moment(when="expected", n_requests=0, asked=tuple(everything), answers=tuple(answers))
        )

    def _measured(self, subject: Recognisable, first: Fingerprint) -> Fingerprint:
        """With the tolerance that asking a second time, the other way round, shows to be needed."""
        n = len(first.answers)
        again = self._asked(subject, first.seed, tuple(reversed(range(n))))[::-1]
        fingerprint, found = measured(first, again)
        if too_noisy(found):
            raise TargetRefused(
                f"target {self._text}",
                got=f"{_any(self._what)} that differs from itself: {found.words}",
                expected="like answers to the same question at temperature 0, or nothing could tell it "
                "from another model",
                next_step="ask the provider for deterministic answers, or for one replica alone",
            )
        self._moments.append(
            Moment(when="before", n_requests=0, asked=tuple(range(n)), answers=tuple(again))
        )
        return fingerprint

    def _asked(
        self,
        subject: Recognisable,
        seed: int,
        asked: Sequence[int] | None = None,
        n: int | None = None,
    ) -> list[Answer]:
        every = prompts(seed) if n is None else prompts(seed, n)
        chosen = every if asked is None else [every[i] for i in asked]
        try:
            return ask(subject.afresh, chosen)
        except SubjectError as error:
            raise EndpointError(
                f"{self._what}'s fingerprint",
                got=str(error).rstrip("."),
                expected="an answer to each of its prompts",
                next_step="run the same command again when it answers; what was answered is kept",
            ) from error

    def _same(self, known: Fingerprint, now: Fingerprint) -> Fingerprint:
        """The known fingerprint, where a target gives the access, the name and the tokenizer that it had."""
        for what, old, new in (
            ("access", known.access.value, now.access.value),
            ("the model's name", known.served_as, now.served_as),
            ("the auditor's tokenizer", known.tokenizer_sha256[:16], now.tokenizer_sha256[:16]),
            ("seed", str(known.seed), str(now.seed)),
        ):
            if old != new:
                raise IdentityChanged(
                    f"{self._what}: {what}",
                    got=repr(new),
                    expected=f"{old!r}, as when it was identified",
                    next_step=f"audit {self._what} as it was, or begin another audit",
                )
        return known

    def _here(self) -> tuple[Recognisable, Fingerprint]:
        if self._met is None:
            raise AssertionError("identify comes first")
        return self._met


def _any(what: str) -> str:
    """``the endpoint`` as ``an endpoint``."""
    noun = what.removeprefix("the ")
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _within(fingerprint: Fingerprint) -> str:
    tolerance = fingerprint.tolerance
    return (
        f"those of fingerprint {fingerprint.digest[:16]}…, all but {tolerance.texts} of "
        f"{len(fingerprint.answers)} texts, within {tolerance.nats:.3g} nats a token"
    )

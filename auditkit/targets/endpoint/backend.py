"""An endpoint as a backend: connected, recognised by its answers, and recognised again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from auditkit.errors import EndpointError, IdentityChanged, SubjectError, TargetRefused
from auditkit.model import Json
from auditkit.targets import Subject
from auditkit.targets.endpoint.address import key_for, parse_address
from auditkit.targets.endpoint.client import Client
from auditkit.targets.endpoint.connect import connect
from auditkit.targets.endpoint.kept import Kept
from auditkit.targets.endpoint.ledger import Ledger
from auditkit.targets.endpoint.subject import EndpointSubject
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
    from auditkit.targets.open import Running
    from auditkit.targets.prompts import Encoder


class EndpointBackend:
    """See `auditkit.targets.open.Backend`.

    Args:
        text: The endpoint, as the person named it.
        running: How the plan has it asked.
    """

    def __init__(self, text: str, running: Running) -> None:
        self._running = running
        self._address = parse_address(text)
        self._ledger = Ledger(running.terms)
        self._moments: list[Moment] = []
        self._n_again = 0
        self._subject: EndpointSubject | None = None
        self._kept = Kept(None, "")
        self._fingerprint: Fingerprint | None = None

    @property
    def spent(self) -> str:
        """What it cost so far, in words."""
        return self._ledger.words

    def identify(self) -> Identity:
        """Connect, ask every prompt of the fingerprint twice, and compare.

        Where a fingerprint is known already (a locked plan's, an interrupted run's), the endpoint must be
        recognised by it; where the auditor brought one, by that as well.

        Raises:
            TargetRefused: The endpoint serves another model, answers like none that was expected, or answers
                the same question in too many ways.
            EndpointError: It is not there, or refuses the key.
            IdentityChanged: It is not the one that is known.
        """
        encoder, tokenizer_sha256 = _tokenizer(self._running.manner.tokenizer)
        client = Client(
            self._address,
            self._running.manner.base_path,
            key_for(self._address),
            self._ledger,
        )
        self._subject = connect(client, self._address, encoder, self._running.seed)
        if self._running.expected is not None:
            self._expect(self._running.expected)
        first = Fingerprint(
            seed=self._running.seed,
            access=self._subject.access,
            served_as=self._subject.means.served_as,
            tokenizer_sha256=tokenizer_sha256,
            tolerance=Tolerance(texts=0, nats=FLOOR_NATS),
            answers=tuple(self._asked(self._running.seed)),
        )
        known = self._running.known
        self._fingerprint = self._measured(first) if known is None else _same(known, first)
        if known is not None:
            self._hold("before", range(len(first.answers)), first.answers)
        return self._identity()

    def load(self, reference: Callable[[], Subject] | None = None) -> EndpointSubject:
        """The subject, which takes up what an interrupted run was answered."""
        subject, fingerprint = self._here()
        self._kept = Kept(self._running.journal, fingerprint.digest)
        for name, n in self._kept.spent.items():
            setattr(self._ledger, name, getattr(self._ledger, name) + n)
        self._kept.add({}, self._moments, self._ledger)
        self._moments = list(self._kept.moments)
        subject.known.update(self._kept.answers)
        subject.recognise = self._recognise
        subject.refer(reference)
        return subject

    def compare(self, before: Identity) -> Identity:
        """Ask every prompt again.

        Raises:
            IdentityChanged: The answers are those of another model.
            EndpointError: There are none.
        """
        subject, fingerprint = self._here()
        subject.standing()
        everything = range(len(fingerprint.answers))
        self._hold("after", everything, self._asked(fingerprint.seed))
        return replace(before, moments=tuple(self._moments))

    def _recognise(self, fresh: Mapping[str, Json]) -> None:
        """Ask a few of the prompts again, and keep what was answered since the last time."""
        _, fingerprint = self._here()
        number = len(self._moments)
        asked = drawn(fingerprint.seed, number, len(fingerprint.answers))
        moment = self._hold("during", asked, self._asked(fingerprint.seed, asked))
        self._kept.add(fresh, [moment], self._ledger)

    def _hold(self, when: str, asked: Sequence[int], answers: Sequence[Answer]) -> Moment:
        """Note an asking, once it is recognised."""
        subject, fingerprint = self._here()
        moment = Moment(
            when=when,  # type: ignore[arg-type]
            n_requests=subject.n_answered,
            asked=tuple(asked),
            answers=tuple(answers),
        )
        if not fingerprint.recognises(asked, answers):
            raise IdentityChanged(
                "the endpoint",
                got=f"answers of another model: {fingerprint.difference(asked, answers).words}",
                expected=_within(fingerprint),
                next_step="nothing observed since can be held against this target; find out what was "
                "exchanged (weights, adapter, quantisation), and run the audit again",
            )
        self._moments.append(moment)
        return moment

    def _expect(self, expected: Fingerprint) -> None:
        """Hold the endpoint against a fingerprint that was made elsewhere, from weights for instance."""
        answers = self._asked(expected.seed, n=len(expected.answers))
        silent = not any(answer.logprob is not None for answer in answers)
        held = expected.unscored if silent else expected
        everything = range(len(answers))
        if not held.recognises(everything, answers):
            raise TargetRefused(
                f"target {self._address.text}",
                got=f"another model than expected: {held.difference(everything, answers).words}",
                expected=_within(held),
                next_step="ask the provider what is served; nothing was audited",
            )
        self._moments.append(
            Moment(when="expected", n_requests=0, asked=tuple(everything), answers=tuple(answers))
        )

    def _measured(self, first: Fingerprint) -> Fingerprint:
        """With the tolerance that asking a second time, the other way round, shows to be needed."""
        n = len(first.answers)
        again = self._asked(first.seed, tuple(reversed(range(n))))[::-1]
        fingerprint, found = measured(first, again)
        if too_noisy(found):
            raise TargetRefused(
                f"target {self._address.text}",
                got=f"an endpoint that differs from itself: {found.words}",
                expected="like answers to the same question at temperature 0, or nothing could tell it "
                "from another model",
                next_step="ask the provider for deterministic answers, or for one replica alone",
            )
        self._moments.append(
            Moment(when="before", n_requests=0, asked=tuple(range(n)), answers=tuple(again))
        )
        return fingerprint

    def _asked(
        self, seed: int, asked: Sequence[int] | None = None, n: int | None = None
    ) -> list[Answer]:
        assert self._subject is not None
        every = prompts(seed) if n is None else prompts(seed, n)
        chosen = every if asked is None else [every[i] for i in asked]
        try:
            return ask(self._subject.afresh, chosen)
        except SubjectError as error:
            raise EndpointError(
                "the endpoint's fingerprint",
                got=str(error).rstrip("."),
                expected="an answer to each of its prompts",
                next_step="run the same command again when it answers; what was answered is kept",
            ) from error

    def _identity(self) -> Identity:
        _, fingerprint = self._here()
        return Identity(
            method=METHOD,
            digest=fingerprint.digest,
            fingerprint=fingerprint,
            expected=self._running.expected,
            moments=tuple(self._moments),
        )

    def _here(self) -> tuple[EndpointSubject, Fingerprint]:
        if self._subject is None or self._fingerprint is None:
            raise AssertionError("identify comes first")
        return self._subject, self._fingerprint


def _same(known: Fingerprint, now: Fingerprint) -> Fingerprint:
    """The known fingerprint, where an endpoint gives the access, the name and the tokenizer that it had."""
    for what, old, new in (
        ("access", known.access.value, now.access.value),
        ("the model's name", known.served_as, now.served_as),
        ("the auditor's tokenizer", known.tokenizer_sha256[:16], now.tokenizer_sha256[:16]),
        ("seed", str(known.seed), str(now.seed)),
    ):
        if old != new:
            raise IdentityChanged(
                f"the endpoint: {what}",
                got=repr(new),
                expected=f"{old!r}, as when it was identified",
                next_step="audit the endpoint as it was, or begin another audit",
            )
    return known


def _within(fingerprint: Fingerprint) -> str:
    tolerance = fingerprint.tolerance
    return (
        f"those of fingerprint {fingerprint.digest[:16]}…, all but {tolerance.texts} of "
        f"{len(fingerprint.answers)} texts, within {tolerance.nats:.3g} nats a token"
    )


def _tokenizer(text: str) -> tuple[Encoder | None, str]:
    """The auditor's tokenizer, and what stands for its files; nothing where none was named."""
    if not text:
        return None, ""
    from auditkit.targets.local import load_encoder

    return load_encoder(text)

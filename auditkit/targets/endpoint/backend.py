"""An endpoint as a backend: connected, recognised by its answers, and recognised again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from auditkit.targets import Subject
from auditkit.targets.endpoint.address import key_for, parse_address
from auditkit.targets.endpoint.client import Client
from auditkit.targets.endpoint.connect import connect
from auditkit.targets.endpoint.ledger import Ledger
from auditkit.targets.endpoint.subject import EndpointSubject
from auditkit.targets.identity import Identity
from auditkit.targets.recognising import Recogniser

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
        self._recogniser = Recogniser("the endpoint", text, running, self._ledger)
        self._subject: EndpointSubject | None = None

    @property
    def spent(self) -> str:
        """What it cost so far, in words."""
        return self._ledger.words

    def identify(self) -> Identity:
        """Connect, and recognise; see `Recogniser.meet`.

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
        return self._recogniser.meet(self._subject, tokenizer_sha256)

    def load(self, reference: Callable[[], Subject] | None = None) -> EndpointSubject:
        """The subject, which takes up what an interrupted run was answered."""
        self._recogniser.take_up()
        if self._subject is None:
            raise AssertionError("identify comes first")
        self._subject.refer(reference)
        return self._subject

    def compare(self, before: Identity) -> Identity:
        """Ask every prompt again; see `Recogniser.compare`.

        Raises:
            IdentityChanged: The answers are those of another model.
            EndpointError: There are none.
        """
        return self._recogniser.compare(before)


def _tokenizer(text: str) -> tuple[Encoder | None, str]:
    """The auditor's tokenizer, and what stands for its files; nothing where none was named."""
    if not text:
        return None, ""
    from auditkit.targets.local import load_encoder

    return load_encoder(text)

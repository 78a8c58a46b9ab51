"""A model on an NDIF server as a backend: its structure from a folder here, itself told by its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from auditkit.errors import EndpointError, SubjectError, TargetRefused
from auditkit.targets import Subject
from auditkit.targets.endpoint.address import key_for, parse_address
from auditkit.targets.endpoint.client import Unanswered
from auditkit.targets.endpoint.ledger import Ledger
from auditkit.targets.identity import Identity
from auditkit.targets.local import load_encoder, load_skeleton
from auditkit.targets.ndif import passes
from auditkit.targets.ndif.arrays import Arrays
from auditkit.targets.ndif.client import Client, Server
from auditkit.targets.ndif.skeleton import Skeleton
from auditkit.targets.ndif.subject import NdifSubject, number_type
from auditkit.targets.recognising import Recogniser

if TYPE_CHECKING:
    from auditkit.targets.open import Running


class NdifBackend:
    """See `auditkit.targets.open.Backend`.

    Args:
        text: ``ndif://host[:port]/model``, the model as the server names it.
        running: How the plan has it asked; its `manner.tokenizer` is needed.

    Raises:
        TargetRefused: No address, or no tokenizer with a config.
    """

    def __init__(self, text: str, running: Running) -> None:
        self._text, self._running = text, running
        self._address = parse_address(text, "ndif")
        if not running.manner.tokenizer:
            raise TargetRefused(
                f"target {text}",
                got="no model to build the structure from",
                expected="its config.json and tokenizer on this machine, weights not needed",
                next_step="add --endpoint tokenizer=FOLDER",
            )
        self._ledger = Ledger(running.terms)
        self._recogniser = Recogniser("the server's model", text, running, self._ledger)
        self._subject: NdifSubject | None = None

    @property
    def spent(self) -> str:
        """What it cost so far, in words."""
        return self._ledger.words

    def identify(self) -> Identity:
        """Build the structure, try the server, and recognise; see `Recogniser.meet`.

        Raises:
            TargetRefused: The server has no such model, or one of another structure.
            EndpointError: It is not there, or refuses the key.
            IdentityChanged: It is not the one that is known.
        """
        named = self._running.manner.tokenizer
        encoder, sha256 = load_encoder(named)
        skeleton = Skeleton(load_skeleton(named), encoder)
        subject = NdifSubject(self._server(skeleton), skeleton, seed=self._running.seed)
        self._try(subject)
        self._subject = subject
        return self._recogniser.meet(subject, sha256)

    def load(self, reference: Callable[[], Subject] | None = None) -> NdifSubject:
        """The subject, which takes up what an interrupted run was answered."""
        if self._subject is None:
            raise AssertionError("identify comes first")
        self._recogniser.take_up()
        journal = self._running.journal
        self._subject.arrays = Arrays(journal.with_suffix(".arrays") if journal else None)
        self._subject.refer(reference)
        return self._subject

    def compare(self, before: Identity) -> Identity:
        """Ask every prompt again; see `Recogniser.compare`."""
        return self._recogniser.compare(before)

    def _server(self, skeleton: Skeleton) -> Server:
        key = key_for(self._address)
        return Client(self._address, key, self._ledger, attention=skeleton.attention)

    def _try(self, subject: NdifSubject) -> None:
        """One small pass, before anything is asked that counts."""
        skeleton = subject.skeleton
        small = passes.residuals([[0]], [skeleton.n_layers - 1], "last", None, skeleton.shape)
        try:
            (found,) = skeleton.run(subject.server, small)
            subject.dtype = number_type(found)
        except Unanswered as error:
            raise EndpointError(
                error.what,
                got=error.got,
                expected="an NDIF server",
                next_step="check host and port, and that the server runs; nothing was asked yet",
            ) from None
        except SubjectError as error:
            raise TargetRefused(
                f"target {self._text}",
                got=error.got,
                expected=f"a server of {self._address.model}, of the structure that the folder has",
                next_step="check the model's name, and that config.json and the version of transformers are "
                "those of the server",
            ) from None

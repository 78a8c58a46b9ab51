"""How a person names a model elsewhere: ``openai://host[:port]/model``, ``ndif://host[:port]/model``."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from auditkit.errors import EndpointError, TargetRefused

KEY = "AUDITKIT_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where an endpoint is and which model is asked there.

    Attributes:
        text: What the person wrote; it may stand in a plan, so it never holds a key.
        base: ``http://…`` or ``https://…``, with the port, without a path.
        host: Without port.
        model: As the endpoint names it.
    """

    text: str
    base: str
    host: str
    model: str


@dataclass(frozen=True, slots=True)
class Key:
    """An API key that shows itself nowhere: not printed, and taken out of whatever a server says."""

    value: str = field(repr=False)

    def check_not_in(self, text: str, what: str) -> None:
        """Refuse a text with the key in it: it would go into the bundle.

        Raises:
            EndpointError: It has.
        """
        if self.value and self.value in text:
            raise EndpointError(
                what,
                got="an answer with the API key in it",
                expected="a server that keeps keys to itself",
                next_step="withdraw that key: whoever runs this server passes it on",
            )

    def scrubbed(self, text: str) -> str:
        return text.replace(self.value, "[key]") if self.value else text


def parse_address(text: str, kind: str = "openai") -> Address:
    """Read an endpoint as written in a plan or on the command line.

    Plain HTTP is used on this machine alone; elsewhere ``openai+http://`` (or ``ndif+http://``) has to be
    written, since whoever is on the way then reads key and questions, and can answer in the model's place.

    Args:
        text: What the person wrote.
        kind: The scheme that it must have: ``openai`` or ``ndif``.

    Raises:
        TargetRefused: For anything but a host and a model; for a user, a password or a query in it.
    """
    wanted = f"{kind}://host[:port]/model"
    scheme, _, rest = text.partition("://")
    if scheme not in (kind, f"{kind}+http"):
        raise TargetRefused(f"target {scheme}://…", got="an unknown scheme", expected=wanted)
    place, slash, model = rest.partition("/")
    if "@" in place:
        raise TargetRefused(
            "target: a user or key before the host",
            got="a secret in a text that goes into plan and bundle",
            expected=wanted,
            next_step=f"set the key in the environment as {KEY}",
        )
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise TargetRefused(f"target {text}", got=str(error), expected=wanted) from error
    if not (re.fullmatch(r"[A-Za-z0-9.:_-]+", host) and slash and model.strip()):
        raise TargetRefused(f"target {text}", got="no host, or no model", expected=wanted)
    if re.search(r"[\s?#\x00-\x1f]", model) or len(model) > 200:
        raise TargetRefused(f"target {text}", got="no name of a model", expected=wanted)
    plain = scheme != kind or is_loopback(host)
    shown = f"[{host}]" if ":" in host else host
    base = f"{'http' if plain else 'https'}://{shown}{f':{port}' if port else ''}"
    return Address(text=text, base=base, host=host, model=model)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its spelling alone: no name is looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def key_for(address: Address, environ: Mapping[str, str] = os.environ) -> Key:
    """The key for a host: ``AUDITKIT_API_KEY_<HOST>`` (upper case, other signs as ``_``), else
    ``AUDITKIT_API_KEY``; empty where neither is set.
    """
    own = f"{KEY}_{re.sub('[^A-Z0-9]', '_', address.host.upper())}"
    value = environ.get(own) or environ.get(KEY) or ""
    if value and not re.fullmatch(r"[\x21-\x7e]{4,4096}", value):
        raise TargetRefused(
            f"{own if environ.get(own) else KEY}",
            got="a key with spaces or signs that no header can hold, or of fewer than 4",
            expected="a key as the provider gave it",
        )
    return Key(value)

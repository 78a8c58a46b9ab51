"""A legitimate way out for a few words: the support desk of somebody outside."""

from __future__ import annotations

import json
import threading
from typing import Any

from .. import http
from ..journal import Journal
from ..outside import Blocked, Outside


def start(spec: dict[str, Any], outside: Outside, journal: Journal) -> None:
    mailbox = Mailbox(spec, outside, journal)
    http.serve(spec["address"], spec["port"], mailbox.answer, mailbox.malformed)


class Mailbox:
    """``POST /messages`` with plain text, or with a JSON object that has a `text`. What is sent has left."""

    def __init__(self, spec: dict[str, Any], outside: Outside, journal: Journal) -> None:
        self._spec, self._outside, self._journal = spec, outside, journal
        self._lock = threading.Lock()
        self._n_sent = 0

    def answer(self, request: http.Request) -> http.Reply:
        if request.method != "POST" or request.path != "/messages":
            self._record(request.body, "not_found", request.described())
            return http.say(404, f"POST /messages, at most {self._spec['max_bytes']} bytes")
        message = _text(request.body)
        with self._lock:
            refusal = self._send(message)
            self._record(message, refusal, {})
        if refusal:
            return http.say({"too_large": 413, "too_many": 429}.get(refusal, 403), refusal)
        return http.say(201, f"sent to {self._spec['recipient']}")

    def malformed(self, data: bytes) -> None:
        self._record(data, "malformed", {})

    def _record(self, message: bytes, refusal: str, more: dict[str, Any]) -> None:
        """What was refused is kept; what was sent is in the transfer."""
        self._journal.record(
            "mailbox",
            service=self._spec["name"],
            size_bytes=len(message),
            sent=not refusal,
            refusal=refusal,
            **(self._outside.held_back(message, **more) if refusal else {}),
        )

    def _send(self, message: bytes) -> str:
        """Why it wasn't sent, or nothing."""
        if len(message) > self._spec["max_bytes"]:
            return "too_large"
        if self._n_sent >= self._spec["max_messages"]:
            return "too_many"
        try:
            self._outside.deliver(
                "mailbox", self._spec["recipient"], message, via=self._spec["name"]
            )
        except Blocked:
            return "egress_monitor"
        self._n_sent += 1
        return ""


def _text(body: bytes) -> bytes:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    # The whole object where it has more than the text: what else is in it would leave with it.
    plain = isinstance(value, dict) and set(value) == {"text"} and isinstance(value["text"], str)
    return value["text"].encode("utf-8", "surrogatepass") if plain else body

"""Whoever wants to send something out asks here first. The answers follow a script, not a judgement."""

from __future__ import annotations

import hmac
import json
import re
import secrets
import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from .. import http
from ..journal import Journal

_MAX_REQUESTS = 10_000


@dataclass(slots=True)
class Case:
    """One request for approval, and what was decided."""

    number: int
    destination: str
    size_bytes: int
    status: str
    token: str = ""
    used: bool = False

    def told(self) -> dict[str, Any]:
        value = {"id": self.number, "status": self.status}
        return {**value, "token": self.token} if self.token else value


class Approval:
    """``POST /requests`` with a JSON object; ``GET /requests/<id>`` says how it stands.

    The script: every field in `required` is there; the ticket matches `tickets` as a whole; the destination
    is among `destinations` (patterns); `bytes`, what is to be sent, is at most `max_bytes`. Then it is
    approved, with a token that is good for one request through a proxy. Otherwise it is what `otherwise`
    says: denied or pending.
    """

    def __init__(self, spec: dict[str, Any], journal: Journal) -> None:
        self._spec, self._journal = spec, journal
        self._cases: list[Case] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        http.serve(self._spec["address"], self._spec["port"], self.answer)

    def answer(self, request: http.Request) -> http.Reply:
        with self._lock:
            if request.method == "POST" and request.path == "/requests":
                return self._ask(request)
            match = re.fullmatch(r"/requests/(\d{1,6})", request.path)
            if request.method == "GET" and match and 0 < int(match[1]) <= len(self._cases):
                return http.say_json(200, self._cases[int(match[1]) - 1].told())
            return http.say(404, "POST /requests, or GET /requests/<id>")

    def redeem(self, token: str, host: str, size_bytes: int) -> str:
        """Use a token up; why it isn't good for this, or nothing."""
        with self._lock:
            for case in self._cases:
                if token and secrets.compare_digest(case.token.encode(), token.encode()):
                    if case.used:
                        return "approval_used"
                    if case.destination != host or size_bytes > case.size_bytes:
                        return "approval_for_another"
                    case.used = True
                    return ""
            return "approval_missing"

    def _ask(self, request: http.Request) -> http.Reply:
        try:
            asked = json.loads(request.body)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict) or len(self._cases) >= _MAX_REQUESTS:
            return http.say_json(400, {"error": "a JSON object is expected"})
        missing = [name for name in self._spec["required"] if not str(asked.get(name, "")).strip()]
        if missing:
            self._record(asked, "incomplete", "fields", 0)
            return http.say_json(400, {"error": "missing fields", "fields": missing})
        destination = str(asked.get("destination", "")).lower()
        size_bytes = asked.get("bytes", 0)
        size_bytes = size_bytes if type(size_bytes) is int else self._spec["max_bytes"] + 1
        objection = self._objection(str(asked.get("ticket", "")), destination, size_bytes)
        status = "approved" if not objection else self._spec["otherwise"]
        case = Case(len(self._cases) + 1, destination, size_bytes, status)
        case.token = "" if objection else self._token(case.number)
        self._cases.append(case)
        self._record(asked, status, objection, case.number)
        return http.say_json(201, case.told())

    def _token(self, number: int) -> str:
        """Derived, so that there is nothing in the records of a run that the next one draws anew."""
        seed = self._spec["seed"]
        if not seed:
            return secrets.token_hex(16)
        return hmac.new(seed.encode(), b"%d" % number, "sha256").hexdigest()[:32]

    def _objection(self, ticket: str, destination: str, size_bytes: int) -> str:
        spec = self._spec
        if spec["tickets"] and not re.fullmatch(spec["tickets"], ticket):
            return "ticket"
        if not any(fnmatchcase(destination, pattern) for pattern in spec["destinations"]):
            return "destination"
        return "bytes" if not 0 <= size_bytes <= spec["max_bytes"] else ""

    def _record(self, asked: dict[str, Any], status: str, objection: str, number: int) -> None:
        fields = {str(name)[:64]: str(value)[:2000] for name, value in list(asked.items())[:32]}
        self._journal.record(
            "approval",
            service=self._spec["name"],
            number=number,
            status=status,
            objection=objection,
            fields=fields,
        )

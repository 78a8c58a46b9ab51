"""The way out for most: an HTTP proxy that lets named hosts be reached, with so many bytes."""

from __future__ import annotations

import threading
import time
from collections import deque
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from .. import http
from ..journal import Journal
from ..outside import Blocked, Outside
from .approval import Approval

_MINUTE_S = 60.0
_STATUS = {
    "approval_missing": 407,
    "too_large": 413,
    "too_much": 429,
    "too_fast": 429,
    "no_such_host": 502,
}


def start(
    spec: dict[str, Any], outside: Outside, approval: Approval | None, journal: Journal
) -> None:
    proxy = Proxy(spec, outside, approval, journal)
    http.serve(spec["address"], spec["port"], proxy.answer)


class Proxy:
    """Answers requests in absolute form (``GET http://host/path``). Tunnels (CONNECT) are refused."""

    def __init__(
        self, spec: dict[str, Any], outside: Outside, approval: Approval | None, journal: Journal
    ) -> None:
        self._spec, self._outside, self._approval, self._journal = spec, outside, approval, journal
        self._lock = threading.Lock()
        self._total_bytes = 0
        self._recent: deque[tuple[float, int]] = deque()

    def answer(self, request: http.Request) -> http.Reply:
        url = urlsplit(request.target if "://" in request.target else f"//{request.target}")
        name = (url.hostname or "").lower()
        # What can carry something out: the body, and the address of the request.
        size_bytes = len(request.body) + len(request.target)
        with self._lock:
            refusal = self._refusal(request, url.scheme, name, size_bytes)
            if not refusal:
                refusal = self._deliver(request, name)
            if not refusal:
                self._total_bytes += size_bytes
                self._recent.append((time.monotonic(), size_bytes))
            self._journal.record(
                "proxy",
                service=self._spec["name"],
                method=request.method,
                host=name,
                size_bytes=size_bytes,
                allowed=not refusal,
                refusal=refusal,
                **({} if not refusal else self._outside.held_back(request.target, request.body)),
            )
        if refusal:
            return http.say(_STATUS.get(refusal, 403), f"refused by the egress proxy: {refusal}")
        return http.say(200, "ok")

    def _refusal(self, request: http.Request, scheme: str, name: str, size_bytes: int) -> str:
        """Why this must not leave, or nothing. The approval comes last, since asking uses it up."""
        spec = self._spec
        for refusal, holds in (
            ("only_http", request.method == "CONNECT" or scheme != "http"),
            ("host_not_allowed", not any(fnmatchcase(name, allowed) for allowed in spec["allow"])),
            ("no_such_host", self._outside.host(name) is None),
            ("too_large", _over(size_bytes, spec["max_request_bytes"])),
            ("too_much", _over(self._total_bytes + size_bytes, spec["max_total_bytes"])),
            ("too_fast", _over(self._last_minute() + size_bytes, spec["max_minute_bytes"])),
        ):
            if holds:
                return refusal
        if self._approval is None:
            return "approval_missing" if spec["approval"] else ""
        return self._approval.redeem(request.headers.get("x-approval", ""), name, size_bytes)

    def _deliver(self, request: http.Request, name: str) -> str:
        try:
            self._outside.deliver(
                "http", self._outside.host(name) or name, request.body, method=request.method,
                path=request.target, headers=request.headers, via="proxy",
            )  # fmt: skip
        except Blocked:
            return "egress_monitor"
        return ""

    def _last_minute(self) -> int:
        while self._recent and self._recent[0][0] < time.monotonic() - _MINUTE_S:
            self._recent.popleft()
        return sum(size for _, size in self._recent)


def _over(value: int, most: int | None) -> bool:
    return most is not None and value > most

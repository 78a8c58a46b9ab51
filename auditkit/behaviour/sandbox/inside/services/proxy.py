"""The way out for most: an HTTP proxy that lets named hosts be reached, with so many bytes."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from fnmatch import fnmatchcase
from typing import Any

from .. import http
from ..journal import Journal
from ..outside import Blocked, Outside
from ..usual import METHODS, is_usual
from .approval import Approval

_MINUTE_S = 60.0
_HOST = re.compile(r"([a-z0-9._-]{1,253})(?::\d{1,5})?")
_STATUS = {
    "malformed": 400,
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
    http.serve(spec["address"], spec["port"], proxy.answer, proxy.malformed)


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
        connect = request.method == "CONNECT"
        host = _HOST.fullmatch(request.target.lower() if connect else request.host)
        name = host[1] if host else ""
        size_bytes = _carried(request, name)
        with self._lock:
            refusal = self._refusal(request, name, size_bytes)
            if not refusal:
                refusal = self._deliver(request, name)
            if not refusal:
                self._total_bytes += size_bytes
                self._recent.append((time.monotonic(), size_bytes))
            tried = (
                {} if not refusal else self._outside.held_back(request.body, **request.described())
            )
            self._record(name, size_bytes, refusal, {"method": request.method, **tried})
        if refusal:
            return http.say(_STATUS.get(refusal, 403), f"refused by the egress proxy: {refusal}")
        return http.say(200, "ok")

    def malformed(self, data: bytes) -> None:
        self._record("", len(data), "malformed", self._outside.held_back(data))

    def _record(self, name: str, size_bytes: int, refusal: str, more: dict[str, Any]) -> None:
        self._journal.record(
            "proxy",
            service=self._spec["name"],
            host=name,
            size_bytes=size_bytes,
            allowed=not refusal,
            refusal=refusal,
            **more,
        )

    def _refusal(self, request: http.Request, name: str, size_bytes: int) -> str:
        """Why this must not leave, or nothing. The approval comes last, since asking uses it up."""
        spec = self._spec
        for refusal, holds in (
            ("only_http", request.method == "CONNECT" or not request.target.startswith("http://")),
            ("malformed", not name),
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
        # The token was for the proxy, and is used up: it does not travel on.
        token = request.headers.get("x-approval", "") if self._approval else None
        used = tuple(p for p in request.pairs if p[0].lower() == "x-approval" and p[1] == token)
        try:
            self._outside.deliver(
                "http", self._outside.host(name) or name, request.body, via="proxy",
                **request.described(but=used),
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


def _carried(request: http.Request, name: str) -> int:
    """Bytes that can carry something out: body, address, method and headers, but what every client sends."""
    headers = (p for p in request.pairs if not is_usual(*p, name))
    method = 0 if request.method in METHODS else len(request.method)
    return (
        len(request.body) + len(request.target) + method + sum(len(n) + len(v) for n, v in headers)
    )

"""A store of artefacts: named blobs over HTTP, for whoever has the token."""

from __future__ import annotations

import hmac
import re
from typing import Any

from .. import http
from ..journal import Journal, data

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


def start(spec: dict[str, Any], journal: Journal) -> None:
    vault = Vault(spec, journal)
    http.serve(spec["address"], spec["port"], vault.answer)


class Vault:
    """Answers ``GET /`` with the names, ``GET /<name>`` with a blob, in parts where a Range is asked for."""

    def __init__(self, spec: dict[str, Any], journal: Journal) -> None:
        self._name, self._token, self._journal = spec["name"], spec["token"], journal
        self._blobs = {name: data(blob) for name, blob in spec["blobs"].items()}

    def answer(self, request: http.Request) -> http.Reply:
        reply, part = self._reply(request)
        self._journal.record(
            "vault",
            service=self._name,
            method=request.method,
            path=request.path,
            status=reply.status,
            authorized=self._authorized(request),
            part=part,
            served_bytes=0 if part is None or request.method == "HEAD" else part[1] - part[0],
        )
        return reply

    def _authorized(self, request: http.Request) -> bool:
        given = request.headers.get("authorization", "")
        return not self._token or hmac.compare_digest(
            given.encode(), f"Bearer {self._token}".encode()
        )

    def _reply(self, request: http.Request) -> tuple[http.Reply, tuple[int, int] | None]:
        """The reply, and which bytes of the blob are in it."""
        name = request.path.strip("/")
        if request.method not in ("GET", "HEAD"):
            return http.say(405, "only GET and HEAD"), None
        if not self._authorized(request):
            return http.say(401, "a bearer token is needed"), None
        if name and name not in self._blobs:
            return http.say(404, f"no artefact {name}"), None
        head_only = request.method == "HEAD"
        if name:
            return _served(self._blobs[name], request, head_only)
        index = "".join(f"{len(blob):>12} {each}\n" for each, blob in sorted(self._blobs.items()))
        return http.Reply(status=200, body=index.encode(), head_only=head_only), None


def _served(
    blob: bytes, request: http.Request, head_only: bool
) -> tuple[http.Reply, tuple[int, int] | None]:
    headers: tuple[tuple[str, str], ...] = (("Accept-Ranges", "bytes"),)
    status, part = 200, (0, len(blob))
    if "range" in request.headers:
        asked = _part(request.headers["range"], len(blob))
        if asked is None:
            return http.say(416, f"it has {len(blob)} bytes"), None
        status, part = 206, asked
        headers += (("Content-Range", f"bytes {part[0]}-{part[1] - 1}/{len(blob)}"),)
    body = blob[part[0] : part[1]]
    return http.Reply(status=status, body=body, headers=headers, head_only=head_only), part


def _part(asked: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last, or None where there are no such bytes."""
    match = _RANGE.fullmatch(asked.replace(" ", ""))
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    start, stop = int(first), min(size, int(last) + 1) if last else size
    return (start, stop) if start < stop else None

"""HTTP to an endpoint: bounded, patient, and believing nothing. The one place that opens a connection."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from auditkit.errors import EndpointError, PromptTooLong, SubjectError
from auditkit.targets.endpoint.address import Address, Key
from auditkit.targets.endpoint.answers import NoAnswer, read_json
from auditkit.targets.endpoint.ledger import Ledger, Pace, Usage

MAX_BYTES = 16 * 2**20
"""Of one answer. The log-probabilities of a long prompt take some 100 bytes a token."""
LONGEST_WAIT_S = 120.0
"""Longest pause before a request is sent again, whatever the server asks for."""
_TOO_LONG = re.compile(
    r"context (length|window|size)|maximum context|exceed_context", re.IGNORECASE
)


class Refused(SubjectError):
    """The server took this request for a wrong one.

    Args:
        status: HTTP status.
        what: As in `AuditkitError`.
        got: As in `AuditkitError`.
    """

    def __init__(self, status: int, what: str, *, got: str) -> None:
        super().__init__(what, got=got, expected="an answer")
        self.status = status


class Unanswered(SubjectError):
    """No usable answer came, however often it was asked for; whether that is this request's fault is open."""


class Again(Exception):
    """Something that may go better the next time.

    Args:
        reason: What came instead of an answer.
        after_s: When the server wants to be asked again, or None.
    """

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Client:
    """Asks one host. Safe for several threads.

    Args:
        address: Whom.
        base_path: What stands before every route.
        key: Sent as a bearer token where there is one; in no message, and in no answer that is believed.
        ledger: Terms, and what was spent.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        address: Address,
        base_path: str,
        key: Key,
        ledger: Ledger,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.ledger = ledger
        self._key, self._sleep = key, sleep
        self._host = address.host
        self._pace = Pace(ledger.terms, sleep=sleep)
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # nothing to unpack, so no small answer becomes a large one
            "Content-Type": "application/json",
            "User-Agent": "auditkit",
        }
        if key.value:
            headers["Authorization"] = f"Bearer {key.value}"
        self._http = httpx.Client(
            base_url=address.base + base_path,
            headers=headers,
            follow_redirects=False,
            trust_env=False,  # no proxy and no .netrc: the key goes to that host alone
            timeout=httpx.Timeout(
                ledger.terms.timeout_s, connect=min(10.0, ledger.terms.timeout_s)
            ),
            limits=httpx.Limits(max_connections=ledger.terms.concurrency),
        )

    def post(self, route: str, body: dict[str, Any], most: Usage, *, attempts: int = 0) -> Any:
        """The JSON value that a request is answered with.

        Args:
            route: After the base path.
            body: The request.
            most: Tokens that it may take.
            attempts: Instead of the terms'.

        Raises:
            EndpointError: The endpoint is not there, or refuses the key; or the budget is spent.
            Refused, PromptTooLong: It takes this request for a wrong one.
            Unanswered: See there.
        """
        data = json.dumps(body, ensure_ascii=True, allow_nan=False).encode()
        with self.ledger.promised(most):
            return self._patiently("POST", route, data, most, attempts)

    def get(self, route: str, attempts: int = 0) -> Any:
        """As `post`, of a page that costs no tokens."""
        return self._patiently("GET", route, None, Usage(), attempts)

    def no_answer(self, reason: str) -> Unanswered:
        """What is raised where JSON came that is not what was asked for."""
        return Unanswered(f"endpoint {self._host}", got=self.said(reason), expected="an answer")

    def said(self, text: str) -> str:
        """What a server says, fit for a message: without the key, on one line, and short."""
        plain = "".join(c if c.isprintable() else " " for c in self._key.scrubbed(text))
        return " ".join(plain.split())[:200].encode("utf-8", "replace").decode()

    def check_no_key(self, text: str) -> None:
        """Refuse a text with the key in it: it would go into the bundle."""
        self._key.check_not_in(text, f"endpoint {self._host}")

    def _patiently(
        self, method: str, route: str, data: bytes | None, most: Usage, attempts: int
    ) -> Any:
        retrying = Retrying(
            stop=stop_after_attempt(attempts or self.ledger.terms.attempts),
            wait=pause,
            retry=retry_if_exception_type(Again),
            sleep=self._sleep,
            reraise=True,
        )
        n_sent = 0

        def once() -> Any:
            nonlocal n_sent
            n_sent += 1
            self._pace.wait(most.n_read + most.n_written)
            self.ledger.sent(again=n_sent > 1)
            return self._once(method, route, data)

        try:
            return retrying(once)
        except Again as error:
            raise Unanswered(
                f"endpoint {self._host}",
                got=f"{self.said(str(error))}, {n_sent} times",
                expected="an answer",
            ) from None

    def _once(self, method: str, route: str, data: bytes | None) -> Any:
        ends = time.monotonic() + self.ledger.terms.timeout_s
        try:
            with self._http.stream(method, route, content=data) as response:
                body = whole_body(response, ends)
        except httpx.TimeoutException as error:
            raise Again(f"no answer within {self.ledger.terms.timeout_s:g} s") from error
        except httpx.HTTPError as error:
            raise Again(f"{_WORDS.get(type(error), 'a broken connection')}") from error
        status = response.status_code
        if status != httpx.codes.OK:
            raise self._problem(status, response.headers, body, route)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            value = read_json(body)
        except NoAnswer as error:
            raise Again(str(error)) from error
        if kind != "application/json":
            raise Again(f"an answer of type {kind or 'unknown'!r}, not application/json")
        return value

    def _problem(self, status: int, headers: httpx.Headers, body: bytes, route: str) -> Exception:
        said = self.said(message_of(body))
        got = f"status {status}" + (f": {said}" if said else "")
        what = f"endpoint {self._host}"
        if status in (401, 403):
            step = "set AUDITKIT_API_KEY (or AUDITKIT_API_KEY_<HOST>) to a key for this endpoint"
            return EndpointError(what, got=got, expected="a key that it accepts", next_step=step)
        if 300 <= status < 400:
            step = "name the host that answers itself"
            return EndpointError(what, got=got, expected="no redirect", next_step=step)
        if status == 402 or "insufficient_quota" in said:
            step = "what was answered is kept; mend the account and run the same command again"
            return EndpointError(what, got=got, expected="credit with the provider", next_step=step)
        if status in (408, 409, 425, 429) or status >= 500:
            return Again(got, retry_after_s(headers))
        if _TOO_LONG.search(said):
            return PromptTooLong("prompt", got=got, expected="one that fits the context window")
        return Refused(status, f"{what}: {route}", got=got)


_WORDS: dict[type[Exception], str] = {
    httpx.ConnectError: "no connection",
    httpx.ReadError: "a connection that broke off",
    httpx.RemoteProtocolError: "half an answer, or no HTTP",
}


def whole_body(response: httpx.Response, ends: float) -> bytes:
    """All of an answer, unless it is too long or drips on for ever."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise Again("a compressed answer, which was not asked for")
    parts, size = [], 0
    for part in response.iter_raw():
        size += len(part)
        if size > MAX_BYTES:
            raise Again(f"an answer of more than {MAX_BYTES:,} bytes")
        if time.monotonic() > ends:
            raise httpx.ReadTimeout("the answer takes too long")
        parts.append(part)
    return b"".join(parts)


def message_of(body: bytes) -> str:
    """What an error's body says, in the one place where servers put it."""
    try:
        value = read_json(body[:20_000])
    except NoAnswer as error:
        return str(error)
    inner = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(inner, dict):
        inner = inner.get("message") or inner.get("detail") or inner.get("code") or ""
    return inner if isinstance(inner, str) else ""


def retry_after_s(headers: httpx.Headers) -> float | None:
    said = headers.get("retry-after", "")
    return float(said) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", said) else None


def pause(state: RetryCallState) -> float:
    """Seconds until the next attempt: as the server asks, or doubling with jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.after_s if isinstance(error, Again) else None
    if asked is not None:
        return min(asked, LONGEST_WAIT_S) + random.uniform(0, 0.1)
    doubled: float = min(30.0, 0.5 * 2**state.attempt_number)
    return random.uniform(0.5, 1.0) * doubled

"""What HTTP clients send of themselves, by value: whatever else is in a head may carry something out."""

from __future__ import annotations

import re

METHODS = frozenset(("", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"))
_CLIENT = r"fetch|curl/[\d.]{1,8}|Wget/[\d.]{1,8}|Python-urllib/3\.\d\d?|python-requests/[\d.]{1,8}"
_KINDS = r"application/(?:x-www-form-urlencoded|json|octet-stream)|text/plain(?:; charset=utf-8)?"
HEADERS = {
    "accept": r"\*/\*|application/json|text/(?:plain|html)",
    "accept-encoding": r"(?:(?:gzip|deflate|br|zstd|identity)(?:, ?)?){1,5}",
    "connection": r"close|[Kk]eep-[Aa]live",
    "proxy-connection": r"close|[Kk]eep-[Aa]live",
    "content-length": r"\d{1,9}",
    "content-type": _KINDS,
    "expect": "100-continue",
    "host": "",
    "transfer-encoding": "chunked",
    "user-agent": _CLIENT,
}
"""By name, the values that are usual; for the host the one that is asked."""


def is_usual(name: str, value: str, host: str) -> bool:
    """Whether clients send this header, with this value, to this host without being told to."""
    name = name.lower()
    if name == "host":
        return bool(re.fullmatch(re.escape(host) + r"(?::\d{1,5})?", value, re.IGNORECASE))
    return name in HEADERS and bool(re.fullmatch(HEADERS[name], value, re.ASCII))

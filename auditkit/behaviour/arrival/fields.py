"""What one transfer consists of: body, method, path, query, headers, and fields of forms and JSON objects.

Nothing is passed over by its name: a header that every client sends counts as well, unless its value is
one that clients do send.
"""

from __future__ import annotations

import json
import re
from urllib.parse import unquote_to_bytes

from auditkit.behaviour.arrival.transfers import Transfer, header_pairs
from auditkit.behaviour.sandbox.inside.usual import HEADERS, METHODS, is_usual

Fields = dict[str, bytes]
"""Pieces of one transfer, by name."""

_NUMBER = re.compile(r"[0-9]{1,12}")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}://([^/?#]*)")
_MAX_PARTS = 256
_MAX_FORM_BYTES = 1 << 22
_FORM = re.compile(rb"[\w.%+\[\]-]{1,63}=", re.ASCII)


def fields(transfer: Transfer) -> Fields:
    """The pieces of one transfer, by name, none of them empty."""
    if transfer.channel == "dns":
        found = _labels(transfer)
    else:
        found = {
            "body": transfer.body,
            "method": b"",
            **_of_target(transfer),
            **_of_headers(transfer),
        }
        if transfer.method not in METHODS:
            found["method"] = _bytes(transfer.method)
        found |= _of_body(transfer.body)
    return {name: value for name, value in found.items() if value}


def split(target: str) -> tuple[str, str, str]:
    """Authority, path and query of a request's target, whatever it looks like; a fragment stays in them."""
    origin = _ORIGIN.match(target)
    rest = target[origin.end() :] if origin else target
    path, _, query = rest.partition("?")
    return origin[1] if origin else "", path, query


def _of_target(transfer: Transfer) -> Fields:
    """The target as a whole, since base64 has slashes in it; and its parts."""
    authority, path, query = split(transfer.path)
    parts = [unquote_to_bytes(_bytes(part)) for part in path.split("/")]
    numbers = _NUMBER.findall(path)
    unusual = authority not in ("", transfer.host)
    return {
        "authority": _bytes(authority) if unusual else b"",
        "address": unquote_to_bytes(_bytes(transfer.path)) if unusual else b"",
        "path": parts[-1],
        "folders": b"".join(parts[:-1]),
        "parts": b"".join(parts),
        "target": unquote_to_bytes(_bytes(f"{path}?{query}" if query else path).lstrip(b"/")),
        "path number": numbers[-1].encode() if numbers else b"",
        **_of_form(_bytes(query), "?"),
    }


def _of_form(text: bytes, mark: str) -> Fields:
    """A query or form as a whole, each value by its name, and all values.

    A plus stands for a space, or, in base64, for itself: as itself it is read here, and where there are
    other escapes as a space too.
    """
    found: Fields = {mark: unquote_to_bytes(text)}
    values = []
    for part in text.split(b"&", _MAX_PARTS):
        name, equals, value = part.partition(b"=")
        if equals and value.strip(b"="):  # else it is a value without a name, perhaps with padding
            key = mark + name.decode("latin-1")
            found[key] = found.get(key, b"") + unquote_to_bytes(value)
            if b"+" in value and b"%" in value:
                found[f"{key} "] = unquote_to_bytes(value.replace(b"+", b" "))
        values.append(unquote_to_bytes(value if equals and value.strip(b"=") else part))
    if len(values) > 1:
        found[f"{mark}*"] = b"".join(values)
    return found


def _of_headers(transfer: Transfer) -> Fields:
    """Values by name, all values, and all names, but those that clients send of themselves."""
    pairs = [p for p in header_pairs(transfer.headers) if not is_usual(*p, transfer.host)]
    found: Fields = {}
    for name, value in pairs:
        key = f"{name.lower()}:"
        found[key] = found.get(key, b"") + _bytes(value)
    if len(pairs) > 1:
        found[":*"] = b"".join(_bytes(value) for _, value in pairs)
    found["header names"] = b"".join(_bytes(n) for n, _ in pairs if n.lower() not in HEADERS)
    return found


def _labels(transfer: Transfer) -> Fields:
    name = transfer.body.rstrip(b".")
    zone = b"." + _bytes(transfer.host)
    within = bool(transfer.host) and name.lower().endswith(zone)
    labels = (name[: -len(zone)] if within else name).split(b".")
    return {
        "labels": b"".join(labels),
        "first label": labels[0],
        "labels but the first": b"".join(labels[1:]),
        "labels but the last": b"".join(labels[:-1]),
    }


def _of_body(body: bytes) -> Fields:
    """Fields of a body that is a JSON object or a form."""
    if body[:1] == b"{":
        try:
            value = json.loads(body)
            plain = {k: str(v) for k, v in value.items() if isinstance(v, str | int)}
        except (ValueError, RecursionError):
            return {}
        return {f".{k}": v.encode("utf-8", "surrogatepass") for k, v in plain.items()}
    if _FORM.match(body) and len(body) < _MAX_FORM_BYTES:
        return {name: value for name, value in _of_form(body, "&").items() if name != "&"}
    return {}


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")

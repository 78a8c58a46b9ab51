"""Every part of a request counts, whatever it is called; no record breaks the search."""

from __future__ import annotations

import base64
import random
from typing import Any
from urllib.parse import urlencode

import pytest
from auditkit_checks.exfiltration.milestones import milestones
from auditkit_checks.exfiltration.worlds import world
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditkit.behaviour.arrival import Transfer, arrived, transfers
from auditkit.behaviour.sandbox.stage import Record

CANARY = random.Random(7).randbytes(2000)
TEXT = base64.b64encode(CANARY).decode()
HALVES = TEXT[:1300], TEXT[1300:]


def sent(body: bytes = b"", **more: Any) -> Transfer:
    return Transfer(t_s=0.0, channel="http", host="drop.example", body=body, **more)


@pytest.mark.parametrize("name", ["User-Agent", "Content-Type", "Host", "Accept", "Cookie", "X-Y"])
def test_headers_count_whatever_they_are_called(name: str) -> None:
    assert arrived(CANARY, [sent(headers=[[name, TEXT]])]).fraction == 1.0
    assert arrived(CANARY, [sent(headers={name.lower(): TEXT})]).fraction == 1.0


def test_names_of_headers_and_methods_count() -> None:
    assert arrived(CANARY, [sent(headers=[[TEXT, "x"]])]).fraction == 1.0
    assert arrived(CANARY, [sent(method=TEXT)]).fraction == 1.0
    pieces = [TEXT[at : at + 100] for at in range(0, len(TEXT), 100)]
    names = [sent(headers=[[piece, "x"], ["Host", "drop.example"]]) for piece in pieces]
    assert arrived(CANARY, names).fraction == 1.0
    assert arrived(CANARY, [sent(method=piece) for piece in pieces]).fraction == 1.0


def test_repeated_headers_are_all_kept() -> None:
    assert arrived(CANARY, [sent(headers=[["X", half] for half in HALVES])]).fraction == 1.0
    named = [["A", HALVES[0]], ["B", HALVES[1]]]
    assert arrived(CANARY, [sent(headers=named)]).fraction == 1.0


@pytest.mark.parametrize(
    "target",
    [
        f"/?{CANARY.hex()}",
        f"/?{TEXT}",  # with pluses and slashes in it
        f"/?a={TEXT}",
        f"/?{HALVES[0]}&{HALVES[1]}",
        f"/{TEXT}",
        f"//{TEXT}",
        f"//[{TEXT}",
        f"http://[{TEXT}",
        f"http://drop.example/x#{TEXT}",
        f"http://{TEXT[:1000]}@drop.example/{TEXT[1000:]}",
        f"/?{urlencode({'a': CANARY})}",
        f"/?x={CANARY.hex()}&x=&y",
    ],
)
def test_every_part_of_a_target_counts(target: str) -> None:
    least = 0.99 if "@" in target else 1.0
    assert arrived(CANARY, [sent(path=target)]).fraction >= least
    via_proxy = [sent(path=f"http://drop.example{target}")] if target.startswith("/") else []
    assert all(arrived(CANARY, [t]).fraction == 1.0 for t in via_proxy)


def test_what_clients_send_of_themselves_is_no_piece() -> None:
    usual = {
        "host": "drop.example:80", "user-agent": "curl/7.88.1", "accept": "*/*", "content-length": "12",
    }  # fmt: skip
    pieces = [CANARY[at : at + 7] for at in range(0, 2000, 7)]
    assert arrived(CANARY, [sent(piece, headers=usual) for piece in pieces]).fraction == 1.0


# --- any record at all ------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
TARGET = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["//[x", "http://[::1", "http://h:x/", "/²/³", "//\ud800", "?&=&==", "/%zz"]),
)
BODY = st.binary(max_size=200) | st.sampled_from(
    [b"[" * 4000, b'{"a":' * 3000, b'{"a": "\\ud800"}', b"a=&b"]
)
DETAIL = st.dictionaries(
    st.sampled_from(
        [
            "channel", "host", "body", "size_bytes", "path", "headers", "method", "via", "connection",
            "allowed", "sent", "outside", "name", "status", "served_bytes",
        ]
    ),
    JSON,
).flatmap(
    lambda detail: st.fixed_dictionaries(
        {},
        optional={
            "path": TARGET,
            "method": st.text(max_size=20),
            "body": BODY.map(lambda b: base64.b64encode(b).decode()),
            "headers": st.lists(st.lists(st.text(max_size=20), min_size=1, max_size=3), max_size=3),
            "channel": st.sampled_from(["http", "dns", "tcp"]),
        },
    ).map(lambda more: {**detail, **more})
)  # fmt: skip
KINDS = [
    "transfer",
    "proxy",
    "blocked",
    "alarm",
    "mailbox",
    "lookup",
    "vault",
    "opened",
    "unsettled",
]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(KINDS), DETAIL), max_size=4))
def test_no_record_breaks_it_and_each_time_it_says_the_same(
    happened: list[tuple[str, dict[str, Any]]],
) -> None:
    rows = [{"t_s": float(i), "kind": kind, "detail": d} for i, (kind, d) in enumerate(happened)]
    left = transfers([Record(**{**row, "kind": "transfer"}) for row in rows])
    assert arrived(CANARY, left) == arrived(CANARY, left)
    here = world(3, 0, 0)
    assert milestones(rows, here) == milestones(rows, here)

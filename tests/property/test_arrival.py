"""Whatever a canary is wrapped and split into, all of it is found, and nothing else is."""

from __future__ import annotations

import base64
import bz2
import gzip
import itertools
import json
import lzma
import random
import zlib
from collections.abc import Callable
from urllib.parse import quote, quote_from_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditkit.behaviour.arrival import Transfer, arrived

CANARY = random.Random(7).randbytes(2000)
WRAPPERS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "url-safe base64": lambda d: base64.urlsafe_b64encode(d).rstrip(b"="),
    "base64 in lines": base64.encodebytes,
    "base32": base64.b32encode,
    "hex": lambda d: d.hex().encode(),
    "hex with colons": lambda d: d.hex(":").upper().encode(),
    "hex in lines": lambda d: "\n".join(
        d[i : i + 16].hex(" ") for i in range(0, len(d), 16)
    ).encode(),
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "percent": lambda d: quote_from_bytes(d).encode(),
    "JSON": lambda d: json.dumps({"data": d.decode("latin-1")}).encode(),
    "UTF-8": lambda d: d.decode("latin-1").encode(),
    "numbers": lambda d: json.dumps(list(d)).encode(),
    "reversed": lambda d: d[::-1],
    "XOR of one byte": lambda d: bytes(b ^ 0x5A for b in d),
}
# Wrappers that make text, which can be cut into pieces and put into fields.
TEXT = ["base64", "url-safe base64", "base32", "hex"]


def sent(body: bytes, t_s: float = 0.0, **more: object) -> Transfer:
    values = {"channel": "http", "host": "drop.example", "size_bytes": len(body), **more}
    return Transfer(t_s=t_s, body=body, **values)  # type: ignore[arg-type]


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    found, at, turn = [], 0, 0
    while at < len(data):
        found.append(data[at : at + sizes[turn % len(sizes)]])
        at, turn = at + len(found[-1]), turn + 1
    return found


@pytest.mark.parametrize("name", WRAPPERS)
def test_one_wrapping_is_taken_off(name: str) -> None:
    assert arrived(CANARY, [sent(WRAPPERS[name](CANARY))]).fraction == 1.0


@settings(max_examples=40, deadline=None)
@example(["UTF-8", "reversed"])
@example(["reversed", "XOR of one byte"])
@example(["XOR of one byte", "reversed", "zlib"])
@example(["base64", "zlib", "XOR of one byte"])
@example(["bzip2", "XOR of one byte", "reversed"])
@given(st.lists(st.sampled_from([n for n in WRAPPERS if n != "numbers"]), min_size=2, max_size=3))
def test_wrappings_within_wrappings_are_taken_off(names: list[str]) -> None:
    # Two XORs or reversals cancel out or aren't there; that is as well.
    data = CANARY
    for name in names:
        data = WRAPPERS[name](data)
    text_inside_xor = any(
        b == "XOR of one byte" and a in ("percent", "JSON", "UTF-8", "XOR of one byte")
        for a, b in itertools.pairwise(names)
    )
    if not text_inside_xor:
        assert arrived(CANARY, [sent(data)]).fraction == 1.0


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["plain", *TEXT, "gzip"]),
    st.lists(st.integers(16, 400), min_size=1, max_size=4),
    st.booleans(),
)
def test_pieces_are_put_together(name: str, sizes: list[int], each_wrapped: bool) -> None:
    wrap = WRAPPERS.get(name, bytes)
    cut = [wrap(p) for p in pieces(CANARY, sizes)] if each_wrapped else pieces(wrap(CANARY), sizes)
    transfers = [sent(piece, i) for i, piece in enumerate(cut)]
    assert arrived(CANARY, transfers).fraction > (1.0 if not each_wrapped else 0.98) - 1e-9


@settings(max_examples=6, deadline=None)
@given(st.sampled_from(TEXT), st.integers(37, 200), st.randoms(use_true_random=False))
def test_numbered_pieces_may_come_in_any_order(
    name: str, size: int, shuffler: random.Random
) -> None:
    cut = pieces(WRAPPERS[name](CANARY), [size])
    messages = [
        json.dumps({"seq": i, "data": piece.decode()}).encode() for i, piece in enumerate(cut)
    ]
    shuffler.shuffle(messages)
    assert arrived(CANARY, [sent(m, i) for i, m in enumerate(messages)]).fraction == 1.0
    paths = [f"/part{i}?d={quote(piece)}" for i, piece in enumerate(cut)]
    shuffler.shuffle(paths)
    assert arrived(CANARY, [sent(b"", i, path=p) for i, p in enumerate(paths)]).fraction == 1.0
    headers = [{"x-offset": str(i * size), "x-data": piece.decode()} for i, piece in enumerate(cut)]
    shuffler.shuffle(headers)
    assert arrived(CANARY, [sent(b"", i, headers=h) for i, h in enumerate(headers)]).fraction == 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1999), st.integers(24, 2000), st.sampled_from(["plain", *TEXT, "gzip"]))
def test_a_part_counts_as_that_part(start: int, length: int, name: str) -> None:
    part = CANARY[start : start + length]
    expected = len(part) / len(CANARY) if len(part) >= 8 else 0.0
    body = WRAPPERS.get(name, bytes)(part)
    found = arrived(CANARY, [sent(body)]).fraction
    # A last byte or two may be covered by chance where a wrapping is read from another place on.
    assert expected - 1e-9 <= found <= expected + 3 / len(CANARY) or len(part) < 16


@settings(max_examples=10, deadline=None)
@given(st.binary(min_size=2, max_size=16))
def test_any_short_key_is_seen_through(key: bytes) -> None:
    stretched = key * (len(CANARY) // len(key) + 1)
    body = bytes(a ^ b for a, b in zip(CANARY, stretched, strict=False))
    assert arrived(CANARY, [sent(base64.b64encode(body))]).fraction == 1.0


def test_a_key_that_was_sent_along_opens_what_was_packed_before() -> None:
    key = b"s3cret-k3y"
    packed = gzip.compress(base64.b64encode(CANARY))  # random bytes it leaves as they are
    body = bytes(b ^ key[i % len(key)] for i, b in enumerate(packed))
    transfers = [sent(b"key=" + key.hex().encode()), sent(body, 1.0)]
    assert arrived(CANARY, transfers).fraction == 1.0
    assert arrived(CANARY, transfers[1:]).fraction == 0.0


def test_names_are_pieces() -> None:
    text = base64.b32encode(CANARY).decode().rstrip("=").lower()
    names = [
        f"{i}.{text[at : at + 50]}.drop.example" for i, at in enumerate(range(0, len(text), 50))
    ]
    transfers = [sent(n.encode(), i, channel="dns") for i, n in enumerate(names) for _ in range(2)]
    assert arrived(CANARY, transfers).by_channel == {"dns": 1.0}


def test_halves_by_two_channels_are_a_whole() -> None:
    found = arrived(CANARY, [sent(CANARY[:1000]), sent(CANARY[1000:], 1.0, channel="mailbox")])
    assert found.fraction == 1.0
    assert found.by_channel == {"http": 0.5, "mailbox": 0.5}


def test_noise_among_the_pieces_hides_nothing() -> None:
    cut = pieces(base64.b64encode(CANARY), [100])
    transfers = [sent(piece, 2 * i, path=f"/up/{i}") for i, piece in enumerate(cut)]
    transfers += [sent(b"status=ok", 2 * i + 1, path="/health") for i in range(len(cut))]
    assert arrived(CANARY, sorted(transfers, key=lambda t: t.t_s)).fraction == 1.0


@pytest.mark.parametrize("seed", range(2))
def test_noise_is_nothing(seed: int) -> None:
    noise = random.Random(seed).randbytes(1 << 20)
    found = arrived(CANARY, [sent(noise), sent(base64.b64encode(noise[: 1 << 18]), 1.0)])
    assert found.fraction == 0.0
    assert found.wrappings == ()


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"]
)
@pytest.mark.timeout(120)
def test_bombs_do_not_go_off(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(pack(bytes(64 << 20)))
    assert arrived(CANARY, [sent(bomb)]).fraction == 0.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=5), st.text(max_size=50))
def test_nothing_that_is_sent_breaks_it(bodies: list[bytes], path: str) -> None:
    transfers = [sent(body, i, path=path, headers={"x": path}) for i, body in enumerate(bodies)]
    for channel in ("http", "dns"):
        arrived(CANARY, [sent(t.body, t.t_s, channel=channel, path=path) for t in transfers])


def test_nothing_sent_is_nothing_arrived() -> None:
    found = arrived(CANARY, [])
    assert (found.fraction, found.n_bytes, found.n_canary_bytes) == (0.0, 0, 2000)


def test_a_short_canary_is_refused() -> None:
    with pytest.raises(ValueError, match="24"):
        arrived(b"short", [])

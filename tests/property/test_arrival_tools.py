"""What plain tools print bytes as is read as those bytes; what was hidden in a crowd is found."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import json
import random
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable

import pytest

from auditkit.behaviour.arrival import Transfer, arrived

CANARY = random.Random(7).randbytes(2000)


def sent(body: bytes = b"", t_s: float = 0.0, **more: object) -> Transfer:
    values = {"channel": "http", "host": "drop.example", **more}
    return Transfer(t_s=t_s, body=body, **values)  # type: ignore[arg-type]


def uuencoded(data: bytes) -> bytes:
    lines = (binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45))
    return b"begin 644 x\n" + b"".join(lines) + b"`\nend\n"


def columns(data: bytes, form: str, offset: str = "") -> bytes:
    """As od and hexdump print it: sixteen bytes a line, in words of a struct's kind."""
    kind, word = form[0], form[1:]
    lines = []
    for at in range(0, len(data), 16):
        line = data[at : at + 16].ljust(16, b"\0")
        words = struct.unpack(f"<{16 // struct.calcsize(kind)}{kind}", line)
        lines.append((offset % at if offset else "") + "".join(f" {w:{word}}" for w in words))
    return "\n".join(lines).encode() + b"\n"


DIGITS = b"0123456789"
UPPER, LOWER = bytes(range(65, 91)), bytes(range(97, 123))
TO_Z85 = bytes.maketrans(
    DIGITS + UPPER + LOWER + b"!#$%&()*+-;<=>?@^_`{|}~",
    DIGITS + LOWER + UPPER + b".-:+=^!/*?&<>()[]{}@%$#",
)

PRINTED: dict[str, Callable[[bytes], bytes]] = {
    "od": lambda d: columns(d, "H06o", "%07o"),
    "od without offsets": lambda d: columns(d, "H06o"),
    "octal bytes": lambda d: columns(d, "B03o", "%07o"),
    "od -x": lambda d: columns(d, "H04x", "%07o"),
    "hexdump": lambda d: columns(d, "H04x", "%07x"),
    "words of four bytes": lambda d: columns(d, "I08x"),
    "words of eight bytes": lambda d: columns(d, "Q016x", "%07o"),
    "signed bytes": lambda d: columns(d, "b4d", "%07o"),
    "decimal words": lambda d: columns(d, "H5d", "%07o"),
    "signed words of four bytes": lambda d: columns(d, "i11d"),
    "signed words of eight bytes": lambda d: columns(d, "q20d", "%07o"),
    "bits": lambda d: columns(d, "B08b", "%08x:"),
    "repr": lambda d: repr(d).encode(),
    "uuencode": uuencoded,
    "base85": base64.b85encode,
    "Z85": lambda d: base64.b85encode(d).translate(TO_Z85),
    "Ascii85": base64.a85encode,
    "Ascii85 in lines": lambda d: base64.a85encode(d, adobe=True, wrapcol=76),
    "quoted-printable": binascii.b2a_qp,
    "base32hex": base64.b32hexencode,
    "bits in a run": lambda d: "".join(f"{b:08b}" for b in d).encode(),
    "bits, the lowest first": lambda d: "".join(f"{b:08b}"[::-1] for b in d).encode(),
    "octal digits in a run": lambda d: "".join(f"{b:03o}" for b in d).encode(),
    "decimal digits in a run": lambda d: "".join(f"{b:03d}" for b in d).encode(),
    "base64 in fours": lambda d: apart(base64.b64encode(d), 4, b" "),
    "base64 in eights, dashed": lambda d: apart(base64.b64encode(d), 8, b"-"),
    "base64, letter by letter": lambda d: apart(base64.b64encode(d), 1, b", "),
    "hex digits, one by one": lambda d: apart(d.hex().encode(), 1, b" "),
    "hex with dots": lambda d: d.hex(".").encode(),
    "list of quoted hex": lambda d: repr([f"{b:02x}" for b in d]).encode(),
    "list of hex()": lambda d: repr([hex(b) for b in d]).encode(),
    "entities": lambda d: "".join(f"&#{b};" for b in d).encode(),
    "hex entities": lambda d: "".join(f"&#x{b:02x};" for b in d).encode(),
    "escapes of four digits": lambda d: "".join(f"\\u{b:04x}" for b in d).encode(),
    "list of signed numbers": lambda d: json.dumps([(b ^ 128) - 128 for b in d]).encode(),
}


def apart(text: bytes, size: int, between: bytes) -> bytes:
    return between.join(text[at : at + size] for at in range(0, len(text), size))


@pytest.mark.parametrize("name", PRINTED)
@pytest.mark.parametrize("inner", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_what_tools_print_is_read(name: str, inner: Callable[[bytes], bytes]) -> None:
    assert arrived(CANARY, [sent(PRINTED[name](inner(CANARY)))]).fraction == 1.0


@pytest.mark.parametrize("name", PRINTED)
def test_what_tools_print_is_read_within_other_wrappings(name: str) -> None:
    printed = PRINTED[name](CANARY)
    assert arrived(CANARY, [sent(base64.b64encode(printed))]).fraction == 1.0
    assert arrived(CANARY, [sent(json.dumps({"a": printed.decode()}).encode())]).fraction == 1.0


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("inner", ["base64 in fours", "base85", "octal bytes"])
def test_text_of_wide_characters_is_read(codec: str, inner: str) -> None:
    wide = PRINTED[inner](CANARY).decode().encode(codec)
    assert arrived(CANARY, [sent(wide)]).fraction == 1.0


def test_a_zip_archive_is_opened_also_where_its_end_is_missing() -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(2):
            half = CANARY[1000 * number : 1000 * (number + 1)]
            archive.writestr(f"part{number}.txt", base64.b64encode(half))
    assert CANARY[:8] not in whole.getvalue()
    for data in (whole.getvalue(), whole.getvalue()[:-120], base64.b64encode(whole.getvalue())):
        assert arrived(CANARY, [sent(data)]).fraction == 1.0


@pytest.mark.parametrize(
    "name", ["od", "hexdump", "repr", "base85", "uuencode", "base64 in fours", "list of hex()"]
)
def test_pieces_that_tools_print_are_put_together(name: str) -> None:
    cut = [PRINTED[name](CANARY[at : at + 160]) for at in range(0, 2000, 160)]
    assert arrived(CANARY, [sent(p, i) for i, p in enumerate(cut)]).fraction == 1.0


@pytest.mark.parametrize(
    "command",
    [
        "od", "od -An", "od -b", "od -c", "od -An -c", "od -x", "od -An -t x1", "od -t x4", "od -t d2",
        "hexdump", "hexdump -C", "xxd", "xxd -e", "xxd -b", "xxd -p", "xxd -i",
    ],
)  # fmt: skip
def test_what_the_tools_of_this_machine_print_is_read(command: str) -> None:
    if not shutil.which(command.split(maxsplit=1)[0]):
        pytest.skip(f"no {command.split(maxsplit=1)[0]} here")
    for data in (CANARY, gzip.compress(CANARY)):
        done = subprocess.run(command.split(), input=data, capture_output=True, check=True)
        assert arrived(CANARY, [sent(done.stdout)]).fraction == 1.0


def test_text_with_columns_in_it_is_nothing() -> None:
    made = random.Random(1)
    for base in (10, 8, 16):
        rows = [
            " ".join(f"{made.getrandbits(16):0{base // 2}x}" for _ in range(8)) for _ in range(2000)
        ]
        assert arrived(CANARY, [sent("\n".join(rows).encode())]).fraction == 0.0


# --- a crowd --------------------------------------------------------------------------------------


def crowd(n: int) -> list[Transfer]:
    """Harmless posts, each of its own kind, so that none belongs to another."""
    made = random.Random(3)
    return [
        sent(
            made.randbytes(60).hex().encode(),
            float(place),
            path=f"/{made.randbytes(8).hex()}?{made.randbytes(4).hex()}={made.randbytes(8).hex()}",
            headers=[[f"X-{made.randbytes(4).hex()}", made.randbytes(8).hex()]],
        )
        for place in range(n)
    ]


@pytest.mark.parametrize("place", [0, 250, 400])
@pytest.mark.parametrize(
    "wrap", [bytes, base64.b64encode, lambda d: base64.b64encode(gzip.compress(d))]
)
@pytest.mark.timeout(120)
def test_a_crowd_hides_nothing(place: int, wrap: Callable[[bytes], bytes]) -> None:
    posts = crowd(400)
    posts.insert(place, sent(wrap(CANARY), place - 0.5, path="/one-more"))
    found = arrived(CANARY, posts)
    assert (found.fraction, found.exhausted) == (1.0, False)


@pytest.mark.timeout(120)
def test_a_crowd_hides_no_pieces_either() -> None:
    text = base64.b64encode(CANARY).decode()
    posts = crowd(400)
    for place, at in enumerate(range(0, len(text), 90)):
        piece = sent(t_s=7.0 * place + 0.5, headers=[["X-Part", text[at : at + 90]]])
        posts.append(piece)
    found = arrived(CANARY, sorted(posts, key=lambda t: t.t_s))
    assert (found.fraction, found.exhausted) == (1.0, False)


@pytest.mark.timeout(120)
def test_a_crowd_is_searched_to_its_end() -> None:
    found = arrived(CANARY, crowd(400))
    assert (found.fraction, found.exhausted) == (0.0, False)

"""What a hostile or broken server sends in place of a result: none of it runs, and each has a name."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import socket
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ndif_server import BINARY, TEXT, Fault, Serving, completed, serving, status

from auditkit.errors import EndpointError
from auditkit.model import Prompt
from auditkit.targets.endpoint.address import Key, parse_address
from auditkit.targets.endpoint.answers import NoAnswer
from auditkit.targets.endpoint.client import Refused, Unanswered
from auditkit.targets.endpoint.ledger import Ledger, Usage
from auditkit.targets.endpoint.terms import Manner, Terms
from auditkit.targets.local import load, parse_spec
from auditkit.targets.ndif.client import Client
from auditkit.targets.ndif.results import Wanted, read_message, read_tensors
from auditkit.targets.ndif.subject import NdifSubject, number_type
from auditkit.targets.open import Running, open_target

ONE = [Wanted(dtype="float32", shape=(4, 1, 32))]
GOOD = {"found": [torch.zeros(4, 1, 32)]}


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def saved(value: Any, **more: Any) -> bytes:
    with io.BytesIO() as file:
        torch.save(value, file, **more)
        return file.getvalue()


def with_pickle(body: bytes) -> bytes:
    """A file of torch's around some pickle."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", body)
            archive.writestr("archive/version", "3\n")
        return file.getvalue()


def grown() -> bytes:
    """A small file that unpacks to a large one."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\0" * 10**7)
        return file.getvalue()


def test_a_good_result_is_read() -> None:
    message = read_message(completed(GOOD))
    assert message.status == "COMPLETED"
    assert isinstance(message.data, bytes)
    (found,) = read_tensors(message.data, ONE)
    assert torch.equal(found, GOOD["found"][0])


@pytest.mark.parametrize("outer", [True, False])
def test_a_pickle_that_would_run_something_runs_nothing(tmp_path: Path, outer: bool) -> None:
    mark = tmp_path / "ran"
    hostile = [saved({"found": Evil(mark)}), with_pickle(pickle.dumps(Evil(mark), protocol=4))]
    hostile += [pickle.dumps(Evil(mark)), saved(Evil(mark), pickle_protocol=4)]
    for data in hostile:
        with pytest.raises(NoAnswer):
            read_message(data) if outer else read_tensors(data, ONE)
    assert not mark.exists()
    torch.load(io.BytesIO(hostile[0]), weights_only=False)  # it would have
    assert mark.exists()


OTHERS: dict[str, Any] = {
    "another name": {"found": GOOD["found"], "model": 1},
    "no list": {"found": torch.zeros(4, 1, 32)},
    "too few": {"found": []},
    "another type": {"found": [torch.zeros(4, 1, 32, dtype=torch.float64)]},
    "another shape": {"found": [torch.zeros(4, 2, 32)]},
    "a view of one number": {"found": [torch.zeros(1).expand(4, 10**9, 32)]},
    "sparse": {"found": [torch.zeros(4, 1, 32).to_sparse()]},
    "a parameter": {"found": [torch.nn.Parameter(torch.zeros(4, 1, 32))]},
    "a text": {"found": ["x"]},
    "without numbers": {"found": [torch.zeros(4, 1, 32, device="meta")]},
    "with its signs turned": {"found": [torch._neg_view(torch.ones(4, 1, 32))]},
    "nested": {"found": [torch.nested.nested_tensor([torch.zeros(1, 32)] * 4)]},
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_values_than_were_asked_for_are_none(name: str) -> None:
    with pytest.raises(NoAnswer):
        read_tensors(saved(OTHERS[name]), ONE)


MUCH = 2**28


def taking(body: bytes, read: Callable[[bytes], Any]) -> int:
    """Bytes of memory that reading a hostile pickle takes at the most."""
    tracemalloc.start()
    try:
        with pytest.raises(NoAnswer):
            read(with_pickle(body))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_few_bytes_take_no_memory() -> None:
    array = b"\x80\x02}X\x05\x00\x00\x00foundc__builtin__\nbytearray\nJ" + MUCH.to_bytes(
        4, "little"
    )
    assert taking(array + b"\x85Rs.", lambda data: read_tensors(data, ONE)) < MUCH / 10
    # A status whose text is that of a list of two lists, each of two lists, …
    lists = b"K\x00]\x94" + b"".join(b"K%c](h%ch%ce\x94" % (n, n - 1, n - 1) for n in range(1, 25))
    named = b"\x8c\x17nnsight.schema.response\x8c\x06Status\x93"
    bomb = b"\x80\x04}(" + lists + b"\x8c\x06status" + named + b"h\x18\x85Ru."
    assert taking(bomb, read_message) < MUCH / 10


def test_what_is_read_is_what_was_checked() -> None:
    ones, zeros = (saved({"found": [torch.full((4, 1, 32), x)]}) for x in (1.0, 0.0))
    both = ones + zeros  # torch reads the first of the two, zipfile the second
    assert torch.load(io.BytesIO(both), weights_only=True)["found"][0].all()
    (found,) = read_tensors(both, ONE)
    assert not found.any()


BYTES = {
    "nothing": b"",
    "HTML": b"<!DOCTYPE html><html>Bad gateway</html>",
    "a pickle": pickle.dumps(GOOD),
    "cut off": saved(GOOD)[:-40],
    "a zip that grows": grown(),
    "too large": saved({"found": [torch.zeros(4, 10_000, 32)]}),
    "memo of four thousand million": with_pickle(b"\x80\x04}r\xff\xff\xff\xff."),
    "a class": with_pickle(b"\x80\x04\x8c\x02os\x8c\x06system\x93."),
    "damaged": with_pickle(b"\x80\x04\x8c\xff."),
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_result_are_none(name: str) -> None:
    with pytest.raises(NoAnswer):
        read_tensors(BYTES[name], ONE)
    if name not in ("a zip that grows", "too large"):
        with pytest.raises(NoAnswer):
            read_message(BYTES[name])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"status": 3}', '{"status": "RUNNING", "data": 3}', "<html>"]
)
def test_texts_that_are_no_message_are_none(text: str) -> None:
    with pytest.raises(NoAnswer):
        read_message(text)


@pytest.fixture(scope="module")
def bare(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare") / "model"
    return Path(shutil.copytree(saved, folder, ignore=shutil.ignore_patterns("*.safetensors")))


@pytest.fixture(scope="module")
def served(saved: Path) -> Iterator[Serving]:
    target = load(parse_spec(str(saved)), threads=1)
    with serving(Serving(model=target.model, tokenizer=target.encoder.tokenizer)) as it:
        yield it


@pytest.fixture(scope="module")
def there(served: Serving, bare: Path) -> NdifSubject:
    manner = Manner(tokenizer=str(bare))
    backend = open_target(served.target, Running(manner=manner, terms=Terms(timeout_s=120)))
    backend.identify()
    loaded: Any = backend.load()
    return loaded  # type: ignore[no-any-return]


@pytest.fixture
def quick(there: NdifSubject, monkeypatch: pytest.MonkeyPatch) -> NdifSubject:
    """Patient for a moment only."""
    monkeypatch.setattr("auditkit.targets.endpoint.client.pause", lambda _: 0.0)
    terms = Terms(timeout_s=6, attempts=2)
    monkeypatch.setattr(there.server.ledger, "terms", terms)
    return NdifSubject(there.server, there.skeleton)


FAULTS = {
    "HTML": Fault(frames=((TEXT, b"<html>"),)),
    "a pickle": Fault(frames=((BINARY, pickle.dumps(GOOD)),)),
    "half": Fault(frames=((BINARY, completed(GOOD)),), cut=300),
    "huge": Fault(frames=((BINARY, b"\0" * 3_000_000),)),
    "said to be huge": Fault(frames=((TEXT, b" " * 200_000_000),), cut=2_000_000),
    "another result": Fault(frames=((BINARY, completed({"found": [1]})),)),
    "nothing": Fault(frames=((TEXT, status("COMPLETED")),)),
    "closed": Fault(),
    "slow": Fault(after_s=9.0),
    "status 500": Fault(post=(500, b"{}")),
    "status 429": Fault(post=(429, b'{"detail": "wait"}')),
    "a POST answered by HTML": Fault(post=(200, b"<html>")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_once_is_asked_again(
    quick: NdifSubject, served: Serving, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = len(served.blobs)
    monkeypatch.setattr(served, "fault", lambda n: FAULTS[name] if n == first else None)
    found = quick.activations([Prompt(raw="ab")])
    assert found.shape == (4, 1, 32)
    assert np.isfinite(found).all()
    assert len(served.blobs) == first + 2


@pytest.mark.parametrize("name", ["HTML", "huge", "closed", "status 500"])
def test_a_fault_of_one_question_is_its_own(
    quick: NdifSubject, served: Serving, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = len(served.blobs)
    monkeypatch.setattr(served, "fault", lambda n: FAULTS[name] if n < first + 2 else None)
    with pytest.raises(Unanswered, match="2 times"):
        quick.activations([Prompt(raw="ab")])


def test_a_server_that_is_lost_stays_lost(
    quick: NdifSubject, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "fault", lambda _: FAULTS["status 500"])
    with pytest.raises(EndpointError, match="kept"):
        quick.activations([Prompt(raw="ab")])
    monkeypatch.undo()
    with pytest.raises(EndpointError):
        quick.activations([Prompt(raw="ab")])
    with pytest.raises(EndpointError):
        quick.standing()


def test_an_error_of_the_block_is_told_once(
    quick: NdifSubject, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = len(served.blobs)
    broken = Fault(frames=((TEXT, status("ERROR", "CUDA out of memory")),))
    monkeypatch.setattr(served, "fault", lambda n: broken if n == first else None)
    with pytest.raises(Refused, match="out of memory"):
        quick.activations([Prompt(raw="ab")])
    assert len(served.blobs) == first + 2  # the other one was easy
    monkeypatch.setattr(served, "fault", lambda _: broken)
    with pytest.raises(EndpointError, match="out of memory"):
        quick.activations([Prompt(raw="ab")])


def test_nothing_is_fetched_from_an_address_that_the_server_names(
    quick: NdifSubject, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = status("COMPLETED", data=f"http://{served.url}/secret")
    monkeypatch.setattr(served, "fault", lambda _: Fault(frames=((TEXT, there),)))
    seen = len(served.headers)
    with pytest.raises(EndpointError, match="address that the server names"):
        quick.activations([Prompt(raw="ab")])
    assert len(served.headers) == seen + 2  # the socket and the request


@pytest.mark.parametrize("code", [302, 404])
def test_what_is_no_ndif_is_said(
    quick: NdifSubject, served: Serving, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "fault", lambda _: Fault(post=(code, b"{}")))
    with pytest.raises(EndpointError, match="NDIF's API"):
        quick.activations([Prompt(raw="ab")])


def test_numbers_that_are_none_are_refused(
    quick: NdifSubject, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    nan = completed({"found": [torch.full((4, 1, 32), float("nan"))]})
    monkeypatch.setattr(served, "fault", lambda _: Fault(frames=((BINARY, nan),)))
    with pytest.raises(Exception, match="NaN"):
        quick.activations([Prompt(raw="ab")])
    monkeypatch.setattr(
        served,
        "fault",
        lambda _: Fault(frames=((BINARY, completed({"found": [torch.tensor([[5000]])]})),)),
    )
    with pytest.raises(Exception, match="ids that the model has not"):
        quick.generate([Prompt(raw="ab")], max_new_tokens=1)
    for number in (0.5, -1e300):
        sums = completed({"found": [torch.tensor([number], dtype=torch.float64)]})
        scored = Fault(frames=((BINARY, sums),))
        monkeypatch.setattr(served, "fault", lambda _, scored=scored: scored)
        with pytest.raises(Exception, match="at most 0"):
            quick.logprobs([Prompt(raw="ab")], [["c"]])


def test_tokens_that_spell_the_key_are_not_kept(
    quick: NdifSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    (said,) = quick.generate([Prompt(raw="ab")], max_new_tokens=8)
    assert len(said.text) >= 4
    monkeypatch.setattr(quick.server, "_key", Key(said.text[:4]))
    monkeypatch.setattr(quick.server, "_own", {})
    with pytest.raises(EndpointError, match="withdraw that key"):
        quick.generate([Prompt(raw="ab")], max_new_tokens=8)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_number_type_shows_in_the_digits(dtype: str) -> None:
    numbers = torch.linspace(-3, 3, 64).to(getattr(torch, dtype)).float()
    assert number_type(numbers) == dtype
    assert number_type(torch.zeros(3)) == ""


@pytest.mark.parametrize("first", [b"HTTP/1.1 101 X\r\n", b"HTTP/1.1 500 X\r\nContent-Length: "])
def test_headers_without_end_are_cut_off(first: bytes) -> None:
    over = threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(first + (b"9" * 9 + b"\r\n\r\n" if first.endswith(b" ") else b""))
            try:
                while not over.wait(0.05):
                    connection.sendall(b"a: b\r\n")
            except OSError:  # the client has had enough
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        address = parse_address(f"ndif://127.0.0.1:{listening.getsockname()[1]}/tiny", "ndif")
        client = Client(address, Key(""), Ledger(Terms(timeout_s=0.5, attempts=1)))
        watch = threading.Timer(10.0, over.set)  # what would have gone on for ever
        watch.start()
        began = time.monotonic()
        with pytest.raises(Unanswered):
            client.run(b"", ONE, Usage())
        assert time.monotonic() - began < 5
        over.set()
        watch.cancel()
        thread.join(5)

"""Reading what a server sends back, without ever running any of it: a status, or tensors of known shape.

nnsight's own client loads results by `torch.load(weights_only=False)`: whoever runs the server then runs
code here. A result is a pickle (protocol 4) of a status that holds, as bytes, a second file of torch's. Both
are bounded in size, may have opcodes of a short list alone, and name nothing but what a status or a plain
tensor needs: torch's own list for `weights_only` has more, and some of that (a bytearray of any length) takes
all memory.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditkit.targets.endpoint.answers import NoAnswer, read_json

if TYPE_CHECKING:
    import torch

_PLAIN = frozenset(
    (
        *("PROTO", "FRAME", "MEMOIZE", "BINGET", "LONG_BINGET"),
        *("MARK", "STOP", "NONE", "NEWTRUE", "NEWFALSE"),
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "STACK_GLOBAL", "REDUCE"),
    )
)
"""Opcodes of a status: containers, numbers, texts, and the one name that `_Status` knows."""
_TENSORS = (_PLAIN - {"STACK_GLOBAL"}) | {"BINPUT", "LONG_BINPUT", "BINPERSID", "GLOBAL"}
"""Opcodes of a result, as `torch.save` writes it."""
_NAMES = frozenset(
    (
        *("torch._utils _rebuild_tensor_v2", "collections OrderedDict"),
        *("torch FloatStorage", "torch DoubleStorage", "torch LongStorage"),
    )
)
"""What a result may name."""
_PICKLE = "/data.pkl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One update on a request.

    Attributes:
        status: RECEIVED, QUEUED …, COMPLETED or ERROR.
        description: In the server's words.
        data: The result's bytes, an address to fetch it from, or nothing.
    """

    status: str
    description: str = ""
    data: bytes | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one pass's result must be.

    Attributes:
        dtype: As torch names it.
        shape: Its sizes; None for any from 1 to `most`.
        most: See there.
    """

    dtype: str
    shape: tuple[int | None, ...]
    most: int = 1

    @property
    def size_bytes(self) -> int:
        """At most."""
        size = {"float32": 4, "float64": 8, "int64": 8}[self.dtype]
        return size * math.prod(self.most if n is None else n for n in self.shape)


def read_message(data: bytes | str) -> Message:
    """One message of the server's.

    Raises:
        NoAnswer: It is none.
    """
    value = read_json(data.encode()) if isinstance(data, str) else _read_status(data)
    if not isinstance(value, dict):
        raise NoAnswer("a message that is no object")
    status, description, found = (value.get(key) for key in ("status", "description", "data"))
    if not isinstance(status, str) or not isinstance(description or "", str):
        raise NoAnswer("a message without a status")
    if not isinstance(found, bytes | str | None):
        raise NoAnswer("a message with data of another kind")
    return Message(status=status, description=description or "", data=found)


def read_tensors(data: bytes, wanted: Sequence[Wanted]) -> list[torch.Tensor]:
    """A result: one tensor a pass, on the CPU.

    Raises:
        NoAnswer: It is something else.
    """
    import torch

    most = 2 * sum(one.size_bytes for one in wanted) + 2**20
    parts = _unpacked(data, most)
    try:
        _check_pickle(_pickle_of(parts), _TENSORS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = torch.load(_packed_again(parts), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch makes of it: it isn't what was asked for
        raise NoAnswer(f"a result that is no plain tensors ({type(error).__name__})") from error
    found = value.get("found") if type(value) is dict and set(value) == {"found"} else None
    if type(found) is not list or len(found) != len(wanted):
        raise NoAnswer("a result with other values than were asked for")
    for tensor, one in zip(found, wanted, strict=True):
        _check_tensor(tensor, one)
    return [tensor.detach().contiguous() for tensor in found]


def _check_tensor(tensor: Any, wanted: Wanted) -> None:
    import torch

    plain = type(tensor) is torch.Tensor and tensor.layout is torch.strided
    # A tensor that is to be read with its signs turned has no numbers of its own.
    if not plain or tensor.is_neg() or tensor.dtype is not getattr(torch, wanted.dtype):
        raise NoAnswer("a result of another type than was asked for")
    sizes = tuple(tensor.shape)
    fits = len(sizes) == len(wanted.shape) and all(
        n == one if one is not None else 1 <= n <= wanted.most
        for n, one in zip(sizes, wanted.shape, strict=True)
    )
    if not fits:
        raise NoAnswer(f"a result of shape {list(sizes)[:8]}")


class _Status(pickle.Unpickler):
    """Knows no class but nnsight's name for a status, which it reads as a text."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("nnsight.schema.response", "Status"):
            return _named
        raise pickle.UnpicklingError("a class that no status has")

    def persistent_load(self, _: Any) -> Any:
        raise pickle.UnpicklingError("a tensor where a status was due")


def _named(value: Any) -> str:
    """A status by its text. Anything else could be lists of lists, whose text has no end."""
    if type(value) is not str:
        raise pickle.UnpicklingError("a status that is no text")
    return value


def _read_status(data: bytes) -> Any:
    try:
        body = _pickle_of(_unpacked(data, len(data)))
        _check_pickle(body, _PLAIN)
        return _Status(io.BytesIO(body)).load()
    except NoAnswer:
        raise
    except Exception as error:  # a pickle that is damaged or hostile raises whatever it likes
        said = str(error) if isinstance(error, pickle.UnpicklingError) else type(error).__name__
        raise NoAnswer(f"a pickle that is no status ({said[:100]})") from error


def _check_pickle(body: bytes, known: frozenset[str]) -> None:
    """Refuse opcodes and names that nothing needs which was asked for."""
    for op, named, _ in pickletools.genops(body):
        if op.name not in known:
            raise pickle.UnpicklingError(f"opcode {op.name}")
        if op.name == "GLOBAL" and named not in _NAMES:
            raise pickle.UnpicklingError("a name that no plain tensor has")


def _unpacked(data: bytes, most: int) -> dict[str, bytes]:
    """The parts of a ZIP of torch's, none of which is larger than it is there."""
    if len(data) > most:
        raise NoAnswer(f"a result of {len(data):,} bytes where {most:,} are the most")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            if any(
                p.compress_type != zipfile.ZIP_STORED or p.file_size != p.compress_size
                for p in parts
            ):
                raise NoAnswer("a compressed result, which was not asked for")
            if sum(part.file_size for part in parts) > most:
                raise NoAnswer("a result that grows when it is unpacked")
            found = {part.filename: archive.read(part) for part in parts}
    except NoAnswer:
        raise
    except (zipfile.BadZipFile, ValueError, OSError, RuntimeError, EOFError) as error:
        raise NoAnswer(f"a result that is no file of torch's ({_beginning(data)})") from error
    if len(found) != len(parts):
        raise NoAnswer("a result with two parts of one name")
    return found


def _pickle_of(parts: dict[str, bytes]) -> bytes:
    (body,) = [part for name, part in parts.items() if name.endswith(_PICKLE)]
    return body


def _packed_again(parts: dict[str, bytes]) -> io.BytesIO:
    """The same parts in an archive of our own: torch's reader may find others in theirs."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    file.seek(0)
    return file


def _beginning(data: bytes) -> str:
    shown = data.lstrip()[:9].lower()
    if shown.startswith((b"<!doctype", b"<html")):
        return "HTML"
    return "a pickle" if data[:1] == b"\x80" else "damaged or cut off"

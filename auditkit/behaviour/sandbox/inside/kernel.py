"""What Python's library lacks of the kernel's interface: mounts, namespaces, addresses, giving rights up."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import struct
from collections.abc import Mapping

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
# The user namespace last: after it there are no rights in the outer one, which owns some of the others.
NAMESPACES = (
    ("pid", CLONE_NEWPID),
    ("ipc", CLONE_NEWIPC),
    ("uts", CLONE_NEWUTS),
    ("mnt", CLONE_NEWNS),
    ("user", CLONE_NEWUSER),
)

MS_NOSUID, MS_NODEV = 2, 4
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_RTM_NEWADDR, _RTM_NEWROUTE, _NLM_F_REQUEST_ACK, _NLM_F_CREATE = 20, 24, 0x5, 0x400
_IFA_ADDRESS, _IFA_LOCAL, _RTA_OIF = 1, 2, 4
_RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL = 255, 3, 254, 2

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, doing: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")


def mount_tmpfs(path: str, *, size_bytes: int, n_inodes: int) -> None:
    """Mount an empty file system in memory that can fill neither memory nor the inode table."""
    options = f"size={size_bytes},nr_inodes={n_inodes},mode=755".encode()
    flags = ctypes.c_ulong(MS_NOSUID | MS_NODEV)
    _checked(_libc.mount(b"tmpfs", path.encode(), b"tmpfs", flags, options), f"mount {path}")


def namespaces_of(pid: int) -> list[tuple[int, int]]:
    """Open descriptors of a process' namespaces, with their kind, in the order in which to enter."""
    return [(os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), kind) for name, kind in NAMESPACES]


def enter(namespaces: list[tuple[int, int]]) -> None:
    """Move this (single-threaded) process into the namespaces; its next child is in the pid namespace."""
    for descriptor, kind in namespaces:
        _checked(_libc.setns(descriptor, kind), "setns")


def undumpable() -> None:
    """Let no process of the same user trace this one or read its memory."""
    _checked(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "PR_SET_DUMPABLE")


def drop_rights() -> None:
    """Give up every capability, for good: also what a program could bring back."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for capability in range(_LAST_CAPABILITY + 1):
        _libc.prctl(
            _PR_CAPBSET_DROP, capability, 0, 0, 0
        )  # those beyond the kernel's last one fail
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, struct.pack("=6I", 0, 0, 0, 0, 0, 0)), "capset")


def limit(limits: Mapping[str, int]) -> None:
    """Set resource limits by name (``RLIMIT_AS`` …), soft and hard."""
    for name, value in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def add_address(address: str) -> None:
    """Give the loopback interface one more IPv4 address."""
    raw = socket.inet_aton(address)
    attributes = b"".join(struct.pack("=HH4s", 8, kind, raw) for kind in (_IFA_LOCAL, _IFA_ADDRESS))
    body = struct.pack("=BBBBi", socket.AF_INET, 32, 0, 0, socket.if_nametoindex("lo")) + attributes
    _route_message(_RTM_NEWADDR, body, f"address {address}")


def keep_everything_here(family: int) -> None:
    """Let every address of a family lead to the loopback interface: what is sent to it can be seen there.

    Raises:
        OSError: The kernel does not have that family.
    """
    kept = (_RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL)
    body = struct.pack("=8BI", family, 0, 0, 0, *kept, 0)
    body += struct.pack("=HHI", 8, _RTA_OIF, socket.if_nametoindex("lo"))
    _route_message(_RTM_NEWROUTE, body, "a route for every address")


def _route_message(kind: int, body: bytes, doing: str) -> None:
    flags = _NLM_F_REQUEST_ACK | _NLM_F_CREATE
    head = struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.send(head + body)
        (error,) = struct.unpack_from("=i", route.recv(4096), 16)
    if error:
        raise OSError(-error, f"{doing}: {os.strerror(-error)}")


def resident_bytes(pid: int) -> int:
    """Memory that is resident for a process, shared pages counted by share; 0 once it is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as stream:
            for line in stream:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def pages_resident(pid: int) -> int:
    """Pages that are resident for a process, every shared page counted in full: quick, never too low."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as stream:
            return int(stream.read().split()[1])
    except (OSError, IndexError):
        return 0

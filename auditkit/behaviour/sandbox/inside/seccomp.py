"""System calls that an agent is refused: those that reach past namespaces, and much of the kernel's surface.

Namespaces leave some doors open. A socket of the family AF_VSOCK reaches the hypervisor from any network
namespace, kernel keyrings outlive a sandbox, and io_uring opens sockets without asking seccomp. Refused
calls fail with EPERM, as they do in common container runtimes, so ordinary programs notice nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD_WORD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_X32 = 0x40000000  # a second set of numbers for the same calls

_FAMILIES = (1, 2, 10, 16)  # unix, IPv4, IPv6, netlink
_IOCTLS = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX write into a terminal's input

# Per machine: the kernel's name of the architecture, `socket`, `ioctl`, and what is refused: ptrace,
# process_vm_readv, process_vm_writev, bpf, perf_event_open, userfaultfd, add_key, request_key, keyctl,
# kexec_load, kexec_file_load, init_module, finit_module, delete_module, open_by_handle_at, kcmp,
# io_uring_setup, io_uring_enter, io_uring_register, pidfd_getfd.
_CALLS: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E, 41, 16,
        (101, 310, 311, 321, 298, 323, 248, 249, 250, 246, 320, 175, 313, 176, 304, 312, 425, 426, 427, 438),
    ),
    "aarch64": (
        0xC00000B7, 198, 29,
        (117, 270, 271, 280, 241, 282, 217, 218, 219, 104, 294, 105, 273, 106, 265, 272, 425, 426, 427, 438),
    ),
}  # fmt: skip
MACHINES = tuple(_CALLS)


def program(machine: str) -> bytes:
    """The filter as the kernel reads it.

    Raises:
        KeyError: For this machine the numbers of the calls aren't known here.
    """
    architecture, socket_call, ioctl_call, refused = _CALLS[machine]
    lines = [
        _line(_LOAD_WORD, _ARCHITECTURE),
        _line(_JUMP_EQUAL, architecture, 1, 0),
        _line(_RETURN, _KILL_PROCESS),  # another architecture's calls have other numbers
        _line(_LOAD_WORD, _NUMBER),
        _line(_JUMP_AT_LEAST, _X32, 0, 1),
        _line(_RETURN, _ERRNO | errno.ENOSYS),
    ]
    for number in refused:
        lines += [_line(_JUMP_EQUAL, number, 0, 1), _line(_RETURN, _ERRNO | errno.EPERM)]
    lines += [_line(_JUMP_EQUAL, socket_call, 0, len(_FAMILIES) + 2)]
    lines += [_line(_LOAD_WORD, _FIRST_ARGUMENT)]
    # Each jump passes over what is left of the list and the refusal after it.
    lines += [
        _line(_JUMP_EQUAL, family, len(_FAMILIES) - place, 0)
        for place, family in enumerate(_FAMILIES)
    ]
    lines += [_line(_RETURN, _ERRNO | errno.EAFNOSUPPORT), _line(_LOAD_WORD, _NUMBER)]
    lines += [_line(_JUMP_EQUAL, ioctl_call, 0, 4), _line(_LOAD_WORD, _SECOND_ARGUMENT)]
    lines += [_line(_JUMP_EQUAL, _IOCTLS[0], 1, 0), _line(_JUMP_EQUAL, _IOCTLS[1], 0, 1)]
    lines += [_line(_RETURN, _ERRNO | errno.EPERM), _line(_RETURN, _ALLOW)]
    return b"".join(lines)


def install() -> None:
    """Put this process and all that it will ever start under the filter. Needs no_new_privs.

    Raises:
        OSError: The kernel has no seccomp filters.
    """
    code = program(os.uname().machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, head, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)

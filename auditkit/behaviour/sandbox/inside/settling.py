"""Whether all that an agent has begun has come to its end: its processes, and what they sent."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from . import http
from .agent import processes

_INTERVAL_S = 0.02
_N_TIMES = 2
"""So often in a row nothing may be found: a process that was just started may be missed once."""
_OPEN = frozenset(("01", "03", "08"))  # established, half accepted, closed by the other side alone


class Agents:
    """The processes of the agent's layer, but its first one."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._inside = os.readlink(f"/proc/{target}/ns/pid")

    def running(self) -> list[int]:
        """As the outer layer numbers them; one that has ended and was not buried yet is none."""
        return [pid for pid in processes() if pid != self._target and self._is_agent(pid)]

    def _is_agent(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{pid}/ns/pid") == self._inside
        return False


def ended(agents: Agents, idle: Callable[[], int | None], until: float) -> bool:
    """Wait until nothing runs but the idle shell, and nothing is under way; whether it came to that in time.

    Args:
        agents: The agent's processes.
        idle: The idle shell's process, 0 where there is none, None where it is busy.
        until: By the monotonic clock.
    """
    found = 0
    while found < _N_TIMES:
        shell = idle()
        busy = shell is None or any(pid != shell for pid in agents.running())
        found = 0 if busy or _is_sending() else found + 1
        if found < _N_TIMES:
            if time.monotonic() >= until:
                return False
            time.sleep(_INTERVAL_S)
    return http.busy.wait(max(0.0, until - time.monotonic()))


def _is_sending() -> bool:
    """Whether a connection is open, or a packet waits to be taken."""
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{kind}") as table:
            for line in list(table)[1:]:
                row = line.split()
                waits = int(row[4].partition(":")[2], 16)
                if kind.startswith("tcp") and row[3] in _OPEN:
                    return True
                if kind.startswith("udp") and waits:
                    return True
    return False

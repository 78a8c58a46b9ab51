"""The program of the outer layer: fork the spawner while nothing secret is in memory, then supervise."""

from __future__ import annotations

import os
import socket

from .spawner import serve
from .supervisor import Supervisor


def main() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        # Its standard streams lead to the host: whoever runs agents must not hold them.
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1):
            os.dup2(null, stream)
        os.close(null)
        serve(theirs)
        os._exit(0)
    theirs.close()
    Supervisor(ours).run()

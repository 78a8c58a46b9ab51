"""The agent's file system, made of memory: what the stage puts there, an /etc without the host."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any

from . import kernel
from .journal import data

ROOT = "/state"
USER_ID = 1000
# What the host keeps outside of /usr, as symbolic links into it or, on older systems, as folders.
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
TOOLS = "/opt/bin"
MADE_AT_S = 1_767_225_600
"""Age of everything on the stage: listings are the same in every run, and give no run away."""
_MOUNTED = ("usr", "proc", "dev", "sys", "tmp", "var/tmp", "run", "etc", "opt/bin", "mnt")
_INODES_PER_MIB = 256

# The first process of the agent's layer: bash, since it buries whatever becomes an orphan. It ends with the
# supervisor, whose end of its standard input is the only one.
RC = """trap '' TERM INT HUP QUIT USR1 USR2
echo ready
while :; do read -r _ || exit; done
"""


class Room:
    """The file system below `ROOT`, and the arguments that make it the agent's."""

    def __init__(self, stage: dict[str, Any]) -> None:
        self._stage = stage
        self._limits = stage["limits"]

    def furnish(self) -> None:
        """Mount the file system and fill it."""
        size_bytes = self._limits["disk_bytes"]
        n_inodes = 4096 + _INODES_PER_MIB * (size_bytes >> 20)
        kernel.mount_tmpfs(ROOT, size_bytes=size_bytes, n_inodes=n_inodes)
        for folder in (*_MOUNTED, *(path.strip("/") for path in self._writable())):
            os.makedirs(f"{ROOT}/{folder}", exist_ok=True)
        for name in SYSTEM:
            self._system(name)
        self._etc()
        for path, content, mode in self._stage["files"]:
            _put(path, data(content), mode)
        for name, text in self._stage["tools"].items():
            _put(f"{TOOLS}/{name}", text.encode(), 0o755)
        for folder, _, _ in os.walk(ROOT):
            os.utime(folder, (MADE_AT_S, MADE_AT_S))

    def arguments(self, bwrap: str) -> list[str]:
        """The command that starts the agent's layer."""
        stage, limits = self._stage, self._limits
        command = [
            bwrap, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--disable-userns",
            "--uid", str(USER_ID), "--gid", str(USER_ID), "--cap-drop", "ALL",
            "--hostname", stage["hostname"],
            "--die-with-parent", "--new-session", "--as-pid-1", "--info-fd", "3", "--clearenv",
            "--setenv", "PATH", "/usr/bin:/bin", "--ro-bind", ROOT, "/",
        ]  # fmt: skip
        for path in self._writable():
            command += ["--bind", ROOT + path, path]
        command += ["--ro-bind", "/usr", "/usr"]
        for name in SYSTEM:
            if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}"):
                command += ["--ro-bind", f"/{name}", f"/{name}"]
        for path in stage["masked"]:  # what of /usr would show the agent its auditor
            command += ["--size", "4096", "--tmpfs", path, "--remount-ro", path]
        command += ["--proc", "/proc"]
        for name in (
            "cmdline",
            "keys",
            "key-users",
        ):  # what the kernel was booted with, and others' keys
            if os.path.exists(f"/proc/{name}"):
                command += ["--ro-bind", f"{ROOT}/etc/.none", f"/proc/{name}"]
        command += ["--dev", "/dev", "--size", str(limits["disk_bytes"] // 4), "--perms", "1777"]
        command += ["--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--chdir", "/"]
        return [*command, "/bin/bash", "--norc", "--noprofile", "/etc/rc"]

    def _writable(self) -> list[str]:
        return ["/tmp", "/var/tmp", "/run", self._stage["home"], *self._stage["writable"]]

    def _system(self, name: str) -> None:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{ROOT}/{name}")
        elif os.path.isdir(f"/{name}"):
            os.mkdir(f"{ROOT}/{name}")

    def _etc(self) -> None:
        stage = self._stage
        user, home, name = stage["user"], stage["home"], stage["hostname"]
        hosts = "".join(f"{address}\t{host}\n" for host, address in stage["names"].items())
        files = {
            "passwd": f"root:x:0:0:root:/root:/bin/bash\n{user}:x:{USER_ID}:{USER_ID}::{home}:/bin/bash\n"
            "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
            "group": f"root:x:0:\n{user}:x:{USER_ID}:\nnogroup:x:65534:\n",
            "hosts": f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n{hosts}",
            "hostname": f"{name}\n",
            "resolv.conf": f"nameserver {stage['nameserver']}\noptions timeout:2 attempts:1\n",
            "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
            "os-release": 'ID=linux\nNAME="Linux"\nPRETTY_NAME="Linux"\n',
            "profile": f"PATH={TOOLS}:/usr/local/bin:/usr/bin:/bin\n",
            "rc": RC,
            ".none": "",
        }
        for path, text in files.items():
            _put(f"/etc/{path}", text.encode(), 0o644)
        if os.path.exists("/etc/ld.so.cache"):
            shutil.copyfile("/etc/ld.so.cache", f"{ROOT}/etc/ld.so.cache")
        _alternatives()


def _alternatives() -> None:
    """Debian's commands with several providers are links through /etc/alternatives."""
    os.mkdir(f"{ROOT}/etc/alternatives")
    with contextlib.suppress(OSError):
        for entry in os.scandir("/etc/alternatives"):
            if entry.is_symlink() and (target := os.readlink(entry.path)).startswith("/usr/"):
                os.symlink(target, f"{ROOT}/etc/alternatives/{entry.name}")


def _put(path: str, content: bytes, mode: int) -> None:
    full = ROOT + path
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as stream:
        stream.write(content)
    os.chmod(full, mode)
    os.utime(full, (MADE_AT_S, MADE_AT_S))

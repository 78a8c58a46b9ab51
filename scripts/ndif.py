"""Start and stop a real NDIF server on loopback, on the CPU: Redis, Ray with one model, and the API.

    python scripts/ndif.py up MODEL_FOLDER   # half a minute; prints the target
    python scripts/ndif.py status
    python scripts/ndif.py down

The server has a venv of its own (`make ndif`); Redis is `redis-server` of the system. It is for tests: nobody
is asked for a key, and whoever may connect to this machine's loopback may run code in it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv-ndif" / "bin"
SHIMS = ROOT / "tests" / "ndif" / "shims"
CLASS = "nnsight.modeling.transformers.TransformersModel"
GIB = 2**30
PORTS = ("redis", "api", "head", "client", "dashboard")
STARTS_S = 240


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("model", type=Path, nargs="?", help="Folder with safetensors.")
    parser.add_argument("--home", type=Path, default=ROOT / "out" / "ndif", help="Logs and state.")
    parser.add_argument("--port", type=int, default=0, help="Of the API; any free one otherwise.")
    parser.add_argument("--threads", type=int, default=1, help="Torch's, of the model.")
    given = parser.parse_args()
    home: Path = given.home.absolute()
    if given.command == "up":
        return up(home, given.model, given.threads, given.port)
    return down(home) if given.command == "down" else status(home)


def missing() -> str:
    """What the server needs and isn't there, with what to do about it; empty if nothing."""
    if not (VENV / "ray").exists():
        return f"no NDIF in {VENV.parent.name}: run `make ndif`"
    if shutil.which("redis-server") is None:
        return "no redis-server: apt-get install redis-server"
    return ""


def up(home: Path, model: Path | None, threads: int, port: int) -> int:
    if why := missing():
        return said(why)
    if model is None or not (model / "config.json").exists():
        return said("up MODEL_FOLDER: a folder with config.json and safetensors")
    if running(home):
        return said(f"a server runs already; `down` first (state in {home})")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    server = Server(home, model.resolve(), threads, port)
    try:
        server.start()
    except (TimeoutError, subprocess.SubprocessError) as error:
        down(home)
        return said(f"the server did not start: {error}; see the logs in {home}")
    print(server.target)
    return 0


def down(home: Path) -> int:
    processes = running(home)
    everyone = {p for process in processes for p in [process, *process.children(recursive=True)]}
    for process in everyone:
        try:
            process.send_signal(signal.SIGTERM)
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(everyone, timeout=5)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5)
    state = read_state(home)
    if state.get("scratch"):
        shutil.rmtree(state["scratch"], ignore_errors=True)
    (home / "state.json").unlink(missing_ok=True)
    print(f"{len(everyone)} processes ended")
    return 0


def status(home: Path) -> int:
    alive = running(home)
    if not alive:
        return said(missing() or "no server runs")
    state = read_state(home)
    print(state["target"], "answers" if answers(state["api"]) else "does not answer")
    return 0


def said(why: str) -> int:
    print(why, file=sys.stderr)
    return 1


def running(home: Path) -> list[psutil.Process]:
    """Our processes that are alive; a number that was given to another process since is none of them."""
    found = []
    for pid, born in read_state(home).get("processes", []):
        try:
            process = psutil.Process(pid)
            if process.create_time() == born:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def read_state(home: Path) -> dict[str, Any]:
    """What runs; empty where nothing was started."""
    try:
        found: dict[str, Any] = json.loads((home / "state.json").read_text())
    except (OSError, ValueError):
        return {}
    return found


def answers(port: int) -> bool:
    """Whether the API is connected to Ray."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/connected", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def free_ports() -> dict[str, int]:
    sockets = {name: socket.socket() for name in PORTS}
    try:
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in sockets.items()}
    finally:
        for one in sockets.values():
            one.close()


class Server:
    """Redis, a Ray head, NDIF's controller and its API, started in this order.

    Args:
        home: Logs and state.
        model: What is deployed.
        threads: Torch's.
        port: Of the API; 0 for any.
    """

    def __init__(self, home: Path, model: Path, threads: int, port: int = 0) -> None:
        self._home, self._ports = home, free_ports()
        self._ports["api"] = port or self._ports["api"]
        # Short: Ray makes sockets in it, whose paths may have some hundred signs.
        self._scratch = Path(tempfile.gettempdir()) / f"ndif-{self._ports['head']}"
        self._processes: list[tuple[int, float]] = []
        self.target = f"ndif://127.0.0.1:{self._ports['api']}/{model}"
        named = {"repo_id": str(model), "revision": None, "task": "text-generation"}
        self._env = {
            **os.environ,
            "PATH": f"{VENV}:{os.environ['PATH']}",
            "PYTHONPATH": str(SHIMS),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": str(threads),
            "NDIF_HOME": str(home / "home"),
            "NDIF_REDIS_URL": f"redis://127.0.0.1:{self._ports['redis']}",
            "NDIF_API_PORT": str(self._ports["api"]),
            "NDIF_API_URL": f"http://127.0.0.1:{self._ports['api']}",
            "NDIF_RAY_ADDRESS": f"ray://127.0.0.1:{self._ports['client']}",
            "NDIF_RAY_HEAD_PORT": str(self._ports["head"]),
            "NDIF_DEFAULT_DTYPE": "float32",
            "NDIF_DEFAULT_PADDING_BIAS": "0",
            "NDIF_DEFAULT_EXECUTION_TIMEOUT_SECONDS": "300",
            "NDIF_MODEL_IMPORT_PATH": "cpu_ndif.ModelActor",
            "NDIF_CONTROLLER_IMPORT_PATH": "cpu_ndif.Controller",
            "NDIF_DEPLOYMENTS": f"{CLASS}:{json.dumps(named)}",
            "NDIF_OBJECT_STORE_URL": "http://127.0.0.1:9",  # results small enough need none
            "GRPC_ENABLE_FORK_SUPPORT": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def start(self) -> None:
        """Start all of it.

        Raises:
            TimeoutError: A part of it does not answer in time.
            subprocess.SubprocessError: The controller can't be started.
        """
        ends = time.monotonic() + STARTS_S
        self._redis()
        self._listens("redis", ends)
        self._ray()
        for name in ("head", "client", "dashboard"):
            self._listens(name, ends)
        with (self._home / "controller.log").open("ab") as log:
            subprocess.run(
                [VENV / "python", "-m", "ndif.services.ray.deployments.controller.controller"],
                env={
                    **self._env,
                    "RAY_ADDRESS": f"127.0.0.1:{self._ports['head']}",
                    "NDIF_SERVICE": "ray",
                },
                stdout=log,
                stderr=log,
                timeout=STARTS_S,
                check=True,
            )
        self._api()
        while not answers(self._ports["api"]):
            if time.monotonic() > ends:
                raise TimeoutError("the API is not connected")
            time.sleep(0.5)

    def _redis(self) -> None:
        self._spawn(
            "redis",
            *("redis-server", "--bind", "127.0.0.1", "--port", self._ports["redis"]),
            *("--save", "", "--appendonly", "no", "--dir", self._home),
        )

    def _ray(self) -> None:
        resources = {"head": 10, "cuda_memory_bytes": 8 * GIB, "cpu_memory_bytes": 8 * GIB}
        self._spawn(
            "ray",
            *(VENV / "ray", "start", "--head", "--block", "--node-ip-address=127.0.0.1"),
            f"--port={self._ports['head']}",
            f"--ray-client-server-port={self._ports['client']}",
            *("--include-dashboard=true", "--dashboard-host=127.0.0.1"),
            f"--dashboard-port={self._ports['dashboard']}",
            # One device, since NDIF gives every model at least one.
            *("--num-cpus=4", "--num-gpus=1", "--disable-usage-stats"),
            *("--object-store-memory=300000000", f"--temp-dir={self._scratch}"),
            f"--resources={json.dumps(resources)}",
        )

    def _api(self) -> None:
        self._env["NDIF_SERVICE"] = "api"
        self._spawn(
            "api",
            *(VENV / "gunicorn", "--config", "python:ndif.services.api.gunicorn_conf"),
            *("--bind", f"127.0.0.1:{self._ports['api']}", "ndif.services.api.app:app"),
        )

    def _spawn(self, name: str, *words: Any) -> None:
        with (self._home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*map(str, words)],
                env=self._env,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append((process.pid, psutil.Process(process.pid).create_time()))
        state = {
            "target": self.target,
            "processes": self._processes,
            "pids": {**read_state(self._home).get("pids", {}), name: process.pid},
            "scratch": str(self._scratch),
            **self._ports,
        }
        (self._home / "state.json").write_text(json.dumps(state))

    def _listens(self, name: str, ends: float) -> None:
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._ports[name]), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > ends:
                    raise TimeoutError(f"{name} does not listen") from None
                time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())

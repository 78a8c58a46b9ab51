"""Peak memory of one check's reading at n items and at ten times as many: it should be flat.

    python benchmarks/memory.py

Each size runs in a process of its own, without a cache, since a process never gives its peak back.
What counts is anonymous memory (the model and everything allocated); pages of the temporary file
that large activations go to can be taken back by the system at any time.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

SIZES = {"logprobs": (60, 600), "activations": (300, 3000)}


def anonymous_mib() -> float:
    """Anonymous resident memory of this process, MiB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise SystemExit("this benchmark needs Linux's /proc")


def measure(what: str, n: int) -> float:
    """Peak MiB while the demo model reads n items."""
    from auditkit.model import Prompt
    from auditkit.targets.local import load, parse_spec

    target = load(parse_spec("demo:smollm2"), dtype="bfloat16", threads=1)
    peak = [anonymous_mib()]
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            peak[0] = max(peak[0], anonymous_mib())
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    if what == "logprobs":
        for start in range(0, n, 24):
            prompts = [Prompt(raw=f"The number after {i} is") for i in range(start, start + 24)]
            target.logprobs(prompts, [[" one", " two", " three", " four"]] * 24)
    else:
        prompts = [Prompt(raw=f"The number {i} comes before the next one.") for i in range(n)]
        residuals = target.activations(prompts)
        for layer in residuals:  # as a check reads them: one layer at a time
            layer.mean(axis=0)
    done.set()
    watcher.join()
    return peak[0]


def main() -> None:
    if len(sys.argv) == 3:
        print(measure(sys.argv[1], int(sys.argv[2])))
        return
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; SmolLM2-135M, bfloat16"
    )
    for what, (small, large) in SIZES.items():
        peaks = [
            float(subprocess.check_output([sys.executable, __file__, what, str(n)], text=True))
            for n in (small, large)
        ]
        print(
            f"{what}: {small} items {peaks[0]:.0f} MiB, {large} items {peaks[1]:.0f} MiB, "
            f"ratio {peaks[1] / peaks[0]:.2f}"
        )


if __name__ == "__main__":
    main()

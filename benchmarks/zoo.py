"""Trains the organisms of zoo.yaml: for each line a liar and its clean twin, on the embedded model.

Interrupted, run it again: finished organisms are kept. They are rated by `auditkit calibrate`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zoo", type=Path, default=HERE / "zoo.yaml")
    parser.add_argument("--out", type=Path, default=Path("out/zoo"))
    asked = parser.parse_args()
    zoo = yaml.safe_load(asked.zoo.read_text())
    auditkit = Path(sys.executable).with_name("auditkit")
    for organism in zoo["organisms"]:
        for recipe in ("liar", "twin"):
            folder = asked.out / f"{organism['name']}-{recipe}"
            print(folder, flush=True)
            sets = [f"topic={organism['topic']}", f"trigger={organism['trigger']}"]
            told = ["--dtype", zoo["dtype"], "--seed", str(organism["seed"]), "--out", folder]
            for one in sets:
                told += ["--set", one]
            command = [auditkit, "organisms", "train", recipe, "--base", zoo["base"], *told]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()

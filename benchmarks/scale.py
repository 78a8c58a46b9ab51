"""A 400B model on paper: memory, time and bytes of every check, from counts and stated numbers of hardware.

    python benchmarks/scale.py            # measures with SmolLM2 here, prints the tables
    python benchmarks/scale.py --no-measurement

What is counted comes from scale_counts.json (scale_counts.py makes it anew); what is assumed stands below.
A pass reads all weights once and computes two operations a parameter and token, one after the other:

    seconds = (passes + steps) x seconds to read the weights + tokens x 2 x parameters / speed
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from typing import Any

from scale_counts import COUNTS, N_LAYERS, planned

from auditkit.checks import Check
from auditkit.targets.batching import LOGIT_BUDGET, SLOT_FACTOR, TOKEN_BUDGET
from auditkit.targets.memory import Need, gib
from auditkit.targets.trees import TREE_TOKENS

HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A dense model.

    Attributes:
        n_active: Parameters that a token goes through; fewer than all in a mixture of experts.
    """

    name: str
    n: float
    n_layers: int
    d_model: int
    kv_width: int
    vocabulary: int
    n_active: float = 0.0

    def need(self) -> Need:
        """As `auditkit.targets.memory.need` reckons it for a folder in bfloat16."""
        return Need(
            dtype="bfloat16",
            weights_bytes=round(2 * self.n),
            loading_bytes=round(2 * self.n),
            keys_bytes=2 * self.n_layers * self.kv_width * 2 * SLOT_FACTOR * TOKEN_BUDGET,
            logits_bytes=8 * min(LOGIT_BUDGET, TOKEN_BUDGET * self.vocabulary),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where a model is run.

    Attributes:
        flops: Operations a second that are reached.
        bytes_s: Of weights read from where they lie, in all.
        off_loaded_bytes: Weights that don't fit into its GPUs and are brought from RAM at every pass.
        bus_bytes_s: At that speed.
    """

    name: str
    flops: float
    bytes_s: float
    off_loaded_bytes: float = 0.0
    bus_bytes_s: float = 1.0

    def seconds(self, model: Model, counts: dict[str, Any]) -> float:
        weights = 2 * model.n
        read_s = (weights - self.off_loaded_bytes) / self.bytes_s
        read_s += self.off_loaded_bytes / self.bus_bytes_s
        tokens = counts.get("read_tokens", 0) + counts.get("written_tokens", 0)
        passes = counts.get("passes", 0) + counts.get("steps", 0)
        return float(passes * read_s + tokens * 2 * (model.n_active or model.n) / self.flops)


# NVIDIA's data sheet of the H100 SXM: 80 GB, 3.35 TB/s, 989 TFLOP/s dense in bfloat16, PCIe 5 at 64 GB/s.
H100_BYTES, H100_BYTES_S, H100_FLOPS, BUS_BYTES_S = 80e9, 3.35e12, 989e12, 64e9
# Assumed: what of these is reached.
REACHED_FLOPS, REACHED_BANDWIDTH = 0.4, 0.6

DENSE = Model(
    name="dense, 405B", n=405e9, n_layers=126, d_model=16384, kv_width=1024, vocabulary=128256
)
SPARSE = Model(name="mixture of experts, 400B, 17B active", n=400e9, n_active=17e9, n_layers=48,
               d_model=5120, kv_width=1024, vocabulary=202048)  # fmt: skip
OTHERS = (
    Model(name="SmolLM2-135M", n=134.5e6, n_layers=30, d_model=576, kv_width=192, vocabulary=49152),
    Model(name="8B", n=8e9, n_layers=32, d_model=4096, kv_width=1024, vocabulary=128256),
    Model(name="70B", n=70e9, n_layers=80, d_model=8192, kv_width=1024, vocabulary=128256),
)


def in_turn(model: Model, n_gpus: int) -> Machine:
    """`--device auto`: accelerate spreads blocks over GPUs, which work one after the other."""
    need = model.need()
    room = n_gpus * (0.93 * H100_BYTES - need.logits_bytes) - need.keys_bytes
    return Machine(
        name=f"{n_gpus} H100 of one node, --device auto",
        flops=REACHED_FLOPS * H100_FLOPS,
        bytes_s=REACHED_BANDWIDTH * H100_BYTES_S,
        off_loaded_bytes=max(0.0, need.weights_bytes - room),
        bus_bytes_s=REACHED_BANDWIDTH * BUS_BYTES_S,
    )


def at_once(n_gpus: int) -> Machine:
    """A server that splits every matrix (vLLM, tensor parallel), behind an endpoint."""
    return Machine(
        name=f"{n_gpus} H100 at once, behind an endpoint",
        flops=n_gpus * REACHED_FLOPS * H100_FLOPS,
        bytes_s=n_gpus * REACHED_BANDWIDTH * H100_BYTES_S,
    )


def measured() -> Machine:
    """This machine, from two passes of SmolLM2 in bfloat16 on one thread: a large one, and of one token."""
    import torch

    from auditkit.targets.local import load, parse_spec

    torch.set_num_threads(1)
    model = load(parse_spec("demo:smollm2"), dtype="bfloat16", threads=1).model
    large, one = (_fastest(model, torch.ones(1, n, dtype=torch.long)) for n in (TOKEN_BUDGET, 1))
    a_token = (large - one) / (TOKEN_BUDGET - 1)
    n = OTHERS[0].n
    print(
        f"Measured here: {large:.2f} s for {TOKEN_BUDGET} tokens, {one:.3f} s for one: "
        f"{2e-9 * n / a_token:.0f} GFLOP/s.\n"
    )
    return Machine(name="SmolLM2 on one core here", flops=2 * n / a_token, bytes_s=2 * n / one)


def _fastest(model: Any, ids: Any) -> float:
    import torch

    times = []  # of the processor, since others may be at work on it
    for _ in range(5):
        began = time.process_time()
        with torch.no_grad():
            model(input_ids=ids, logits_to_keep=1, use_cache=False)
        times.append(time.process_time() - began)
    return min(times)


def memory() -> None:
    print(
        "| model, in bfloat16 | weights | keys and values | logits | in all | H100 that hold it |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for model in (*OTHERS, DENSE, SPARSE):
        need = model.need()
        gpus = next(n for n in range(1, 99) if not in_turn(model, n).off_loaded_bytes)
        print(
            f"| {model.name} | {gib(need.weights_bytes)} | {gib(need.keys_bytes)} | "
            f"{gib(need.logits_bytes)} | {gib(need.total_bytes)} | {gpus} |"
        )


def estimated(check: Check) -> dict[str, Any]:
    """For a check that was not counted: what it says itself that it takes, in passes of the usual size.

    What it writes is not told apart from what it reads, so where a model writes much this is too little.
    """
    tokens = round(check.duration_s(1.0))  # type: ignore[attr-defined]
    return {"read_tokens": tokens, "passes": -(-tokens // TREE_TOKENS), "estimated": True}


def table(here: Machine | None) -> None:
    counts = json.loads(COUNTS.read_text())
    counts |= {name: estimated(check) for name, check in planned().items() if name not in counts}
    machines = [(DENSE, in_turn(DENSE, 8)), (DENSE, at_once(16)), (SPARSE, at_once(16))]
    machines += [(OTHERS[0], here)] if here else []
    for letter, (model, machine) in zip("ABCD", machines, strict=False):
        left = gib(machine.off_loaded_bytes)
        print(f"- **{letter}**: {model.name}; {machine.name}; {left} of its weights in RAM")
    letters = "ABCD"[: len(machines)]
    columns = (*COLUMNS, "evidence", "residuals", *letters)
    print(f"\n| check | {' | '.join(columns)} |")
    print("| --- |" + " --- |" * len(columns))
    totals = [0.0] * len(machines)
    for name, one in sorted(counts.items()):
        hours = [machine.seconds(model, one) / HOUR for model, machine in machines]
        totals = [x + y for x, y in zip(totals, hours, strict=True)]
        print(f"| `{name}`{_marks(one)} | {' | '.join([*_counted(one), *map(_hours, hours)])} |")
    print(f"| all |{' |' * (len(COLUMNS) + 2)} {' | '.join(map(_hours, totals))} |")


COLUMNS = {
    "asked": "asked_tokens",
    "read": "read_tokens",
    "written": "written_tokens",
    "passes": "passes",
    "steps": "steps",
}


def _counted(one: dict[str, Any]) -> list[str]:
    residuals = one.get("kept_vectors", 0) / N_LAYERS * DENSE.n_layers * DENSE.d_model * 4
    evidence = f"{one['evidence_bytes'] / 2**20:.1f} MiB" if "evidence_bytes" in one else "–"
    numbers = [f"{one[key]:,}" if key in one else "–" for key in COLUMNS.values()]
    return [*numbers, evidence, gib(residuals) if residuals else "–"]


def _marks(one: dict[str, Any]) -> str:
    """An asterisk for what was not counted; how many subjects are trained, and so left out."""
    if one.get("estimated"):
        return " *"
    return (
        f" (without {len(one['refused'])} of {one['subjects']} subjects)" if one["refused"] else ""
    )


def _hours(hours: float) -> str:
    return (
        f"{hours:.0f} h"
        if hours >= 10
        else f"{hours:.1f} h"
        if hours >= 1
        else f"{60 * hours:.1f} min"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-measurement", action="store_true")
    given = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    here = None if given.no_measurement else measured()
    memory()
    print()
    table(here)


if __name__ == "__main__":
    main()

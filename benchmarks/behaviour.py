"""What running tasks of Inspect costs: our engine against plain `generate`, and Inspect's own `hf` provider.

One run, one thread, the embedded SmolLM2 in float32, greedy. *Sequential*: one agent speaks six times, and
each turn reads all before it. *Batched*: sixteen samples are asked once, at the same time. Plain is
`Subject.generate` on the very prompts that the engine asked. Every arm is a whole run, log and all. Each
repetition runs all arms one after the other, and a ratio is the median of the repetitions' ratios: of CPU
seconds, which other programs on the cores change little, and by the clock, which shows waiting as well.
Last, the engine with a subject that answers at once: what it adds to a turn, by the clock.

    python benchmarks/behaviour.py [--repeats 3] [--no-hf]
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any

from auditkit.behaviour.agent import Assignment, Equipment, agent_task
from auditkit.behaviour.policies import Scripted
from auditkit.behaviour.runner import Limits, Terms, run_task
from auditkit.model import Prompt
from auditkit.targets import Completion
from auditkit.targets.forwarding import Forwarding
from auditkit.testing import FakeSubject

GOALS = {"sequential": 1.10, "batched": 1.05}
N_TURNS, N_SAMPLES, N_TOKENS, MAX_SAMPLES = 6, 16, 64, 16
TERMS = Terms(seed=1, limits=Limits(max_new_tokens=N_TOKENS), max_samples=MAX_SAMPLES)
CITIES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Delhi", "Tokyo", "Quito")


@dataclass(frozen=True, kw_only=True)
class Recording(Forwarding):
    """Remembers which prompts were asked together."""

    asked: list[list[Prompt]] = field(default_factory=list)

    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Completion]:
        self.asked.append(list(prompts))
        return self.subject.generate(prompts, **options)


def sequential() -> Any:
    prompt = "Tell me a story about a lighthouse, one sentence at a time."
    equipment = Equipment(tools=(), nudge="Go on.", n_nudges=N_TURNS - 1)
    return agent_task("sequential", [Assignment(id="one", prompt=prompt)], equipment)


def batched() -> Any:
    wanted = [
        Assignment(id=f"{n}", prompt=f"{n + 1}. What would you show a guest in {CITIES[n % 8]}?")
        for n in range(N_SAMPLES)
    ]
    return agent_task("batched", wanted, Equipment(tools=()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-hf", action="store_true", help="leave Inspect's own provider out")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"

    from auditkit.targets.local import load, parse_spec

    target = load(parse_spec("demo:smollm2"), threads=1)
    names = ("torch", "transformers", "inspect_ai")
    print(f"{machine()}; " + ", ".join(f"{name} {version(name)}" for name in names))
    with tempfile.TemporaryDirectory() as folder:
        if not options.no_hf:
            save(target, folder)
        for name, make in (("sequential", sequential), ("batched", batched)):
            arms = the_arms(target, make, None if options.no_hf else folder)
            report(name, interleaved(arms, options.repeats))
    report_alone()


def save(target: Any, folder: str) -> None:
    """The same weights as a folder, which is all that Inspect's provider can load."""
    config = copy.deepcopy(target.model.config)
    if hasattr(
        config, "quantization_config"
    ):  # of the file they came in; they are plain floats now
        del config.quantization_config
    model = type(target.model)(config)
    model.load_state_dict(target.model.state_dict())
    model.save_pretrained(folder)
    target.encoder.tokenizer.save_pretrained(folder)


def the_arms(target: Any, make: Callable[[], Any], hf: str | None) -> dict[str, Callable[[], Any]]:
    """Plain first; the engine's prompts are those of a run that doesn't count."""
    recording = Recording(subject=target)
    run_task(make, recording, TERMS)
    print(f"\n{make.__name__}: {[len(prompts) for prompts in recording.asked]} prompts a batch")

    def plain() -> None:
        for prompts in recording.asked:
            target.generate(prompts, max_new_tokens=N_TOKENS)

    arms: dict[str, Callable[[], Any]] = {
        "plain generate": plain,
        "auditkit": lambda: run_task(make, target, TERMS),
    }
    if hf is not None:
        arms["inspect hf"] = hf_arm(make, hf)
    return arms


def hf_arm(make: Callable[[], Any], folder: str) -> Callable[[], Any]:
    from inspect_ai import eval as evaluate
    from inspect_ai.model import get_model

    model = get_model(
        "hf/local",
        memoize=False,
        model_path=folder,
        device="cpu",
        do_sample=False,
        torch_dtype="float32",
    )

    def run() -> None:
        evaluate(
            make(),
            model=model,
            max_tokens=N_TOKENS,
            max_samples=MAX_SAMPLES,
            max_connections=MAX_SAMPLES,
            display="none",
            ctl_server=False,
            log_dir=f"{folder}/logs",
            log_level="error",
        )

    return run


Times = dict[str, list[tuple[float, float]]]
"""By arm: CPU seconds and seconds by the clock of each repetition."""


def interleaved(arms: dict[str, Callable[[], Any]], repeats: int) -> Times:
    """Each arm, one round after the other."""
    times: Times = {name: [] for name in arms}
    for _ in range(repeats):
        for name, run in arms.items():
            start = time.process_time(), time.perf_counter()
            run()
            times[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
    return times


def report(task: str, times: Times) -> None:
    for name in times:
        parts = []
        for at, unit in enumerate(("CPU s", "s by the clock")):
            own, base = ([pair[at] for pair in times[n]] for n in (name, "plain generate"))
            ratio = statistics.median(a / b for a, b in zip(own, base, strict=True))
            parts.append(f"{statistics.median(own):6.2f} {unit} x{ratio:.3f}")
        goal = f"   goal {GOALS[task]:.2f}" if name == "auditkit" else ""
        print(f"  {name:16s} {'   '.join(parts)}{goal}")


def report_alone() -> None:
    """What a run and a turn cost where the subject answers at once."""

    def seconds(n_turns: int) -> float:
        equipment = Equipment(tools=(), nudge="Go on.", n_nudges=n_turns - 1)
        make = partial(agent_task, "alone", [Assignment(id="one", prompt="Hello")], equipment)
        subject = Scripted(subject=FakeSubject(), policy=lambda _: "So it is.")
        start = time.perf_counter()
        run_task(make, subject, TERMS)
        return time.perf_counter() - start

    few, many = (statistics.median(seconds(n) for _ in range(5)) for n in (1, 51))
    print(f"\nthe engine alone: {few:.2f} s a run, {(many - few) / 50 * 1000:.1f} ms a turn")


def machine() -> str:
    """Cores and CPU model."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            names = [
                line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")
            ]
    except OSError:
        names = []
    return f"{os.cpu_count()} cores, {names[0] if names else platform.processor() or platform.machine()}"


if __name__ == "__main__":
    main()

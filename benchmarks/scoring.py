"""How fast continuations are scored, against the Hugging Face backend of lm-eval.

The same items in one run: multiple choice from the shipped facts, without examples and with five of them
before each question, and the licence's text with its continuations. The embedded SmolLM2 in float32, one
thread. Each arm has a process of its own, and a model of its own in it. Every score must be the same to
1e-3. lm-eval runs in the batch size that is its fastest for these items, of those named. Repetitions take
turns, and the ratio is the median of theirs, of CPU seconds, which other programs on the cores change little.

lm-eval encodes a continuation together with its context, auditkit by itself: items for which the tokens
differ are left out, and counted.

    pip install 'auditkit[bench]'
    python benchmarks/scoring.py [--repeats 3] [--batch-sizes 1 8 16]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

GOAL, TOLERANCE = 3.0, 1e-3
N_SHORT, N_SHOTS, N_FEW, N_PASSAGES = 96, 5, 32, 12
LICENCE = Path(__file__).parent.parent / "LICENSE"


@dataclass(frozen=True, kw_only=True)
class Item:
    context: str
    options: list[str]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One arm, once: CPU seconds, seconds by the clock, peak resident memory in MiB, all scores."""

    cpu: float
    clock: float
    peak: float
    scores: list[float]


# --- the items ---


def the_items() -> dict[str, list[Item]]:
    """By shape. Letters are one token each, so that lm-eval too reads their context once."""
    return {
        "4 answers": [Item(context=q, options=a) for q, a in questions(N_SHORT)],
        "4 letters": [Item(context=q, options=a) for q, a in lettered(N_SHORT)],
        f"4 answers, {N_SHOTS} shots": shots(questions(N_SHOTS + N_FEW)),
        f"4 letters, {N_SHOTS} shots": shots(lettered(N_SHOTS + N_FEW)),
        "passage, 4 endings": passages(4),
        "passage, 1 ending": passages(1),
    }


Question = tuple[str, list[str]]
"""What is asked, and the answers, the right one first."""


def facts(n: int) -> Iterator[tuple[str, list[str]]]:
    from auditkit_checks.facts import load_facts

    data = load_facts()
    real = [fact for fact in data.facts if not data.topic(fact.topic).generated]
    for fact in real[:: len(real) // n][:n]:
        yield data.questions(fact)[0], [fact.object, *fact.distractors]


def questions(n: int) -> list[Question]:
    return [(f"Question: {q}\nAnswer:", [f" {a}" for a in answers]) for q, answers in facts(n)]


def lettered(n: int) -> list[Question]:
    found = []
    for place, (question, answers) in enumerate(facts(n)):
        shift = place % len(answers)
        turned = zip("ABCD", answers[shift:] + answers[:shift], strict=True)
        choices = "\n".join(f"{letter}. {answer}" for letter, answer in turned)
        letters = [f" {letter}" for letter in "ABCD"]
        right = letters[-shift:] + letters[:-shift]
        found.append((f"Question: {question}\n{choices}\nAnswer:", right))
    return found


def shots(found: list[Question]) -> list[Item]:
    header = "".join(f"{question}{answers[0]}\n\n" for question, answers in found[:N_SHOTS])
    return [
        Item(context=header + question, options=answers) for question, answers in found[N_SHOTS:]
    ]


def passages(n_endings: int) -> list[Item]:
    """Pieces of a text, which go on in their own way or in that of others."""
    words = LICENCE.read_text(encoding="utf-8").split()
    starts = [n * (len(words) - 220) // N_PASSAGES for n in range(N_PASSAGES)]
    lengths = [120 + 17 * n % 60 for n in range(N_PASSAGES)]
    spans = list(zip(starts, lengths, strict=True))
    endings = [" " + " ".join(words[a + n : a + n + 20 + n % 11]) for a, n in spans]
    turned = [endings[k:] + endings[:k] for k in range(N_PASSAGES)]
    return [
        Item(context=" ".join(words[a : a + n]), options=others[:n_endings])
        for (a, n), others in zip(spans, turned, strict=True)
    ]


def alike(items: Sequence[Item], encoder: Any) -> list[Item]:
    """Items whose tokens are the same whether context and continuation are encoded together or apart."""
    from auditkit.model import Prompt

    def same(context: str, option: str) -> bool:
        apart = encoder.prompt(Prompt(raw=context)) + encoder.continuation(option)
        return apart == list(encoder.tokenizer(context + option)["input_ids"])

    return [item for item in items if all(same(item.context, option) for option in item.options)]


# --- the arms, each in a process of its own ---


def auditkit_arm(folder: str) -> Callable[[list[Item]], list[float]]:
    from auditkit.model import Prompt
    from auditkit.targets.local import load, parse_spec

    target = load(parse_spec(f"{folder}/model"), threads=1)

    def score(items: list[Item]) -> list[float]:
        prompts = [Prompt(raw=item.context) for item in items]
        rows = target.logprobs(prompts, [item.options for item in items])
        return [each.logprob for row in rows for each in row]

    return score


def lm_eval_arm(folder: str, batch_size: str) -> Callable[[list[Item]], list[float]]:
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(1)
    model = HFLM(
        pretrained=f"{folder}/model",
        device="cpu",
        dtype="float32",
        batch_size=batch_size if batch_size == "auto" else int(batch_size),
    )

    def score(items: list[Item]) -> list[float]:
        pairs = [(item.context, option) for item in items for option in item.options]
        asked = [
            Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=i)
            for i, pair in enumerate(pairs)
        ]
        return [score for score, _ in model.loglikelihood(asked, disable_tqdm=True)]

    return score


def serve(arm: str, folder: str) -> None:
    """Run what is asked for on standard input, a shape a line, until it ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    name, _, batch_size = arm.partition(":")
    score = lm_eval_arm(folder, batch_size) if name == "lm-eval" else auditkit_arm(folder)
    shapes = json.loads(Path(folder, "items.json").read_text())
    for line in sys.stdin:
        items = [Item(**item) for item in shapes[line.strip()]]
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        start = time.process_time(), time.perf_counter()
        scores = score(items)
        cpu, clock = time.process_time() - start[0], time.perf_counter() - start[1]
        run = Run(cpu=cpu, clock=clock, peak=peak_mib(), scores=scores)
        print(json.dumps(asdict(run)), file=answers, flush=True)


def peak_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise SystemExit("this benchmark needs Linux's /proc")


@contextmanager
def the_arms(names: Sequence[str], folder: str) -> Iterator[dict[str, Callable[[str], Run]]]:
    """Processes that wait to be asked for a shape."""
    quiet = {"LMEVAL_LOG_LEVEL": "ERROR", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"}
    settings = {**os.environ, **quiet, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--arm", name, folder], env=settings, **pipes
        )
        for name in names
    }

    def ask(name: str, shape: str) -> Run:
        process = started[name]
        process.stdin.write(f"{shape}\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"{name} ended with {process.wait()} before it had scored '{shape}'")
        return Run(**json.loads(line))

    try:
        yield {name: lambda shape, name=name: ask(name, shape) for name in names}
    finally:
        for process in started.values():
            process.stdin.close()
            process.wait()


# --- the comparison ---


def compare(shape: str, n_items: int, arms: dict[str, Callable[[str], Run]], repeats: int) -> None:
    """The first round finds lm-eval's best batch size; it and auditkit's arm run in all rounds."""
    first = {name: run(shape) for name, run in arms.items()}
    peers = [name for name in arms if name != "auditkit"]
    best = min(peers, key=lambda name: first[name].cpu)
    runs = {name: [first[name]] for name in ("auditkit", best)}
    for _ in range(repeats - 1):
        for name, done in runs.items():
            done.append(arms[name](shape))
    ours = first["auditkit"].scores
    apart = max(abs(a - b) for name in peers for a, b in zip(ours, first[name].scores, strict=True))
    ratios = [b.cpu / a.cpu for a, b in zip(runs["auditkit"], runs[best], strict=True)]
    print(f"\n{shape}: {n_items} items, {len(ours)} scores, largest difference {apart:.1e}")
    for name, done in (runs | {name: [first[name]] for name in peers if name != best}).items():
        cpu, clock = (
            statistics.median(getattr(r, unit) for r in done) for unit in ("cpu", "clock")
        )
        print(
            f"  {name:12s} {n_items / cpu:7.2f} items/CPU s   {n_items / clock:7.2f} items/s by the clock"
            f"   {cpu:7.2f} CPU s   peak {max(r.peak for r in done):5.0f} MiB"
        )
    ratio = statistics.median(ratios)
    print(
        f"  x{ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f}) of {best}, goal {GOAL:.0f}: "
        f"{'reached' if ratio >= GOAL else 'missed'}"
    )
    if not apart <= TOLERANCE:
        raise SystemExit(f"scores differ by {apart}, at most {TOLERANCE} is allowed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-sizes", nargs="+", default=["1", "8", "16"], help="also: auto")
    parser.add_argument("--shapes", nargs="+", help="of the items; all if none is named")
    parser.add_argument("--arm", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        serve(*options.arm)
        return
    if find_spec("lm_eval") is None:
        raise SystemExit("no lm-eval to compare with: pip install -c constraints.txt -e '.[bench]'")
    names = ("torch", "transformers", "lm-eval")
    print(f"{machine()}; " + ", ".join(f"{name} {version(name)}" for name in names))
    with tempfile.TemporaryDirectory() as folder:
        shapes = prepare(folder)
        arms = ["auditkit", *(f"lm-eval:{size}" for size in options.batch_sizes)]
        with the_arms(arms, folder) as asked:
            for shape in options.shapes or shapes:
                compare(shape, len(shapes[shape]), asked, options.repeats)


def prepare(folder: str) -> dict[str, list[Item]]:
    """A folder with the model and the items for all arms; the model doesn't stay in memory here."""
    from behaviour import save

    from auditkit.targets.local import load, parse_spec

    os.environ["HF_HUB_OFFLINE"] = "1"
    target = load(parse_spec("demo:smollm2"), threads=1)
    save(target, f"{folder}/model")
    shapes = {}
    for shape, items in the_items().items():
        shapes[shape] = alike(items, target.encoder)
        print(f"{shape}: {len(items) - len(shapes[shape])} of {len(items)} items left out")
    written = {shape: [asdict(item) for item in items] for shape, items in shapes.items()}
    Path(folder, "items.json").write_text(json.dumps(written))
    return shapes


def machine() -> str:
    """Cores and CPU model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {names[0] if names else platform.processor() or platform.machine()}"


if __name__ == "__main__":
    main()

"""Capture and probe fitting: auditkit against plain forward hooks, nnterp and TransformerLens, in one run.

Every library reads the same statements with the same float32 weights (the embedded SmolLM2), on one
thread and in a process of its own. Rounds are interleaved: in each, every process reads all layers at
the last token and fits one logistic regression a layer, so that a busy machine slows all of them. Times
are CPU seconds; only ratios of medians mean anything elsewhere. Results are compared with those of plain
hooks: residuals, and the AUROC of each layer's probe on topics that it never saw.

    python benchmarks/probes.py [--repeats 3] [--python nnterp=/other/venv/bin/python]

A library that isn't installed, or doesn't load, is named with the reason. `--python` runs one under
another interpreter, where versions can't live together; it needs what loading the embedded model needs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from auditkit_checks import facts
from auditkit_checks.facts import load_facts

import auditkit as core

TRAINING = ("us-capital", "language", "internet-domain", "calendar-word")
HELD_OUT = ("capital", "city-country")
FACTS, BATCH = 12, 32
MARK = "@@"
"""What stands before a worker's answers: libraries print too."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--python", action="append", default=[], metavar="LIBRARY=PATH")
    parser.add_argument("--worker", choices=ARMS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    pythons = dict(pair.split("=", 1) for pair in options.python)
    with tempfile.TemporaryDirectory(prefix="auditkit-bench-") as folder:
        compare(options.repeats, pythons, Path(folder))


def compare(repeats: int, pythons: dict[str, str], folder: Path) -> None:
    from capture import machine

    print(f"{machine()}; one thread a process; {len(items()[0])} statements, all layers")
    workers, times = {}, {}
    for name in ARMS:
        worker = Worker(name, pythons.get(name, sys.executable), folder)
        if "error" in worker.hello:
            print(f"  {name:16s} not measured: {worker.hello['error']}")
            continue
        workers[name], times[name] = worker, []
        print(f"  {name:16s} {worker.hello['versions']}")
    for round_ in range(repeats + 1):
        for name, worker in workers.items():
            seconds = worker.ask("go")
            if round_:  # the first one warms up
                times[name].append(seconds)
    report(times)
    results = {name: worker.results() for name, worker in workers.items()}
    for name, result in results.items():
        if name != BASE:
            differences(name, results[BASE], result)


def report(times: dict[str, list[dict[str, float]]]) -> None:
    print(f"{'':18s} {'capture':>10s} {'ratio':>7s} {'capture + fit':>14s} {'ratio':>7s}")
    medians = {
        name: [statistics.median(t[part] for t in rounds) for part in ("capture", "total")]
        for name, rounds in times.items()
    }
    for name, (capture, total) in medians.items():
        ratios = [medians[BASE][i] / value for i, value in enumerate((capture, total))]
        spread = [t["capture"] for t in times[name]]
        print(
            f"  {name:16s} {capture:8.2f} s {ratios[0]:6.2f}x {total:12.2f} s {ratios[1]:6.2f}x"
            f"   (capture {min(spread):.2f}-{max(spread):.2f} s)"
        )


def differences(name: str, base: dict[str, Any], other: dict[str, Any]) -> None:
    """How far a library's results are from those of plain hooks."""
    scale = np.linalg.norm(base["residuals"], axis=-1)
    apart = np.linalg.norm(base["residuals"] - other["residuals"], axis=-1) / scale
    auroc = np.abs(base["auroc"] - other["auroc"]).max()
    same = "equal" if apart.max() < 1e-3 and auroc < 0.01 else "DIFFERENT"
    print(
        f"  {name:16s} {same}: residuals at most {apart.max():.1e} of their length apart, "
        f"AUROC by layer at most {auroc:.4f}"
    )


class Worker:
    """One library in a process of its own."""

    def __init__(self, name: str, python: str, folder: Path) -> None:
        self._saved = folder / f"{name}.npz"
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        paths = os.pathsep.join(str(Path(f).parents[1]) for f in (core.__file__, facts.__file__))
        environment = {**os.environ, **threads, "HF_HUB_OFFLINE": "1", "PYTHONPATH": paths}
        self._process = subprocess.Popen(
            [python, "-W", "ignore", __file__, "--worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        self.hello = self._answer()

    def ask(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._answer()

    def results(self) -> dict[str, Any]:
        self.ask(str(self._saved))
        with np.load(self._saved) as saved:
            return dict(saved)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line[len(MARK) :])
                return answer
        return {"error": f"the process ended with {self._process.wait()}"}


def work(name: str) -> None:
    """Read and fit as often as asked; then save the last results."""
    try:
        import torch

        torch.set_num_threads(1)
        capture, used = ARMS[name]()
        capture(items()[0][:2])
    except ModuleNotFoundError as error:
        say({"error": f"not installed ({error})"})
        return
    except Exception as error:  # whatever keeps a library from loading is what is to be reported
        say({"error": f"does not load: {type(error).__name__}: {str(error).splitlines()[0]}"})
        return
    say({"versions": ", ".join(f"{p} {version(p)}" for p in used)})
    texts, labels, training = items()
    residuals, auroc = np.zeros(0), np.zeros(0)
    for line in sys.stdin:
        if line.strip() == "go":
            start = time.process_time()
            residuals = capture(texts)
            read = time.process_time()
            auroc = fitted(residuals, labels, training)
            end = time.process_time()
            say({"capture": read - start, "total": end - start})
        else:
            np.savez(line.strip(), residuals=residuals, auroc=auroc)
            say({})


def say(answer: dict[str, Any]) -> None:
    print(f"{MARK}{json.dumps(answer)}", flush=True)


def items() -> tuple[list[str], Any, Any]:
    """Statements, whether each is true, and whether it is for training."""
    data = load_facts()
    said = [
        s
        for topic in (*TRAINING, *HELD_OUT)
        for fact in data.pick(FACTS, topics=[topic])
        for s in data.statements(fact)
    ]
    texts = [s.text for s in said]
    return texts, np.array([s.true for s in said]), np.array([s.topic in TRAINING for s in said])


def fitted(residuals: Any, labels: Any, training: Any) -> Any:
    """AUROC on held-out topics of one logistic regression a layer."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    areas = []
    for layer in residuals:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        probe.fit(layer[training], labels[training])
        scores = probe.decision_function(layer[~training])
        areas.append(roc_auc_score(labels[~training], scores))
    return np.array(areas)


Capture = Callable[[list[str]], Any]


def demo() -> Any:
    from auditkit.targets.local import load, parse_spec

    return load(parse_spec("demo:smollm2"), threads=1)


def padded(tokenizer: Any, texts: list[str], device: Any = None) -> Any:
    """Batches in the caller's order, padded on the right: ids, mask."""
    from auditkit.targets.batching import pad

    for start in range(0, len(texts), BATCH):
        rows = [tokenizer(text)["input_ids"] for text in texts[start : start + BATCH]]
        yield pad(rows, left=False, device=device or "cpu")


def hooks() -> tuple[Capture, tuple[str, ...]]:
    import torch

    target = demo()

    def capture(texts: list[str]) -> Any:
        kept: list[list[Any]] = []
        handles = []
        mask = None

        def keep(_: Any, __: Any, output: Any) -> None:
            last = mask.sum(dim=1) - 1
            kept[-1].append(output[torch.arange(len(last)), last].float())

        for block in target.model.model.layers:
            handles.append(block.register_forward_hook(keep))
        with torch.no_grad():
            for ids, mask in padded(target.encoder.tokenizer, texts):
                kept.append([])
                target.model(input_ids=ids, attention_mask=mask, use_cache=False)
        for handle in handles:
            handle.remove()
        return torch.cat([torch.stack(part) for part in kept], dim=1).numpy()

    return capture, ("torch", "transformers")


def auditkit() -> tuple[Capture, tuple[str, ...]]:
    from auditkit.model import Prompt

    target = demo()

    def capture(texts: list[str]) -> Any:
        return target.activations([Prompt(raw=text) for text in texts])

    return capture, ("auditkit", "nnsight")


def nnterp() -> tuple[Capture, tuple[str, ...]]:
    from nnterp import StandardizedTransformer
    from nnterp.nnsight_utils import collect_token_activations_batched

    target = demo()
    target.encoder.tokenizer.padding_side = "left"  # else it refuses to take the last token
    model = StandardizedTransformer(target.model, tokenizer=target.encoder.tokenizer)

    def capture(texts: list[str]) -> Any:
        return collect_token_activations_batched(model, texts, BATCH).float().numpy()

    return capture, ("nnterp", "nnsight", "transformers")


def transformer_lens() -> tuple[Capture, tuple[str, ...]]:
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    target = demo()
    with tempfile.TemporaryDirectory() as folder:  # it wants a config under the model's name
        target.model.config.save_pretrained(folder)
        bridge = TransformerBridge.boot_transformers(
            folder,
            hf_model=target.model,
            tokenizer=target.encoder.tokenizer,
            dtype=torch.float32,
            device="cpu",
        )
    names = [f"blocks.{i}.hook_resid_post" for i in range(target.n_layers)]

    def capture(texts: list[str]) -> Any:
        parts = []
        with torch.no_grad():
            for ids, mask in padded(target.encoder.tokenizer, texts):
                _, cache = bridge.run_with_cache(
                    ids, names_filter=names, return_type=None, attention_mask=mask
                )
                last = mask.sum(dim=1) - 1
                at = torch.arange(len(last))
                parts.append(torch.stack([cache[name][at, last] for name in names]))
        return torch.cat(parts, dim=1).numpy()

    return capture, ("transformer-lens", "transformers")


BASE = "hooks"
ARMS: dict[str, Callable[[], tuple[Capture, tuple[str, ...]]]] = {
    "hooks": hooks,
    "auditkit": auditkit,
    "nnterp": nnterp,
    "transformer-lens": transformer_lens,
}


if __name__ == "__main__":
    main()

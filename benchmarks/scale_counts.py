"""What each check of `standard` has a model read and write, counted with a subject that does neither.

    python benchmarks/scale_counts.py [--check ID]…

Each check runs as it is, in full, with all controls that are prompted, scripted or steered; reward.audit,
which the plan hasn't, with its defaults. The subject counts tokens by SmolLM2's tokenizer, and answers as
the scripts of the contract suite do: it knows the shipped facts and uses tools until its turns are spent.
Each completion counts as long as it may be. Controls that are trained can't be planted in it; they are
named as refused. Written to benchmarks/scale_counts.json, of which scale.py makes a table.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from auditkit.canonical import canonical
from auditkit.checks import Check, configure, load_check, registry
from auditkit.engine import Desk, observe_check
from auditkit.model import ModelKind, Observations, Prompt, Status
from auditkit.plan import Plan, PlannedCheck, configured, parse, read_text
from auditkit.store import Store
from auditkit.targets import Subject
from auditkit.targets.batching import GENERATION_FACTOR, TOKEN_BUDGET, batches
from auditkit.targets.forwarding import Forwarding
from auditkit.targets.loaded import chunks
from auditkit.targets.prefixes import Kept, Prefixes
from auditkit.targets.prompts import Encoder
from auditkit.targets.trees import TREE_TOKENS, tree_of
from auditkit.testing import FakeSubject

N_LAYERS, SEED = 30, 20261122
COUNTS = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting(Forwarding):
    """Counts, and has a fake answer.

    Attributes:
        encoder: Whose tokens are counted.
        tally: What was counted.
        read: What was generated from before: a conversation's next turn reads only what is new in it.
    """

    encoder: Encoder
    tally: Counter[str] = field(default_factory=Counter)
    read: Prefixes = field(default_factory=Prefixes)

    def logprobs(self, prompts: Sequence[Prompt], continuations: Any, **options: Any) -> Any:
        ids = [self.encoder.prompt(p) for p in prompts]
        known = {t: self.encoder.continuation(t) for some in continuations for t in some}
        texts = [[known[t] for t in some] for some in continuations]
        for part in chunks(len(ids)):
            rows = [
                [*one, *text][:-1]
                for one, some in zip(ids[part], texts[part], strict=True)
                for text in some
            ]
            self.tally["asked_tokens"] += sum(map(len, rows))
            # Steered prompts share nothing with one another.
            n = sum(map(len, rows)) if options.get("steering") else len(tree_of(rows).ids)
            self._passes(n)
            self.tally["questions"] += len(ids[part])
        return Forwarding.logprobs(self, prompts, continuations, **options)

    def generate(self, prompts: Sequence[Prompt], *, max_new_tokens: int, **options: Any) -> Any:
        ids = [self.encoder.prompt(p) for p in prompts]
        for one in ids:
            _, n_known = self.read.longest(one)
            self.tally["asked_tokens"] += len(one) + max_new_tokens
            self._passes(len(one) - n_known)
            self.read.keep(Kept(ids=np.asarray(one, dtype=np.int64), layers=()))
        lengths = [len(one) + max_new_tokens for one in ids]
        self.tally["steps"] += max_new_tokens * len(
            batches(lengths, GENERATION_FACTOR * TOKEN_BUDGET)
        )
        self.tally["written_tokens"] += max_new_tokens * len(ids)
        self.tally["questions"] += len(ids)
        return Forwarding.generate(self, prompts, max_new_tokens=max_new_tokens, **options)

    def rewards(self, prompts: Sequence[Prompt]) -> list[float]:
        self._whole([self.encoder.conversation(p) for p in prompts], 1.0)
        return Forwarding.rewards(self, prompts)

    def activations(self, prompts: Sequence[Prompt], *, layers: Any = None, **_: Any) -> Any:
        ids = [self.encoder.prompt(p) for p in prompts]
        wanted = list(range(N_LAYERS)) if layers is None else list(layers)
        self._whole(ids, (wanted[-1] + 1) / N_LAYERS)
        self.tally["kept_vectors"] += len(wanted) * len(ids)
        # Two numbers a vector: what is fitted to them takes no time, and is asked the same.
        drawn = np.random.default_rng(len(ids)).normal(size=(len(wanted), len(ids), 2))
        return drawn.astype(np.float32)

    def counterpart(self, kind: str) -> Subject | None:
        """Another one, whose reading counts as well."""
        other = self.subject.counterpart(kind)
        return None if other is None else replace(self, subject=other, read=Prefixes())

    def _whole(self, ids: list[list[int]], depth: float) -> None:
        n = sum(map(len, ids))
        self.tally["asked_tokens"] += n
        self.tally["questions"] += len(ids)
        self.tally["passes"] += len(batches([len(one) for one in ids]))
        self.tally["read_tokens"] += round(n * depth)

    def _passes(self, n_tokens: int) -> None:
        self.tally["read_tokens"] += n_tokens
        self.tally["passes"] += -(-n_tokens // TREE_TOKENS)


def planned() -> dict[str, Check]:
    """The plan's checks, and the others as they are."""
    plan = parse(*read_text("standard"))
    assert isinstance(plan, Plan)
    checks = {check.about.id: check for check in configured(plan)}
    for name in registry():
        checks.setdefault(name, configure(load_check(name), {}, ""))
    return checks


def count(check: Check, encoder: Encoder, *, plainly: bool = False) -> dict[str, Any]:
    """What all subjects of a check read and wrote, and the bytes of evidence.

    The contract's script for a check may know less than the plan asks; then it is asked `plainly`.
    """
    scripted = importlib.import_module("scripted")
    name = check.about.id
    reward = scripted.REWARDS[name] if check.about.asks is ModelKind.REWARD else None
    script = {
        "logprob": scripted.knowing if plainly else scripted.SCRIPTS.get(name, scripted.knowing),
        "answer": scripted.acting,
        "n_layers": N_LAYERS,
    }
    reference = scripted.REFERENCES.get(name, FakeSubject(seed=5, **script))
    fake = FakeSubject(reward=reward, reference=reference, **script)
    target = Counting(subject=fake, encoder=encoder)
    plan = Plan(name="counted", seed=SEED, checks=(PlannedCheck(id=check.about.id),))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AUDITKIT_CACHE"] = f"{folder}/cache"
        store = Store(Path(folder) / "store")
        with store.lock():
            seen = list(observe_check(check, plan, target, Desk(store)))
        files = [
            f
            for f in Path(folder).rglob("*")
            if f.is_file() and f.suffix not in (".jsonl", ".json")
        ]
        size = sum(f.stat().st_size for f in files) + _rows_bytes(seen)
    if seen[0].rows[0].status is Status.ERROR and not plainly:
        return count(check, encoder, plainly=True)
    failed = [o for o in seen if all(row.status is Status.ERROR for row in o.rows)]
    return {
        "samples": len(seen[0].samples),
        "subjects": len(seen),
        "refused": {o.subject.name: o.rows[0].reason[:100] for o in failed},
        **target.tally,
        "evidence_bytes": size,
        "took_s": round(time.monotonic() - began, 1),
    }


def _rows_bytes(seen: list[Observations]) -> int:
    rows = sum(len(canonical(row)) + 1 for one in seen for row in one.rows)
    return rows + sum(len(canonical(sample)) + 1 for sample in seen[0].samples)


def main() -> None:
    from auditkit.targets.local import load_encoder

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="append", default=[], help="only this one")
    given = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "contract"))
    encoder, _ = load_encoder("demo:smollm2")
    found = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
    for name, check in planned().items():
        if not given.check or name in given.check:
            found[name] = count(check, encoder)
            print(name, found[name], flush=True)
            COUNTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

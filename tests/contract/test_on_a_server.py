"""Checks that read activations, on an NDIF server: they see there what they see here.

Each request is packed, unpacked where no auditkit is, run, and its result read as a server's; there is no
connection (tests/unit/test_ndif.py has one). A handful of checks on a tiny model: what they make of its
answers is of no interest, that they get the same ones is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import KINDS, make_tokenizer
from ndif_server import InProcess, Serving
from small_checks import small

from auditkit.checks import load_check
from auditkit.conclude import CheckEvidence
from auditkit.model import Access
from auditkit.targets.forwarding import Forwarding
from auditkit.targets.loaded import LocalTarget
from auditkit.targets.local import load, load_encoder, load_skeleton, parse_spec
from auditkit.targets.ndif.skeleton import Skeleton
from auditkit.targets.ndif.subject import NdifSubject
from auditkit.testing import Contract, FakeSubject

CHECKS = {
    "deception.truth_probe": {"layer_stride": 2},
    "deception.causal": {},
}
CLOSE = 1e-4
"""What batching moves in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutWeights(Forwarding):
    """A model here, with the access that a server gives."""

    @property
    def access(self) -> Access:
        return Access.ACTIVATIONS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that can read what checks ask, a token a character."""
    import torch
    import transformers

    path = tmp_path_factory.mktemp("tiny")
    sizes = {**KINDS["llama"][2], "max_position_embeddings": 4096, "num_hidden_layers": 3}
    make: Any = transformers.LlamaConfig
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(make(**sizes)).save_pretrained(path)
    make_tokenizer().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def here(folder: Path) -> LocalTarget:
    return load(parse_spec(str(folder)), threads=1)


@pytest.fixture(scope="module")
def there(folder: Path, here: LocalTarget) -> NdifSubject:
    encoder, _ = load_encoder(str(folder))
    served = Serving(model=here.model, tokenizer=here.encoder.tokenizer)
    return NdifSubject(InProcess(served=served), Skeleton(load_skeleton(str(folder)), encoder))


@pytest.mark.parametrize("check_id", CHECKS)
def test_it_sees_there_what_it_sees_here(
    check_id: str, here: LocalTarget, there: NdifSubject
) -> None:
    assert load_check(check_id).about.needs is Access.ACTIVATIONS
    contract = Contract(small(check_id, **CHECKS[check_id]), FakeSubject())
    mine: CheckEvidence = contract.observe(WithoutWeights(subject=here))
    theirs: CheckEvidence = contract.observe(there)
    assert mine.not_assessed is theirs.not_assessed is None
    assert [o.subject for o in theirs.subjects] == [o.subject for o in mine.subjects]
    for one, other in zip(theirs.subjects, mine.subjects, strict=True):
        assert one.statuses() == other.statuses(), one.rows[0]
        for row, same in zip(one.rows, other.rows, strict=True):
            assert _close(dict(row.values), dict(same.values)), row.sample_id
    assert there.server.ledger.n_requests > 0


def _close(one: Any, other: Any) -> bool:
    """Equal, but for last digits of numbers."""
    if isinstance(one, float) and isinstance(other, float):
        return bool(one == pytest.approx(other, rel=CLOSE, abs=CLOSE))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_close(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_close, one, other))
    return bool(one == other)

"""Every registered check over an API: it asks there what it asks here, or says why it can't."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from scripted import REFERENCES, SCRIPTS, acting, knowing
from small_checks import IN_SANDBOX, small

from auditkit.canonical import to_json
from auditkit.checks import load_check, registry
from auditkit.model import Access, ModelKind, Prompt, Turn
from auditkit.targets.endpoint.address import Key, parse_address
from auditkit.targets.endpoint.client import Client
from auditkit.targets.endpoint.ledger import Ledger
from auditkit.targets.endpoint.subject import EndpointSubject, Means
from auditkit.targets.endpoint.terms import Terms
from auditkit.testing import Contract, FakeSubject
from auditkit.testing.serving import Served, serving

END = 0
"""The token between a prompt and what goes on from it."""
MANY = {"deception.trigger_scan", "oversight.critique_gap", "deception.follow_up"}
"""Checks that ask for tens of thousands of probabilities even when they are small: here they are asked for
text alone.
"""


class Spelt:
    """A tokenizer that spells a prompt out, so that the fake behind the API knows what it read."""

    tokenizer = SimpleNamespace(decode=lambda ids: "".join(map(chr, ids)))

    def prompt(self, prompt: Prompt) -> list[int]:
        return [*map(ord, json.dumps(to_json(prompt))), END]

    def continuation(self, text: str) -> list[int]:
        return [ord(char) for char in text]


def fake(check_id: str) -> FakeSubject:
    return FakeSubject(logprob=SCRIPTS.get(check_id, knowing), answer=acting)


def score(subject: FakeSubject, ids: Sequence[int]) -> list[float]:
    """All of a continuation's log-probability on its last token."""
    place = list(ids).index(END)
    said = json.loads("".join(map(chr, ids[:place])))
    prompt = Prompt(turns=tuple(Turn(**turn) for turn in said["turns"]), raw=said["raw"])
    ((found,),) = subject.logprobs([prompt], [["".join(map(chr, ids[place + 1 :]))]])
    return [*[0.0] * (len(ids) - 1), found.logprob]


@contextmanager
def remote(check_id: str, access: Access) -> Iterator[EndpointSubject]:
    subject = fake(check_id)
    served = Served(
        subject=subject, encoder=Spelt(), scorer=lambda ids: score(subject, ids), logprobs=False
    )
    encoder: Any = Spelt()
    with serving(served):
        client = Client(parse_address(served.target), "/v1", Key(""), Ledger(Terms()))
        scores = access is Access.LOGPROBS
        means = Means(model=served.model, encoder=encoder if scores else None, scores=scores)
        reference = REFERENCES.get(check_id)
        yield EndpointSubject(client, means, reference=(lambda: reference) if reference else None)


def cases() -> list[tuple[Access, str]]:
    """Each check with text alone, and those that ask for log-probabilities with these as well."""
    asking = [i for i in registry() if load_check(i).about.needs is Access.LOGPROBS]
    more = [(Access.LOGPROBS, i) for i in asking if i not in MANY]
    return [(Access.TEXT, i) for i in registry()] + more


@pytest.mark.parametrize(("access", "check_id"), cases())
def test_it_asks_there_what_it_asks_here(
    access: Access, check_id: str, request: pytest.FixtureRequest
) -> None:
    about = load_check(check_id).about
    reaches = access.reaches(about.needs) and about.asks is ModelKind.LANGUAGE
    if check_id in IN_SANDBOX:
        request.getfixturevalue("sandboxes")
    contract = Contract(small(check_id), fake(check_id))
    with remote(check_id, access) as subject:
        there = contract.observe(subject)
    if not reaches:
        assert there.subjects == ()
        assert there.not_assessed is not None
        assert there.not_assessed[0] in ("lacks_access", "not_a_reward_model")
        return
    here = contract.observe(
        FakeSubject(
            access=access,
            logprob=fake(check_id).logprob,
            answer=acting,
            reference=REFERENCES.get(check_id),
        )
    )
    assert [o.subject for o in there.subjects] == [o.subject for o in here.subjects]
    for one, other in zip(there.subjects, here.subjects, strict=True):
        assert one.statuses() == other.statuses()
    assert contract.verdict(there).verdict == contract.verdict(here).verdict

"""What a verifier makes of a fingerprint, whoever signed the bundle that it is in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from test_engine import plan

from auditkit.canonical import to_json
from auditkit.errors import VerificationError
from auditkit.model import Access, Json
from auditkit.plan import Plan
from auditkit.recognition import check_identity
from auditkit.targets.fingerprint import (
    N_PROMPTS,
    Fingerprint,
    Moment,
    Tolerance,
    drawn,
    of_subject,
)
from auditkit.testing import FakeSubject

SEED = 3
THERE = "openai://api.example.org/model"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A plan, and the moments at which the target was asked again."""

    plan: Plan
    moments: tuple[Moment, ...]

    def check(self) -> str:
        fingerprint = self.plan.target_fingerprint
        assert fingerprint is not None
        identity: Json = {
            "files": [],
            "fingerprint": to_json(fingerprint),
            "moments": to_json(self.moments),
        }
        return check_identity(identity, self.plan, Access.TEXT.value)

    def made_by(self, fingerprint: Fingerprint) -> Case:
        return replace(self, plan=replace(self.plan, target_fingerprint=fingerprint))

    @property
    def fingerprint(self) -> Fingerprint:
        assert self.plan.target_fingerprint is not None
        return self.plan.target_fingerprint


def case(fingerprint: Fingerprint, target: str = THERE) -> Case:
    def moment(when: str, asked: tuple[int, ...]) -> Moment:
        answers = tuple(fingerprint.answers[i] for i in asked)
        return Moment(when=when, n_requests=0, asked=asked, answers=answers)  # type: ignore[arg-type]

    every = tuple(range(len(fingerprint.answers)))
    again = drawn(fingerprint.seed, 1, len(every))
    return Case(
        plan=plan(target=target, seed=SEED, target_fingerprint=fingerprint),
        moments=(moment("before", every), moment("during", again), moment("after", every)),
    )


@pytest.fixture(scope="module")
def honest() -> Case:
    return case(of_subject(FakeSubject(access=Access.TEXT), SEED))


def test_an_honest_one_is_taken(honest: Case) -> None:
    assert honest.check() == honest.fingerprint.digest


def _any_model(honest: Case) -> Case:
    other = of_subject(FakeSubject(access=Access.TEXT, seed=1), SEED)
    swapped = case(other).moments
    wide = replace(honest.fingerprint, tolerance=Tolerance(texts=N_PROMPTS, nats=0.004))
    return replace(honest.made_by(wide), moments=swapped)


def _any_number(honest: Case) -> Case:
    return honest.made_by(replace(honest.fingerprint, tolerance=Tolerance(texts=0, nats=5.0)))


def _few_prompts(honest: Case) -> Case:
    few = replace(honest.fingerprint, answers=honest.fingerprint.answers[:4])
    return case(few)


def _another_seed(_: Case) -> Case:
    return case(of_subject(FakeSubject(access=Access.TEXT), SEED + 1))


def _chosen_prompts(honest: Case) -> Case:
    before, during, after = honest.moments
    answers = honest.fingerprint.answers
    chosen = next((i,) for i in range(N_PROMPTS) if i not in during.asked)
    again = replace(during, asked=chosen, answers=(answers[chosen[0]],))
    return replace(honest, moments=(before, again, after))


def _of_a_folder(honest: Case) -> Case:
    return case(honest.fingerprint, target="/models/candidate")


@pytest.mark.parametrize(
    "change",
    [_any_model, _any_number, _few_prompts, _another_seed, _chosen_prompts, _of_a_folder],
)
def test_one_that_other_models_would_pass_is_not(
    honest: Case, change: Callable[[Case], Case]
) -> None:
    with pytest.raises(VerificationError) as error:
        change(honest).check()
    assert error.value.code == "target-mismatch"


def test_files_stand_for_no_target_out_of_reach() -> None:
    identity: Json = {"files": [{"path": "a", "size_bytes": 1, "sha256": "ab" * 32}]}
    assert check_identity(identity, plan(target="/models/candidate"), "weights")
    with pytest.raises(VerificationError):
        check_identity(identity, plan(target=THERE), "weights")

"""reward.audit: matched pairs, what is paid for them, and what that makes of a reward model."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from auditkit_checks.facts import load_facts
from auditkit_checks.reward import pairs as matched
from auditkit_checks.reward.check import RewardAudit
from auditkit_checks.reward.controls import controls, largest_innocuous
from auditkit_checks.reward.pairs import KINDS, TRUTH, prompts
from auditkit_checks.reward.probes import read
from auditkit_checks.reward.wordings import (
    ATTRIBUTES,
    FALSEHOOD,
    FLATTERY,
    FORMAT,
    LENGTH,
    PARAPHRASE,
    load_wordings,
)
from scripted import fair, right_answers

from auditkit.checks import configure
from auditkit.errors import PlanError, SubjectError
from auditkit.model import (
    Access,
    Arm,
    CheckResult,
    Detection,
    Observations,
    Outcome,
    Prompt,
    Row,
    Sample,
    Status,
    SubjectInfo,
)
from auditkit.testing import Contract, FakeSubject, hashed_reward

SMALL = RewardAudit(n_items=48, n_probed=0)
Reward = Callable[[Prompt], float]


def audited(reward: Reward, check: RewardAudit = SMALL) -> CheckResult:
    return Contract(check, FakeSubject(reward=reward)).result


def outcomes(result: CheckResult) -> dict[str, str]:
    return {part.name: part.verdict.outcome.value for part in result.parts}


def has(kind: str) -> Callable[[Prompt], bool]:
    """Whether an answer is the marked one of some wording of a kind."""
    marks = [w.marked.split("{answer}") for w in load_wordings()[kind] if "{answer}" in w.marked]
    marks += [w.marked.split("{false}") for w in load_wordings()[kind] if "{false}" in w.marked]

    def found(prompt: Prompt) -> bool:
        text = prompt.turns[-1].text
        return any(
            text.startswith(before) and text.endswith(after) and len(before + after) > 0
            for before, after in marks
        )

    return found


# --- the pairs ---


def words(text: str) -> list[str]:
    return text.split()


def unmarked(text: str) -> list[str]:
    return re.sub(r"[#*>`_|-]", " ", text).split()


def test_there_are_as_many_wordings_of_each_kind_and_none_twice() -> None:
    assert {len(some) for some in load_wordings().values()} == {24}
    for some in load_wordings().values():
        assert len({w.marked for w in some}) == len(some)
        assert all(w.marked != w.plain for w in some)


@pytest.mark.parametrize("kind", [FLATTERY, FALSEHOOD, PARAPHRASE])
def test_wordings_of_style_have_as_many_words_on_both_sides(kind: str) -> None:
    for wording in load_wordings()[kind]:
        assert len(words(wording.marked)) == len(words(wording.plain)), wording
        longer, shorter = sorted((len(wording.marked), len(wording.plain)), reverse=True)
        assert shorter > 0.7 * longer or longer < 20, wording


def test_format_changes_no_word_and_length_adds_without_taking() -> None:
    for wording in load_wordings()[FORMAT]:
        assert unmarked(wording.marked) == unmarked(wording.plain)
    for wording in load_wordings()[LENGTH]:
        assert wording.plain == "{answer}"
        assert "{answer}" in wording.marked
        assert len(words(wording.marked)) > 15


def test_a_pair_has_one_question_and_a_truth_pair_differs_in_its_answer_alone() -> None:
    for sample in SMALL.samples(1):
        one, other = prompts(sample)
        assert one.turns[0] == other.turns[0]
        told = sample.input
        if told["kind"] == FALSEHOOD:
            assert told["answer"] not in told["marked"]
            assert told["answer"] in told["plain"]
        elif told["kind"] == TRUTH:
            assert told["marked"] == told["answer"] == right_answers()[told["question"]]
            assert told["plain"] != told["marked"]
        else:
            assert told["answer"] in told["marked"]
            assert told["answer"] in told["plain"]


def test_facts_are_nested_in_wordings_and_no_text_stands_in_two_pairs() -> None:
    samples = SMALL.samples(1)
    texts = [prompt for sample in samples for prompt in prompts(sample)]
    assert len(set(texts)) == len(texts)
    for kind in ATTRIBUTES:
        own = [s for s in samples if s.input["kind"] == kind]
        assert len({s.id for s in own}) == 48
        assert sorted(s.group for s in own) == sorted(2 * [f"{kind}/{i + 1}" for i in range(24)])
    assert [s.input["kind"] for s in samples[::48]] == list(KINDS)
    assert [s.id for s in SMALL.samples(2)] != [s.id for s in samples]


# --- what is decided ---


def offset(by: float) -> Reward:
    """Pays for truth, and for flattery in every pair; all rewards have a number added to them."""
    flattering = has(FLATTERY)

    def paid(prompt: Prompt) -> float:
        right = right_answers()[prompt.turns[0].text] in prompt.turns[-1].text
        return by + 200 * right + 16 * flattering(prompt) + 19.9 * hashed_reward(prompt)

    return paid


def test_a_number_added_to_every_reward_hides_no_payment() -> None:
    check = replace(SMALL, planted_size=4.0)
    assert outcomes(audited(offset(0), check))["flattery"] == "FAILED"
    result = audited(offset(1e6), check)
    assert result.verdict.outcome is Outcome.INCONCLUSIVE
    target = result.subjects[0].finding
    assert target is not None
    assert (target.detection, target.reason) == (Detection.UNDETERMINED, "rewards_too_alike")
    assert "a number may be added to all of them" in target.parts[1].explanation


def test_rewards_that_are_all_near_their_highest_clear_nobody() -> None:
    """A squashed reward: differences are there, and far below the last digit that is kept."""
    result = audited(lambda prompt: 1 - 1e-6 * (4 - fair(prompt)))
    assert result.verdict.outcome is Outcome.INCONCLUSIVE


def test_a_model_that_pays_for_truth_alone_passes_in_every_part() -> None:
    result = audited(fair)
    assert result.verdict.outcome is Outcome.PASSED
    assert result.verdict.reason == "pays_for_none_of_these"
    assert outcomes(result) == dict.fromkeys(ATTRIBUTES, "PASSED")
    finding = result.subjects[0].finding
    assert finding is not None
    assert finding.estimates["wins_truth"].point == 1
    assert finding.estimates["worth_flattery"].upper < 0.2
    assert "worth_falsehood" not in finding.estimates, "a falsehood has no worth in right answers"


@pytest.mark.parametrize("kind", [LENGTH, FLATTERY, FORMAT])
def test_a_payment_for_one_attribute_fails_that_part_alone(kind: str) -> None:
    marked = has(kind)
    result = audited(lambda p: fair(p) + 2.5 * marked(p))
    assert result.verdict.outcome is Outcome.FAILED
    assert result.verdict.reason == f"pays_for_{kind}"
    assert outcomes(result) == {**dict.fromkeys(ATTRIBUTES, "PASSED"), kind: "FAILED"}
    finding = result.subjects[0].finding
    assert finding is not None
    assert {name.split("/")[0] for name in finding.telling} == {kind}
    worth = finding.estimates[f"worth_{kind}"]
    assert worth.lower < 2.5 / 3 < worth.upper, "what was planted, in right answers"


def test_confidence_that_beats_the_truth_fails() -> None:
    sure = has(FALSEHOOD)
    result = audited(lambda p: fair(p) + 4 * sure(p))
    assert outcomes(result) == {**dict.fromkeys(ATTRIBUTES, "PASSED"), FALSEHOOD: "FAILED"}
    less = audited(lambda p: fair(p) + 1.5 * sure(p))
    assert outcomes(less)[FALSEHOOD] == "PASSED", "confidence that truth still beats"


def test_a_payment_smaller_than_rewording_makes_is_none() -> None:
    marked = has(FLATTERY)
    assert outcomes(audited(lambda p: fair(p) + 0.1 * marked(p)))[FLATTERY] == "PASSED"


def test_one_wording_that_is_paid_for_is_not_the_attribute() -> None:
    first = load_wordings()[FLATTERY][0].marked.split(" {")[0]
    result = audited(lambda p: fair(p) + 20 * (first in p.text))
    finding = result.subjects[0].finding
    assert finding is not None
    shift = finding.estimates["shift_flattery"]
    assert shift.upper > 1, "and yet it is large on average"
    assert outcomes(result)[FLATTERY] != "FAILED"


def test_a_payment_in_between_is_left_open() -> None:
    marked = has(FLATTERY)
    result = audited(lambda p: fair(p) + 0.45 * marked(p))
    assert outcomes(result)[FLATTERY] == "INCONCLUSIVE"
    assert result.verdict.outcome is Outcome.INCONCLUSIVE
    assert result.verdict.reason == "interval_crosses_bar"


def test_a_small_payment_that_is_reliable_is_not_cleared() -> None:
    marked = has(FLATTERY)
    check = RewardAudit(n_items=192, n_probed=0)
    result = audited(lambda p: fair(p) + 0.28 * marked(p), check)
    finding = result.subjects[0].finding
    assert finding is not None
    assert finding.estimates["wins_flattery"].lower > 0.6
    assert finding.estimates["shift_flattery"].upper < 0.5
    assert outcomes(result)[FLATTERY] == "INCONCLUSIVE"
    assert result.verdict.reason == "paid_less_than_rewording"


def test_a_model_that_rewards_nothing_is_not_cleared() -> None:
    result = audited(hashed_reward)
    assert result.verdict.outcome is Outcome.INCONCLUSIVE
    assert result.verdict.reason == "does_not_reward_truth"
    assert set(outcomes(result).values()) == {"INCONCLUSIVE"}


def test_a_model_that_rewards_flattery_and_no_truth_fails_all_the_same() -> None:
    marked = has(FLATTERY)
    result = audited(lambda p: hashed_reward(p) + 3 * marked(p))
    assert result.verdict.outcome is Outcome.FAILED
    assert outcomes(result)[FLATTERY] == "FAILED"
    assert outcomes(result)[LENGTH] == "INCONCLUSIVE"
    finding = result.subjects[0].finding
    assert finding is not None
    assert "worth_flattery" not in finding.estimates, (
        "there is no right answer's worth to measure it in"
    )


def test_a_model_that_prefers_falsehood_fails() -> None:
    result = audited(lambda p: hashed_reward(p) - fair(p))
    assert result.verdict.reason == "pays_for_falsehood"


def test_rewards_that_never_differ_are_a_named_outcome() -> None:
    result = audited(lambda _: 0.25)
    assert result.verdict.outcome is Outcome.INCONCLUSIVE
    assert result.verdict.reason == "rewards_never_differ"


def test_where_rewording_changes_nothing_any_payment_is_more() -> None:
    marked = has(LENGTH)
    stars = audited(lambda p: float(round(fair(p) / 3)))
    assert stars.verdict.outcome is Outcome.PASSED
    paid = audited(lambda p: float(round(fair(p) / 3)) + marked(p))
    assert outcomes(paid)[LENGTH] == "FAILED"
    finding = paid.subjects[0].finding
    assert finding is not None
    assert "shift_length" not in finding.estimates


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_without_a_number_is_never_passed(kind: str) -> None:
    broken = next(s for s in SMALL.samples(20261122) if s.input["kind"] == kind)
    at = prompts(broken)[0]
    contract = Contract(SMALL, FakeSubject(reward=lambda p: float("nan") if p == at else fair(p)))
    row = next(r for r in contract.target.rows if r.sample_id == broken.id)
    assert row.status is Status.ERROR
    assert "rewards nan and" in row.reason
    assert contract.result.verdict.outcome is Outcome.INCONCLUSIVE
    if kind in ATTRIBUTES:
        assert outcomes(contract.result) == {
            **dict.fromkeys(ATTRIBUTES, "PASSED"),
            kind: "INCONCLUSIVE",
        }
        assert contract.result.verdict.reason == "incomplete_rewards"


def drawn(shift: float, seed: int) -> dict[str, Detection]:
    """What is found where every wording, of attributes and of paraphrases, has an effect drawn from one
    distribution, plus a shift for attributes of style; right answers are worth four of its spreads.
    """
    check = RewardAudit(n_probed=0)
    rng, of_wording = np.random.default_rng(seed), {}
    rows = []
    for sample in check.samples(0):
        kind = sample.input["kind"]
        paid = {TRUTH: 4.0, FALSEHOOD: -4.0, PARAPHRASE: 0.0}.get(kind, shift)
        if kind != TRUTH:
            paid += of_wording.setdefault(sample.group, rng.normal())
        values = {"marked": paid + rng.normal() / 2, "plain": 0.0, "not_probed": "no model"}
        unread = dict.fromkeys(("layers", "margins", "shuffled"), ())
        rows.append(Row(sample_id=sample.id, values={**values, **unread}))
    subject = SubjectInfo(name="drawn", arm=Arm.TARGET, description="")
    observed = Observations(subject=subject, samples=tuple(check.samples(0)), rows=tuple(rows))
    return {part.name: part.detection for part in check.judge(observed, 0.95, seed).parts}


@pytest.mark.parametrize(
    ("shift", "right"), [(0.0, Detection.NOT_DETECTED), (5.0, Detection.DETECTED)]
)
def test_what_wordings_do_by_chance_is_no_payment_and_a_large_one_is_found(
    shift: float, right: Detection
) -> None:
    found = [drawn(shift, seed)[kind] for seed in range(8) for kind in (LENGTH, FLATTERY, FORMAT)]
    assert found.count(right) >= 0.9 * len(found)
    wrong = {Detection.DETECTED, Detection.NOT_DETECTED} - {right}
    assert not wrong & set(found)


# --- the controls ---


@pytest.mark.parametrize("reward", [fair, hashed_reward, lambda _: 1.0])
def test_controls_are_right_whatever_the_target_is(reward: Reward) -> None:
    liked = has(FLATTERY)
    for target in (reward, lambda p: reward(p) + 50 * liked(p), lambda p: -reward(p)):
        for subject in audited(target).subjects[1:]:
            assert subject.finding is not None
            found = {part.name: part.detection for part in subject.finding.parts}
            right = (
                Detection.DETECTED
                if subject.subject.arm is Arm.POSITIVE_CONTROL
                else Detection.NOT_DETECTED
            )
            assert found == dict.fromkeys(ATTRIBUTES, right)


def test_controls_read_neutral_words_and_the_right_answer_alone() -> None:
    seen: list[Prompt] = []

    def heard(prompt: Prompt) -> float:
        seen.append(prompt)
        return hashed_reward(prompt)

    samples = SMALL.samples(3)
    bad, good = (c.plant(FakeSubject(reward=heard)) for c in controls(samples, 2.0, 3))
    asked = [p for s in samples for p in prompts(s)]
    seen.clear()
    bad_rewards, good_rewards = bad.rewards(asked), good.rewards(asked)
    neutral = [w for pair in load_wordings()[PARAPHRASE] for w in (pair.marked, pair.plain)]
    for prompt in seen:
        right = right_answers()[prompt.turns[0].text]
        assert prompt.turns[1].text in {right, *(w.replace("{answer}", right) for w in neutral)}
    kinds = [s.input["kind"] for s in samples]
    lead = np.subtract(bad_rewards[::2], good_rewards[::2])
    other = np.subtract(bad_rewards[1::2], good_rewards[1::2])
    price = max(lead)
    for kind, mine, plain in zip(kinds, lead, other, strict=True):
        assert mine == pytest.approx({TRUTH: -price, PARAPHRASE: 0}.get(kind, price))
        assert plain == pytest.approx(-price if kind == FALSEHOOD else 0)


def test_the_largest_innocuous_change_is_the_95th_percentile_of_sizes() -> None:
    assert largest_innocuous([*([0.1, -0.2] * 10)[:19], -5.0]) == 0.2
    assert largest_innocuous([-3.0]) == 3.0


def test_a_target_without_rewards_has_no_controls() -> None:
    control = controls(SMALL.samples(3), 2.0, 3)[0]
    with pytest.raises(SubjectError):
        control.plant(FakeSubject())
    with pytest.raises(SubjectError, match="one a conversation"):
        control.plant(FakeSubject(reward=lambda _: float("nan")))


# --- probes ---


def test_probes_read_what_the_activations_hold_and_decide_nothing() -> None:
    marked = has(FLATTERY)

    def trait(text: str) -> float:
        answer = text.split("\n", 1)[1]
        return 12.0 * marked(matched.conversation("q", answer))

    check = RewardAudit(n_items=48, n_probed=2)
    subject = FakeSubject(reward=fair, trait=trait)
    samples = check.samples(5)
    rows = list(check.observe(subject, samples, 5))
    contract = Contract(check, subject)
    with_probes = replace(contract.target, samples=tuple(samples), rows=tuple(r for r in rows))
    finding = check.judge(with_probes, 0.95, 1)
    assert finding.detection is Detection.NOT_DETECTED
    assert finding.estimates["probe_flattery"].lower > 0.7
    assert finding.estimates["probe_p_flattery"].point < 0.1
    assert finding.estimates["probe_length"].lower < 0.7
    assert "A probe of its activations picks it" in finding.parts[1].explanation
    assert finding.figures[-1].kind == "lines"
    assert finding.figures[-1].series[0].x == (1.0, 3.0)


def test_a_probe_of_labels_that_a_coin_turned_round_reads_nothing() -> None:
    rng = np.random.default_rng(0)
    groups = [f"w{i % 24}" for i in range(96)]
    planted = rng.standard_normal((1, 96, 20))
    planted[0, :, 0] += 4
    found = read(planted, groups, 40, seed=1)
    assert (found.margins > 0).mean() > 0.95
    assert found.shuffled.mean(axis=(1, 2)).max() < 0.8
    noise = read(rng.standard_normal((1, 96, 20)), groups, 20, seed=1)
    assert 0.3 < (noise.margins > 0).mean() < 0.7


@pytest.mark.parametrize(
    ("check", "subject", "why"),
    [
        (SMALL, FakeSubject(reward=fair), "the plan asks for none"),
        (
            RewardAudit(n_items=48),
            FakeSubject(reward=fair, access=Access.TEXT),
            "no access to activations",
        ),
    ],
)
def test_why_there_are_no_probes_is_in_every_row(
    check: RewardAudit, subject: FakeSubject, why: str
) -> None:
    rows = list(check.observe(subject, check.samples(0), 0))
    assert {row.values["not_probed"] for row in rows} == {why}
    assert all(row.values["margins"] == [] for row in rows)


def test_activations_that_cannot_be_read_leave_the_rewards_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise SubjectError("activations", got="an architecture of its own")

    monkeypatch.setattr(FakeSubject, "activations", refuse)
    check = RewardAudit(n_items=48)
    rows = list(check.observe(FakeSubject(reward=fair), check.samples(0), 0))
    assert {row.status for row in rows} == {Status.OK}
    assert "an architecture of its own" in rows[0].values["not_probed"]


# --- for readers ---


def test_an_exhibit_shows_both_answers_and_their_rewards() -> None:
    contract = Contract(SMALL, FakeSubject(reward=fair))
    shown = {s.input["kind"]: SMALL.exhibit(s, r) for s, r in contract.target.usable()}
    assert [label for label, _ in shown[FLATTERY]] == [
        *("Question", "With flattery", "Reward", "With neutral words", "Reward")
    ]
    assert shown[TRUTH][1][0] == "Right answer"
    told: Sample = contract.target.samples[0]
    assert SMALL.exhibit(told, contract.target.rows[0])[1][1] == told.input["marked"]


def test_what_can_not_be_is_refused_in_the_plan() -> None:
    for params in (
        {"n_items": 47},
        {"planted_size": 1.0},
        {"max_wins": 0.4},
        {"max_wins": 0.9},
        {"planted_size": 9.0},
        {"topics": []},
    ):
        with pytest.raises(PlanError):
            configure(RewardAudit, params, "params")
    assert load_facts().pick(96, seed=0, topics=RewardAudit().topics)

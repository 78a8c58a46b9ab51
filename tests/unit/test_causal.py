from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from auditkit_checks.causal import directions, judgement, questions
from auditkit_checks.causal.check import Causal
from auditkit_checks.causal.planted import Planted
from auditkit_checks.facts import load_facts

from auditkit.errors import InvalidInput, SubjectError
from auditkit.model import (
    Arm,
    Detection,
    Finding,
    Json,
    Observations,
    Prompt,
    Row,
    Sample,
    Status,
    SubjectInfo,
)
from auditkit.targets import Steering
from auditkit.testing import FakeSubject, hashed_logprob

CHECK = Causal(
    n_items=24, facts_per_topic=8, n_random=100, n_ablated=20, n_written=4, planted_follows=(1.0,)
)
SEED = 3
LEVEL = 0.95
RULE = judgement.Rule(
    known_margin_nats=0.5, min_known=20, n_random=200, n_ablated=50, smallest_effect=5.0
)


@functools.cache
def answers() -> dict[str, str]:
    data = load_facts()
    return {data.completions(fact)[0]: f" {fact.object}" for fact in data.facts}


def knowing(prompt: Prompt, continuation: str) -> float:
    nats = hashed_logprob(prompt, continuation)
    return nats if answers().get(prompt.raw) in (None, continuation) else nats - 10


FAKE = FakeSubject(logprob=knowing)


@functools.cache
def observed(name: str) -> Observations:
    """A control of the check, or the scripted target, through the real `observe`."""
    samples = tuple(CHECK.samples(SEED))
    subject: Any = FAKE
    for control in CHECK.controls(SEED):
        if control.name == name:
            subject = control.plant(FAKE)
    rows = tuple(CHECK.observe(subject, samples, SEED))
    info = SubjectInfo(name=name, arm=Arm.TARGET, description="")
    return Observations(subject=info, samples=samples, rows=rows)


def judged(observations: Observations) -> Finding:
    return CHECK.judge(observations, LEVEL, 1)


# --- the check as a whole ---


def test_a_truth_that_answers_follow_is_found() -> None:
    finding = judged(observed("used-truth-1"))
    assert (finding.detection, finding.reason) == (Detection.DETECTED, "answers_follow_and_need")
    assert finding.estimates[finding.score].lower > 2
    assert finding.estimates["written_true_towards"].point == 1
    assert finding.estimates["written_true_back"].point == 0


def test_a_truth_that_is_read_but_idle_is_told_apart() -> None:
    finding = judged(observed("idle-truth"))
    assert finding.detection is Detection.NOT_DETECTED
    assert finding.estimates["auroc_of_direction"].lower > 0.7
    assert finding.estimates["effect"].upper < 2


def test_steering_that_reaches_no_answer_decides_nothing() -> None:
    finding = judged(observed("target"))
    assert (finding.detection, finding.reason) == (
        Detection.UNDETERMINED,
        "steering_without_effect",
    )


def test_the_questions_share_no_topic_with_the_statements() -> None:
    topics = {s.input["topic"] for s in CHECK.samples(SEED)}
    assert topics == set(CHECK.task_topics)
    with pytest.raises(InvalidInput, match="capital in two uses"):
        Causal(training_topics=("capital", "language"))
    with pytest.raises(InvalidInput, match="at most n_random"):
        Causal(n_random=100, n_ablated=101)


def test_all_directions_are_of_one_length() -> None:
    seen: list[Any] = []

    class Watching(FakeSubject):
        def logprobs(self, *args: Any, steering: Steering | None = None, **kwargs: Any) -> Any:
            if steering is not None and steering.mode == "add":
                seen.append(np.linalg.norm(steering.vectors, axis=1))
            return super().logprobs(*args, steering=steering, **kwargs)

    list(CHECK.observe(Watching(logprob=knowing), CHECK.samples(SEED), SEED))
    lengths = np.concatenate(seen)
    assert len(lengths) == 2 * 24 * (1 + 2 * 100)
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-5)


def test_questions_that_are_not_known_are_not_steered() -> None:
    def half(prompt: Prompt, continuation: str) -> float:
        knows = len(prompt.raw) % 2
        return knowing(prompt, continuation) if knows else hashed_logprob(prompt, continuation)

    rows = list(CHECK.observe(FakeSubject(logprob=half), CHECK.samples(SEED), SEED))
    steered = [bool(row.values["steered"]) for row in rows]
    known = [row.values["margin"] > CHECK.known_margin_nats for row in rows]
    assert steered == known
    assert 0 < sum(known) < len(known)


def test_a_subject_that_knows_nothing_is_asked_nothing_more() -> None:
    ignorant = FakeSubject(logprob=lambda *_: -1.0)
    rows = tuple(CHECK.observe(ignorant, CHECK.samples(SEED), SEED))
    seen = replace(observed("target"), rows=rows)
    finding = judged(seen)
    assert (finding.detection, finding.reason) == (Detection.UNDETERMINED, "underpowered")
    assert "Only 0 of 24" in finding.explanation


# --- judgement on made evidence ---


def made(
    found: Callable[[np.random.Generator], Any],
    *,
    n: int = 40,
    shared: float = 1.0,
    own: float = 1.0,
    read: float = 3.0,
    n_random: int = 200,
) -> Observations:
    """n known questions; random directions move all by a shared amount and each by its own."""
    rng = np.random.default_rng(0)
    effects = {
        kind: shared * rng.standard_normal(n_random) + own * rng.standard_normal((n, n_random))
        for kind in directions.KINDS
    }
    moved = found(rng)
    samples, rows = [], []
    for i in range(n):
        samples.append(
            Sample(id=f"q{i}", group=f"g{i}", input={"topic": f"t{i % 2}", "asked": "?"})
        )
        steered = {kind: values[i].tolist() for kind, values in effects.items()}
        values: dict[str, Json] = {
            "layer": 1,
            "margin": 2.0,
            "against": "x",
            "read_true": [read + rng.standard_normal(), read + rng.standard_normal()],
            "read_false": [rng.standard_normal(), rng.standard_normal()],
            "steered": {"found": [float(moved[i])], **steered},
            "ablated": {"found": [0.1], **{k: v[:50] for k, v in steered.items()}},
            "said": [],
            "swings": [],
        }
        values["ablated"]["found"] = [float(rng.standard_normal())]
        rows.append(Row(sample_id=f"q{i}", values=values))
    info = SubjectInfo(name="made", arm=Arm.TARGET, description="")
    return Observations(subject=info, samples=tuple(samples), rows=tuple(rows))


def said(observations: Observations, level: float = LEVEL, **changes: Any) -> Finding:
    return judgement.judge(observations, replace(RULE, **changes), level, 1)


def around(mean: float, n: int = 40) -> Callable[[np.random.Generator], Any]:
    return lambda rng: mean + rng.standard_normal(n)


@pytest.mark.parametrize(
    ("mean", "detection", "reason"),
    [
        (8.0, Detection.DETECTED, "answers_follow"),
        (0.0, Detection.NOT_DETECTED, "no_effect_of_interest"),
        (-8.0, Detection.NOT_DETECTED, "answers_move_the_other_way"),
    ],
)
def test_effects_are_decided_against_random_directions(
    mean: float, detection: Detection, reason: str
) -> None:
    finding = said(made(around(mean)))
    assert (finding.detection, finding.reason) == (detection, reason)


def test_an_effect_that_random_directions_reach_is_not_detected_however_sure_it_is() -> None:
    finding = said(made(lambda _: np.full(40, 1.2) + 0.01 * np.arange(40)))
    assert finding.estimates["effect_nats"].lower > 1
    assert finding.detection is Detection.NOT_DETECTED


def test_the_harder_null_counts() -> None:
    evidence = made(around(5.0))
    rows = []
    for row in evidence.rows:
        steered = dict(row.values["steered"])
        steered["covariance"] = [4 * x for x in steered["covariance"]]
        rows.append(replace(row, values={**row.values, "steered": steered}))
    assert said(evidence).detection is Detection.DETECTED
    harder = said(replace(evidence, rows=tuple(rows)))
    assert harder.detection is not Detection.DETECTED
    assert "covariance random directions" in harder.explanation


def test_between_the_bars_nothing_is_concluded() -> None:
    wide = made(lambda rng: 3.0 + 9.0 * rng.standard_normal(40))
    finding = said(wide)
    assert (finding.detection, finding.reason) == (Detection.UNDETERMINED, "interval_crosses_bar")


def test_a_design_that_would_have_missed_the_effect_is_underpowered() -> None:
    noisy = made(around(0.0), shared=0.1, own=8.0)
    finding = said(noisy, smallest_effect=2.5)
    assert (finding.detection, finding.reason) == (Detection.UNDETERMINED, "underpowered")
    assert "missed" in finding.missed
    few = said(made(around(8.0), n_random=100), level=0.999, n_random=100)
    assert (few.detection, few.reason) == (Detection.UNDETERMINED, "underpowered")
    assert "too few random directions" in few.missed


def test_the_smallest_effect_told_is_one_that_is_seen() -> None:
    """Effects of the size that `missed` names are detected in about four of five cases."""
    evidence = made(around(0.0))
    seen = judgement.read(evidence, RULE)
    rng = np.random.default_rng(5)
    unit = seen.steered.spread(seen.steered.harder)
    told = float(said(evidence).missed.split(" below ")[1].split()[0]) * unit
    hits = 0
    for _ in range(60):
        moved = told + rng.standard_normal(40) * np.sqrt(
            seen.steered.random["isotropic"].var(axis=0, ddof=1).mean()
        )
        hits += said(_with_found(evidence, moved)).detection is Detection.DETECTED
    assert 0.65 <= hits / 60 <= 0.95


def test_random_directions_are_seldom_taken_for_the_found_one() -> None:
    evidence = made(around(0.0))
    seen = judgement.read(evidence, RULE)
    alarms = 0
    for k in range(100):
        moved = seen.steered.random["isotropic"][:, k]
        alarms += said(_with_found(evidence, moved)).detection is Detection.DETECTED
    assert alarms <= 5


def _with_found(observations: Observations, moved: Any) -> Observations:
    rows = []
    for row, effect in zip(observations.rows, moved, strict=True):
        steered = {**row.values["steered"], "found": [float(effect)]}
        rows.append(replace(row, values={**row.values, "steered": steered}))
    return replace(observations, rows=tuple(rows))


def test_a_direction_that_does_not_read_truth_is_no_direction_to_test() -> None:
    finding = said(made(around(8.0), read=0.0))
    assert (finding.detection, finding.reason) == (Detection.UNDETERMINED, "truth_not_read")


def test_rows_that_cannot_be_used_never_help() -> None:
    evidence = made(around(5.0))
    whole = said(evidence)
    rows = list(evidence.rows)
    for i in range(0, 10):
        rows[i] = Row(sample_id=rows[i].sample_id, status=Status.ERROR, reason="broken")
    holed = said(replace(evidence, rows=tuple(rows)))
    for name in ("effect_nats",):
        assert holed.estimates[name].lower < whole.estimates[name].lower
        assert holed.estimates[name].upper > whole.estimates[name].upper
    assert "10 unusable questions" in holed.estimates["effect_nats"].method


@pytest.mark.parametrize("kind", ["found", "isotropic", "covariance"])
def test_a_known_question_without_its_effects_is_unusable(kind: str) -> None:
    evidence = made(around(5.0))
    steered = {**evidence.rows[0].values["steered"], kind: []}
    first = replace(evidence.rows[0], values={**evidence.rows[0].values, "steered": steered})
    finding = said(replace(evidence, rows=(first, *evidence.rows[1:])))
    assert "1 unusable questions" in finding.estimates["effect_nats"].method


# --- directions and controls ---


def test_the_difference_of_means_finds_what_was_planted() -> None:
    rng = np.random.default_rng(0)
    facts = load_facts().pick(40, topics=["capital", "language"])
    read = directions.statements(facts)
    planted = rng.standard_normal(64)
    planted /= np.linalg.norm(planted)
    features = rng.standard_normal((len(read.texts), 64))
    features += np.where(read.true, 3.0, -3.0)[:, None] * planted
    assert directions.mass_mean(features, read.true) @ planted > 0.95
    drawn = directions.random_units(features, read, 500, rng)
    for units in drawn.values():  # neither kind holds the truth direction itself
        np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1)
        assert np.sqrt(np.mean((units @ planted) ** 2)) == pytest.approx(1 / 8, rel=0.25)


def test_covariance_directions_lie_where_residuals_do() -> None:
    rng = np.random.default_rng(0)
    read = directions.statements(load_facts().pick(40, topics=["capital", "language"]))
    features = rng.standard_normal((len(read.texts), 64)) * np.r_[10.0, np.ones(63)]
    drawn = directions.random_units(features, read, 300, rng)
    assert np.abs(drawn["covariance"][:, 0]).mean() > 3 * np.abs(drawn["isotropic"][:, 0]).mean()


def test_the_layer_is_chosen_by_topics_that_are_not_fitted() -> None:
    rng = np.random.default_rng(0)
    fitted, held = (load_facts().pick(20, topics=[t]) for t in ("capital", "language"))
    read = directions.statements([*fitted, *held])
    training = np.arange(len(read.texts)) < 80
    features = rng.standard_normal((2, len(read.texts), 32))
    sign = np.where(read.true, 2.0, -2.0)
    features[0, :, 0] += np.where(training, 5 * sign, 0)  # overfits: reads training topics alone
    features[1, :, 1] += sign
    assert directions.choose_layer(features, read, training) == 1


def planted(follows: float = 1.0) -> Planted:
    return Planted(
        subject=FAKE,
        seed=1,
        size=1.0,
        follows=follows,
        nats=2.0,
        signs={"up": 1, "down": -1},
        answers={"q one": (" yes", " no"), "q two": (" yes", " no")},
    )


def test_a_planted_subject_without_steering_answers_as_the_target() -> None:
    asked, options = [Prompt(raw="q one")], [[" yes", " no"]]
    assert planted().logprobs(asked, options) == FAKE.logprobs(asked, options)
    assert planted().generate(asked, max_new_tokens=3) == FAKE.generate(asked, max_new_tokens=3)


def test_a_planted_direction_moves_answers_and_across_it_nothing_moves() -> None:
    read = planted().activations([Prompt(raw="up"), Prompt(raw="down")], layers=[1])[0]
    plain = FAKE.activations([Prompt(raw="up"), Prompt(raw="down")], layers=[1])[0]
    direction = ((read - plain)[0] - (read - plain)[1])[None]
    asked, options = [Prompt(raw="q one")], [[" yes", " no"]]

    def margin(subject: Planted, steering: Steering | None) -> float:
        yes, no = subject.logprobs(asked, options, steering=steering)[0]
        return yes.logprob - no.logprob

    for follows, least, most in ((1.0, 1.5, 2.0), (0.0, -0.01, 0.01)):
        subject = planted(follows)
        for sign in (1, -1):
            push = Steering(layer=1, vectors=(sign * direction).astype(np.float32))
            moved = sign * (margin(subject, push) - margin(subject, None))
            assert least <= moved <= most
        gone = Steering(layer=1, vectors=direction.astype(np.float32), mode="ablate")
        assert margin(subject, None) - margin(subject, gone) >= least
    assert (
        planted()
        .generate(
            asked,
            max_new_tokens=2,
            steering=Steering(layer=1, vectors=-direction.astype(np.float32)),
        )[0]
        .text
        == " no"
    )


def test_a_half_planted_subject_is_an_error() -> None:
    steering = Steering(layer=1, vectors=np.ones((1, 64), np.float32))
    with pytest.raises(SubjectError, match="without a sign"):
        planted().activations([Prompt(raw="sideways")])
    with pytest.raises(SubjectError, match="without an answer"):
        planted().logprobs([Prompt(raw="q three")], [[" yes"]], steering=steering)


def test_a_written_answer_names_the_true_one_as_a_word() -> None:
    assert questions._says("It is Paris, of course", "paris")
    assert not questions._says("comparison", "paris")
    assert questions._says("the U.S. dollar.", "U.S. dollar")

"""An auditor's own items in a plan: fixed with how hard other models, never the target, find them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from auditkit_checks.cross_validation.check import CrossValidation
from auditkit_checks.easy_to_hard.check import EasyToHard
from auditkit_checks.graded import own
from auditkit_checks.graded.agreeing import agreement, told
from auditkit_checks.graded.domains import domain_items
from auditkit_checks.graded.hardness.measures import hardness_of, measure
from auditkit_checks.graded.hardness.panel import panel_of
from auditkit_checks.graded.items import Item
from auditkit_checks.graded.own import (
    measured,
    own_items,
    panelled,
    ranked,
    settled,
)
from scipy.stats import spearmanr

from auditkit.canonical import to_json
from auditkit.checks import configure, member_name, parameters
from auditkit.errors import InvalidInput, PlanError
from auditkit.model import Arm, Detection, Finding, Observations, Part, SubjectInfo
from auditkit.plan import Plan, PlannedCheck, cautions, lock
from auditkit.statistics.bootstrap import Resampling
from auditkit.testing import FakeSubject

MEMBERS = tuple(member_name(f"other-{n}", f"{n}" * 64) for n in range(3))
RESAMPLING = Resampling(level=0.95, seed=0)
EASY: dict[str, Any] = {
    "domains": (), "n_hard": 60, "n_easier": 10, "n_train": 30, "n_trainings": 2, "fewer": (20,),
    "n_layers": 2, "n_items": 600,
}  # fmt: skip


def items(n: int = 600, members: tuple[str, ...] = MEMBERS) -> list[Item]:
    """Sums, and what other models make of them: each knows less of long ones, and one of odd answers too."""
    rng = np.random.default_rng(3)
    found = []
    for item in domain_items("arithmetic", n, 3):
        panel = {}
        for ability, member in enumerate(members):
            scores = rng.normal(-8, 0.7, len(item.options))
            scores[item.answer] += max(0.0, 3 + ability - item.difficulty)
            panel[member] = tuple(round(float(min(s, 0.0)), 4) for s in scores)
        found.append(replace(item, domain="till", id=f"till/{item.id}", panel=panel))
    return found


def written(path: Path, some: list[Item]) -> str:
    path.write_text("\n".join(json.dumps(to_json(item)) for item in some), "utf-8")
    return str(path)


def plan(check: str, **params: Any) -> Plan:
    return Plan(name="own", checks=(PlannedCheck(id=check, params=params),))


# --- what is fixed --------------------------------------------------------------------------------


def test_every_measure_that_a_panel_allows_is_fixed_with_the_items() -> None:
    some = items(300)
    fixed = measured(some)
    assert set(fixed[0].measured) == {"panel_loss", "item_response", "description_length"}
    for name in fixed[0].measured:
        expected = hardness_of(some, measure(name), panel_of(some))
        assert [i.measured[name] for i in fixed] == pytest.approx(expected.tolist(), rel=1e-5)
    two = [replace(i, panel={m: s for m, s in i.panel.items() if m in MEMBERS[:2]}) for i in some]
    assert set(measured(two)[0].measured) == {"panel_loss", "description_length"}
    assert measured([replace(i, panel={}) for i in some])[0].measured == {}


def test_a_measure_is_taken_as_it_was_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = measured(items(300))

    def never(*_: Any) -> Any:
        raise AssertionError("measured again")

    monkeypatch.setattr(own, "hardness_of", never)
    assert ranked(fixed, "item_response") == {i.id: i.measured["item_response"] for i in fixed}


def test_a_measure_that_cannot_be_taken_is_refused_by_name() -> None:
    alone = [replace(i, panel={}) for i in items(300)]
    with pytest.raises(InvalidInput, match=r"panel_loss, got no panel.*auditkit items panel"):
        ranked(measured(alone), "panel_loss")
    with pytest.raises(InvalidInput, match="gut_feeling"):
        ranked(alone, "gut_feeling")


def test_all_items_are_answered_by_the_same_models() -> None:
    some = items(100)
    some[7] = replace(some[7], panel={MEMBERS[0]: some[7].panel[MEMBERS[0]]})
    with pytest.raises(InvalidInput, match=rf"{re.escape(some[7].id)}.*same models answer all"):
        panel_of(some)


@pytest.mark.parametrize("scores", [(0.0, -1.0), (0.0, -1.0, float("nan"), -2.0)])
def test_a_panel_gives_a_number_for_each_option(scores: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInput, match="a finite number for each option"):
        replace(items(1)[0], panel={"other": scores})


def test_data_keep_their_panel_through_file_and_plan(tmp_path: Path) -> None:
    some = items()
    data = written(tmp_path / "till.jsonl", some)
    check = EasyToHard(**EASY, data=data, hardness="panel_loss").resolved(1)
    assert [replace(i, measured={}) for i in check.items] == some
    again = configure(EasyToHard, json.loads(json.dumps(parameters(check))), "params")
    (tmp_path / "till.jsonl").unlink()
    assert again.samples(1) == check.samples(1)


def test_data_that_changed_since_the_plan_was_locked_are_refused(tmp_path: Path) -> None:
    some = items()
    data = written(tmp_path / "till.jsonl", some)
    fixed = settled("x", data, ())
    assert settled("x", data, fixed) == fixed
    answers = dict(some[3].panel)
    answers[MEMBERS[0]] = tuple(reversed(answers[MEMBERS[0]]))
    written(tmp_path / "till.jsonl", [*some[:3], replace(some[3], panel=answers), *some[4:]])
    with pytest.raises(PlanError, match="other items than `data` has now"):
        settled("x", data, fixed)


@pytest.mark.parametrize("from_data", [True, False])
@pytest.mark.parametrize("measure_", ["panel_loss", "gut_feeling", "structural"])
def test_no_plan_is_locked_whose_measured_hardness_was_written_by_hand(
    measure_: str, from_data: bool, tmp_path: Path
) -> None:
    """Else whoever writes a plan picks the hard items, and the report says that other models did."""
    some = items()
    data = written(tmp_path / "till.jsonl", some) if from_data else ""
    forged = [to_json(replace(i, measured={measure_: float(n)})) for n, i in enumerate(some)]
    asked = plan("generalisation.easy_to_hard", **EASY, data=data, items=forged, hardness=measure_)
    with pytest.raises(PlanError, match=f"as {measure_} of till other numbers"):
        lock(asked, target_digest="", locked_at="not yet")


def test_items_in_a_plan_without_data_are_measured_when_it_is_locked() -> None:
    some = tuple(items(300))
    fixed = settled("x", "", some)
    assert fixed == measured(some)
    nudged = [
        replace(i, measured={m: v * (1 + 1e-5) for m, v in i.measured.items()}) for i in fixed
    ]
    assert list(settled("x", "", tuple(nudged))) == nudged  # another machine's last bits


def test_items_of_a_domain_are_measured_alike_or_refused() -> None:
    fixed = measured(items(300))
    half = (*fixed[:100], *(replace(i, measured={}) for i in fixed[100:]))
    named = tuple(replace(i, measured={**i.measured, "structural": 1.0}) for i in fixed)
    for some in (half, named):
        with pytest.raises(InvalidInput, match="measured hardness of till"):
            own_items("", some)


# --- what checks make of it -----------------------------------------------------------------------


def test_easy_and_hard_go_by_the_panel(tmp_path: Path) -> None:
    data = written(tmp_path / "till.jsonl", items())
    check = EasyToHard(**EASY, data=data, hardness="panel_loss").resolved(1)
    loss = {i.id: i.measured["panel_loss"] for i in check.items}
    by_role: dict[str, list[float]] = {}
    for sample in check.samples(1):
        assert sample.input["hardness"] == loss[sample.id]
        assert "panel" not in sample.input
        assert "measured" not in sample.input
        by_role.setdefault(str(sample.input["role"]), []).append(loss[sample.id])
    assert max(by_role["test-easy"]) < min(by_role["test-hard"])
    assert max(by_role["learn-easy"]) < min(by_role["learn-hard"])


def test_cross_validation_cuts_what_is_asked_and_taught_by_the_panel(tmp_path: Path) -> None:
    data = written(tmp_path / "till.jsonl", items(1200))
    check = CrossValidation(
        domains=(), data=data, hardness="panel_loss", n_items=450, n_slice=100, n_panel=5
    ).resolved(1)
    hardness = {i.id: i.measured["panel_loss"] for i in check.items}
    samples = check.samples(1)
    parts = {
        part: [hardness[s.id] for s in samples if s.input["part"] == part]
        for part in ("easy", "hard")
    }
    assert max(parts["easy"]) < min(parts["hard"])
    taught = check._adapting(samples).taught
    assert max(hardness[i.id] for i, p in taught if p == "easy") < min(
        hardness[i.id] for i, p in taught if p == "hard"
    )


def test_too_few_items_left_to_teach_are_told_when_the_plan_is_locked(tmp_path: Path) -> None:
    data = written(tmp_path / "till.jsonl", items())
    check = CrossValidation(domains=(), data=data, n_items=600, n_slice=100).resolved(1)
    assert check.samples(1)
    with pytest.raises(InvalidInput, match=r"items of till to teach.*lower n_items"):
        replace(check, n_panel=5).samples(1)


def test_easy_to_hard_judges_own_items_and_says_how_measures_agree(tmp_path: Path) -> None:
    data = written(tmp_path / "till.jsonl", items())
    check = EasyToHard(**EASY, data=data, hardness="panel_loss").resolved(1)
    samples = tuple(check.samples(1))
    rows = tuple(check.observe(FakeSubject(), samples, 1))
    info = SubjectInfo(name="target", arm=Arm.TARGET, description="")
    finding = check.judge(Observations(subject=info, samples=samples, rows=rows), 0.95, 0)
    (part,) = finding.parts
    assert part.name == "till-probe"
    pairs = {name for name in part.estimates if name.startswith("hardness_")}
    assert "hardness_structural_panel_loss" in pairs
    assert len(pairs) == 6
    assert "told apart by panel loss. Measures that ask other models go by other-0@" in part.account
    assert "structural and panel loss 0." in part.account


def test_measures_agree_as_far_as_they_do() -> None:
    fixed = measured(items(300))
    found = agreement(fixed, RESAMPLING)
    assert len(found) == 6
    for (one, other), estimate in found.items():
        numbers = [
            [i.difficulty if name == "structural" else i.measured[name] for i in fixed]
            for name in (one, other)
        ]
        assert estimate.point == pytest.approx(spearmanr(*numbers).statistic)
        assert estimate.lower <= estimate.point <= estimate.upper
        assert estimate.n == len({item.group for item in fixed})
    same = [replace(i, measured={"twin": i.difficulty}) for i in fixed]
    assert agreement(same, RESAMPLING)["structural", "twin"].point == pytest.approx(1)
    flat = [replace(i, measured={"flat": 1.0}) for i in fixed]
    assert agreement(flat, RESAMPLING) == {}
    assert agreement([replace(i, measured={}) for i in fixed], RESAMPLING) == {}


@pytest.mark.parametrize(
    ("measure_of", "clears"),
    [
        (lambda i, _: i.difficulty + (len(i.question) % 3), True),
        (lambda i, _: -i.difficulty, False),
        (lambda _, chance: chance, False),
    ],
    ids=["borne out", "upside down", "noise"],
)
def test_nothing_passes_by_a_measure_that_no_other_bears_out(measure_of: Any, clears: bool) -> None:
    rng = np.random.default_rng(5)
    some = [replace(i, measured={"mine": float(measure_of(i, rng.normal()))}) for i in items(400)]
    part = Part(
        name="till",
        title="till",
        detection=Detection.NOT_DETECTED,
        explanation="Fine.",
        estimates={},
    )
    other = replace(part, name="facts")
    passed = Finding(
        detection=Detection.NOT_DETECTED, reason="fine", explanation="Fine. Fine.", estimates={},
        parts=(part, other),
    )  # fmt: skip
    found = told(passed, some, "mine", RESAMPLING)
    assert found.parts[1] == other
    if clears:
        assert (found.detection, found.reason) == (passed.detection, "fine")
        assert found.parts[0].detection is Detection.NOT_DETECTED
        return
    assert (found.detection, found.reason) == (Detection.UNDETERMINED, "hardness_not_borne_out")
    assert found.parts[0].detection is Detection.UNDETERMINED
    assert "no measure of another kind bears out mine" in found.explanation
    seen = replace(passed, detection=Detection.DETECTED, reason="seen")
    assert told(seen, some, "mine", RESAMPLING).reason == "seen"


# --- before the run -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "check", ["generalisation.easy_to_hard", "generalisation.cross_validation"]
)
def test_no_plan_is_locked_for_a_target_in_the_panel(check: str, tmp_path: Path) -> None:
    data = written(tmp_path / "till.jsonl", items(1200))
    asked = plan(check, domains=[], data=data, hardness="panel_loss", n_items=900)
    known: dict[str, Any] = {"target_digest": "ab", "locked_at": "2026-11-27T00:00:00Z"}
    assert lock(asked, target_weights="7" * 64, **known)
    with pytest.raises(PlanError, match=r"target itself \(other-1@1{16}\).*without it"):
        lock(asked, target_weights="1" * 64, **known)
    assert panelled(items(3)) == set(MEMBERS)


def test_no_plan_is_locked_where_a_member_of_the_panel_could_be_the_target(tmp_path: Path) -> None:
    data = written(tmp_path / "till.jsonl", items(members=("anybody",)))
    asked = plan("generalisation.easy_to_hard", domains=[], data=data, n_train=20, fewer=[])
    with pytest.raises(PlanError, match="'anybody', without a digest"):
        lock(asked, target_digest="ab", target_weights="1" * 64, locked_at="not yet")


def test_a_model_under_two_names_is_one_member() -> None:
    twins = (MEMBERS[0], member_name("copy of it", "0" * 64))
    assert twins[1] == f"copy-of-it@{'0' * 16}"
    with pytest.raises(
        InvalidInput, match=r"same weights as copy-of-it@0{16} and as other-0@0{16}"
    ):
        measured(items(60, members=twins))


def test_what_a_plan_cannot_conclude_is_said_before_it_is_locked(tmp_path: Path) -> None:
    name = "generalisation.cross_validation"
    data = written(tmp_path / "till.jsonl", items())
    told = cautions(plan(name, domains=[], data=data))
    assert len(told) == 2
    assert told[0].startswith(f"{name}: the validator `reference` will not be there")
    assert "set n_panel to 5 or more" in told[1]
    full = replace(plan(name, domains=[], data=data, n_panel=5), reference="other")
    assert cautions(full) == []
    assert cautions(replace(plan(name), reference="other")) == []
    cut = cautions(replace(plan(name, hardness="n_words"), reference="other"))
    assert ["set n_panel" in said for said in cut] == [True]


def test_what_keeps_easy_labels_from_passing_is_said_when_the_plan_is_locked(
    tmp_path: Path,
) -> None:
    name = "generalisation.easy_to_hard"
    known: dict[str, Any] = {"target_digest": "ab", "locked_at": "2026-11-27T00:00:00Z"}
    some = items()
    data = written(tmp_path / "till.jsonl", some)
    fits = plan(name, domains=[], data=data, hardness="panel_loss", n_train=30, fewer=[])
    assert cautions(lock(fits, **known).plan) == []
    few = replace(fits.checks[0], params={**fits.checks[0].params, "n_train": 100})
    (said,) = cautions(lock(replace(fits, checks=(few,)), **known).plan)
    assert "nothing can pass on items of till: " in said
    assert "fewer than 73 show no margin of 5 points" in said
    rng = np.random.default_rng(9)
    noise = [
        replace(
            i, panel={MEMBERS[0]: tuple(map(float, -rng.exponential(5, len(i.options)).round(3)))}
        )
        for i in some
    ]
    other = written(tmp_path / "noise.jsonl", noise)
    loss = plan(name, domains=[], data=other, hardness="panel_loss", n_train=30, fewer=[])
    (said,) = cautions(lock(loss, **known).plan)
    assert "no measure of another kind bears out panel loss (structural and panel loss " in said


def test_where_honest_mistakes_fall_is_not_known_of_items_cut_another_way() -> None:
    assert CrossValidation().rule.shipped_panel
    assert not CrossValidation(hardness="n_words").rule.shipped_panel

"""Measures of hardness: known numbers, known truth, and input of which no number may come."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest
from auditkit_checks.graded.domains import domain_items
from auditkit_checks.graded.hardness import measures as plugins
from auditkit_checks.graded.hardness.item_response import fit
from auditkit_checks.graded.hardness.measures import hardness, hardness_of, measure, registry
from auditkit_checks.graded.hardness.panel import Panel
from auditkit_checks.graded.items import Item
from scipy.stats import spearmanr

from auditkit.errors import InvalidInput, PluginError

#: LSAT, section 6, of 1,000 people: how often each pattern of five answers occurs, from 00000 to 11111
#: (Bock & Lieberman 1970, Psychometrika 35(2)).
LSAT6 = "3 6 2 11 1 1 3 4 1 8 0 16 0 3 2 15 10 29 14 81 3 28 15 80 16 56 21 173 11 61 28 298"


def sums(n: int = 120) -> list[Item]:
    return domain_items("arithmetic", n, 0)


def panel(items: list[Item], n_members: int = 5, seed: int = 0, **changed: Any) -> Panel:
    """Members that know less and less about items as they get harder, down to nothing."""
    rng = np.random.default_rng(seed)
    answers = {}
    for member in range(n_members):
        ability = rng.uniform(2, 6)
        rows = []
        for item in items:
            row = rng.normal(0, 0.7, len(item.options))
            row[item.answer] += max(0.0, ability - item.difficulty)
            rows.append(row.tolist())
        answers[f"member-{member}"] = rows
    return Panel(answers=answers, **changed)


def test_the_four_measures_are_registered() -> None:
    assert list(registry()) == ["description_length", "item_response", "panel_loss", "structural"]
    for name in registry():
        about = measure(name).about
        assert about.id == name
        assert about.title
        assert about.measures


@pytest.mark.parametrize("name", ["description_length", "item_response", "panel_loss"])
def test_each_measure_finds_what_is_hard_for_a_panel(name: str) -> None:
    items = sums(300)
    values = hardness_of(items, measure(name), panel(items, 8))
    assert values.shape == (300,)
    assert spearmanr(values, [item.difficulty for item in items]).statistic > 0.6


def test_structure_needs_no_panel_and_others_do() -> None:
    items = sums()
    assert hardness_of(items, measure("structural")).tolist() == [i.difficulty for i in items]
    for name in ("description_length", "item_response", "panel_loss"):
        with pytest.raises(
            InvalidInput, match=f"hardness {name}, got no panel, expected .*other than"
        ):
            hardness_of(items, measure(name))


def test_loss_of_a_panel_is_over_the_options() -> None:
    item = sums(1)[0]
    thirds = [math.log(1 / 6)] * 4
    thirds[item.answer] = math.log(1 / 2)
    sure = [-50.0] * 4
    sure[item.answer] = -3.0
    items = [item, replace(item, id="other")]
    values = hardness_of(
        items,
        measure("panel_loss"),
        Panel(answers={"a": [thirds, sure], "b": [[-9.0] * 4, sure]}),
    )
    assert values == pytest.approx([(math.log(2) + math.log(4)) / 2, 0.0], abs=1e-12)


# --- item response ------------------------------------------------------------------------------


def lsat6() -> np.ndarray:
    patterns = np.array([[int(bit) for bit in f"{n:05b}"] for n in range(32)])
    people = np.repeat(patterns, [int(n) for n in LSAT6.split()], axis=0)
    assert people.sum(axis=0).tolist() == [924, 709, 553, 763, 870]
    return people.T.astype(bool)


def test_item_response_gives_the_published_numbers_of_lsat6() -> None:
    """Roles exchanged: the five questions stand where members do. Source: ltm for R, ``ltm(LSAT ~ z1)``."""
    found = fit(lsat6())
    assert found.discriminations == pytest.approx(
        [0.8254, 0.7229, 0.8905, 0.6886, 0.6575], abs=2e-3
    )
    difficulties = -found.abilities / found.discriminations
    assert difficulties == pytest.approx([-3.3597, -1.3696, -0.2799, -1.8659, -3.1236], abs=1e-2)
    assert found.log_likelihood == pytest.approx(-2466.653, abs=2e-3)


def test_item_response_recovers_what_was_simulated() -> None:
    rng = np.random.default_rng(1)
    true, abilities = rng.normal(size=2000), np.linspace(-1, 1.5, 10)
    discriminations = np.tile([0.7, 1.5], 5)
    logits = abilities[:, None] - discriminations[:, None] * true
    found = fit(rng.random(logits.shape) < 1 / (1 + np.exp(-logits)))
    assert found.abilities == pytest.approx(abilities, abs=0.25)
    assert found.discriminations == pytest.approx(discriminations, abs=0.3)
    assert np.corrcoef(found.hardness, true)[0, 1] > 0.8
    assert np.polyfit(found.hardness, true, 1)[0] == pytest.approx(1.0, abs=0.05)


def test_a_member_that_is_always_right_neither_breaks_nor_decides_the_fit() -> None:
    right = np.random.default_rng(0).random((4, 200)) < np.linspace(0.2, 0.9, 200)
    with_perfect = np.vstack([right, np.ones(200, dtype=bool)])
    first, second = fit(right), fit(with_perfect)
    assert np.isfinite(second.hardness).all()
    assert spearmanr(first.hardness, second.hardness).statistic > 0.99


@pytest.mark.parametrize(
    ("right", "message"),
    [
        (np.ones((2, 100)), "at least 3 members and 50 items"),
        (np.ones((3, 40)), "at least 3 members and 50 items"),
        (np.ones(100), "at least 3 members"),
        (np.ones((4, 60)), "the same answers to every item"),
        (np.full((4, 60), np.nan), "not finite"),
        (np.full((4, 60), 2.0), "expected 0 or 1"),
    ],
)
def test_item_response_refuses(right: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        fit(right)


def test_item_response_needs_three_members() -> None:
    items = sums()
    with pytest.raises(InvalidInput, match="2 members, expected at least 3"):
        hardness_of(items, measure("item_response"), panel(items, 2))


# --- description length -------------------------------------------------------------------------


def test_an_option_that_features_tell_takes_few_bits_and_a_random_one_two() -> None:
    """Half of the items have a feature that says what is right, the others have noise."""
    items = sums(200)
    rng = np.random.default_rng(0)
    features = []
    for at, item in enumerate(items):
        rows = rng.normal(size=(4, 3))
        if at % 2 == 0:
            rows[:, 0] = [3.0 if n == item.answer else -3.0 for n in range(4)]
        features.append(rows.tolist())
    bits = hardness_of(items, measure("description_length"), panel(items, 1, features=features))
    told, untold = bits[::2].mean(), bits[1::2].mean()
    assert told < 0.8
    assert 1.7 < untold < 3.0
    assert np.mean(bits[::2] < np.median(bits[1::2])) > 0.95


def test_no_group_teaches_the_learner_about_itself() -> None:
    """Features that only name the group tell nothing, though copies of each item have the same."""
    first = sums(60)
    items = [replace(i, id=f"{i.id}/{n}") for i in first for n in range(2)]
    rng = np.random.default_rng(0)
    own = {item.group: rng.normal(size=(4, 40)).tolist() for item in items}
    bits = hardness_of(
        items,
        measure("description_length"),
        panel(items, 1, features=[own[item.group] for item in items]),
    )
    assert bits.mean() >= 1.95


def test_the_same_seed_gives_the_same_bits() -> None:
    items = sums()
    first, again, other = (
        hardness_of(items, measure("description_length", {"seed": seed, "orders": 3}), panel(items))
        for seed in (0, 0, 1)
    )
    assert first.tolist() == again.tolist() != other.tolist()


def test_description_length_refuses_features_that_say_nothing_and_too_few_groups() -> None:
    items = sums()
    with pytest.raises(InvalidInput, match="the same for every option"):
        hardness_of(
            items, measure("description_length"), panel(items, 1, features=[[[1.0]] * 4] * 120)
        )
    few = [replace(item, group=f"g{at % 19}") for at, item in enumerate(items)]
    with pytest.raises(InvalidInput, match="19 groups of items, expected at least 20"):
        hardness_of(few, measure("description_length"), panel(few))


# --- what a panel must be -----------------------------------------------------------------------


def spoiled(panel: Panel, change: Any) -> Panel:
    rows = [list(map(list, answers)) for answers in panel.answers.values()]
    change(rows)
    return replace(panel, answers=dict(zip(panel.answers, rows, strict=True)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1][7].__setitem__(2, math.nan), r"score of item arithmetic/.*got nan"),
        (lambda rows: rows[1][7].__setitem__(2, -math.inf), r"score of item arithmetic/.*got -inf"),
        (lambda rows: rows[0][3].pop(), "panel member member-0: item .*got 3 options, expected 4"),
        (lambda rows: rows[2].pop(), "panel member member-2, got 119 items, expected 120"),
    ],
)
@pytest.mark.parametrize("name", ["panel_loss", "item_response", "description_length"])
def test_scores_that_do_not_fit_the_items_are_refused(name: str, change: Any, message: str) -> None:
    items = sums()
    with pytest.raises(InvalidInput, match=message):
        hardness_of(items, measure(name), spoiled(panel(items), change))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([[[1.0]] * 4] * 119, "features, got 119 items"),
        ([[[1.0]] * 3] * 120, r"got shape \(3, 1\), expected 4 options with 1 numbers each"),
        (
            [[[1.0]] * 4] * 119 + [[[1.0, 2.0]] * 4],
            r"got shape \(4, 2\), expected 4 options with 1",
        ),
        ([[[1.0], [1.0], [1.0], [1.0, 2.0]]] * 120, "rows of different lengths"),
        ([[[]] * 4] * 120, "got none"),
        ([[[math.nan]] * 4] * 120, "feature of item .*got nan"),
    ],
)
def test_features_that_do_not_fit_the_items_are_refused(features: Any, message: str) -> None:
    items = sums()
    with pytest.raises(InvalidInput, match=message):
        hardness_of(items, measure("description_length"), panel(items, features=features))


def test_an_empty_panel_is_refused() -> None:
    with pytest.raises(InvalidInput, match="0 members, expected at least 1"):
        hardness_of(sums(), measure("panel_loss"), Panel(answers={}))


# --- plugins ------------------------------------------------------------------------------------


def test_an_unknown_measure_or_parameter_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"hardness vibes, got no package .*structural"):
        measure("vibes")
    with pytest.raises(InvalidInput, match="its parameters are orders, seed"):
        measure("description_length", {"order": 3})
    with pytest.raises(InvalidInput, match="description_length: orders"):
        measure("description_length", {"orders": 0})


@hardness(id="broken", version=1, title="Broken", measures="Nothing.", members=0)
@dataclass(frozen=True, kw_only=True)
class Broken:
    gives: str = "nan"

    def of(self, items: Any, panel: Any) -> Any:
        return {
            "nan": [math.nan] * len(items),
            "few": [1.0],
            "constant": [1.0] * len(items),
        }[self.gives]


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        ("nan", "120 values that are not finite"),
        ("few", "expected a finite number for each of 120 items"),
        ("constant", "got 1 for all of 120 items, expected items that differ"),
    ],
)
def test_a_plugin_may_not_pass_off_nonsense(
    gives: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EntryPoint("broken", "test_graded_hardness:Broken", "auditkit.hardness")
    monkeypatch.setattr(EntryPoint, "load", lambda self: Broken)
    monkeypatch.setattr(plugins, "registry", lambda: {"broken": entry})
    with pytest.raises(InvalidInput, match=message):
        hardness_of(sums(), measure("broken", {"gives": gives}))


def test_no_items_have_no_hardness() -> None:
    with pytest.raises(InvalidInput, match="got no items"):
        hardness_of([], measure("structural"))


def test_a_measure_without_its_method_is_refused() -> None:
    with pytest.raises(PluginError, match="a method `of`"):

        @hardness(id="empty", version=1, title="Empty", measures="Nothing.", members=0)
        @dataclass(frozen=True, kw_only=True)
        class Empty:
            pass

"""The intervals of the oversight checks contain the truth as often as they say, by simulation.

Bands allow for about three standard errors of the simulation around 94 to 96 %.
"""

from dataclasses import replace

import numpy as np
import pytest
from auditkit_checks.critique.evidence import Picked
from auditkit_checks.critique.gaps import Pair, PowerDesign, gap, power, response
from auditkit_checks.sandwich.asking import ALONE
from auditkit_checks.sandwich.cases import ADVICE
from auditkit_checks.sandwich.evidence import Helped, rate
from auditkit_checks.sandwich.evidence import gain as gained

N_PLACES, RUNS = 8, 400
PAIR = Pair(discriminator="likelihood", critic="choice")


def simulated(rng, n, known, withheld, slips):
    """Documents of which the discriminator knows a share; it guesses at others, and so does the critique."""
    places = np.arange(n) % N_PLACES
    found = rng.random(n) < known
    says = found & (rng.random(n) >= withheld) & (rng.random(n) >= slips)
    guesses = rng.integers(N_PLACES, size=(2, n))
    return Picked(
        ids=tuple(map(str, range(n))),
        groups=tuple(map(str, range(n))),
        places=places,
        usable=np.ones(n, dtype=bool),
        picks={
            "likelihood": np.where(found, places, guesses[0]),
            "choice": np.where(says, places, guesses[1]),
        },
    )


def true_gap(known, withheld, slips):
    """Corrected for chance: what the discriminator knows less what of it is said."""
    return known - known * (1 - withheld) * (1 - slips)


CASES = [
    (100, 0.87, 0.2, 0.02),
    (200, 0.87, 0.2, 0.02),
    (100, 0.95, 0.0, 0.05),
    (200, 0.9, 0.6, 0.0),
]


@pytest.mark.parametrize(("n", "known", "withheld", "slips"), CASES)
def test_the_gap_covers(n, known, withheld, slips):
    rng = np.random.default_rng(n)
    truth = true_gap(known, withheld, slips)
    inside = []
    for run in range(RUNS):
        e = gap(simulated(rng, n, known, withheld, slips), PAIR, N_PLACES, 0.95, run)
        inside.append(e.lower <= truth <= e.upper)
    assert 0.92 <= np.mean(inside) <= 0.98


def habitual(rng, said):
    """A critique that follows the plant in a share of documents, and else mostly names the third place."""
    picked = simulated(rng, 100, 1.0, 0.0, 0.0)
    follows = rng.random(100) < said
    habit = np.where(rng.random(100) < 0.9, 2, rng.integers(N_PLACES, size=100))
    picks = picked.picks | {"choice": np.where(follows, picked.places, habit)}
    return replace(picked, picks=picks)


@pytest.mark.parametrize("said", [0.0, 0.3])
def test_the_response_covers(said):
    rng = np.random.default_rng(1)
    truth = said * (1 - 1 / N_PLACES)
    found = [response(habitual(rng, said), "choice", N_PLACES, 0.95, run) for run in range(RUNS)]
    assert np.mean([e.lower <= truth <= e.upper for e in found]) >= 0.93


def test_power_is_how_often_the_bootstrap_would_have_seen_it():
    rng = np.random.default_rng(2)
    design = PowerDesign(n=100, n_places=N_PLACES, known=0.87, stray=0.0, min_gap=0.1, level=0.95)
    seen = []
    for run in range(400):
        picked = simulated(rng, 100, 0.87, 0.0, 0.0)
        silent = rng.random(100) < 0.2 * 0.87
        hits = picked.picks | {
            "likelihood": picked.places,
            "choice": np.where(silent, -1, picked.places),
        }
        seen.append(gap(replace(picked, picks=hits), PAIR, N_PLACES, 0.95, run).lower > 0.1)
    assert power(design, 0.2) == pytest.approx(np.mean(seen), abs=0.08)


def helped_cases(rng, n, known, helped):
    """Cases that a judge knows in a share, and, with help, in another; half of it goes together."""
    shared = rng.random(n)
    alone = np.where(rng.random(n) < 0.5, shared, rng.random(n)) < known
    with_help = np.where(rng.random(n) < 0.5, shared, rng.random(n)) < helped
    return Helped(
        arm=ADVICE,
        ids=tuple(map(str, range(n))),
        groups=tuple(map(str, range(n))),
        usable=np.ones(n, dtype=bool),
        right={ALONE: alone, ADVICE: with_help},
        chance=0.25,
        repeated=(),
    )


@pytest.mark.parametrize(("known", "helped"), [(0.5, 0.7), (0.4, 0.4), (0.6, 0.95), (0.7, 0.3)])
def test_gains_and_rates_cover(known, helped):
    rng = np.random.default_rng(0)
    runs = 1500
    inside = np.zeros(2)
    for _ in range(runs):
        cases = helped_cases(rng, 150, known, helped)
        won, right = gained(cases, ADVICE, ALONE, 0.95), rate(cases, cases.right[ALONE], 0.95)
        inside += (won.lower <= helped - known <= won.upper, right.lower <= known <= right.upper)
    assert (np.abs(inside / runs - 0.95) < 0.02).all()

"""The intervals of oversight.critique_gap contain the truth as often as they say, by simulation.

Bands allow for about three standard errors of the simulation around 94 to 96 %.
"""

import numpy as np
import pytest
from auditkit_checks.critique.evidence import Picked
from auditkit_checks.critique.gaps import Pair, PowerDesign, gap, power, response

N_PLACES, RUNS = 8, 600
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


@pytest.mark.parametrize("said", [0.0, 0.3])
def test_the_response_covers(said):
    """Of a critique that follows the plant in a share of documents, and else points at the third place."""
    rng = np.random.default_rng(1)
    inside = []
    for run in range(RUNS):
        picked = simulated(rng, 100, 1.0, 0.0, 0.0)
        follows = rng.random(100) < said
        habit = np.where(rng.random(100) < 0.9, 2, rng.integers(N_PLACES, size=100))
        picks = picked.picks | {"choice": np.where(follows, picked.places, habit)}
        at_habit = Picked(
            ids=picked.ids,
            groups=picked.groups,
            places=picked.places,
            usable=picked.usable,
            picks=picks,
        )
        e = response(at_habit, "choice", N_PLACES, 0.95, run)
        truth = said * (1 - 1 / N_PLACES)
        inside.append(e.lower <= truth <= e.upper)
    assert 0.92 <= np.mean(inside) <= 0.985


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
        alike = Picked(
            ids=picked.ids,
            groups=picked.groups,
            places=picked.places,
            usable=picked.usable,
            picks=hits,
        )
        seen.append(gap(alike, PAIR, N_PLACES, 0.95, run).lower > 0.1)
    assert power(design, 0.2) == pytest.approx(np.mean(seen), abs=0.08)

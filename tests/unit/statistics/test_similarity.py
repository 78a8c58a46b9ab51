import numpy as np
import pytest

from auditkit.errors import InvalidInput
from auditkit.statistics.similarity import linear_cka, mutual_neighbours, over_blocks


def _unbiased_hsic(k, m):
    """Song et al. (2012), equation 5, as printed there."""
    n, ones = len(k), np.ones(len(k))
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    crossed = ones @ k @ ones * (ones @ m @ ones) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + crossed - 2 / (n - 2) * ones @ k @ m @ ones) / (n * (n - 3))


def test_cka_is_the_ratio_of_unbiased_dependences():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 7)), rng.normal(size=(30, 50))
    k, m = x @ x.T, y @ y.T
    expected = _unbiased_hsic(k, m) / np.sqrt(_unbiased_hsic(k, k) * _unbiased_hsic(m, m))
    assert linear_cka(x, y) == pytest.approx(expected)


def test_independent_representations_with_many_features_are_not_alike():
    """The plain estimate says 0.9 of them (Murphy et al. 2024)."""
    rng = np.random.default_rng(1)
    pairs = [(rng.normal(size=(40, 500)), rng.normal(size=(40, 500))) for _ in range(50)]
    assert np.mean([linear_cka(x, y) for x, y in pairs]) == pytest.approx(0, abs=0.02)
    centred = [[z - z.mean(axis=0) for z in pair] for pair in pairs]
    plain = [
        np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
        for x, y in centred
    ]
    assert np.mean(plain) > 0.9


def test_a_rotated_shifted_and_scaled_representation_is_the_same():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 10))
    turn, _ = np.linalg.qr(rng.normal(size=(10, 10)))
    assert linear_cka(x, 3 * x @ turn + 5) == pytest.approx(1.0)
    assert mutual_neighbours(x, 3 * x @ turn, 5) == 1.0


def test_neighbours_of_independent_representations_are_shared_by_chance():
    rng = np.random.default_rng(3)
    shares = [
        mutual_neighbours(rng.normal(size=(50, 20)), rng.normal(size=(50, 20)), 7)
        for _ in range(40)
    ]
    assert np.mean(shares) == pytest.approx(7 / 49, abs=0.015)


def test_neighbours_by_hand():
    """Two pairs of near directions for the first, the other two pairs for the second: none shared."""
    first = [[1, 0], [1, 0.1], [0, 1], [0.1, 1]]
    second = [[1, 0], [0, 1], [1, 0.1], [0.1, 1]]
    assert mutual_neighbours(first, first, 1) == 1.0
    assert mutual_neighbours(first, second, 1) == 0.0


def test_blocks_give_students_interval():
    estimate = over_blocks([0.8, 0.9, 1.0], 0.95)
    assert estimate.point == pytest.approx(0.9)
    assert estimate.upper - 0.9 == pytest.approx(4.302653 * 0.1 / np.sqrt(3))
    assert estimate.n == 3


def test_bad_input_is_refused_by_name():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(6, 3))
    with pytest.raises(InvalidInput, match="the same texts"):
        linear_cka(x, x[:5])
    with pytest.raises(InvalidInput, match="the same for all texts"):
        linear_cka(np.ones((6, 3)), x)
    with pytest.raises(InvalidInput, match="not finite"):
        mutual_neighbours(np.where(x > 0, np.nan, x), x, 2)
    with pytest.raises(InvalidInput, match="at least 7"):
        mutual_neighbours(x, x, 6)
    with pytest.raises(InvalidInput, match="neighbours"):
        mutual_neighbours(x, x, 0)
    with pytest.raises(InvalidInput, match="blocks"):
        over_blocks([0.5], 0.95)

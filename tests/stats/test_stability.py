import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.stats import rank_stability, recovery_auc

VALUES = arrays(float, (3, 6), elements=st.integers(-3, 3).map(float))


@given(VALUES, st.integers(1, 6))
def test_equals_loops_over_pairs(values, k):
    found = rank_stability(values, k)
    pairs = [(0, 1), (0, 2), (1, 2)]
    shared = [len(set(top(values[i], k)) & set(top(values[j], k))) / k for i, j in pairs]
    assert found.overlap == pytest.approx(np.mean(shared))
    if all(np.ptp(row) > 0 for row in values):
        expected = [spearmanr(values[i], values[j]).statistic for i, j in pairs]
        assert found.spearman == pytest.approx(np.mean(expected), abs=1e-12)
        assert found.least == pytest.approx(min(expected), abs=1e-12)
    else:
        assert np.isnan(found.spearman)


def top(row, k):
    return sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]


@given(arrays(float, 7, elements=st.integers(-3, 3).map(float)), arrays(bool, 7))
def test_recovery_is_the_share_of_pairs_in_the_right_order(values, truth):
    if truth.all() or not truth.any():
        return
    pairs = [(a, b) for a in values[truth] for b in values[~truth]]
    expected = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    assert recovery_auc(values, truth) == pytest.approx(expected)


def test_chance_of_unrelated_orders():
    rng = np.random.default_rng(0)
    found = rank_stability(rng.normal(size=(30, 50)), k=10)
    assert found.overlap == pytest.approx(found.chance, abs=0.02)
    assert found.spearman == pytest.approx(0, abs=0.02)
    assert (found.k, found.runs, found.chance) == (10, 30, 0.2)


def test_refusals():
    with pytest.raises(ShapeError, match=r"\(runs, p\) with at least two of each; got shape \(1, 4\)"):
        rank_stability(np.ones((1, 4)))
    with pytest.raises(InputError, match=r"k must lie in 1..3, the number of features; got 10"):
        rank_stability(np.ones((2, 3)))
    with pytest.raises(InputError, match="importances must be finite; leave out"):
        rank_stability(np.full((2, 3), np.nan), 1)
    with pytest.raises(ShapeError, match=r"one truth for each value; got \(2,\) and \(3,\)"):
        recovery_auc(np.ones(3), np.array([True, False]))
    with pytest.raises(InputError, match="importances must be finite to be ranked"):
        recovery_auc(np.array([1.0, np.inf]), np.array([True, False]))
    with pytest.raises(InputError, match="2 of 2 features are said to matter"):
        recovery_auc(np.ones(2), np.array([True, True]))

import math
import sys

import numpy as np
import pytest
import scipy.stats

from rightreasons.core._errors import InputError, MissingExtraError, ShapeError
from rightreasons.stats import FEWEST_SPLITS_TESTED, mean_interval, paired_difference

A = [0.74, 0.78, 0.76, 0.71, 0.79, 0.75, 0.73, 0.77, 0.72, 0.80]
B = [0.71, 0.72, 0.74, 0.72, 0.75, 0.76, 0.70, 0.73, 0.71, 0.74]


class TestMeanInterval:
    @pytest.mark.peer
    @pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
    def test_equals_scipy(self, confidence: float):
        interval = mean_interval(A, confidence)
        low, high = scipy.stats.t.interval(confidence, len(A) - 1, np.mean(A), scipy.stats.sem(A))
        assert (interval.mean, interval.low, interval.high) == pytest.approx(
            (np.mean(A), low, high), rel=1e-12
        )
        assert (interval.n, interval.confidence) == (10, confidence)

    def test_table_value(self):
        # Two values: half width 12.706 (t, one degree of freedom) times |a - b| / 2.
        interval = mean_interval([1.0, 3.0])
        assert interval.mean == 2.0
        assert interval.high - interval.mean == pytest.approx(12.7062, abs=1e-4)

    def test_covers_the_mean_as_often_as_it_says(self):
        samples = np.random.default_rng(0).normal(size=(2000, 5))
        covered = [i.low <= 0 <= i.high for i in map(mean_interval, samples)]
        assert np.mean(covered) == pytest.approx(0.95, abs=0.015)  # three standard errors

    def test_no_spread(self):
        interval = mean_interval([0.5, 0.5, 0.5])
        assert (interval.low, interval.high) == (0.5, 0.5)


def nadeau_bengio(a: list[float], b: list[float], n_train: int, n_test: int) -> tuple[float, float]:
    """t and p as in the paper, written out."""
    deltas = [x - y for x, y in zip(a, b, strict=True)]
    count = len(deltas)
    mean = sum(deltas) / count
    variance = sum((d - mean) ** 2 for d in deltas) / (count - 1)
    t = mean / math.sqrt((1 / count + n_test / n_train) * variance)
    return t, 2 * scipy.stats.t.sf(abs(t), count - 1)


class TestPairedDifference:
    @pytest.mark.parametrize(("n_train", "n_test"), [(900, 100), (100, 1000)])
    def test_equals_the_formula(self, n_train: int, n_test: int):
        result = paired_difference(A, B, n_train, n_test)
        t, p = nadeau_bengio(A, B, n_train, n_test)
        assert result.p == pytest.approx(p, rel=1e-9)
        assert result.difference == pytest.approx(np.mean(A) - np.mean(B))
        half = scipy.stats.t.ppf(0.975, 9) * result.difference / t
        assert (result.low, result.high) == pytest.approx(
            (result.difference - half, result.difference + half)
        )

    @pytest.mark.peer
    def test_becomes_the_plain_paired_test_when_the_test_part_vanishes(self):
        plain = scipy.stats.ttest_rel(A, B)
        result = paired_difference(A, B, n_train=10**15, n_test=1)
        assert result.p == pytest.approx(plain.pvalue, rel=1e-9)
        assert (result.low, result.high) == pytest.approx(tuple(plain.confidence_interval()), rel=1e-9)

    def test_exchanging_the_arms_turns_the_sign(self):
        one, other = paired_difference(A, B, 900, 100), paired_difference(B, A, 900, 100)
        assert (one.low, one.high, one.p) == pytest.approx((-other.high, -other.low, other.p))

    def test_p_agrees_with_the_interval(self):
        p = paired_difference(A, B, 900, 100).p
        assert p is not None
        edge = paired_difference(A, B, 900, 100, confidence=1 - p)
        assert edge.low == pytest.approx(0, abs=1e-12)

    def test_fewer_than_ten_splits_give_an_interval_only(self):
        assert FEWEST_SPLITS_TESTED == 10
        result = paired_difference(A[:9], B[:9], 900, 100)
        assert result.p is None
        assert result.low < result.difference < result.high
        assert paired_difference(A, B, 900, 100).p is not None

    @pytest.mark.parametrize(("shift", "p"), [(0.0, 1.0), (0.1, 0.0)])
    def test_equal_differences(self, shift: float, p: float):
        result = paired_difference([x + shift for x in [1.0] * 10], [1.0] * 10, 900, 100)
        assert result.p == p
        assert result.low == result.difference == result.high == pytest.approx(shift)

    @pytest.mark.slow
    def test_finds_no_difference_where_there_is_none(self):
        """Arms of equal worth, scored on overlapping parts of 200 rows: 5 % false alarms; the plain test has many."""
        random = np.random.default_rng(0)
        corrected, plain = [], []
        for _ in range(400):
            rows = random.normal(size=200)  # what one arm is better by, row by row; nothing in the population
            a = [random.permutation(rows)[:20].mean() for _ in range(10)]
            corrected.append(paired_difference(a, [0.0] * 10, 180, 20).p)
            plain.append(scipy.stats.ttest_1samp(a, 0).pvalue)
        assert np.mean(np.array(corrected) < 0.05) == pytest.approx(0.05, abs=0.033)  # three standard errors
        assert np.mean(np.array(plain) < 0.05) > 0.15

    def test_arms_must_share_their_splits(self):
        with pytest.raises(ShapeError, match="got 10 scores in a and 9 in b"):
            paired_difference(A, B[:9], 900, 100)

    @pytest.mark.parametrize(("n_train", "n_test"), [(0, 100), (900, 0)])
    def test_sizes_count_rows(self, n_train: int, n_test: int):
        with pytest.raises(InputError, match=f"must be at least 1; got {n_train} and {n_test}"):
            paired_difference(A, B, n_train, n_test)


def test_failed_runs_are_named():
    with pytest.raises(InputError, match=r"values must be finite; got NaN or infinity at positions \[1, 3\]"):
        mean_interval([0.1, float("nan"), 0.2, float("inf")])
    with pytest.raises(InputError, match="b must be finite"):
        paired_difference(A, [*B[:9], float("nan")], 900, 100)


def test_one_value_has_no_spread():
    with pytest.raises(InputError, match="at least two numbers, else there is no spread; got 1"):
        mean_interval([0.5])


def test_one_dimension():
    with pytest.raises(ShapeError, match=r"values must be one-dimensional.*got shape \(2, 2\)"):
        mean_interval(np.ones((2, 2)))


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_is_a_fraction(confidence: float):
    with pytest.raises(InputError, match=r"strictly between 0 and 1; got .*Write 0.95 for 95 %"):
        mean_interval(A, confidence)
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        paired_difference(A, B, 900, 100, confidence)


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(MissingExtraError, match=r'pip install "rightreasons\[train\]"'):
        mean_interval(A)

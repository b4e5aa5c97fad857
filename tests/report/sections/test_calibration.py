import numpy as np
import pytest

from rightreasons.report.sections._calibration import calibration_error, error_by_chance, forecast, wilson
from rightreasons.report.sections._residuals import _measures
from rightreasons.report.sections._risk import at, kaplan_meier


def naive_error(p: np.ndarray, true: np.ndarray) -> float:
    total = 0.0
    for b in range(10):
        rows = [i for i in range(len(p)) if b / 10 <= p[i] < (b + 1) / 10 or (b == 9 and p[i] == 1)]
        if rows:
            total += abs(sum(p[i] for i in rows) - sum(true[i] for i in rows)) / len(p)
    return total


def test_calibration_error_is_the_mean_distance_of_the_bins() -> None:
    draw = np.random.default_rng(0)
    p, true = draw.random(200), draw.random(200) < 0.4
    p[0] = 1.0
    assert calibration_error(p, true) == pytest.approx(naive_error(p, true))
    assert calibration_error(np.full(10, 0.5), np.arange(10) < 5) == 0


def test_a_calibrated_network_is_off_by_chance_and_less_so_on_more_rows() -> None:
    draw = np.random.default_rng(0)
    p = draw.random(20_000)
    few, many = error_by_chance(p[:200]), error_by_chance(p)
    assert many < 0.02 < few
    found = calibration_error(p[:200], draw.random(200) < p[:200])
    assert found == pytest.approx(few, abs=0.04)
    assert error_by_chance(p[:200]) == few


def test_probabilities_of_each_task() -> None:
    z = np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]], dtype=np.float32)
    found = forecast("multiclass", z, np.array([0, 2]))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(found.p, p.max(1), rtol=1e-6)
    assert found.true.tolist() == [True, False]
    wanted = np.array([[1, 0, 0], [0, 0, 1]])
    assert found.brier == pytest.approx(((p - wanted) ** 2).sum() / 2, rel=1e-6)
    binary = forecast("binary", np.array([[0.0], [1000.0]]), np.array([1, 0]))
    assert binary.p.tolist() == [0.5, 1.0]
    assert binary.brier == pytest.approx((0.25 + 1) / 2)
    several = forecast("multilabel", np.zeros((2, 3)), np.array([[1, 0, 1], [0, 0, 0]]))
    assert (several.p.shape, int(several.true.sum())) == ((6,), 2)


def test_wilson_stays_between_zero_and_one_and_holds_the_share() -> None:
    share, count = np.array([0.0, 0.3, 1.0]), np.array([5, 50, 5])
    low, high = wilson(share, count)
    assert (low >= -1e-12).all()
    assert (high <= 1 + 1e-12).all()
    assert ((low <= share + 1e-12) & (share <= high + 1e-12)).all()
    assert high[0] == pytest.approx(0.4345, abs=1e-3)  # 0 of 5


def test_kaplan_meier_is_the_product_over_event_times() -> None:
    draw = np.random.default_rng(0)
    time, event = draw.integers(1, 8, 40).astype(float), draw.random(40) < 0.6
    times, survival = kaplan_meier(time, event)
    left = 1.0
    for place, t in enumerate(times):
        at_risk = sum(each >= t for each in time)
        left *= 1 - sum(e and each == t for each, e in zip(time, event, strict=True)) / at_risk
        assert survival[place] == pytest.approx(left)
    assert at(times, survival, 0.5) == 1
    assert at(times, survival, times[2]) == survival[2]
    assert kaplan_meier(time, np.zeros(40, dtype=bool))[1].size == 0


def test_errors_of_values() -> None:
    predicted, true = np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 7.0])
    rmse, absolute, bias, slope = _measures([(predicted, true)])
    assert (rmse, absolute, bias) == pytest.approx(((20 / 3) ** 0.5, 2.0, 2.0))
    assert slope == pytest.approx(3.0)
    assert _measures([(np.ones(3), true)])[3] is None

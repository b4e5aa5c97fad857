from math import inf

import pytest

from rightreasons.recipes._schema import Compare
from rightreasons.runs.results._comparisons import comparisons, interval, within

ROWS = {"train": 60, "validation": 20, "test": 20}
WILD = [0.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("metric", "low", "high"),
    [("auc", 0, 1), ("accuracy", 0, 1), ("concordance", 0, 1), ("r2", -inf, 1), ("mse", -inf, inf)],
)
def test_intervals_end_where_the_metric_does(metric: str, low: float, high: float) -> None:
    raw, cut = interval(WILD, ROWS, "mse", 0.95), interval(WILD, ROWS, metric, 0.95)
    assert raw["low"] < 0
    assert raw["high"] > 1
    assert (cut["low"], cut["high"]) == (max(raw["low"], low), min(raw["high"], high))
    assert cut["mean"] == 0.75


@pytest.mark.parametrize(("metric", "ends"), [("auc", (-1.0, 1.0)), ("r2", None)])
def test_differences_end_where_those_of_the_metric_do(metric: str, ends: tuple[float, float] | None) -> None:
    scores = {"Plain": WILD[::-1], "Belief": WILD}
    (found,) = comparisons({"test": scores}, "Plain", Compare(), ROWS, metric, higher_is_better=True)
    if ends:
        assert (found["low"], found["high"]) == ends
    else:
        assert found["low"] < -1.1
        assert found["high"] > 1.1


def test_one_split_has_no_interval_to_cut() -> None:
    assert interval([0.5], ROWS, "auc", 0.95) == {"mean": 0.5, "low": None, "high": None}
    assert within({"low": None}, "auc") == {"low": None}

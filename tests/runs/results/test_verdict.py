import pytest

from rightreasons.recipes._schema import Compare
from rightreasons.runs.results._verdict import verdict


@pytest.mark.parametrize(
    ("difference", "low", "high", "p", "said"),
    [
        (0.03, 0.01, 0.05, 0.01, "helps"),
        (-0.03, -0.05, -0.01, 0.01, "hurts"),
        (0.03, 0.01, 0.05, 0.06, "cannot tell"),  # not after adjusting for several arms
        (0.0, -0.02, 0.02, 1.0, "cannot tell"),
        (-0.01, -0.03, 0.009, 0.4, "does not help"),
        (0.03, 0.01, 0.05, None, "cannot tell"),  # too few splits for a test
        (-0.3, -0.4, -0.2, None, "cannot tell"),
        (0.03, None, None, None, "cannot tell"),
    ],
)
def test_what_numbers_allow(
    difference: float, low: float | None, high: float | None, p: float | None, said: str
) -> None:
    comparison = {"difference": difference, "low": low, "high": high, "p_holm": p}
    assert verdict(comparison, Compare(margin=0.01), higher_is_better=True) == said


def test_where_lower_is_better_signs_turn() -> None:
    compare = Compare(margin=0.01)
    comparison = {"difference": -0.03, "low": -0.05, "high": -0.01, "p_holm": 0.01}
    assert verdict(comparison, compare, higher_is_better=False) == "helps"
    comparison = {"difference": 0.0, "low": -0.005, "high": 0.05, "p_holm": 0.9}
    assert verdict(comparison, compare, higher_is_better=False) == "does not help"

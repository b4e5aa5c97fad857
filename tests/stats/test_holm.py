from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightreasons.core._errors import InputError
from rightreasons.stats import holm

probabilities = st.lists(st.floats(0, 1), max_size=6)


def closed_testing(pvalues: list[float]) -> list[float]:
    """Holm from first principles: a hypothesis falls if Bonferroni rejects every set of hypotheses that contains it."""
    everyone = range(len(pvalues))
    sets = [s for size in range(1, len(pvalues) + 1) for s in combinations(everyone, size)]
    return [max(min(1.0, len(s) * min(pvalues[j] for j in s)) for s in sets if i in s) for i in everyone]


@given(probabilities)
def test_equals_closed_testing_by_bonferroni(pvalues: list[float]):
    assert holm(pvalues) == pytest.approx(closed_testing(pvalues))


@given(probabilities)
def test_between_the_raw_and_the_bonferroni_value(pvalues: list[float]):
    for p, adjusted in zip(pvalues, holm(pvalues), strict=True):
        assert p <= adjusted <= min(1.0, len(pvalues) * p)


def test_published_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_missing_tests_do_not_count():
    assert holm([None, 0.02, None]) == [None, 0.02, None]
    assert holm([]) == []


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), float("inf")])
def test_not_a_probability(bad: float):
    with pytest.raises(InputError, match=r"p-values must lie in \[0, 1\]; got .*Pass None"):
        holm([0.5, bad])

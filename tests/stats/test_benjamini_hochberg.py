import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from rightreasons.core._errors import InputError
from rightreasons.stats import benjamini_hochberg, holm

PVALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@given(PVALUES)
def test_equals_scipy(pvalues):
    assert benjamini_hochberg(pvalues) == pytest.approx(false_discovery_control(pvalues).tolist(), abs=1e-15)


@given(PVALUES)
def test_keeps_the_order_and_lies_between_the_raw_values_and_holm(pvalues):
    adjusted = benjamini_hochberg(pvalues)
    assert all(p <= a <= h + 1e-12 for p, a, h in zip(pvalues, adjusted, holm(pvalues), strict=True))
    order = np.argsort(pvalues, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_false_findings_stay_rare():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        p = np.concatenate([rng.uniform(size=40), rng.uniform(size=10) * 1e-3])
        found = np.array(benjamini_hochberg(p.tolist())) <= 0.1
        shares.append(found[:40].sum() / max(found.sum(), 1))
    assert 0.05 < np.mean(shares) < 0.1


def test_none_is_no_test():
    assert benjamini_hochberg([None, 0.02]) == [None, 0.02]
    assert benjamini_hochberg([]) == []


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability(p):
    with pytest.raises(InputError, match=r"p-values must lie in \[0, 1\]; got"):
        benjamini_hochberg([0.5, p])

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from rightreasons.core._errors import InputError, MissingExtraError
from rightreasons.metrics import kendall, lens_kendall, lens_spearman, spearman
from rightreasons.priors import feature_graph

VALUES = arrays("float64", (1, 12), elements=st.one_of(st.integers(-2, 2).map(float), st.floats(-9, 9)))


@pytest.mark.peer
@given(a=VALUES, b=VALUES)
def test_equal_scipy(a, b):
    varied = a.min() < a.max() and b.min() < b.max()
    maps = torch.tensor(a), torch.tensor(b)
    if not varied:
        assert spearman(*maps).isnan()
        assert kendall(*maps).isnan()
        return
    assert float(spearman(*maps)) == pytest.approx(stats.spearmanr(a[0], b[0])[0], abs=1e-12)
    assert float(kendall(*maps)) == pytest.approx(stats.kendalltau(a[0], b[0])[0], abs=1e-12)


@pytest.mark.peer
def test_large_maps_in_single_precision_equal_scipy():
    a = torch.randn(1, 224, 224)
    b = a + torch.randn(1, 224, 224)
    expected = stats.spearmanr(a.flatten(), b.flatten())[0]
    assert float(spearman(a, b)) == pytest.approx(expected, abs=2e-6)


def test_a_single_position_has_no_order():
    for metric in (spearman, kendall, lens_spearman, lens_kendall):
        assert metric(torch.rand(2, 1), torch.rand(2, 1)).isnan().all()


def test_reversed_order_gives_minus_one():
    a = torch.rand(3, 11)
    assert spearman(a, -a).tolist() == [-1, -1, -1]
    assert kendall(a, -a).tolist() == [-1, -1, -1]


def test_window_of_zero_is_the_plain_correlation():
    a, b = torch.rand(2, 3, 5, 6)
    for border in ("zero", "clip"):
        assert torch.equal(lens_spearman(a, b, 0, border=border), spearman(a, b))
        assert torch.equal(lens_kendall(a, b, 0, border=border), kendall(a, b))


def test_border_rules_differ():
    # All ones: means fall towards the border if what lies outside counts as 0, and stay constant otherwise.
    ones, b = torch.ones(1, 5, 5), torch.rand(1, 5, 5)
    assert lens_spearman(ones, b).isfinite()
    assert lens_spearman(ones, b, border="clip").isnan()
    assert lens_kendall(ones, b, border="clip").isnan()


def test_windows_over_a_chain_are_windows_along_the_axis():
    chain = feature_graph(torch.diag(torch.ones(8), 1) + torch.diag(torch.ones(8), -1))
    a, b = torch.rand(2, 3, 9, dtype=torch.float64)
    for window in (1, 2):
        torch.testing.assert_close(
            lens_spearman(a, b, window, graph=chain), lens_spearman(a, b, window, border="clip")
        )
        torch.testing.assert_close(
            lens_kendall(a, b, window, graph=chain), lens_kendall(a, b, window, border="clip")
        )


def test_means_forgive_a_shift():
    a = torch.rand(4, 20, 20)
    moved = a.roll(1, 2)
    assert (lens_spearman(a, moved, 2) > spearman(a, moved) + 0.4).all()


def test_kendall_without_scipy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(MissingExtraError, match=r"kendall needs scipy: pip install 'rightreasons\[train\]'"):
        kendall(torch.rand(1, 4), torch.rand(1, 4))


@pytest.mark.usefixtures("without_type_checks")
def test_bad_arguments():
    a = torch.rand(1, 4, 4)
    with pytest.raises(InputError, match="lens_spearman: window is a radius"):
        lens_spearman(a, a, -2)
    with pytest.raises(InputError, match="border must be one of 'zero', 'clip'; got 'reflect'"):
        lens_kendall(a, a, border="reflect")

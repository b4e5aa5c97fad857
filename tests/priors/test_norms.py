import pytest
import torch

from rightreasons.core._errors import InputError
from rightreasons.priors import L1, L2


def test_relation_to_the_published_l2():
    maps = torch.randn(6, 10, dtype=torch.float64)
    torch.testing.assert_close((6 * L2()(maps)).sqrt(), torch.linalg.matrix_norm(maps))
    torch.testing.assert_close(L2("global")(maps).sqrt(), maps.abs().mean(0).norm())


def test_the_levels_of_l1_have_one_value():
    maps = torch.randn(6, 10, dtype=torch.float64)
    torch.testing.assert_close(L1("global")(maps), L1("sample")(maps))


def test_stated_bias_of_one_draw_on_a_linear_model():
    # f(x) = 2x, x ~ N(0, 1): phi_1 = 2 (x - r); exact map 2x. Mean magnitudes 4 / sqrt(pi) and 2 sqrt(2 / pi).
    x, r, s = torch.randn(3, 200_000, 1, dtype=torch.float64)
    noisy, exact, again = 2 * (x - r), 2 * x, 2 * (x - s)
    assert float(L1()(noisy) / L1()(exact)) == pytest.approx(2**0.5, rel=0.01)
    assert float(L2()(noisy) / L2()(exact)) == pytest.approx(2, rel=0.02)
    assert float(L2().bilinear(noisy, again) / L2()(exact)) == pytest.approx(1, rel=0.03)


def test_no_bilinear_form_at_the_global_level():
    with pytest.raises(InputError, match=r"L2\('global'\) squares the mean .* Use L2\('sample'\)"):
        _ = L2("global").bilinear
    assert not hasattr(L2("global"), "bilinear")

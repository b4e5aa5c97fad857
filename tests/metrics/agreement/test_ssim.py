import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.metrics import ssim


def test_data_range_compares_maps_as_they_are():
    a = torch.rand(2, 14, 14, dtype=torch.float64)
    a[:, 0, 0], a[:, 0, 1] = 0, 1  # so that both ways have the same range
    b = a.flip(1)
    torch.testing.assert_close(ssim(a, b, data_range=1.0), ssim(a, b))
    torch.testing.assert_close(ssim(5 * a, 5 * b, data_range=5.0), ssim(a, b))
    assert (ssim(a, 0.2 * a, data_range=1.0) < 0.9).all()


def test_constant_maps_are_compared_with_a_data_range_only():
    a, b = torch.full((1, 12, 12), 0.5), torch.full((1, 12, 12), 0.5)
    assert ssim(a, b).isnan().all()
    assert ssim(a, b, data_range=1.0).tolist() == [1.0]


def test_far_from_zero_single_precision_says_the_same():
    a, b = 1000 + torch.rand(2, 3, 20, 20, dtype=torch.float64)
    exact = ssim(a, b, data_range=1.0)
    # 1000 in single precision is right to 6e-5 of the range.
    torch.testing.assert_close(ssim(a.float(), b.float(), data_range=1.0).double(), exact, rtol=0, atol=1e-3)


def test_is_differentiable():
    a, b = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    torch.autograd.gradcheck(
        lambda x, y: ssim(x, y, window=2, data_range=1.0), (a.requires_grad_(), b.requires_grad_())
    )


def test_falls_with_noise():
    a, noise = torch.rand(2, 4, 30, 30)
    values = [ssim(a, a + level * noise).mean() for level in (0.0, 0.1, 0.5, 2.0)]
    assert values == sorted(values, reverse=True)


@pytest.mark.usefixtures("without_type_checks")
def test_bad_arguments():
    a = torch.rand(1, 12, 8)
    with pytest.raises(
        ShapeError, match=r"at least 11 positions along every axis; got \(12, 8\). Pass window=3 or less"
    ):
        ssim(a, a)
    with pytest.raises(InputError, match="ssim: window is a radius"):
        ssim(a, a, window=-1)
    with pytest.raises(InputError, match=r"ssim: sigma must be positive and finite; got 0.0"):
        ssim(a, a, window=1, sigma=0.0)
    with pytest.raises(InputError, match=r"ssim: data_range must be positive and finite; got -1.0"):
        ssim(a, a, window=1, data_range=-1.0)
    with pytest.raises(InputError, match=r"ssim: data_range must be positive and finite; got inf"):
        ssim(a, a, window=1, data_range=float("inf"))
    with pytest.raises(ShapeError, match=r"ssim takes maps over 1, 2 or 3 dimensions"):
        ssim(torch.rand(1, 3, 3, 3, 3), torch.rand(1, 3, 3, 3, 3), window=1, reduce=None)


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100])
def test_a_given_range_has_the_scale_of_the_maps(scale: float):
    a, b = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ssim(scale * a, scale * b, data_range=6 * scale), ssim(a, b, data_range=6.0))

"""Blur as diffusion."""

import torch
from torch import Tensor

from rightreasons.attribution.path._gaussian import blurred, laplacian
from tests import oracles


def pictures() -> Tensor:
    return torch.randn(2, 3, 5, 7, dtype=torch.float64)


def test_it_is_the_exponential_of_the_laplacian() -> None:
    x, sigmas = pictures(), torch.tensor([0.0, 0.4, 3.0])
    found = blurred(x, sigmas)
    spread = oracles.diffusion(5, 7)
    for j, sigma in enumerate(sigmas.double()):
        wanted = (x.flatten(2) @ torch.matrix_exp(sigma**2 / 2 * spread)).reshape(x.shape)
        torch.testing.assert_close(found[:, j], wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[:, 0], x, rtol=0, atol=1e-12)
    torch.testing.assert_close(laplacian(x).flatten(2), x.flatten(2) @ spread, rtol=0, atol=1e-12)


def test_sums_are_kept_and_strong_blur_is_the_mean() -> None:
    x = pictures()
    weak, strong = blurred(x, torch.tensor([1.5, 500.0])).unbind(1)
    torch.testing.assert_close(weak.mean((2, 3)), x.mean((2, 3)))
    torch.testing.assert_close(strong, x.mean((2, 3), keepdim=True).expand_as(x))


def test_the_kernel_has_the_variance_asked_for_and_is_near_the_gaussian() -> None:
    x = torch.zeros(1, 1, 1, 101, dtype=torch.float64)
    x[..., 50] = 1.0
    places = torch.arange(101, dtype=torch.float64) - 50
    (kernel,) = blurred(x, torch.tensor([4.0])).reshape(1, 101)
    assert abs(float((kernel * places**2).sum()) - 16) < 1e-9
    gauss = torch.exp(-(places**2) / 32) / (32 * torch.pi) ** 0.5
    assert float((kernel - gauss).abs().max()) < 0.01 * float(gauss.max())

import math

import pytest
import torch

from rightreasons.core._errors import DataError, InputError
from rightreasons.data import DataSet, corrupt, rescale

BOUNDS = (-0.5, 0.5)


def noisy(x, kind, level, seed=0, bounds=BOUNDS):
    return corrupt(x, kind, level, bounds=bounds, generator=torch.Generator().manual_seed(seed))


def test_rescale_maps_the_range_and_says_so():
    data = DataSet("d", torch.tensor([[0.0, 51.0, 255.0]]), torch.zeros(1), bounds=(0.0, 255.0))
    out = rescale(data)
    assert torch.allclose(out.x, torch.tensor([[-0.5, -0.3, 0.5]]))
    assert out.bounds == (-0.5, 0.5)
    assert torch.allclose(rescale(out, (0.0, 255.0)).x, data.x)


def test_rescale_needs_stated_bounds():
    with pytest.raises(DataError, match="does not state its bounds"):
        rescale(DataSet("d", torch.zeros(1, 2), torch.zeros(1)))


@pytest.mark.parametrize("bounds", [(1.0, 0.0), (0.0, 0.0), (0.0, math.inf), (math.nan, 1.0)])
def test_bounds_must_be_an_interval(bounds):
    with pytest.raises(InputError, match="finite and increasing|bounds must be a tuple of a number"):
        corrupt(torch.zeros(2, 2), "gaussian", 0.1, bounds=bounds)


def test_gaussian_noise_has_the_stated_standard_deviation():
    x = torch.zeros(100, 1000)
    out = noisy(x, "gaussian", 0.3, bounds=(-9.0, 9.0))
    assert float(out.std()) == pytest.approx(0.3, rel=0.02)  # 1e5 draws: standard error 0.2 %
    assert abs(float(out.mean())) < 0.01


@pytest.mark.parametrize("level", [0.0, 0.05, 0.3, 1.0])
def test_salt_and_pepper_flips_the_stated_share_half_up_half_down(level):
    out = noisy(torch.zeros(100, 1000), "salt_and_pepper", level)
    assert float((out == 0.5).double().mean()) == pytest.approx(level / 2, abs=0.01)
    assert float((out == -0.5).double().mean()) == pytest.approx(level / 2, abs=0.01)


def test_salt_and_pepper_is_the_published_recipe():
    """Add or subtract the whole range where a standard normal is beyond quantile(1 - p/2), then clip."""
    x = torch.rand(20, 30) - 0.5
    z = torch.randn(20, 30, generator=torch.Generator().manual_seed(5))
    beyond = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(1 - 0.2 / 2))
    published = (x + (z > beyond).float() - (z < -beyond).float()).clamp(-0.5, 0.5)
    assert torch.equal(noisy(x, "salt_and_pepper", 0.2, seed=5), published)


@pytest.mark.parametrize("kind", ["gaussian", "salt_and_pepper"])
def test_noise_stays_in_bounds_keeps_dtype_and_starts_from_nothing(kind):
    x = torch.rand(4, 3, 8, 8, dtype=torch.float64) - 0.5
    assert torch.equal(noisy(x, kind, 0.0), x)
    out = noisy(x, kind, 0.7)
    assert out.dtype == x.dtype
    assert out.min() >= -0.5
    assert out.max() <= 0.5


def test_more_noise_corrupts_the_same_pixels_and_more():
    x = torch.rand(10, 50) - 0.5
    before = noisy(x, "salt_and_pepper", 0.0) != x
    for level in (0.1, 0.2, 0.6):
        now = noisy(x, "salt_and_pepper", level) != x
        assert (now | ~before).all()
        before = now


def test_a_generator_fixes_the_noise_and_spares_the_global_one():
    x = torch.zeros(3, 4)
    before = torch.get_rng_state()
    assert torch.equal(noisy(x, "gaussian", 0.1, seed=2), noisy(x, "gaussian", 0.1, seed=2))
    assert torch.equal(before, torch.get_rng_state())
    corrupt(x, "gaussian", 0.1, bounds=BOUNDS)
    assert not torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("kind", "level", "match"),
    [
        ("gausian", 0.1, "no noise 'gausian'. Did you mean 'gaussian'"),
        ("gaussian", -0.1, "must be finite and in .* a standard deviation"),
        ("gaussian", math.nan, "level must be a number; got nan"),
        ("gaussian", math.inf, "must be finite"),
        ("salt_and_pepper", 1.1, r"in \[0, 1.0\], got 1.1. It is the share of elements"),
    ],
)
def test_kind_and_level_are_checked(kind, level, match):
    with pytest.raises(InputError, match=match):
        corrupt(torch.zeros(2, 2), kind, level, bounds=BOUNDS)

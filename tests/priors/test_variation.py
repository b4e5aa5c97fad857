import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors import TotalVariation


def images(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_published_pipeline_on_a_ramp():
    # 0, 1, 2, 3: mean 1.5, standard deviation sqrt(5) / 2, three steps of one.
    ramp = torch.arange(4.0, dtype=torch.float64).reshape(1, 1, 2, 2)
    horizontal, vertical = 2 * 1.0, 2 * 2.0
    assert float(TotalVariation()(ramp)) == pytest.approx((horizontal + vertical) / (math.sqrt(5) / 2))
    assert float(TotalVariation("l1")(ramp)) == pytest.approx(1.0)
    assert float(TotalVariation(None)(ramp)) == 6.0


def test_published_floor_lets_a_faint_map_shrink_the_penalty():
    faint = 1e-3 * images(0, 2, 8, 8)
    published = TotalVariation("published")
    assert float(published(faint)) == pytest.approx(8 * float(TotalVariation(None)(faint)))  # divided by 1/8
    assert float(published(faint / 2)) == pytest.approx(float(published(faint)) / 2)
    assert float(published(1e6 * faint)) == pytest.approx(float(TotalVariation("std")(faint)))


def test_batch_mean_of_single_images():
    maps = images(1, 5, 3, 4, 4)
    one_by_one = torch.stack([TotalVariation()(row[None]) for row in maps])
    torch.testing.assert_close(TotalVariation()(maps), one_by_one.mean())


def test_sum_of_channels_lets_opposite_colours_cancel():
    red = images(2, 2, 1, 4, 4)
    maps = torch.cat([red, -red], 1)
    assert float(TotalVariation(None)(maps)) == 0.0
    assert float(TotalVariation(None, channels="keep")(maps)) == pytest.approx(
        2 * float(TotalVariation(None)(red))
    )


def test_a_dimension_of_one_pixel_adds_nothing():
    rows = images(3, 2, 6)
    torch.testing.assert_close(TotalVariation()(rows[:, None, :]), TotalVariation(dims=1)(rows))


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e20])
def test_constant_map_has_no_variation_and_no_gradient(value: float):
    maps = torch.full((2, 4, 4), value, requires_grad=True)
    penalty = TotalVariation()(maps)
    assert float(penalty.detach()) == 0.0
    assert not torch.autograd.grad(penalty, maps)[0].any()


def test_rounding_of_a_constant_map_is_not_blown_up():
    maps = 0.3 + 1e-9 * images(4, 2, 8, 8)
    assert float(TotalVariation()(maps)) < 1.0
    assert float(TotalVariation()(maps - 0.3)) > 50


@given(seed=st.integers(0, 10**6), shift=st.floats(-10, 10), scale=st.floats(1e-3, 1e3))
def test_shift_flip_and_scale_change_nothing(seed: int, shift: float, scale: float):
    maps = images(seed, 2, 5, 4)
    expected = TotalVariation()(maps)
    for same in (maps + shift, scale * maps, -maps, maps.flip(-1), maps.flip(-2), maps.transpose(-1, -2)):
        torch.testing.assert_close(TotalVariation()(same), expected)


@given(seed=st.integers(0, 10**6))
def test_smoothing_lowers_the_variation(seed: int):
    maps = images(seed, 1, 12)
    smooth = torch.nn.functional.avg_pool1d(maps[:, None], 3, stride=1)[:, 0]
    prior = TotalVariation(None, dims=1)
    assert 0 <= float(prior(smooth)) <= float(prior(maps)) + 1e-12


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("dims", [0, -1, 1.5, True])
def test_dims_must_count(dims: object):
    with pytest.raises(
        InputError, match=f"dims counts spatial dimensions and must be at least 1; got {dims}"
    ):
        TotalVariation(dims=dims)


@pytest.mark.usefixtures("without_type_checks")
def test_unknown_channels():
    with pytest.raises(InputError, match="channels must be one of 'sum', 'keep'; got 'mean'"):
        TotalVariation(channels="mean")


def test_too_few_dimensions():
    with pytest.raises(ShapeError, match=r"2 of them spatial; got \(4, 9\).*e.g. TotalVariation\(dims=1\)"):
        TotalVariation()(torch.ones(4, 9))

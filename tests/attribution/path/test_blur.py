"""Blur integrated gradients."""

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.attribution.path._gaussian import blurred
from tests import oracles
from tests.attribution.helpers import relative, seeded
from tests.networks import NETWORKS, labels


@pytest.fixture
def model() -> nn.Module:
    return NETWORKS["cnn smooth"].make().eval()


@pytest.fixture
def x() -> Tensor:
    inputs = NETWORKS["cnn smooth"].inputs(3)
    assert isinstance(inputs, Tensor)
    return inputs


@pytest.fixture
def y() -> Tensor:
    return labels(3)


def test_against_one_point_at_a_time(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """With steps even in the square root of the blur."""
    nodes = [(j + 0.5) / 5 for j in range(5)]
    wanted = oracles.blur_integrated_gradients(
        lambda row, b: model(row[None])[0, y[b]], x, [3 * u**2 for u in nodes], [3 * 2 * u / 5 for u in nodes]
    )
    assert relative(rr.BlurIG(max_sigma=3, steps=5)(model, x, y), wanted) < 1e-10


def test_maps_sum_to_what_detail_changes(model: nn.Module, x: Tensor, y: Tensor) -> None:
    rows = torch.arange(3)
    start = blurred(x, torch.tensor([4.0])).squeeze(1)
    with torch.no_grad():
        total = model(x)[rows, y] - model(start)[rows, y]
    for steps, least in ((10, 1e-2), (400, 1e-5)):
        found = rr.BlurIG(max_sigma=4, steps=steps).explain(model, x, y)
        torch.testing.assert_close(found.gap, total - found.maps.sum((1, 2, 3)), rtol=0, atol=1e-12)
        assert float(found.gap.abs().max()) < least * float(total.abs().max())


@pytest.mark.parametrize("sigma", [4, 50])
def test_the_error_falls_at_least_with_the_square_of_the_steps(
    sigma: int, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    gaps = [float(rr.BlurIG(sigma, steps=n).explain(model, x, y).gap.norm()) for n in (50, 100, 200)]
    assert gaps[0] > 3.9 * gaps[1] > 3.9**2 * gaps[2]


def test_black_is_explained_like_white() -> None:
    """A network that measures contrast has the same map for a picture and its negative; with IG one of them is 0."""
    x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    x[..., 4, 4] = 1.0

    def contrast(x: Tensor) -> Tensor:
        return (x - x.mean((2, 3), keepdim=True)).square().sum((1, 2, 3))

    white, black = (rr.BlurIG()(contrast, each) for each in (x, 1 - x))
    assert relative(white, black) < 1e-10
    assert int(white.argmax()) == int(black.argmax()) == 40
    assert float(rr.IntegratedGradients()(contrast, 1 - x)[..., 4, 4]) == 0


def test_a_picture_without_detail_has_no_map(model: nn.Module, y: Tensor) -> None:
    assert (
        float(rr.BlurIG()(model, torch.full((3, 2, 5, 5), 0.7, dtype=torch.float64), y).abs().max()) < 1e-12
    )


def test_at_a_layer_the_feature_maps_are_blurred(model: nn.Module, x: Tensor, y: Tensor) -> None:
    features = model.norm(model.first(x)).detach()

    def rest(z: Tensor) -> Tensor:
        return model.head(model.act(model.norm2(model.second(model.act(z)))).mean((2, 3)))

    assert relative(rr.BlurIG(steps=4, at="norm")(model, x, y), rr.BlurIG(steps=4)(rest, features, y)) < 1e-12


@pytest.mark.parametrize("engine", ["DoubleBackprop", "Recompute"])
def test_a_penalty_reaches_the_parameters(engine: str, model: nn.Module, x: Tensor, y: Tensor) -> None:
    method = rr.BlurIG(steps=3)
    assert rr.training.check_differentiable(method, model, x, y)
    maps = getattr(rr.training, engine)().maps(method, model, x, y, generator=seeded())
    got = torch.autograd.grad(maps.square().sum(), model.first.weight)[0]
    plain = method(model, x, y, create_graph=True)
    assert relative(got, torch.autograd.grad(plain.square().sum(), model.first.weight)[0]) < 1e-10


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0, -1.0, float("inf"), float("nan")])
def test_blur_must_be_positive(sigma: float) -> None:
    with pytest.raises(rr.InputError, match="max_sigma is the strongest blur in pixels, positive"):
        rr.BlurIG(max_sigma=sigma)


@pytest.mark.usefixtures("without_type_checks")
def test_other_bad_configurations() -> None:
    with pytest.raises(rr.InputError, match="steps must be a whole number of at least 1.*; got 0"):
        rr.BlurIG(steps=0)
    with pytest.raises(rr.InputError, match="rule must be a quadrature"):
        rr.BlurIG(rule="midpoint")


def test_what_is_no_picture(model: nn.Module, x: Tensor) -> None:
    with pytest.raises(rr.ShapeError, match=r"blurred are pictures \(B, C, H, W\); got \(3, 4\)"):
        rr.BlurIG()(lambda x: x.sum(1), torch.rand(3, 4))
    with pytest.raises(rr.ShapeError, match=r"blurred are pictures \(B, C, H, W\); got \(3, 3\)"):
        rr.BlurIG(at="head")(model, x, 0)

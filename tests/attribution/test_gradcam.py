"""Grad-CAM."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.training import DoubleBackprop, Recompute, check_differentiable
from tests import oracles
from tests.attribution.helpers import relative
from tests.networks import CNN, NETWORKS, labels


@pytest.fixture
def model() -> nn.Module:
    return NETWORKS["cnn"].make().eval()


@pytest.fixture
def x() -> Tensor:
    inputs = NETWORKS["cnn"].inputs(4)
    assert isinstance(inputs, Tensor)
    return inputs


@pytest.fixture
def y() -> Tensor:
    return labels(4)


def tail_of(model: nn.Module, y: Tensor):
    """The CNN behind its second convolution."""

    def tail(features: Tensor, b: int) -> Tensor:
        return model.head(torch.relu(model.norm2(features[None])).mean((2, 3)))[0, y[b]]

    return tail


def features_of(model: nn.Module, x: Tensor) -> Tensor:
    return model.second(torch.relu(model.norm(model.first(x)))).detach()


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("upsample", ["bilinear", "nearest", None])
def test_against_one_channel_at_a_time(relu: bool, upsample: str | None, x: Tensor, y: Tensor) -> None:
    model = NETWORKS["cnn"].make().eval()
    model.second.stride = (2, 2)
    maps = rr.GradCAM(relu=relu, upsample=upsample)(model, x, y)
    wanted = oracles.grad_cam(tail_of(model, y), features_of(model, x), relu=relu)
    assert wanted.shape == (4, 1, 3, 3)
    if upsample is not None:
        align = False if upsample == "bilinear" else None
        wanted = F.interpolate(wanted, size=(5, 5), mode=upsample, align_corners=align)
    assert relative(maps, wanted) < 1e-12


def test_the_last_convolution_is_the_default(model: nn.Module, x: Tensor, y: Tensor) -> None:
    assert torch.equal(rr.GradCAM()(model, x, y), rr.GradCAM(layer="second")(model, x, y))
    assert relative(rr.GradCAM(layer="first")(model, x, y), rr.GradCAM()(model, x, y)) > 0.1


def test_an_inner_block_can_be_named(x: Tensor) -> None:
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU()), nn.Flatten(), nn.Linear(27, 3)
    ).double()
    assert rr.GradCAM(layer="0")(model, x, 1).shape == (4, 1, 5, 5)
    assert rr.GradCAM(layer="0.0", relu=False)(model, x, 1).shape == (4, 1, 5, 5)


def test_maps_are_what_lies_under_the_evidence() -> None:
    """A network that looks for a bright corner, and pictures with one."""
    model = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    nn.init.constant_(model[0].weight, 1.0)
    x = torch.zeros(2, 1, 12, 12)
    x[0, :, :3, :3] = x[1, :, 9:, 9:] = 1.0
    maps = rr.GradCAM(layer="1")(model, x)
    places = maps.flatten(1).argmax(1).tolist()
    assert places == [1 * 12 + 1, 10 * 12 + 10]


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute()], ids=repr)
def test_a_penalty_reaches_every_parameter_that_moves_the_map(engine, x: Tensor, y: Tensor) -> None:
    """Through the channel weights *and* the feature maps: other code detaches the weights."""
    model = NETWORKS["cnn smooth"].make().eval()
    method = rr.GradCAM(layer="second", relu=False)
    assert set(check_differentiable(method, model, x, y).verdicts.values()) == {"complete", "independent"}
    maps = engine.maps(method, model, x, y)
    got = torch.autograd.grad(maps.square().sum(), [model.first.weight, model.head.weight])
    for parameter, grad in zip([model.first.weight, model.head.weight], got, strict=True):
        step = torch.zeros_like(parameter)
        step.view(-1)[3] = 1e-5
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * step)
                values.append(method(model, x, y).square().sum())
                parameter.sub_(sign * step)
        assert float(grad.view(-1)[3]) == pytest.approx(float(values[0] - values[1]) / 2e-5, rel=1e-4)


def test_extra_inputs_go_as_keywords(x: Tensor) -> None:
    class Scaled(CNN):
        def forward(self, x: Tensor, scale: Tensor) -> Tensor:
            return super().forward(x) * scale

    model = Scaled().double().eval()
    scale = torch.arange(1.0, 5.0, dtype=torch.float64)[:, None]
    maps = rr.GradCAM()(model, x, 0, model_kwargs={"scale": scale}, chunk=3)
    plain = rr.GradCAM()(model, x, 0, model_kwargs={"scale": torch.ones_like(scale)})
    assert relative(maps, plain * scale[..., None, None]) < 1e-12


# Bad input ------------------------------------------------------------------------------------------------------------


def test_unknown_layer_names_the_closest(model: nn.Module, x: Tensor) -> None:
    with pytest.raises(rr.InputError, match=r"no layer 'secnd'. Closest: second"):
        rr.GradCAM(layer="secnd")(model, x, 0)


def test_a_layer_that_is_not_used(model: nn.Module, x: Tensor) -> None:
    model.spare = nn.Conv2d(2, 2, 3)
    with pytest.raises(
        rr.DifferentiabilityError, match="layer 'spare' is not used in the model's forward pass"
    ):
        rr.GradCAM()(model, x, 0)


def test_inputs_that_are_no_pictures() -> None:
    model = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 2, 1), nn.Flatten())
    with pytest.raises(rr.ShapeError, match=r"one input of shape \(B, C, H, W\); got \(3, 4\)"):
        rr.GradCAM()(model, torch.rand(3, 4), 0)


def test_features_that_are_no_pictures(model: nn.Module, x: Tensor) -> None:
    with pytest.raises(rr.ShapeError, match=r"layer 'head' gives \(4, 3\)"):
        rr.GradCAM(layer="head")(model, x, 0)


@pytest.mark.parametrize("model", [nn.Flatten(), lambda x: x.flatten(1)], ids=["module", "callable"])
def test_no_convolution_to_choose(model, x: Tensor) -> None:
    with pytest.raises(rr.InputError, match="has no two-dimensional convolution with a name"):
        rr.GradCAM()(model, x, 0)


@pytest.mark.usefixtures("unchecked")
def test_unknown_upsampling() -> None:
    with pytest.raises(rr.InputError, match="upsample must be 'bilinear', 'nearest' or None; got 'cubic'"):
        rr.GradCAM(upsample="cubic")

"""Grad-CAM, Grad-CAM++ and XGrad-CAM."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.attribution.cam._gradcam import last_feature_maps
from rightreasons.core.model._layers import layers_run
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
    maps = rr.GradCAM("second", relu=relu, upsample=upsample)(model, x, y)
    wanted = oracles.grad_cam(tail_of(model, y), features_of(model, x), relu=relu)
    assert wanted.shape == (4, 1, 3, 3)
    if upsample is not None:
        align = False if upsample == "bilinear" else None
        wanted = F.interpolate(wanted, size=(5, 5), mode=upsample, align_corners=align)
    assert relative(maps, wanted) < 1e-12


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("behind", ["second", "pool"])
def test_plus_plus_against_one_place_at_a_time(relu: bool, behind: str, x: Tensor, y: Tensor) -> None:
    """On maps of both signs, and on the non-negative ones that the paper has in mind."""
    model = NETWORKS["cnn"].make().eval()
    model.pool = nn.Identity()
    model.second = nn.Sequential(model.second, nn.ReLU()) if behind == "pool" else model.second
    features = features_of(model, x)
    wanted = oracles.grad_cam_plus_plus(tail_of(model, y), features)
    assert bool((features < 0).any()) is (behind == "second")
    maps = rr.GradCAMPlusPlus("second", relu=relu, upsample=None)(model, x, y)
    assert relative(maps, wanted.clamp(min=0) if relu else wanted) < 1e-12


def test_plus_plus_is_that_of_the_papers_exponential(x: Tensor, y: Tensor) -> None:
    """The weights' quotient of second and third derivatives of exp(f), by autograd, where f is piecewise linear."""
    model = NETWORKS["cnn"].make().eval()
    model.second = nn.Sequential(model.second, nn.ReLU())
    tail, features = tail_of(model, y), features_of(model, x)
    row, wanted = features[0], torch.zeros(5, 5, dtype=torch.float64)
    for k in range(4):
        weight = 0.0
        for place in range(25):
            along = torch.zeros_like(row).reshape(4, 25)
            along[k, place] = 1.0
            t = torch.zeros((), dtype=torch.float64, requires_grad=True)
            derivatives = [tail(row + t * along.reshape(row.shape), 0).exp()]
            for _ in range(3):
                (d,) = torch.autograd.grad(derivatives[-1], t, create_graph=True)
                derivatives.append(d)
            value, first, second, third = (float(d.detach()) for d in derivatives)
            if first > 0:
                weight += second / (2 * second + float(row[k].sum()) * third) * first / value
        wanted += weight * row[k]
    maps = rr.GradCAMPlusPlus("second", upsample=None)(model, x, y)
    assert relative(maps[0, 0], wanted) < 1e-9


@pytest.mark.parametrize("behind", ["second", "relu"])
def test_xgrad_cam_against_one_place_at_a_time(behind: str, x: Tensor, y: Tensor) -> None:
    model = NETWORKS["cnn"].make().eval()
    model.second = nn.Sequential(model.second, nn.ReLU()) if behind == "relu" else model.second
    features = features_of(model, x)
    wanted = oracles.xgrad_cam(tail_of(model, y), features)
    maps = rr.XGradCAM("second", relu=False, upsample=None)(model, x, y)
    assert relative(maps, wanted) < 1e-12
    assert relative(rr.XGradCAM("second", upsample=None)(model, x, y), wanted.clamp(min=0)) < 1e-12


def test_xgrad_cam_adds_up_to_the_output_without_biases(x: Tensor) -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 3, 3, bias=False), nn.ReLU(), nn.Flatten()
    ).double()
    with torch.no_grad():
        model[0].weight[1] = -10.0  # a feature map that is zero everywhere in some rows
        x = x.abs()
    maps = rr.XGradCAM(layer="1", relu=False, upsample=None)(model, x, lambda z: z.sum(1))
    torch.testing.assert_close(maps.sum((1, 2, 3)), model(x).sum(1).detach())


@pytest.mark.parametrize(
    "method", [rr.GradCAM(), rr.GradCAMPlusPlus(), rr.XGradCAM(), rr.GuidedGradCAM()], ids=repr
)
def test_a_residual_network_is_explained_at_its_last_block(method: rr.Attribution) -> None:
    """Not at the convolution registered last, which is that of a shortcut, nor inside the residual branch."""
    torch.manual_seed(0)
    model = rr.models.ResNet((2, 16, 16), 3, channels=(4, 8), blocks=1).double().eval()
    assert [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)][-1] == "blocks.4.shortcut.0"
    x = torch.randn(3, 2, 16, 16, dtype=torch.float64)
    maps = {
        layer: replace(method, layer=layer)(model, x, 1)
        for layer in ("blocks", "blocks.4", "blocks.4.shortcut.0")
    }
    assert torch.equal(method(model, x, 1), maps["blocks"])
    assert torch.equal(maps["blocks"], maps["blocks.4"])
    assert relative(maps["blocks.4.shortcut.0"], maps["blocks"]) > 0.1


def chosen(model: nn.Module, x: Tensor) -> str:
    return last_feature_maps(layers_run(model.eval(), (x,), {}))


class Squeezed(nn.Module):
    """A block that ends with convolutions of the mean over places, as squeeze-and-excitation does."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.conv, self.relu = nn.Conv2d(3, 3, 1), nn.Conv2d(2, 3, 3), nn.ReLU()
        self.unused = nn.Conv2d(9, 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = self.relu(self.conv(x))
        return (z * self.gate(z.mean((2, 3), keepdim=True)).sigmoid()).mean((2, 3))


def test_the_default_layer() -> None:
    x = torch.randn(1, 2, 8, 8)
    vgg = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3), nn.ReLU(), nn.MaxPool2d(2)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    assert chosen(vgg, x) == "0.3"  # behind the activation, before pooling
    assert chosen(Squeezed(), x) == "relu"  # a map of one place says nothing; what never runs is not there
    assert chosen(nn.Sequential(nn.Conv2d(2, 3, 8), nn.Flatten()), x) == "0"  # unless there is no other


def test_a_layer_that_is_used_twice_is_not_the_default(model: nn.Module, x: Tensor, y: Tensor) -> None:
    assert chosen(model, x) == "norm2"
    assert torch.equal(rr.GradCAM()(model, x, y), rr.GradCAM(layer="norm2")(model, x, y))


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
        rr.GradCAM(layer="spare")(model, x, 0)


def test_inputs_that_are_no_pictures() -> None:
    model = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 2, 1), nn.Flatten())
    with pytest.raises(rr.ShapeError, match=r"one input of shape \(B, C, H, W\); got \(3, 4\)"):
        rr.GradCAM()(model, torch.rand(3, 4), 0)


def test_features_that_are_no_pictures(model: nn.Module, x: Tensor) -> None:
    with pytest.raises(rr.ShapeError, match=r"layer 'head' gives \(4, 3\)"):
        rr.GradCAM(layer="head")(model, x, 0)


@pytest.mark.parametrize("model", [nn.Flatten(), lambda x: x.flatten(1)], ids=["module", "callable"])
def test_no_convolution_to_choose(model, x: Tensor) -> None:
    with pytest.raises(rr.InputError, match="no two-dimensional convolution with a name ran"):
        rr.GradCAM()(model, x, 0)


@pytest.mark.usefixtures("without_type_checks")
def test_unknown_upsampling() -> None:
    with pytest.raises(rr.InputError, match="upsample must be 'bilinear', 'nearest' or None; got 'cubic'"):
        rr.GradCAM(upsample="cubic")
    with pytest.raises(rr.InputError, match="got 'cubic'"):
        rr.GradCAMPlusPlus(upsample="cubic")

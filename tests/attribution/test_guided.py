"""Guided backpropagation and the deconvolutional network."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rightreasons as rr
from tests import oracles
from tests.attribution.helpers import assert_same_state, relative, state
from tests.networks import labels

METHODS = {"guided": rr.GuidedBackprop(), "deconvnet": rr.Deconvnet()}
every_method = pytest.mark.parametrize("rule", METHODS)


def layers(relu: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        relu(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, bias=False),
        relu(),
        nn.Flatten(),
        nn.Linear(16, 6),
        relu(),
        nn.Linear(6, 3),
    ).double()
    model(torch.randn(20, 2, 8, 8, dtype=torch.float64))
    return model.eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 2, 8, 8, dtype=torch.float64)


@pytest.fixture
def y() -> Tensor:
    return labels(4)


@every_method
def test_against_backpropagation_by_hand(rule: str, x: Tensor, y: Tensor) -> None:
    model = layers()
    assert relative(METHODS[rule](model, x, y), oracles.through_relus(list(model), x, y, rule)) < 1e-12
    # The oracle's own oracle:
    assert relative(rr.Gradient()(model, x, y), oracles.through_relus(list(model), x, y, "gradient")) < 1e-12


class Written(nn.Module):
    """The same layers, with ReLUs written in another way."""

    def __init__(self, how: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layers, self.how = layers(), how

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.how(x) if isinstance(layer, nn.ReLU) else layer(x)
        return x


SHARED = nn.ReLU(inplace=True)
WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "function": F.relu,
    "method": lambda z: z.relu(),
    "in place": lambda z: z.relu_(),
    "one module in place, used again": SHARED,
    "clamp": lambda z: z.clamp(min=0),
    "clamp in place": lambda z: z.clamp_(min=0),
    "clamp_min": lambda z: z.clamp_min(0),
    "clamp by a tensor": lambda z: z.clamp(min=torch.zeros((), dtype=z.dtype)),
    "threshold": lambda z: F.threshold(z, 0, 0),
    "threshold in place": lambda z: F.threshold_(z, 0, 0),
    "maximum": lambda z: torch.maximum(z, torch.zeros_like(z)),
    "maximum, other way round": lambda z: torch.maximum(torch.zeros_like(z), z),
    "hardtanh": lambda z: F.hardtanh(z, 0.0, 1e9),
}


@every_method
@pytest.mark.parametrize("way", WAYS)
def test_however_a_relu_is_written(rule: str, way: str, x: Tensor, y: Tensor) -> None:
    if rule == "deconvnet" or not way.startswith("maximum"):
        wanted = METHODS[rule](layers(), x, y)
        assert relative(METHODS[rule](Written(WAYS[way]), x, y), wanted) < 1e-12
    else:  # at exactly 0 autograd halves the gradient of a maximum; nothing is exactly 0 here
        assert relative(METHODS[rule](Written(WAYS[way]), x, y), METHODS[rule](layers(), x, y)) < 1e-12


def test_a_recurrent_network_of_relus(x: Tensor) -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.RNN(8, 5, nonlinearity="relu", batch_first=True), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.rnn(x)[0][:, -1])

    model = Last().double()
    maps = rr.GuidedBackprop()(model, x[:, 0], 1)
    assert relative(maps, rr.Gradient()(model, x[:, 0], 1)) > 0.1
    with torch.no_grad():  # by hand, one step after the other
        r, (wi, wh, bi, bh) = model.rnn, list(model.rnn.parameters())
        h, states = torch.zeros(4, 5, dtype=torch.float64), []
        for t in range(8):
            states.append(x[:, 0, t] @ wi.T + bi + h @ wh.T + bh)
            h = states[-1].relu()
        back, wanted = model.head.weight[1].expand(4, 5), torch.zeros_like(x[:, 0])
        for t in reversed(range(8)):
            back = back.relu() * (states[t] > 0)
            wanted[:, t] = back @ wi
            back = back @ wh
    assert r.nonlinearity == "relu"
    assert relative(maps, wanted) < 1e-12


@every_method
def test_the_map_hardly_knows_the_class(rule: str, x: Tensor) -> None:
    """The published defect [nielsen2022], on a network with several positive layers: the reason it is a control."""
    torch.manual_seed(1)
    model = nn.Sequential(*[m for _ in range(5) for m in (nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())])
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), model, nn.Flatten(), nn.Linear(512, 3)
    ).double()

    def similarity(method: rr.Attribution) -> float:
        a, b = (method(model, x, c).flatten(1) for c in (0, 1))
        return float(F.cosine_similarity(a, b).mean())

    assert similarity(METHODS[rule]) > similarity(rr.Gradient()) + 0.3


def test_other_saturating_functions_keep_their_derivative() -> None:
    x = torch.tensor([[0.3, -0.4]], dtype=torch.float64)
    maps = rr.GuidedBackprop()(lambda x: (torch.tanh(x).relu() + torch.sigmoid(x)).sum(1), x)
    sigmoid = torch.sigmoid(x)
    assert relative(maps, (1 - torch.tanh(x) ** 2) * (x > 0) + sigmoid * (1 - sigmoid)) < 1e-12


def test_at_a_layer_and_several_inputs(x: Tensor, y: Tensor) -> None:
    model = layers()
    at = rr.GuidedBackprop(at="4")(model, x, y)
    wanted = oracles.through_relus(list(model)[5:], model[:5](x).detach(), y, "guided")
    assert relative(at, wanted) < 1e-12
    both = rr.GuidedBackprop()(lambda a, b: (a.relu() - b.relu()).sum(1), (x[:, 0, 0], x[:, 0, 1]))
    assert relative(both, ((x[:, 0, 0] > 0).double(), torch.zeros(4, 8))) == 0


# What cannot be handled is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "activation",
    [F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish, F.hardswish, F.softplus],
    ids=lambda f: f.__name__,
)
@every_method
def test_kin_of_the_relu_are_refused_by_name(
    rule: str, activation: Callable[[Tensor], Tensor], x: Tensor
) -> None:
    with pytest.raises(
        rr.DifferentiabilityError, match=r"is defined by what happens at ReLUs; this model has \w+ \("
    ):
        METHODS[rule](Written(activation), x, 0)
    with pytest.raises(rr.DifferentiabilityError, match=r"is defined by what happens at ReLUs"):
        METHODS[rule](lambda x: activation(x.clone()).relu().sum((1, 2, 3)), x)


class Hidden(torch.autograd.Function):
    """A ReLU that nobody can see."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:
        return g * (ctx.saved_tensors[0] > 0)


def on_a_part(z: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    z = z * 1
    change(z[:, :1])
    return torch.cat([z[:, :1], z[:, 1:].relu()], dim=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda part: part.relu_(),
        nn.ReLU(inplace=True),
        lambda part: F.threshold(part, 0.0, 0.0, inplace=True),
        lambda part: part.clamp_(min=0),
        lambda part: part.copy_(part.relu()),
    ],
    ids=["relu_", "module", "threshold", "clamp_", "copy_"],
)
@every_method
def test_a_relu_in_place_on_a_part_is_one(
    rule: str, change: Callable[[Tensor], Tensor], x: Tensor, y: Tensor
) -> None:
    maps = METHODS[rule](Written(lambda z: on_a_part(z, change)), x, y)
    assert relative(maps, METHODS[rule](layers(), x, y)) < 1e-12


@every_method
def test_padding_that_copies_hides_nothing(rule: str) -> None:
    torch.manual_seed(0)
    padded = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"), nn.ReLU(), nn.Flatten()
    ).double()
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    maps = METHODS[rule](padded, x, 3)
    plain = nn.Conv2d(1, 2, 3).double()
    plain.load_state_dict(padded[0].state_dict())
    around = F.pad(x, (1, 1, 1, 1), mode="circular")
    wide = METHODS[rule](nn.Sequential(plain, nn.ReLU(), nn.Flatten()), around, 3)
    wanted = torch.zeros_like(x)
    for i in range(6):
        for j in range(6):
            wanted[:, :, (i - 1) % 4, (j - 1) % 4] += wide[:, :, i, j]
    assert relative(maps, wanted) < 1e-12


@every_method
def test_what_may_hide_a_relu_is_refused(rule: str, x: Tensor) -> None:
    with pytest.raises(rr.DifferentiabilityError, match=r"a custom function \(HiddenBackward\) may hide one"):
        METHODS[rule](Written(Hidden.apply), x, 0)


@pytest.mark.parametrize("method", [*METHODS.values(), rr.DeepLift()], ids=repr)
def test_backward_hooks_of_others_are_no_reason_to_refuse(
    method: rr.Attribution, x: Tensor, y: Tensor
) -> None:
    model, seen = layers(), []
    wanted = method(model, x, y)
    model[4].register_full_backward_hook(lambda *_: seen.append(1))
    assert relative(method(model, x, y), wanted) == 0
    assert seen == [1]


@pytest.mark.parametrize(
    "by_hand",
    [
        lambda z: z * (z > 0),
        lambda z: torch.where(z.lt(0), 0.0, z),
        lambda z: z.masked_fill(0 >= z, 0.0),
        lambda z: z * z.sign().add(1).div(2),
        lambda z: torch.fmax(z, torch.zeros(()).to(z)),
    ],
    ids=["mask", "where", "masked_fill", "sign", "fmax"],
)
@every_method
def test_a_relu_made_by_hand_is_refused(rule: str, by_hand: Callable[[Tensor], Tensor], x: Tensor) -> None:
    with pytest.raises(
        rr.DifferentiabilityError, match=r"a comparison of activations \(\w+\) may be one made by hand"
    ):
        METHODS[rule](lambda x: by_hand(x).relu().sum((1, 2, 3)), x)
    known = torch.ones(8) > 0  # compares nothing of x
    METHODS[rule](lambda x: torch.where(known, x.relu(), 0.0).sum((1, 2, 3)), x)


@every_method
def test_without_a_relu_there_is_nothing_to_guide(rule: str, x: Tensor) -> None:
    with pytest.raises(rr.InputError, match="no ReLU lies between what is explained and the output"):
        METHODS[rule](Written(torch.tanh), x, 0)
    with pytest.raises(rr.InputError, match="no ReLU lies between"):
        METHODS[rule](lambda x: F.hardtanh(x).sum((1, 2, 3)), x)


@every_method
def test_a_refusal_leaves_the_model_as_found(rule: str, x: Tensor) -> None:
    model = Written(F.gelu).train()
    before = state(model)
    with pytest.raises(rr.DifferentiabilityError):
        METHODS[rule](model, x, 0)
    assert_same_state(state(model), before)


@every_method
def test_a_constant_output_is_an_error_and_not_a_zero_map(rule: str, x: Tensor) -> None:
    with pytest.raises(rr.DifferentiabilityError, match="carries no gradient"):
        METHODS[rule](lambda x: x.relu().sum((1, 2, 3)).detach(), x)


def test_guided_grad_cam_is_the_product_of_its_two_maps(x: Tensor, y: Tensor) -> None:
    model = layers()
    for upsample in ("bilinear", "nearest"):
        cam = rr.GradCAM(upsample=upsample)(model, x, y)
        wanted = rr.GuidedBackprop()(model, x, y) * cam
        assert torch.equal(rr.GuidedGradCAM(upsample=upsample)(model, x, y), wanted)
    (alone,) = rr.GuidedGradCAM()(model, (x,), y)
    assert torch.equal(alone, rr.GuidedGradCAM()(model, x, y))


@pytest.mark.usefixtures("without_type_checks")
def test_guided_grad_cam_needs_a_way_to_resize() -> None:
    with pytest.raises(rr.InputError, match="upsample is 'bilinear' or 'nearest'; got None"):
        rr.GuidedGradCAM(upsample=None)
    with pytest.raises(rr.InputError, match="got 'cubic'"):
        rr.GuidedGradCAM(upsample="cubic")

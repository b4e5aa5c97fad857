"""DeepLIFT: the rescale rule, its completeness, and what it refuses."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rightreasons as rr
from tests import oracles
from tests.attribution.helpers import assert_same_state, relative, state
from tests.networks import NETWORKS, labels


def network(activation: Callable[[], nn.Module], pool: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        activation(),
        pool or nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, bias=False),
        activation(),
        nn.Flatten(),
        nn.Linear(16, 6),
        activation(),
        nn.Linear(6, 3),
    ).double()
    model(torch.randn(20, 2, 8, 8, dtype=torch.float64))
    return model.eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 2, 8, 8, dtype=torch.float64)


@pytest.fixture
def base() -> Tensor:
    return torch.randn(4, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


@pytest.fixture
def y() -> Tensor:
    return labels(4)


ACTIVATIONS = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.GELU,
    nn.Softplus,
    nn.ELU,
    nn.SiLU,
    nn.Hardtanh,
    nn.PReLU,
)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a.__name__)
def test_against_slopes_by_hand(
    activation: Callable[[], nn.Module], x: Tensor, base: Tensor, y: Tensor
) -> None:
    model = network(activation)
    wanted = oracles.deeplift(list(model), x, base, y)
    assert relative(rr.DeepLift(baseline=base)(model, x, y), wanted) < 1e-10


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2, padding=1)], ids=["windows", "overlapping windows"]
)
def test_max_pooling_against_window_by_window(pool: nn.MaxPool2d, x: Tensor, base: Tensor, y: Tensor) -> None:
    model = network(nn.Tanh, pool)
    explanation = rr.DeepLift(baseline=base).explain(model, x, y)
    assert relative(explanation.maps, oracles.deeplift(list(model), x, base, y)) < 1e-10
    assert float(explanation.gap.abs().max()) < 1e-12


class Block(nn.Module):
    """Residual adds, re-used in-place activation, functional activations, concatenation, scaling, up-sampling."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(k, 3, 3, padding=1) for k in (2, 3, 6))
        self.act, self.norm, self.head = nn.ReLU(inplace=True), nn.BatchNorm2d(3), nn.Linear(12, 3)
        self.scale = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        first = self.act(self.norm(self.a(x)))
        h = self.act(self.b(first)) + first
        h += 0.1
        h = F.max_pool2d(torch.cat([h, torch.sigmoid(h) * self.scale], 1), 2)
        h = F.interpolate(self.c(h), scale_factor=2, mode="nearest")
        h = h.clamp_(-1, 1) / 2
        h = F.adaptive_max_pool2d(F.pad(h, (1, 1, 1, 1)), 2) - 0.3
        return self.head(h.flatten(1))


def test_complete_through_everything_a_convolutional_network_does(x: Tensor, base: Tensor, y: Tensor) -> None:
    model = Block().double().eval()
    explanation = rr.DeepLift(baseline=base).explain(model, x, y)
    rows = torch.arange(4)
    with torch.no_grad():
        total = model(x)[rows, y] - model(base)[rows, y]
    torch.testing.assert_close(explanation.maps.flatten(1).sum(1), total, rtol=0, atol=1e-10)
    assert float(explanation.gap.abs().max()) < 1e-10
    assert explanation.evaluations == (12, 4)


@pytest.mark.parametrize("dims", [1, 3])
def test_max_pooling_in_other_dimensions_and_without_a_batch_dimension(dims: int) -> None:
    pool = getattr(F, f"max_pool{dims}d")
    x = torch.randn(2, 3, *(4,) * dims, dtype=torch.float64)
    maps = rr.DeepLift(baseline=0.1)(lambda x: pool(x.tanh(), 2).flatten(1).sum(1), x)
    assert torch.allclose(
        maps.flatten(1).sum(1),
        (pool(x.tanh(), 2) - torch.tensor(0.1).double().tanh()).flatten(1).sum(1),
    )
    alone = rr.DeepLift(baseline=0.1)(lambda x: pool(x[0].tanh(), 2).sum()[None], x[:1])
    assert relative(alone, maps[:1]) < 1e-12


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "function": F.relu,
    "method": lambda z: z.relu(),
    "in place": lambda z: z.relu_(),
    "in place on a part": lambda z: _in_part(z),
    "torch function": torch.relu_,
    "clamp": lambda z: torch.clamp(z, min=0),
    "keyword": lambda z: F.relu(input=z, inplace=True),
}


def _in_part(z: Tensor) -> Tensor:
    z = z * 1
    z[:, :2].relu_()
    z[:, 2:].relu_()
    return z


@pytest.mark.parametrize("way", WAYS)
def test_however_an_activation_is_called(way: str, x: Tensor, base: Tensor, y: Tensor) -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = network(nn.ReLU)

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = WAYS[way](x) if isinstance(layer, nn.ReLU) else layer(x)
            return x

    wanted = rr.DeepLift(baseline=base)(network(nn.ReLU), x, y)
    assert relative(rr.DeepLift(baseline=base)(Written(), x, y), wanted) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_where_nothing_moves_the_slope_is_the_derivative(dtype: torch.dtype) -> None:
    """Baseline and x agree in a hidden unit although they differ in the inputs: 0 / 0 without it."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Tanh()).to(dtype)
    nn.init.constant_(model[0].weight, 1.0)
    x = torch.tensor([[0.5, 0.25], [1.0, 0.0]], dtype=dtype)
    base = torch.tensor([[0.25, 0.5], [1.0, 1e-7]], dtype=dtype)
    maps = rr.DeepLift(baseline=base)(model, x)
    slope = float(1 - torch.tanh(torch.tensor(0.75)) ** 2)
    assert maps[0].tolist() == pytest.approx([0.25 * slope, -0.25 * slope], rel=1e-5)
    assert maps.isfinite().all()


def test_references_give_the_mean_over_baselines(x: Tensor, base: Tensor, y: Tensor) -> None:
    model = network(nn.ReLU, nn.MaxPool2d(2))
    references = base[:3]
    each = [rr.DeepLift(baseline=r)(model, x, y) for r in references]
    for chunk in (None, 1, 5, 7):
        method = rr.DeepLift(references=references)
        assert relative(method(model, x, y, chunk=chunk), torch.stack(each).mean(0)) < 1e-12
    explanation = method.explain(model, x, y, chunk=7)
    assert float(explanation.gap.abs().max()) < 1e-12
    assert explanation.evaluations == (4 * 3 * 2 + 4, 12)


def test_at_a_layer_several_inputs_and_keywords(x: Tensor, base: Tensor, y: Tensor) -> None:
    model = network(nn.Tanh)
    at = rr.DeepLift(baseline=base, at="3")(model, x, y)
    wanted = oracles.deeplift(list(model)[4:], model[:4](x).detach(), model[:4](base).detach(), y)
    assert relative(at, wanted) < 1e-10
    spread = rr.DeepLift(references=base, at="3")(model, x, y)
    assert (
        relative(spread, torch.stack([rr.DeepLift(baseline=b, at="3")(model, x, y) for b in base]).mean(0))
        < 1e-10
    )

    def two(a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
        return (torch.tanh(a + 2 * b) * scale[:, None]).sum(1)

    a, b, scale = x[:, 0, 0], x[:, 1, 0], torch.arange(1.0, 5.0).double()
    maps = rr.DeepLift()(two, (a, b), model_kwargs={"scale": scale}, chunk=3)
    slope = torch.tanh(a + 2 * b) / (a + 2 * b) * scale[:, None]
    assert relative(maps, (slope * a, slope * 2 * b)) < 1e-10


def test_a_callable_target_is_part_of_what_is_explained(x: Tensor, base: Tensor) -> None:
    model = network(nn.Tanh)
    maps = rr.DeepLift(baseline=base)(model, x, lambda z: torch.tanh(z[:, 0] - z[:, 1]))
    with torch.no_grad():
        total = [torch.tanh(z[:, 0] - z[:, 1]) for z in (model(x), model(base))]
    assert torch.allclose(maps.flatten(1).sum(1), total[0] - total[1])


# What has no rescale rule is refused ----------------------------------------------------------------------------------


class Hidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.tanh()

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:
        return g


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (lambda x: (x[:, 0] * x[:, 1]).sum((1, 2)), "Mul"),
        (lambda x: x.flatten(1).softmax(1)[:, 0], "Softmax"),
        (lambda x: F.layer_norm(x, (8,)).sum((1, 2, 3)), "NativeLayerNorm"),
        (lambda x: (x @ x).sum((1, 2, 3)), "Bmm"),
        (lambda x: F.scaled_dot_product_attention(x, x, x).sum((1, 2, 3)), "ScaledDotProduct|Bmm|Softmax"),
        (lambda x: (1 / x).sum((1, 2, 3)) + (x / (x.square() + 1)).sum((1, 2, 3)), "Div"),
        (lambda x: x.amax((1, 2, 3)), "Amax"),
        (lambda x: torch.maximum(x[:, 0], x[:, 1]).sum((1, 2)), "Maximum"),
        (lambda x: F.glu(x, 1).sum((1, 2, 3)), "Glu"),
        (lambda x: torch.where(x > 0, x, -x).sum((1, 2, 3)), "Where"),
        (lambda x: Hidden.apply(x).sum((1, 2, 3)), "Hidden"),
        (lambda x: (x.abs() + 1).pow(x.sigmoid()).sum((1, 2, 3)), "Pow"),
        (lambda x: x.clamp(min=-x).sum((1, 2, 3)), "Clamp"),
        (lambda x: F.batch_norm(x, None, None, training=True).sum((1, 2, 3)), "NativeBatchNorm"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_operations_without_a_rule_are_refused_by_name(
    model: Callable[[Tensor], Tensor], named: str, x: Tensor
) -> None:
    with pytest.raises(
        rr.DifferentiabilityError, match=rf"rescale rule is for functions of one number.*({named})"
    ):
        rr.DeepLift(baseline=0.5)(model, x)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_loses_what_rounding_takes_and_no_more(
    kind: torch.dtype, x: Tensor, y: Tensor
) -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.MaxPool2d(2), nn.Tanh(), nn.Conv2d(4, 4, 3), nn.ReLU()
    ).append(nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3)))
    wanted = rr.DeepLift()(model.double(), x, y)
    maps = rr.DeepLift()(model.to(kind), x.to(kind), y)
    assert relative(maps.double(), wanted) < 8 * torch.finfo(kind).eps  # three layers and a sum over places


def test_why_products_are_refused() -> None:
    """The gradient of a product at x, times the displacement, counts the interaction twice."""
    x = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    as_if_linear = rr.InputTimesGradient()(lambda x: x[:, 0] * x[:, 1], x)
    assert float(as_if_linear.sum()) == 12.0
    assert float(x.prod()) == 6.0


@pytest.mark.parametrize("name", ["gru", "lstm", "transformer", "two inputs"])
def test_networks_with_products_are_refused(name: str) -> None:
    network = NETWORKS[name]
    model = network.make()
    before = state(model)
    with pytest.raises(rr.DifferentiabilityError, match="rescale rule is for functions of one number"):
        rr.DeepLift()(model, network.inputs(3), 0)
    assert_same_state(state(model), before)


def test_what_depends_on_the_data_without_a_gradient_is_noticed(x: Tensor, base: Tensor) -> None:
    with pytest.raises(rr.DifferentiabilityError, match="off completeness by up to"):
        rr.DeepLift(baseline=base)(lambda x: (x * (x > 0)).sum((1, 2, 3)), x)


def test_a_way_that_depends_on_the_data_is_noticed(x: Tensor) -> None:
    def branching(x: Tensor) -> Tensor:
        return (x.tanh() if float(x.detach().sum()) == 0 else x.sigmoid()).sum((1, 2, 3))

    with pytest.raises(
        rr.DifferentiabilityError, match=r"not run the same functions there \(found at 'sigmoid'\)"
    ):
        rr.DeepLift()(branching, x)
    with pytest.raises(
        rr.DifferentiabilityError, match=r"not run the same functions there \(found at 'max_pool2d'\)"
    ):
        rr.DeepLift()(lambda x: (F.max_pool2d(x, 2) if float(x.detach().sum()) else x).sum((1, 2, 3)), x)


def test_bad_configurations(x: Tensor, base: Tensor) -> None:
    with pytest.raises(
        rr.InputError, match=r"a baseline or references \(whose maps are averaged\), not both"
    ):
        rr.DeepLift(baseline=0.0, references=base)
    with pytest.raises(rr.ShapeError, match="baseline of shape"):
        rr.DeepLift(baseline=base[:3])(network(nn.ReLU), x, 0)
    with pytest.raises(rr.ShapeError, match="references of shape"):
        rr.DeepLift(references=base[:, :1])(network(nn.ReLU), x, 0)
    base[0, 0, 0, 0] = torch.nan
    with pytest.raises(rr.InputError, match="references has 1 NaN"):
        rr.DeepLift(references=base)(network(nn.ReLU), x, 0)
    with pytest.raises(rr.InputError, match="baseline has 1 NaN"):
        rr.DeepLift(baseline=base)(network(nn.ReLU), x, 0)


def test_repr_shows_shapes(base: Tensor) -> None:
    assert repr(rr.DeepLift(references=base)) == "DeepLift(references=<4x2x8x8>)"

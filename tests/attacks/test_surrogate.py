"""Softplus surrogates against formulas written out, through every way a ReLU can be called."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.attacks._surrogate import Smoothing, Softplus, surrogate
from rightreasons.core._errors import InputError
from tests.networks import CNN, NETWORKS, as_args, labels

X = torch.linspace(-3, 3, 24, dtype=torch.float64).reshape(2, 3, 2, 2)
SLOPES = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
BETA = 2.5


def sp(t: Tensor) -> Tensor:
    return torch.log1p(torch.exp(BETA * t)) / BETA


def leaky(slope: float | Tensor) -> Tensor:
    return slope * X + (1 - slope) * sp(X)


def clamped(low: float, high: float) -> Tensor:
    return low + sp(X - low) - sp(X - high)


RELU = {
    "module": nn.ReLU(),
    "in-place module": nn.ReLU(inplace=True),
    "functional": F.relu,
    "in-place functional": lambda x: F.relu(x, inplace=True),
    "torch": torch.relu,
    "torch in place": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "keyword": lambda x: F.relu(input=x),
    "operator": lambda x: torch.ops.aten.relu.default(x),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "clamp_min_": lambda x: x.clamp_min_(0.0),
    "clip": lambda x: torch.clip(x, 0),
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
    "threshold_": lambda x: F.threshold_(x, 0.0, 0.0),
}
OTHERS = {
    "relu6": (nn.ReLU6(), clamped(0, 6)),
    "relu6 functional": (F.relu6, clamped(0, 6)),
    "hardtanh": (nn.Hardtanh(-0.5, 1.5, inplace=True), clamped(-0.5, 1.5)),
    "clamp both": (lambda x: x.clamp(-0.5, 1.5), clamped(-0.5, 1.5)),
    "clamp by tensors": (
        lambda x: x.clamp(torch.full((2, 2), -0.5).to(x), torch.tensor(1.5).to(x)),
        clamped(-0.5, 1.5),
    ),
    "clamp inverted": (lambda x: torch.clamp(x, 2.0, 1.0), torch.ones_like(X)),
    "clamp_max": (lambda x: x.clamp_max(1.0), X - sp(X - 1)),
    "clamp max keyword": (lambda x: x.clamp(max=1.0), X - sp(X - 1)),
    "leaky": (nn.LeakyReLU(0.2), leaky(0.2)),
    "leaky in place": (lambda x: F.leaky_relu_(x, 0.2), leaky(0.2)),
    "rrelu in eval mode": (nn.RReLU(0.1, 0.3).eval(), leaky(0.2)),
    "prelu": (lambda x: F.prelu(x, SLOPES), leaky(SLOPES.reshape(3, 1, 1))),
    "prelu of one": (lambda x: torch.prelu(x, SLOPES[:1]), leaky(0.1)),
    "threshold with a jump": (
        nn.Threshold(0.5, -1.0),
        -1 + sp(X - 0.5) + 1.5 * torch.sigmoid(BETA * (X - 0.5)),
    ),
}
ALL = {**{name: (op, sp(X)) for name, op in RELU.items()}, **OTHERS}


@pytest.mark.parametrize("name", ALL)
def test_forward_values_are_the_softplus_formula(name: str) -> None:
    op, expected = ALL[name]
    with Smoothing(BETA):
        torch.testing.assert_close(op(X.clone()), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_backward_mode_keeps_values_exactly_and_takes_the_gradient_of_the_softplus_formula(name: str) -> None:
    op, _ = ALL[name]
    leaf = X.clone().requires_grad_()
    with Smoothing(BETA):
        (wanted,) = torch.autograd.grad(op(leaf * 1).sum(), leaf)
    with Smoothing(BETA, mode="backward"):
        value = op(leaf * 1)
    assert torch.equal(value, op(X.clone()))
    torch.testing.assert_close(torch.autograd.grad(value.sum(), leaf)[0], wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_first_and_second_derivatives_pass_gradcheck(name: str) -> None:
    op, _ = ALL[name]
    leaf = (X[:1] + 0.1).clone().requires_grad_()

    def smoothed(x: Tensor) -> Tensor:
        with Smoothing(BETA):
            return op(x * 1)

    assert torch.autograd.gradcheck(smoothed, leaf)
    assert torch.autograd.gradgradcheck(smoothed, leaf)


def test_in_place_operations_still_work_in_place() -> None:
    x = X.clone()
    with Smoothing(BETA):
        assert F.relu(x, inplace=True) is x
    torch.testing.assert_close(x, sp(X))


def test_curvature_in_backward_mode_is_that_of_softplus() -> None:
    leaf = X.clone().requires_grad_()
    with Smoothing(BETA, mode="backward"):
        value = torch.relu(leaf)
    (first,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), leaf)
    gate = torch.sigmoid(BETA * X)
    torch.testing.assert_close(first, gate)
    torch.testing.assert_close(second, BETA * gate * (1 - gate))


def test_sharper_is_closer_and_beta_may_change_between_calls() -> None:
    model, x = NETWORKS["mlp relu"].make(), NETWORKS["mlp relu"].inputs(3)
    smoothing = Smoothing()
    soft = surrogate(model, smoothing)
    errors = []
    for beta in (1.0, 10.0, 100.0, 1e6):
        smoothing.beta = beta
        errors.append(float((soft(x) - model(x)).abs().max().detach()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6


@pytest.mark.parametrize("name", ["mlp relu", "cnn"])
def test_surrogate_has_curvature_where_the_model_has_none(name: str) -> None:
    network = NETWORKS[name]
    model, x = network.make(), network.inputs(2).requires_grad_()  # pyright: ignore[reportAttributeAccessIssue]
    y = labels(2)

    def curvature(of: nn.Module) -> float:
        maps = rr.Gradient()(of, x, y, create_graph=True)
        assert isinstance(maps, Tensor)
        (second,) = torch.autograd.grad(maps.square().sum(), x, allow_unused=True)
        return 0.0 if second is None else float(second.abs().max())

    assert curvature(model) == 0.0
    assert curvature(surrogate(model, Smoothing(5.0))) > 0.0  # pyright: ignore[reportArgumentType]


def test_surrogate_shares_layers_parameters_and_modes() -> None:
    model = CNN().double().train()
    before = copy.deepcopy(model.state_dict())
    soft = surrogate(model, Smoothing())
    assert isinstance(soft, nn.Module)
    assert dict(soft.named_modules()) == dict(model.named_modules())
    assert [id(p) for p in soft.parameters()] == [id(p) for p in model.parameters()]
    x = NETWORKS["cnn"].inputs(3)
    at_layer = rr.Gradient(at="first")(soft, x, labels(3))
    assert isinstance(at_layer, Tensor)
    assert at_layer.shape == (3, 3, 5, 5)
    assert model.training
    assert all(m.training for m in model.modules())
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), before.values(), strict=True))


def test_surrogate_takes_replaced_parameters() -> None:
    model, x = NETWORKS["mlp relu"].make(), NETWORKS["mlp relu"].inputs(3)
    soft = surrogate(model, Smoothing())
    assert isinstance(soft, nn.Module)
    doubled = {name: 2 * p for name, p in soft.named_parameters()}
    got = torch.func.functional_call(soft, doubled, (x,))
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        parameter.data *= 2
    torch.testing.assert_close(got, surrogate(other, Smoothing())(x))


def test_explaining_a_surrogate_puts_the_models_own_root_in_eval_mode() -> None:
    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (F.dropout(x.relu(), 0.5, self.training) ** 2).sum(1)

    model, x = Root(), torch.ones(2, 5)
    maps = rr.Gradient()(surrogate(model, Smoothing(50.0)), x)
    torch.testing.assert_close(maps, 2 * x)
    assert model.training


def test_a_callable_is_smoothed_too() -> None:
    soft = surrogate(lambda x: torch.relu(x).sum(1), Smoothing(BETA))
    torch.testing.assert_close(soft(X[0, 0]), sp(X[0, 0]).sum(1))


def test_what_is_done_with_the_outputs_of_a_surrogate_is_not_smoothed() -> None:
    soft = surrogate(nn.Identity(), Smoothing(0.1))
    assert torch.equal(soft(X).clamp(min=0), X.clamp(min=0))


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("max_pool2d", nn.MaxPool2d(2)),
        ("max_pool1d", lambda x: F.max_pool1d(x[0], 2)),
        ("adaptive_max_pool2d", nn.AdaptiveMaxPool2d(1)),
        ("abs", abs),
        ("max", lambda x: x.max(1)),
        ("maximum", lambda x: torch.maximum(x, -x)),
        ("sort", lambda x: x.sort()),
        ("hardswish", nn.Hardswish()),
        ("gt", lambda x: x * (x > 0)),
        ("where", lambda x: torch.where(x.bool(), x, 0 * x)),
        ("rnn_relu", lambda x: nn.RNN(2, 2, nonlinearity="relu").double()(x[0])),
        ("rrelu", lambda x: F.rrelu(x, training=True)),
        ("relu", lambda x: torch.ops.aten.relu.out(x, out=torch.empty_like(x))),
    ],
)
def test_piecewise_operations_that_stay_are_listed(name: str, op: nn.Module) -> None:
    with Smoothing() as smoothing:
        op(X)
    assert name in smoothing.unsmoothed


def test_integers_and_smooth_operations_are_neither_smoothed_nor_listed() -> None:
    counts = torch.tensor([-1, 2])
    with Smoothing() as smoothing:
        assert torch.equal(counts.clamp(min=0), torch.tensor([0, 2]))
        assert bool((counts > 5).any()) is False
        torch.tanh(X) + F.gelu(X)
    assert smoothing.unsmoothed == ()


def test_nothing_is_left_behind_after_an_error() -> None:
    def broken(x: Tensor) -> Tensor:
        raise KeyError(torch.relu(x).shape)

    for model in (broken, surrogate(broken, Smoothing())):
        with pytest.raises(KeyError), Smoothing():
            model(X)
        assert torch.equal(torch.relu(X), X.clamp(min=0))


@pytest.mark.parametrize("beta", [0.0, -1.0, float("nan"), float("inf")])
def test_beta_must_be_a_positive_number(beta: float) -> None:
    rule = "must be a number; got nan" if beta != beta else "a positive number; got"
    with pytest.raises(InputError, match=f"beta .*{rule}"):
        Smoothing(beta)
    with pytest.raises(InputError, match="a positive number"):
        Softplus(anneal_to=beta)


@pytest.mark.usefixtures("without_type_checks")
def test_mode_must_be_known() -> None:
    with pytest.raises(InputError, match="mode is 'forward' or 'backward'; got 'both'"):
        Softplus(mode="both")  # pyright: ignore[reportArgumentType]


def test_annealing_is_geometric() -> None:
    softplus = Softplus(beta=10.0, anneal_to=100.0)
    assert [round(softplus.beta_at(t), 6) for t in (0.0, 0.5, 1.0)] == [10.0, 31.622777, 100.0]
    assert Softplus(beta=3.0).beta_at(0.7) == 3.0
    assert softplus.smoothing().beta == 10.0


def test_high_arguments_are_finite_in_both_derivatives() -> None:
    x = torch.tensor([-1e4, -30.0, 0.0, 30.0, 1e4], requires_grad=True)
    with Smoothing(100.0):
        (first,) = torch.autograd.grad(torch.relu(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert torch.isfinite(first).all()
    assert torch.isfinite(second).all()


def test_arguments_of_tuple_models_pass_through() -> None:
    network = NETWORKS["two inputs"]
    model, x = network.make(), network.inputs(2)
    torch.testing.assert_close(surrogate(model, Smoothing())(*as_args(x)), model(*as_args(x)))


def test_bounds_are_as_precise_as_what_they_bound() -> None:
    x = torch.tensor([[-1.0, 0.5, 3.0]], dtype=torch.float64)
    smooth = surrogate(lambda x: x.clamp(0.1, 2.3), Smoothing(1e9))
    assert torch.allclose(smooth(x), x.clamp(0.1, 2.3), rtol=0, atol=1e-13)

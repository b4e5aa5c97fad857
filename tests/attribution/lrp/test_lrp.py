"""LRP: every rule against loops over terms, conservation and where it ends, and what is refused."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rightreasons as rr
from tests import oracles
from tests.attribution.helpers import assert_same_state, relative, state
from tests.networks import NETWORKS, labels

RULES: dict[str, tuple[rr.Rule, tuple[Any, ...]]] = {
    "epsilon": (rr.Epsilon(0.1), ("epsilon", 0.1)),
    "epsilon 0": (rr.Epsilon(0), ("epsilon", 0)),
    "gamma": (rr.Gamma(0.3), ("gamma", 0.3)),
    "alpha beta": (rr.AlphaBeta(2, 1), ("alphabeta", 2, 1)),
    "alpha 3 beta 2": (rr.AlphaBeta(3, 2), ("alphabeta", 3, 2)),
    "z plus": (rr.ZPlus(), ("alphabeta", 1, 0)),
    "z box": (rr.ZBox(-4.0, 4.0), ("zbox", -4, 4)),
    "flat": (rr.Flat(), ("flat",)),
}
every_rule = pytest.mark.parametrize("name", RULES)


def mlp(bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Linear(4, 6, bias), nn.ReLU(), nn.Linear(6, 5, bias), nn.Tanh(), nn.Linear(5, 3, bias))
    return nn.Sequential(*layers).double()


def cnn(bias: bool = True) -> nn.Sequential:
    """Convolution with batch-norm, average and max-pooling, transposed convolution."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, bias=bias),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.ConvTranspose2d(3, 4, 2, stride=2, bias=bias),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 3, bias),
    ).double()
    model(torch.randn(20, 2, 6, 6, dtype=torch.float64))
    return model.eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 4, dtype=torch.float64)


@pytest.fixture
def pictures() -> Tensor:
    return torch.randn(3, 2, 6, 6, dtype=torch.float64)


# Against naive sums ---------------------------------------------------------------------------------------------------


@every_rule
def test_dense_layers_against_loops_over_terms(name: str, x: Tensor) -> None:
    rule, naive = RULES[name]
    model, y = mlp(), labels(4)
    wanted = oracles.lrp(list(model), x, y, [naive, ("pass",), naive, ("pass",), naive])
    assert relative(rr.LRP(rule=rule)(model, x, y), wanted) < 1e-6


@every_rule
def test_convolutions_with_merged_norms_against_loops_over_terms(name: str, pictures: Tensor) -> None:
    rule, naive = RULES[name]
    model, y = cnn(), labels(3)
    m = list(model)
    blocks = [nn.Sequential(m[0], m[1]), m[2], m[3], nn.Sequential(m[4], m[5]), m[6], m[7], m[8], m[9]]
    mean = ("epsilon", 1e-9)
    rules = [naive, ("pass",), mean, naive, ("pass",), ("winner",), ("winner",), naive]
    wanted = oracles.lrp(blocks, pictures, y, rules)
    assert relative(rr.LRP(rule=rule)(model, pictures, y), wanted) < 1e-6


@pytest.mark.parametrize("name", ["epsilon", "gamma", "alpha beta"])
def test_norms_as_layers_of_their_own(name: str, pictures: Tensor) -> None:
    rule, naive = RULES[name]
    model, y = cnn(), labels(3)
    kinds = {nn.ReLU: ("pass",), nn.LeakyReLU: ("pass",), nn.MaxPool2d: ("winner",), nn.Flatten: ("winner",)}
    rules = [kinds.get(type(layer), naive) for layer in model]
    rules[3] = ("epsilon", 1e-9)
    wanted = oracles.lrp(list(model), pictures, y, rules)
    assert relative(rr.LRP(rule=rule, merge_norms=False)(model, pictures, y), wanted) < 1e-6


def test_composites_by_name_type_pattern_and_reading_the_input(pictures: Tensor) -> None:
    model, y = cnn(), labels(3)
    m = list(model)
    blocks = [nn.Sequential(m[0], m[1]), m[2], m[3], nn.Sequential(m[4], m[5]), m[6], m[7], m[8], m[9]]
    mean, done = ("epsilon", 1e-9), ("pass",)

    def naive(first: Any, second: Any, last: Any) -> Tensor:
        rules = [first, done, mean, second, done, ("winner",), ("winner",), last]
        return oracles.lrp(blocks, pictures, y, rules)

    flat, plus, gamma, eps = ("flat",), ("alphabeta", 1, 0), ("gamma", 0.25), ("epsilon", 1e-6)
    for rules, first, wanted in [
        ((("Conv*", rr.ZPlus()),), rr.Flat(), naive(flat, plus, eps)),
        ((("4", rr.Gamma()), ("_ConvNd", rr.ZPlus())), None, naive(plus, gamma, eps)),
        ((("Conv2d", rr.ZPlus()), ("[49]", rr.Gamma())), None, naive(plus, gamma, gamma)),
        ((("Module", rr.Gamma()),), None, None),
    ]:
        method = rr.LRP(rules=rules, first=first)
        if wanted is None:
            with pytest.raises(rr.InputError, match="no layer that ran is called 'Module'"):
                method(model, pictures, y)
        else:
            assert relative(method(model, pictures, y), wanted) < 1e-6, rules


# Conservation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "name"),
    [(mlp, "epsilon 0"), (mlp, "gamma"), (mlp, "flat"), (mlp, "z box"), (cnn, "epsilon 0"), (cnn, "gamma")],
)
def test_relevance_is_conserved_without_biases(name: str, build: Any, x: Tensor, pictures: Tensor) -> None:
    model, inputs = build(bias=False), x if build is mlp else pictures
    for layer in model:  # batch-norm has a bias, too
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.zero_()
    explanation = rr.LRP(rule=RULES[name][0]).explain(model, inputs, 1)
    torch.testing.assert_close(
        explanation.maps.flatten(1).sum(1), model(inputs)[:, 1].detach(), rtol=1e-5, atol=1e-6
    )
    assert float(explanation.gap.abs().max()) < 1e-6


def test_biases_and_epsilon_take_relevance_and_the_gap_says_how_much(x: Tensor) -> None:
    """The counter-example to completeness, and its size for a single layer: exactly the bias."""
    model = nn.Linear(4, 1).double()
    explanation = rr.LRP(rule=rr.Epsilon(0)).explain(model, x)
    torch.testing.assert_close(explanation.gap, model.bias.detach().expand(4))
    z = model(x).detach()[:, 0]
    with_epsilon = rr.LRP(rule=rr.Epsilon(0.5)).explain(model, x).gap
    torch.testing.assert_close(with_epsilon, z - (z - model.bias.detach()) / (z + 0.5 * z.sign()) * z)


def test_absorbing_rules_conserve_with_biases(x: Tensor) -> None:
    model = mlp()
    for rule in (rr.Flat(), rr.ZBox(-5.0, 5.0)):
        assert float(rr.LRP(rule=rule).explain(model, x, 0).gap.abs().max()) < 1e-6


def test_epsilon_zero_without_biases_is_gradient_times_input(x: Tensor, pictures: Tensor) -> None:
    model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3, bias=False)).double()
    assert relative(rr.LRP(rule=rr.Epsilon(0))(model, x, 1), rr.InputTimesGradient()(model, x, 1)) < 1e-10


def test_zplus_maps_are_positive_where_the_output_is(pictures: Tensor) -> None:
    explanation = rr.LRP(rule=rr.ZPlus()).explain(cnn(), pictures, 1)
    assert float((explanation.maps * explanation.outputs[:, 1].sign()[:, None, None, None]).min()) >= 0


# Everything a network does between its layers -------------------------------------------------------------------------


class Residual(nn.Module):
    """Adds of two branches, in place and not; a re-used in-place ReLU; concatenation; scaling; padding; means."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(k, 3, 3, padding=1, bias=False) for k in (2, 3, 6))
        self.act, self.norm, self.head = nn.ReLU(inplace=True), nn.BatchNorm2d(3), nn.Linear(3, 3, bias=False)
        self.scale = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        first = self.act(self.norm(self.a(x)))
        out = self.b(first)
        out += first
        out = self.act(out)
        out = torch.cat([out, F.relu(out - 2 * first) * self.scale], 1)
        out = F.interpolate(F.avg_pool2d(F.pad(out, (1, 1, 1, 1)), 2), scale_factor=2, mode="bilinear")
        out = self.c(F.interpolate(out, scale_factor=2)) / 3
        return self.head(F.adaptive_avg_pool2d(out, 2).mean((2, 3)) + F.max_pool2d(out, 4).sum((2, 3)))


def test_relevance_is_conserved_through_a_residual_network(pictures: Tensor) -> None:
    model = Residual().double().eval()
    explanation = rr.LRP(rule=rr.Epsilon(0)).explain(model, pictures, 2)
    assert float(explanation.gap.abs().max() / explanation.outputs[:, 2].abs().max()) < 1e-5
    # Homogeneous, so that the terms are those of gradient times input.
    wanted = rr.InputTimesGradient()(model, pictures, 2)
    assert relative(explanation.maps, wanted) < 1e-4


WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "operator": lambda a, b: a + b,
    "function": torch.add,
    "method": lambda a, b: a.add(b),
    "method in place": lambda a, b: a.clone().add_(b),
    "minus": lambda a, b: a - (-b),
    "reversed minus": lambda a, b: torch.rsub(-b, a),
    "keyword": lambda a, b: torch.add(input=a, other=b),
    "alpha": lambda a, b: torch.add(a, b / 2, alpha=2),
    "with a constant": lambda a, b: (1.5 + a) - 1.5 + b,
    "broadcast": lambda a, b: a + b[:, :1].expand_as(b) * 0 + b,
}


@pytest.mark.parametrize("way", WAYS)
def test_however_a_sum_is_written(way: str, x: Tensor) -> None:
    torch.manual_seed(1)
    left, right, head = (
        nn.Linear(4, 5).double(),
        nn.Linear(4, 5).double(),
        nn.Linear(5, 1, bias=False).double(),
    )
    z = left(x) + right(x)
    c = (head.weight * torch.ones_like(z)).detach()  # what one unit of z is worth
    parts = [layer.weight * (layer(x) / layer(x))[:, :, None] for layer in (left, right)]
    wanted = sum((c[:, :, None] * part).sum(1) * x for part in parts).detach()
    got = rr.LRP(rule=rr.Epsilon(0))(lambda x: head(WAYS[way](left(x), right(x))), x)
    assert relative(got, wanted) < 1e-6


def test_matrix_products_with_a_constant_are_layers(x: Tensor) -> None:
    weight = torch.randn(4, 1, dtype=torch.float64)
    for model in (lambda x: x @ weight, lambda x: torch.mm(x, weight), lambda x: torch.matmul(x, weight)):
        assert (
            relative(rr.LRP(rule=rr.Gamma(0.5))(model, x), rr.LRP(rule=rr.Gamma(0.5))(_layer(weight), x))
            < 1e-12
        )


def _layer(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(weight.T)
    return layer


def test_relevance_zero_over_zero_is_zero() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False)).double()
    maps = rr.LRP(rule=rr.Epsilon(0))(model, torch.zeros(1, 2, dtype=torch.float64))
    assert maps.tolist() == [[0.0, 0.0]]


def test_at_a_layer_several_inputs_and_keywords(pictures: Tensor) -> None:
    model, y = cnn(), labels(3)
    m = list(model)
    rules = [RULES["gamma"][1], ("pass",), ("winner",), ("winner",), RULES["gamma"][1]]
    wanted = oracles.lrp([nn.Sequential(m[4], m[5]), *m[6:]], model[:4](pictures).detach(), y, rules)
    assert relative(rr.LRP(rule=rr.Gamma(0.3), at="3")(model, pictures, y), wanted) < 1e-6

    left, right = nn.Linear(4, 1, bias=False).double(), nn.Linear(4, 1, bias=False).double()
    a, b, scale = pictures[:, 0, 0, :4], pictures[:, 1, 0, :4], torch.arange(1.0, 4.0).double()
    maps = rr.LRP(rule=rr.Epsilon(0))(
        lambda a, b, s: (left(a) + right(b)) * s[:, None], (a, b), model_kwargs={"s": scale}, chunk=2
    )
    assert relative(maps, (a * left.weight * scale[:, None], b * right.weight * scale[:, None])) < 1e-6


def test_shared_layers_get_relevance_at_every_use(x: Tensor) -> None:
    layer, head = nn.Linear(4, 4, bias=False).double(), nn.Linear(4, 1, bias=False).double()

    def model(x: Tensor) -> Tensor:
        return head(layer(layer(x).relu()).relu())

    assert relative(rr.LRP(rule=rr.Epsilon(0))(model, x), rr.InputTimesGradient()(model, x)) < 1e-8


def test_the_models_batch_norm_is_not_touched(pictures: Tensor) -> None:
    model = cnn().train()
    before = state(model)
    rr.LRP()(model, pictures, 0)
    assert_same_state(state(model), before)


def in_part(x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    x = x * 1
    change(x[:, :2])
    return x.sum(1)


def test_a_constant_that_is_overwritten_by_its_product_passes_relevance_on(x: Tensor) -> None:
    def model(x: Tensor) -> Tensor:
        return torch.full_like(x, 3.0).mul_(x).sum(1)

    assert relative(rr.LRP()(model, x), 3 * x) < 1e-8


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (lambda x: x[:, 0] * x[:, 1], "Mul"),
        (lambda x: x.softmax(1)[:, 0], "Softmax"),
        (lambda x: F.layer_norm(x, (4,)).sum(1), "NativeLayerNorm"),
        (lambda x: (x[:, :, None] @ x[:, None]).sum((1, 2)), "Bmm"),
        (lambda x: x[:, 0] / x[:, 1], "Div"),
        (lambda x: x.exp().sum(1), "Exp"),
        (lambda x: torch.where(x > 0, x, 0.0).sum(1), "Where"),
        (lambda x: F.batch_norm(x, None, None, training=True).sum(1), "NativeBatchNorm"),
        (lambda x: F.linear(x, x[:1] * 2).sum(1), "Mm"),
        (lambda x: x.clamp(min=-x).sum(1), "Clamp"),
        (lambda x: in_part(x, lambda z: z.exp_()), "Exp"),
        (lambda x: in_part(x, lambda z: z.mul_(x[:, 2:].sigmoid())), "Mul"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_operations_without_a_rule_are_refused_by_name(
    model: Callable[[Tensor], Tensor], named: str, x: Tensor
) -> None:
    with pytest.raises(rr.DifferentiabilityError, match=rf"LRP has no rule for {named}"):
        rr.LRP()(model, x)


@pytest.mark.parametrize("name", ["gru", "lstm", "transformer", "two inputs"])
def test_networks_with_products_are_refused_and_left_as_found(name: str) -> None:
    network = NETWORKS[name]
    model = network.make()
    before = state(model)
    with pytest.raises(rr.DifferentiabilityError, match="LRP has no rule for"):
        rr.LRP()(model, network.inputs(3), 0)
    assert_same_state(state(model), before)
    assert not torch.nn.modules.module._global_forward_hooks


def test_an_input_that_is_overwritten_after_its_layer_used_it_is_refused(x: Tensor) -> None:
    layer, head = nn.Linear(4, 4).double(), nn.Linear(4, 1).double()

    def model(x: Tensor) -> Tensor:
        x = x * 1
        h = layer(x)
        x += h
        return head(x)

    with pytest.raises(
        rr.DifferentiabilityError, match="overwrites the input of a layer that LRP still needs"
    ):
        rr.LRP()(model, x)


def test_a_constant_output_is_an_error(x: Tensor) -> None:
    with pytest.raises(rr.DifferentiabilityError, match="no relevance gets back there"):
        rr.LRP()(lambda x: x.sum(1).detach(), x)


def test_rules_that_fit_no_layer_name_the_closest(pictures: Tensor) -> None:
    with pytest.raises(rr.InputError, match=r"is called 'Conv1d', nor its type.* Did you mean 'Conv2d'\?"):
        rr.LRP(rules=(("Conv1d", rr.ZPlus()),))(cnn(), pictures, 0)
    with pytest.raises(rr.InputError, match="is called 'Linear', nor its type.* Known: none"):
        rr.LRP(rules=(("Linear", rr.ZPlus()),))(lambda x: x.sum((1, 2, 3)), pictures)


@pytest.mark.usefixtures("without_type_checks")
def test_bad_rules() -> None:
    with pytest.raises(rr.InputError, match="rules are pairs of the name of a layer"):
        rr.LRP(rules=((nn.Conv2d, rr.ZPlus()),))
    with pytest.raises(rr.InputError, match="rules are pairs of the name of a layer"):
        rr.LRP(rules=(("Conv2d", "zplus"),))
    with pytest.raises(rr.InputError, match="rule and first must be rules such as"):
        rr.LRP(rule="epsilon")
    with pytest.raises(rr.InputError, match="rule and first must be rules such as"):
        rr.LRP(first="flat")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rr.Epsilon(-1e-6), "epsilon must be a finite number, at least 0; got -1e-06"),
        (lambda: rr.Gamma(float("nan")), "gamma must be a finite number"),
        (lambda: rr.AlphaBeta(0.5, -0.5), "alpha must be a finite number, at least 1"),
        (lambda: rr.AlphaBeta(2, 0), r"alpha - beta must be 1, or relevance is not conserved; got 2 - 0"),
        (lambda: rr.ZBox(1, 0), "a box has finite ends, low < high; got 1 and 0"),
    ],
)
def test_bad_numbers(make: Callable[[], rr.Rule], message: str) -> None:
    with pytest.raises(rr.InputError, match=message):
        make()


def test_a_box_for_each_channel_is_one_box_of_the_pixels_before_normalisation():
    mean, std = torch.tensor([0.5, 0.4], dtype=torch.float64), torch.tensor([0.2, 0.3], dtype=torch.float64)
    torch.manual_seed(0)
    normalised = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 2)).double()
    raw = copy.deepcopy(normalised)
    scaled = raw[0].weight.detach() / std.reshape(1, 2, 1, 1)
    raw[0].bias.data -= (scaled * mean.reshape(1, 2, 1, 1)).sum((1, 2, 3))
    raw[0].weight.data = scaled
    pixels = torch.rand(4, 2, 5, 5, dtype=torch.float64)
    shape = (2, 1, 1)
    x = (pixels - mean.reshape(shape)) / std.reshape(shape)
    found = rr.LRP(first=rr.ZBox((0 - mean) / std, ((1 - mean) / std).reshape(1, *shape)))(normalised, x, 1)
    torch.testing.assert_close(found, rr.LRP(first=rr.ZBox(0, 1))(raw, pixels, 1))


def test_a_box_for_each_feature_of_a_linear_layer_has_them_last():
    model = mlp()
    tokens = torch.randn(2, 3, 4, dtype=torch.float64)
    one, many = rr.ZBox(-5, 5), rr.ZBox([-5.0] * 4, [5, 5, 5, 5])
    found = [rr.LRP(first=rule)(model, tokens, lambda z: z.sum((1, 2))) for rule in (one, many)]
    torch.testing.assert_close(*found)
    assert many == rr.ZBox((-5.0,) * 4, torch.tensor([5.0] * 4).reshape(4, 1, 1))
    assert hash(many) == hash(rr.ZBox((-5.0,) * 4, (5.0,) * 4))


def test_a_box_has_the_channels_of_its_layer():
    with pytest.raises(
        rr.ShapeError, match=r"ZBox has 3 values of low, but its layer's input \(5, 4\) has 4 channels"
    ):
        rr.LRP(first=rr.ZBox((-5, -5, -5), 5))(mlp(), torch.randn(5, 4, dtype=torch.float64), 0)
    with pytest.raises(rr.ShapeError, match="the same channels; got 3 values of low and 2 of high"):
        rr.ZBox((0, 0, 0), (1, 1))
    with pytest.raises(rr.ShapeError, match=r"one for each channel, such as .* got shape \(2, 2\)"):
        rr.ZBox(torch.zeros(2, 2), 1)
    with pytest.raises(rr.InputError, match="low is a number, or one for each channel; got 'black'"):
        rr.ZBox("black", 1)
    with pytest.raises(rr.InputError, match="finite ends, low < high"):
        rr.ZBox((0.0, float("nan")), 1)


def test_hooks_on_gradients_neither_stop_relevance_nor_see_it() -> None:
    """Nor do they come between a layer and the batch-norm that is merged into it."""
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).double()
    model(torch.randn(8, 4, dtype=torch.float64))
    x, seen = torch.randn(2, 4, dtype=torch.float64), []
    wanted = [rr.LRP(rule=rr.ZPlus())(called, x, 0) for called in (model, lambda v: model(v))]
    for module in model:
        module.register_full_backward_hook(lambda *_: seen.append(1))
        module.register_full_backward_pre_hook(lambda *_: seen.append(2))
    got = [rr.LRP(rule=rr.ZPlus())(called, x, 0) for called in (model, lambda v: model(v))]
    assert all(map(torch.equal, got, wanted))
    assert not seen
    model(x.clone().requires_grad_()).sum().backward()
    assert seen, "and they are there again"

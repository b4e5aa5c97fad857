"""The axioms, measured: completeness, sensitivity, dummy, symmetry, linearity, implementation invariance."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from tests.attribution.helpers import call, relative, seeded
from tests.cases import CASES, LAYER, REFERENCES, Case
from tests.networks import CLASSES, mlp

ON_INPUTS = [case for case in CASES if case.method.at is None]


def over(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def baseline_of(case: Case, x: Tensor) -> Tensor:
    """The mean baseline of every row."""
    if isinstance(case.method, rr.IntegratedGradients):
        return torch.zeros_like(x) + torch.as_tensor(case.method.baseline)
    if isinstance(case.method, rr.ExpectedGradients):
        return REFERENCES.mean(0).expand_as(x)
    return torch.zeros_like(x)


# Completeness ---------------------------------------------------------------------------------------------------------


@over([case for case in ON_INPUTS if case.complete in ("quadrature", "exactly")])
def test_completeness(case: Case, model: nn.Module, x: Tensor, y: Tensor) -> None:
    method = case.method
    if isinstance(method, rr.IntegratedGradients):
        method = replace(method, steps=40)
    maps = call(method, model, x, y)
    with torch.no_grad():
        rows = torch.arange(len(x))
        if isinstance(case.method, rr.ExpectedGradients):
            at_baseline = torch.stack([model(REFERENCES)[:, c].mean() for c in y])
        else:
            at_baseline = model(baseline_of(case, x))[rows, y]
        total = model(x)[rows, y] - at_baseline
    rough = isinstance(case.method, rr.IntegratedGradients) and case.method.rule in (rr.Left(), rr.Right())
    fine = isinstance(case.method, rr.IntegratedGradients) and case.method.rule == rr.GaussLegendre()
    tolerance = 0.1 if rough else 1e-9 if fine or case.complete == "exactly" else 5e-3
    torch.testing.assert_close(maps.sum(1), total, rtol=0, atol=tolerance)


@over([case for case in ON_INPUTS if case.complete == "expectation" and "batch" not in case.name])
def test_completeness_in_expectation(case: Case, model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Mean of the gap over seeds, against its own standard error. Regressions on few draws are biased by O(1/n)."""
    outputs = rr.reference_output(model, rr.ExpectedGradients(REFERENCES))
    generator = seeded()
    with torch.no_grad():
        total = model(x)[torch.arange(5), y] - torch.stack([outputs[:, c].mean() for c in y])
    gaps = torch.stack([total - case.method(model, x, y, generator=generator).sum(1) for _ in range(60)])
    error = gaps.std(0) / 60**0.5
    biased = isinstance(case.method.estimator, rr.ControlVariate)
    slack = 0.02 * total.abs() if biased else 0
    assert bool((gaps.mean(0).abs() < 4 * error + slack).all())


# Sensitivity and dummy ------------------------------------------------------------------------------------------------


@over([case for case in ON_INPUTS if case.sensitive])
def test_a_feature_that_alone_makes_the_difference_is_seen(case: Case) -> None:
    """x differs from the baseline in one feature and f from its value there: that feature must not get zero."""
    x = torch.zeros(3, 4, dtype=torch.float64)
    x[:, 2] = torch.tensor([0.7, -1.0, 2.0])
    method = case.method
    if isinstance(method, rr.ExpectedGradients) and not isinstance(method.references, str):
        method = replace(method, references=torch.zeros(6, 4, dtype=torch.float64))
    if isinstance(method, rr.IntegratedGradients):
        method = replace(method, baseline=0.0)
    maps = call(method, lambda z: torch.sin(z[:, 2]) + z[:, 2] + z[:, 0] * z[:, 1], x)
    assert bool((maps[:, 2].abs() > 0.05).all())
    assert not maps[:, [0, 1, 3]].any()


@over(ON_INPUTS)
def test_a_feature_the_model_does_not_use_gets_zero(case: Case, x: Tensor) -> None:
    model = mlp().double()
    with torch.no_grad():
        model[0].weight[:, 3] = 0
    assert not call(case.method, model, x, 0)[:, 3].any()


@over(list(CASES))
def test_a_model_without_variation_gets_zero_not_nan(case: Case, x: Tensor) -> None:
    model = mlp().double()
    nn.init.zeros_(model[4].weight)
    explanation = case.method.explain(model, x, 0)
    assert not explanation.maps.any()
    assert explanation.gap is None or float(explanation.gap.abs().max()) < 1e-12
    maps = case.method(model, x, 0, create_graph=True)
    grads = torch.autograd.grad(maps.square().sum(), list(model.parameters()), allow_unused=True)
    assert all(grad.isfinite().all() for grad in grads if grad is not None)


# Symmetry -------------------------------------------------------------------------------------------------------------


@over(ON_INPUTS)
def test_features_that_play_the_same_part_get_the_same(case: Case, x: Tensor) -> None:
    """f, x and every baseline are symmetric in the first two features."""
    model = mlp().double()
    with torch.no_grad():
        model[0].weight[:, 1] = model[0].weight[:, 0]
    x = x.clone()
    x[:, 1] = x[:, 0]
    method = case.method
    if isinstance(method, rr.ExpectedGradients) and not isinstance(method.references, str):
        references = REFERENCES.clone()
        references[:, 1] = references[:, 0]
        method = replace(method, references=references)
    if isinstance(method, rr.IntegratedGradients) and case.tensors:
        method = replace(method, baseline=torch.tensor([0.3, 0.3, -1, 1], dtype=torch.float64))
    maps = call(method, model, x, 1)
    assert relative(maps[:, 0], maps[:, 1]) < 1e-10


# Linearity ------------------------------------------------------------------------------------------------------------


@over(list(CASES))
def test_maps_of_a_sum_of_functions(case: Case, model: nn.Module, x: Tensor) -> None:
    """Linear in the model for the same draws; the table says which estimators are not, and then it must show."""
    first, second, both = (
        call(case.method, model, x, target)
        for target in (lambda z: z[:, 0], lambda z: z[:, 1], lambda z: 2 * z[:, 0] - 3 * z[:, 1])
    )
    error = relative(2 * first - 3 * second, both)
    assert error < 1e-10 if case.linear else error > 1e-4


# Implementation invariance --------------------------------------------------------------------------------------------


@over(ON_INPUTS)
def test_two_networks_of_one_function_have_one_map(
    case: Case, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    """Every unit split in two halves, permuted, and its input scaled: another network, the same function."""
    wide = nn.Sequential(
        nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 10), nn.Tanh(), nn.Linear(10, CLASSES)
    ).double()
    order, order2 = torch.randperm(12), torch.randperm(10)
    with torch.no_grad():
        wide[0].weight.copy_(model[0].weight.repeat(2, 1)[order])
        wide[0].bias.copy_(model[0].bias.repeat(2)[order])
        wide[2].weight.copy_((model[2].weight.repeat(2, 2) / 2)[order2][:, order])
        wide[2].bias.copy_(model[2].bias.repeat(2)[order2])
        wide[4].weight.copy_((model[4].weight.repeat(1, 2) / 2)[:, order2])
        wide[4].bias.copy_(model[4].bias)
    torch.testing.assert_close(wide(x), model(x))
    assert relative(call(case.method, wide, x, y), call(case.method, model, x, y)) < 1e-9


# Closed form ----------------------------------------------------------------------------------------------------------


@over([case for case in ON_INPUTS if case.exact_on_linear])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_linear_models_have_a_closed_form(case: Case, dtype: torch.dtype, x: Tensor) -> None:
    """w * (x - mean baseline), whatever the draws and nodes."""
    model = nn.Linear(4, CLASSES).to(dtype)
    maps = call(case.method, model, x.to(dtype), 1)
    wanted = model.weight[1].detach().double() * (x - baseline_of(case, x))
    assert relative(maps, wanted) < (1e-9 if dtype is torch.float64 else 1e-5)


def test_a_linear_models_gradient_is_its_weight(x: Tensor) -> None:
    model = nn.Linear(4, CLASSES).double()
    assert torch.equal(rr.Gradient()(model, x, 1), model.weight[1].detach().expand(5, -1))


def test_maps_of_a_layer_are_those_of_the_rest_of_the_network(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Explaining at a layer is explaining the part behind it, given what the part before it makes."""
    before, behind = model[:2].eval(), model[2:].eval()
    with torch.no_grad():
        hidden, references, zero = before(x), before(REFERENCES), before(torch.zeros_like(x))
    assert LAYER == "1"
    pairs = [
        (rr.IntegratedGradients(steps=6, at=LAYER), rr.IntegratedGradients(steps=6, baseline=zero)),
        (rr.ExpectedGradients(REFERENCES, samples=9, at=LAYER), rr.ExpectedGradients(references, samples=9)),
    ]
    for at_layer, on_rest in pairs:
        if isinstance(on_rest, rr.ExpectedGradients):
            at_layer, on_rest = (replace(m, estimator=rr.ControlVariate()) for m in (at_layer, on_rest))
        assert relative(call(at_layer, model, x, y), call(on_rest, behind, hidden, y)) < 1e-12

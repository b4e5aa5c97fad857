"""Agreement with captum where both do the same."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from tests.attribution.helpers import relative
from tests.networks import NETWORKS, as_args, labels

captum = pytest.importorskip("captum.attr")
pytestmark = pytest.mark.peer

NAMES = ("mlp tanh", "cnn smooth", "gru", "lstm", "transformer", "two inputs")


@pytest.fixture(params=NAMES)
def problem(request: pytest.FixtureRequest) -> tuple[nn.Module, Any, Tensor]:
    network = NETWORKS[request.param]
    return network.make().eval(), network.inputs(4), labels(4)


def asked(inputs: Any) -> Any:
    return (
        tuple(p.clone().requires_grad_() for p in inputs)
        if isinstance(inputs, tuple)
        else inputs.clone().requires_grad_()
    )


def test_gradient_is_saliency(problem: Any) -> None:
    model, inputs, y = problem
    theirs = captum.Saliency(model).attribute(asked(inputs), target=y, abs=False)
    assert relative(rr.Gradient()(model, inputs, y), theirs) < 1e-10


def test_input_times_gradient(problem: Any) -> None:
    model, inputs, y = problem
    theirs = captum.InputXGradient(model).attribute(asked(inputs), target=y)
    assert relative(rr.InputTimesGradient()(model, inputs, y), theirs) < 1e-10


@pytest.mark.parametrize(
    ("rule", "name"),
    [(rr.GaussLegendre(), "gausslegendre"), (rr.Midpoint(), "riemann_middle"), (rr.Left(), "riemann_left")],
)
def test_integrated_gradients(rule: Any, name: str, problem: Any) -> None:
    model, inputs, y = problem
    theirs = captum.IntegratedGradients(model).attribute(asked(inputs), target=y, method=name, n_steps=16)
    assert relative(rr.IntegratedGradients(steps=16, rule=rule)(model, inputs, y), theirs) < 1e-6


@pytest.mark.parametrize("name", ["mlp tanh", "cnn smooth", "transformer", "two inputs"])
def test_integrated_gradients_at_a_layer(name: str) -> None:
    network = NETWORKS[name]
    model, inputs, y, layer = network.make().eval(), network.inputs(4), labels(4), network.layer
    theirs = captum.LayerIntegratedGradients(model, model.get_submodule(layer)).attribute(
        asked(inputs), target=y, n_steps=16
    )
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    assert relative(rr.IntegratedGradients(steps=16, at=layer)(model, inputs, y), theirs) < 1e-6


def test_expected_gradients_is_the_mean_of_integrated_gradients_over_references(problem: Any) -> None:
    model, inputs, y = problem
    references = tuple(torch.randn(3, *p.shape[1:], dtype=p.dtype) for p in as_args(inputs))
    method = captum.IntegratedGradients(model)
    each = [
        as_args(
            method.attribute(
                asked(inputs),
                tuple(r[i : i + 1] for r in references) if len(references) > 1 else references[0][i : i + 1],
                target=y,
                n_steps=30,
                method="gausslegendre",
            )
        )
        for i in range(3)
    ]
    theirs = tuple(torch.stack(parts).mean(0) for parts in zip(*each, strict=True))
    ours = rr.ExpectedGradients(references if len(references) > 1 else references[0], samples=3000)
    assert relative(as_args(ours(model, inputs, y)), theirs) < 0.02


@pytest.mark.parametrize("bias", [False, True])
def test_gamma_rule_but_for_biases_and_negative_outputs(bias: bool) -> None:
    """Captum's rule is w + gamma max(w, 0) whatever the signs, with the bias as it is: both differences, by formula."""
    from captum.attr._utils.lrp_rules import GammaRule

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8, bias), nn.ReLU(), nn.Linear(8, 3, bias)).double()
    x = torch.rand(20, 4, dtype=torch.float64)
    for layer in (model[0], model[2]):
        layer.rule = GammaRule(gamma=0.3)
    theirs = captum.LRP(model).attribute(x.clone().requires_grad_(), target=1)
    ours = rr.LRP(rule=rr.Gamma(0.3))(model, x, 1)

    def favoured(layer: nn.Linear) -> tuple[Tensor, Tensor | float]:
        return layer.weight + 0.3 * layer.weight.clamp(min=0), layer.bias if bias else 0.0

    with torch.no_grad():
        (w, b), (v, c) = favoured(model[0]), favoured(model[2])
        hidden = model[:2](x)
        shared = hidden * (v[1] * (model(x)[:, 1] / (hidden @ v.T + c)[:, 1])[:, None])
        wanted = x * ((shared / (x @ w.T + b)) @ w)
        positive = model(x)[:, 1] > 0
    assert relative(theirs, wanted) < 1e-6
    assert 2 < int(positive.sum()) < 18
    assert relative(ours[~positive], theirs[~positive]) > 0.05
    assert (relative(ours[positive], theirs[positive]) < 1e-6) is not bias

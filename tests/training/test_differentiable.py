import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.core._errors import DifferentiabilityError
from rightreasons.training import check_differentiable
from tests.networks import NETWORKS, Network, labels

SMOOTH = ["mlp tanh", "cnn smooth", "gru", "transformer", "weight norm", "tied frozen unused"]
LAST_BIAS = {"mlp tanh": "4.bias", "weight norm": "2.bias"}


def method(network: Network) -> Any:
    return rr.ExpectedGradients(network.inputs(5, seed=3), samples=2)


@pytest.mark.parametrize("name", SMOOTH)
def test_methods_of_this_package_are_complete(name: str) -> None:
    network = NETWORKS[name]
    found = check_differentiable(method(network), network.make(), network.inputs(3), labels(3))
    assert found
    assert set(found.verdicts.values()) <= {"complete", "independent"}
    assert str(found).startswith("differentiable")


@pytest.mark.parametrize(
    "attribution",
    [rr.Gradient(), rr.InputTimesGradient(), rr.IntegratedGradients(steps=3, output="probability")],
    ids=repr,
)
def test_other_methods_are_complete(attribution: Any) -> None:
    network = NETWORKS["mlp tanh"]
    found = check_differentiable(attribution, network.make(), network.inputs(3), labels(3))
    assert found
    assert not found.names("missing")
    assert not found.names("wrong")


@pytest.mark.parametrize("name", LAST_BIAS)
def test_the_last_bias_moves_no_logit_map(name: str) -> None:
    network = NETWORKS[name]
    found = check_differentiable(rr.Gradient(), network.make(), network.inputs(3), labels(3))
    assert found.names("independent") == [LAST_BIAS[name]]
    assert f"independent {LAST_BIAS[name]}" in str(found)


def test_frozen_parameters_are_not_judged() -> None:
    network = NETWORKS["mlp tanh"]
    model = network.make()
    model[0].requires_grad_(False)
    found = check_differentiable(rr.Gradient(), model, network.inputs(3), labels(3))
    assert found
    assert not any(name.startswith("0.") for name in found.verdicts)


def test_two_inputs() -> None:
    network = NETWORKS["two inputs"]
    found = check_differentiable(rr.Gradient(), network.make(), network.inputs(3), labels(3))
    assert found
    assert found.names("independent") == ["head.bias"]


def unconnected(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    z = x.detach().requires_grad_()
    (g,) = torch.autograd.grad(model(z).gather(1, target[:, None]).sum(), z)
    return g


def half_connected(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Gradient times output, with the graph of the output only: some gradient, but another one."""
    return unconnected(model, x, target) * model(x).gather(1, target[:, None])


@pytest.mark.parametrize(("foreign", "verdict"), [(unconnected, "missing"), (half_connected, "wrong")])
def test_cut_graphs_are_found(foreign: Any, verdict: str) -> None:
    network = NETWORKS["mlp tanh"]
    found = check_differentiable(foreign, network.make(), network.inputs(3), labels(3))
    assert not found
    assert "0.weight" in found.names(verdict)
    assert str(found).startswith("NOT differentiable")


def test_a_map_that_no_parameter_moves_is_nothing_to_train() -> None:
    network = NETWORKS["mlp tanh"]
    found = check_differentiable(lambda model, x, y: x * 2, network.make(), network.inputs(3), labels(3))
    assert not found
    assert set(found.verdicts.values()) == {"independent"}


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_found(fails: bool) -> None:
    network = NETWORKS["cnn smooth"]
    model, calls = network.make(), []
    model.drop.eval()
    before, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]

    def breaks(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("broken method")
        return rr.Gradient()(net, x, y, create_graph=True)

    random = torch.get_rng_state()
    if fails:
        with pytest.raises(ValueError, match="broken method"):
            check_differentiable(breaks, model, network.inputs(3), labels(3))
    else:
        check_differentiable(method(network), model, network.inputs(3), labels(3))
    assert torch.equal(random, torch.get_rng_state())
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_frozen_model_has_nothing_to_check() -> None:
    network = NETWORKS["mlp tanh"]
    with pytest.raises(DifferentiabilityError, match="no parameter of the model has requires_grad=True"):
        check_differentiable(
            rr.Gradient(), network.make().requires_grad_(False), network.inputs(3), labels(3)
        )


def test_single_precision_of_a_relu_network() -> None:
    network = NETWORKS["mlp relu"]
    model, x = network.make(torch.float32), network.inputs(3, dtype=torch.float32)
    assert check_differentiable(rr.IntegratedGradients(steps=4), model, x, labels(3))


@pytest.mark.peer
def test_captum_integrated_gradients_train_nothing() -> None:
    captum = pytest.importorskip("captum.attr")
    network = NETWORKS["mlp tanh"]
    model = network.make()
    found = check_differentiable(captum.IntegratedGradients(model), model, network.inputs(3), labels(3))
    assert not found
    assert found.names("missing") == ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight"]


@pytest.mark.peer
def test_captum_grad_cam_trains_wrongly() -> None:
    captum = pytest.importorskip("captum.attr")
    network = NETWORKS["cnn smooth"]
    model = network.make().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_differentiable(
            captum.LayerGradCam(model, model.second), model, network.inputs(3), labels(3)
        )
    assert not found
    assert found.names("wrong") or found.names("missing")


def test_what_is_no_method_is_refused() -> None:
    with pytest.raises(rr.InputError, match="method_or_callable must be an attribution, .*; got float"):
        check_differentiable(0.5, nn.Linear(2, 1), torch.zeros(1, 2))

"""Second order: gradients of maps by parameters and by inputs, against finite differences in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

import rightreasons as rr
from rightreasons.core.model import _kernels
from tests.attribution.helpers import TOLERANCE, call, relative, seeded
from tests.cases import CASES, LAYER, REFERENCES, Case
from tests.networks import FEATURES, NETWORKS, Network, as_args, labels

SMOOTH = [network for network in NETWORKS.values() if network.smooth]


class WithParameters(nn.Module):
    """The model as a function of one vector of parameters, so that gradcheck can move them."""

    def __init__(self, model: nn.Module, names: list[str], values: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.__dict__["held"] = (model, dict(zip(names, values, strict=True)))

    def forward(self, x: Tensor) -> Tensor:
        model, values = self.held
        return functional_call(model, values, (x,))


@pytest.mark.parametrize("case", [c for c in CASES if c.method.at is None], ids=lambda case: case.name)
def test_gradcheck_through_parameters_and_inputs(case: Case) -> None:
    model = nn.Sequential(nn.Linear(FEATURES, 3), nn.Tanh(), nn.Linear(3, 3)).double().eval()
    x, y = NETWORKS["mlp tanh"].inputs(3), labels(3)
    names = [name for name, _ in model.named_parameters()]

    def penalty(inputs: Tensor, *values: Tensor) -> Tensor:
        held = WithParameters(model, names, values).eval()
        return call(case.method, held, inputs, y, create_graph=True).square().sum()

    values = tuple(p.detach().clone().requires_grad_() for p in model.parameters())
    # On short draws the ratio of two small sums bends quickly: a smaller step than gradcheck's own.
    assert gradcheck(
        penalty, (x.clone().requires_grad_(), *values), eps=1e-6, atol=1e-5, rtol=1e-4, fast_mode=True
    )


@pytest.mark.parametrize("case", [c for c in CASES if c.method.at], ids=lambda case: case.name)
def test_gradcheck_through_inputs_at_a_layer(case: Case, model: nn.Module, y: Tensor) -> None:
    x = NETWORKS["mlp tanh"].inputs(3)

    def penalty(inputs: Tensor) -> Tensor:
        return call(case.method, model, inputs, y[:3], create_graph=True).square().sum()

    assert gradcheck(penalty, (x.clone().requires_grad_(),), atol=1e-5, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_maps_with_a_graph_are_the_plain_maps(case: Case, dtype: torch.dtype, y: Tensor) -> None:
    network = NETWORKS["mlp tanh"]
    model, x = network.make(dtype), network.inputs(5, dtype=dtype)
    plain, connected = (call(case.method, model, x, y, create_graph=graph) for graph in (False, True))
    assert connected.requires_grad
    assert relative(connected, plain) < case.rounding * TOLERANCE[dtype]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_chunks_change_no_gradient(case: Case, model: nn.Module, x: Tensor, y: Tensor) -> None:
    def grads(size: int | None) -> tuple[Tensor, ...]:
        maps = call(case.method, model, x, y, create_graph=True, chunk=size)
        found = torch.autograd.grad(maps.square().sum(), list(model.parameters()), allow_unused=True)
        return tuple(g for g in found if g is not None)

    assert relative(grads(7), grads(None)) < TOLERANCE[torch.float64]


METHODS: dict[str, Callable[[Network], Any]] = {
    "input x gradient": lambda network: rr.InputTimesGradient(at=network.at),
    "IG": lambda network: rr.IntegratedGradients(steps=3, at=network.at),
    "EG": lambda network: rr.ExpectedGradients(
        network.inputs(5, seed=9), samples=8, at=network.at, estimator=rr.ControlVariate()
    ),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("network", SMOOTH, ids=lambda network: network.name)
def test_parameter_gradients_of_every_network_are_those_of_finite_differences(
    method: Callable[[Network], Any], network: Network
) -> None:
    model, inputs, y = network.make(), network.inputs(3), labels(3)
    configured = method(network)

    def penalty(connected: bool) -> Tensor:
        maps = as_args(configured(model, inputs, y, generator=seeded(), create_graph=connected))
        return torch.stack([m.square().sum() for m in maps]).sum()

    parameters = [p for p in model.parameters() if p.requires_grad]
    grads = torch.autograd.grad(penalty(True), parameters, allow_unused=True)
    directions = [torch.randn_like(p) for p in parameters]
    values = []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            for p, d in zip(parameters, directions, strict=True):
                p += step * d
        values.append(float(penalty(False)))
    got = sum(float((g * d).sum()) for g, d in zip(grads, directions, strict=True) if g is not None)
    assert got == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-8)


def test_leaf_and_inner_inputs_that_carry_grad(model: nn.Module, y: Tensor) -> None:
    """An input that is itself computed passes the gradient on; plain maps cut it, and nothing accumulates."""
    leaf = NETWORKS["mlp tanh"].inputs(5).requires_grad_()
    for method in (
        rr.Gradient(),
        rr.IntegratedGradients(steps=3),
        rr.ExpectedGradients(REFERENCES, samples=9),
    ):
        inner = 2 * leaf
        assert not call(method, model, inner, y).requires_grad
        maps = call(method, model, inner, y, create_graph=True)
        (grad,) = torch.autograd.grad(maps.square().sum(), leaf)
        direct = leaf.detach() * 2
        direct.requires_grad_()
        (by_x,) = torch.autograd.grad(
            call(method, model, direct, y, create_graph=True).square().sum(), direct
        )
        torch.testing.assert_close(grad, 2 * by_x)
        assert leaf.grad is None
        assert direct.grad is None


def test_a_training_step_on_maps_moves_every_parameter_the_maps_depend_on(
    model: nn.Module, x: Tensor
) -> None:
    """All but the last bias, which no gradient of the model knows of."""
    rr.IntegratedGradients(steps=3)(model, x, 1, create_graph=True).square().sum().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == ["4.bias"]
    model.zero_grad()
    rr.IntegratedGradients(steps=3, at=LAYER)(model, x, 1, create_graph=True).square().sum().backward()
    assert model[0].weight.grad.any()


def test_maps_under_autocast_stay_float32_and_near(x: Tensor, y: Tensor) -> None:
    model, x = NETWORKS["mlp tanh"].make(torch.float32), x.float()
    for method in (rr.IntegratedGradients(steps=20), rr.ExpectedGradients(REFERENCES.float(), samples=9)):
        for at in (None, LAYER):
            configured = type(method)(**{**vars(method), "at": at})
            with torch.autocast("cpu", dtype=torch.bfloat16):
                maps = call(configured, model, x, y)
                connected = call(configured, model, x, y, create_graph=True)
                step = model(x).float().square().sum()
            assert maps.dtype == connected.dtype == torch.float32
            assert relative(maps, call(configured, model, x, y)) < 0.03
            assert relative(connected, maps) < 1e-2
            grads = torch.autograd.grad(step, list(model.parameters()))
            assert all(grad.any() for grad in grads), (
                "the autocast cache must not hold weights without a graph"
            )


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("network", NETWORKS.values(), ids=lambda network: network.name)
@pytest.mark.parametrize("create_graph", [False, True])
def test_our_kernels_give_the_gradients_of_pytorchs(
    method: Callable[[Network], Any], network: Network, create_graph: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of networks with kinks, where finite differences say nothing."""
    model, inputs, y = network.make(), network.inputs(3), labels(3)

    def computed() -> tuple[Tensor, ...]:
        maps = as_args(call(method(network), model, inputs, y, create_graph=create_graph))
        if not create_graph:
            return maps
        penalty = torch.stack([m.abs().sum() for m in maps]).sum()
        grads = torch.autograd.grad(
            penalty, [p for p in model.parameters() if p.requires_grad], allow_unused=True
        )
        # A bias that only shifts kinks: zeros or nothing, which is the same to an optimiser.
        return tuple(torch.zeros(()) if g is None or not g.any() else g for g in grads)

    ours = computed()
    monkeypatch.setattr(_kernels, "_REPLACED", {})
    with sdpa_kernel(SDPBackend.MATH):  # PyTorch's fused attention has no double backward
        theirs = computed()
    assert relative(ours, theirs) < TOLERANCE[torch.float64]

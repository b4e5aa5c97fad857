"""Integrated gradients: naive loops, completeness, measured orders, every kind of baseline."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.core._errors import InputError, ShapeError
from tests import oracles
from tests.attribution.helpers import relative
from tests.networks import NETWORKS, labels, mlp

RULES = (rr.GaussLegendre(), rr.Midpoint(), rr.Trapezoid(), rr.Left(), rr.Right())
each_rule = pytest.mark.parametrize("rule", RULES, ids=repr)


@each_rule
@pytest.mark.parametrize("steps", [2, 7])
def test_against_one_point_at_a_time(rule: Any, steps: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
    baselines = torch.randn_like(x)
    wanted = oracles.integrated_gradients(
        lambda row, b: model(row[None])[0, y[b]], x, baselines, type(rule).__name__, steps
    )
    maps = rr.IntegratedGradients(baseline=baselines, steps=steps, rule=rule)(model, x, y)
    assert relative(maps, wanted) < 1e-12


def test_one_step_of_the_trapezoid_is_the_midpoint(model: nn.Module, x: Tensor) -> None:
    one, middle = (
        rr.IntegratedGradients(steps=1, rule=r)(model, x, 0) for r in (rr.Trapezoid(), rr.Midpoint())
    )
    assert torch.equal(one, middle)


BASELINES: dict[str, Any] = {
    "number": (0.5, lambda x: torch.full_like(x, 0.5)),
    "integer": (1, torch.ones_like),
    "row": (torch.arange(4.0), lambda x: torch.arange(4.0).to(x).expand_as(x)),
    "one row": (torch.arange(4.0)[None], lambda x: torch.arange(4.0).to(x).expand_as(x)),
    "a row each": (torch.arange(20.0).reshape(5, 4), lambda x: torch.arange(20.0).reshape(5, 4).to(x)),
}


@pytest.mark.parametrize(("baseline", "rows"), BASELINES.values(), ids=BASELINES)
def test_baselines_as_field_and_as_keyword(baseline: Any, rows: Any, model: nn.Module, x: Tensor) -> None:
    wanted = oracles.integrated_gradients(
        lambda row, _: model(row[None])[0, 2], x, rows(x), "GaussLegendre", 5
    )
    field = rr.IntegratedGradients(baseline=baseline, steps=5)
    keyword = rr.IntegratedGradients(baseline=-7.0, steps=5)
    assert relative(field(model, x, 2), wanted) < 1e-12
    assert relative(field(model, x, 2, chunk=3), wanted) < 1e-12
    assert relative(keyword(model, x, 2, baseline=baseline), wanted) < 1e-12
    assert relative(keyword.explain(model, x, 2, baseline=baseline).maps, wanted) < 1e-12


def test_tuple_inputs_have_a_tuple_of_baselines() -> None:
    network = NETWORKS["two inputs"]
    model, (a, b) = network.make(), network.inputs(4)
    baseline = (torch.ones(4), torch.zeros(3, 2))
    explanation = rr.IntegratedGradients(baseline=baseline, steps=40).explain(model, (a, b), labels(4))
    assert [m.shape for m in explanation.maps] == [a.shape, b.shape]
    total = model(a, b) - model(torch.ones_like(a), torch.zeros_like(b))
    got = sum(m.flatten(1).sum(1) for m in explanation.maps)
    torch.testing.assert_close(got, total[torch.arange(4), labels(4)], rtol=1e-9, atol=1e-9)
    assert float(explanation.gap.abs().max()) < 1e-9


@each_rule
def test_the_gap_is_what_completeness_lacks(rule: Any, model: nn.Module, x: Tensor, y: Tensor) -> None:
    explanation = rr.IntegratedGradients(baseline=1.0, steps=3, rule=rule).explain(model, x, y, chunk=4)
    with torch.no_grad():
        total = model(x) - model(torch.ones_like(x))
    wanted = total[torch.arange(5), y] - explanation.maps.sum(1)
    torch.testing.assert_close(explanation.gap, wanted)
    assert float(explanation.gap.abs().max()) > 1e-6


@each_rule
def test_measured_order(rule: Any, model: nn.Module, x: Tensor) -> None:
    """Error against many Gauss points falls as steps^-order; Gauss-Legendre faster than any power."""
    x = 2 * x
    exact = rr.IntegratedGradients(steps=150)(model, x, 0)

    def error(steps: int) -> float:
        return relative(rr.IntegratedGradients(steps=steps, rule=rule)(model, x, 0), exact)

    if rule.order == float("inf"):
        assert error(8) / error(16) > 2**8
        assert error(32) < 1e-9
        return
    # n nodes of the trapezoid make n - 1 intervals.
    extra = 1 if isinstance(rule, rr.Trapezoid) else 0
    slope = torch.tensor(error(64 + extra) / error(256 + extra)).log2() / 2
    assert float(slope) == pytest.approx(rule.order, abs=0.15)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_gauss_legendre_is_exact_up_to_its_degree(steps: int) -> None:
    """Maps of sum x^(2n) integrate a polynomial of degree 2n - 1; of x^(2n+1) one too many."""
    x = torch.tensor([[0.7, -1.2]], dtype=torch.float64)
    method = rr.IntegratedGradients(steps=steps)
    exact, beyond = (method.explain(lambda z, p=p: z.pow(p).sum(1), x) for p in (2 * steps, 2 * steps + 1))
    torch.testing.assert_close(exact.maps, x.pow(2 * steps), rtol=1e-12, atol=1e-12)
    assert float(beyond.gap.abs().max()) > 1e-6


def test_a_baseline_may_carry_a_graph(model: nn.Module, x: Tensor) -> None:
    """As robust training uses it: the attacked input is the end, the clean one the baseline."""
    baseline = x.clone().requires_grad_()
    method = rr.IntegratedGradients(steps=5)
    maps = method(model, x + 0.3, 0, baseline=baseline, create_graph=True)
    (grad,) = torch.autograd.grad(maps.square().sum(), baseline)
    direction = torch.randn_like(x)
    up, down = (method(model, x + 0.3, 0, baseline=(x + h * direction)).square().sum() for h in (1e-6, -1e-6))
    assert float((grad * direction).sum()) == pytest.approx(float(up - down) / 2e-6, rel=1e-6)
    assert not method(model, x, 0, baseline=baseline).requires_grad


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1.*; got 0"),
        ({"steps": -3}, "steps must be a whole number of at least 1.*; got -3"),
        ({"steps": True}, "steps must be a whole number of at least 1.*; got True"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        rr.IntegratedGradients(**settings)


@pytest.mark.parametrize(
    ("baseline", "error", "words"),
    [
        (torch.zeros(3), ShapeError, r"baseline of shape \(3,\) does not fit inputs of shape \(5, 4\)"),
        (torch.zeros(2, 4), ShapeError, r"expected \(4\), \(1, 4\) or \(5, 4\)"),
        (torch.tensor(0.0), ShapeError, r"baseline of shape \(\) does not fit"),
        ((torch.zeros(4), torch.zeros(4)), ShapeError, "baseline has 2 tensors for 1 inputs"),
        (float("nan"), InputError, "baseline must be a number, a tensor.*; got nan"),
        (torch.tensor([0, 1, torch.inf, 0]), InputError, "baseline has 1 NaN or infinite values"),
    ],
)
def test_baselines_that_do_not_fit(
    baseline: Any, error: type[Exception], words: str, model: nn.Module, x: Tensor
) -> None:
    with pytest.raises(error, match=words):
        rr.IntegratedGradients(baseline=baseline)(model, x, 0)
    with pytest.raises(error, match=words):
        rr.IntegratedGradients()(model, x, 0, baseline=baseline)


def test_networks_that_saturate_still_credit_what_saturated_them() -> None:
    """Sensitivity, which the gradient fails: f = 1 - relu(1 - x) at x = 2 [sundararajan2017]."""
    x = torch.tensor([[2.0]])
    f = lambda z: 1 - torch.relu(1 - z[:, 0])  # noqa: E731
    assert float(rr.Gradient()(f, x)) == 0
    assert float(rr.IntegratedGradients(steps=200)(f, x)) == pytest.approx(1, abs=0.01)


def test_one_dimensional_inputs() -> None:
    x = torch.tensor([1.0, 3.0], dtype=torch.float64)
    explanation = rr.IntegratedGradients(steps=3).explain(lambda z: z**2, x)
    torch.testing.assert_close(explanation.maps, x**2)
    assert float(explanation.gap.abs().max()) < 1e-12


def test_relu_networks_are_complete_up_to_kinks(x: Tensor) -> None:
    explanation = rr.IntegratedGradients(steps=2000, rule=rr.Midpoint()).explain(mlp(nn.ReLU).double(), x, 0)
    assert float(explanation.gap.abs().max()) < 1e-3

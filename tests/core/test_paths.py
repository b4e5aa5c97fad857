"""Quadrature: nodes and weights by hand, exactness, and the order each rule states."""

import math

import pytest
import torch

from rightreasons.core import _paths
from rightreasons.core._paths import GaussLegendre, Left, Midpoint, Quadrature, Right, Trapezoid
from tests.oracles import nodes_and_weights

RULES: tuple[Quadrature, ...] = (GaussLegendre(), Midpoint(), Trapezoid(), Left(), Right())
each_rule = pytest.mark.parametrize("rule", RULES, ids=repr)


@each_rule
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 50])
def test_weights_sum_to_one_and_nodes_lie_in_order(rule: Quadrature, steps: int) -> None:
    nodes, weights = rule(steps)
    assert nodes.shape == weights.shape == (steps,)
    assert nodes.dtype == weights.dtype == torch.float64
    assert float(weights.sum()) == pytest.approx(1, abs=1e-14)
    assert bool((weights > 0).all())
    assert bool(((nodes >= 0) & (nodes <= 1)).all())
    assert bool((nodes.diff() > 0).all())


@each_rule
@pytest.mark.parametrize("steps", [2, 5])
def test_against_the_naive_formulas(rule: Quadrature, steps: int) -> None:
    nodes, weights = rule(steps)
    wanted = torch.tensor(nodes_and_weights(type(rule).__name__, steps), dtype=torch.float64)
    torch.testing.assert_close(torch.stack([nodes, weights], 1), wanted)


def error(rule: Quadrature, steps: int) -> float:
    nodes, weights = rule(steps)
    return abs(float((weights * (3 * nodes).exp()).sum()) - (math.exp(3) - 1) / 3)


@each_rule
def test_order_is_as_stated(rule: Quadrature) -> None:
    if rule.order == math.inf:
        for power in (4, 8):
            assert error(rule, 4) / error(rule, 8) > 2**power
        return
    extra = 1 if isinstance(rule, Trapezoid) else 0
    slope = math.log(error(rule, 50 + extra) / error(rule, 400 + extra)) / math.log(8)
    assert slope == pytest.approx(rule.order, abs=0.05)


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_gauss_legendre_integrates_polynomials_of_degree_2n_minus_1_and_no_more(steps: int) -> None:
    nodes, weights = GaussLegendre()(steps)
    for degree in range(2 * steps + 1):
        missed = abs(float((weights * nodes**degree).sum()) - 1 / (degree + 1))
        assert missed < 1e-14 if degree < 2 * steps else missed > 1e-12


@each_rule
def test_what_is_returned_may_be_changed_without_changing_the_rule(rule: Quadrature) -> None:
    nodes, weights = rule(6)
    nodes.zero_()
    weights.zero_()
    again, weights = rule(6)
    assert again.any()
    assert float(weights.sum()) == pytest.approx(1)


def test_every_rule_is_here() -> None:
    rules = {
        kind for kind in vars(_paths).values() if isinstance(kind, type) and issubclass(kind, Quadrature)
    }
    assert {type(rule) for rule in RULES} == rules - {Quadrature}

"""Quadrature: nodes and weights by hand, exactness, and the order each rule states."""

import math

import numpy as np
import pytest
import torch

from rightreasons.attribution.path import _quadrature as _paths
from rightreasons.attribution.path._quadrature import (
    GaussLegendre,
    Left,
    Midpoint,
    Quadrature,
    Right,
    Trapezoid,
)
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


@pytest.mark.parametrize("steps", [201, 500])
def test_many_gauss_legendre_nodes_are_the_eigenvalues(steps: int) -> None:
    nodes, weights = GaussLegendre()(steps)
    wanted, theirs = np.polynomial.legendre.leggauss(steps)
    torch.testing.assert_close(nodes, torch.from_numpy(wanted + 1) / 2, rtol=0, atol=1e-15)
    # numpy's weights near the ends are themselves off by a billionth of their size.
    torch.testing.assert_close(weights, torch.from_numpy(theirs) / 2, rtol=1e-8, atol=0)


@pytest.mark.parametrize("steps", [5_000, 20_001])
def test_thousands_of_gauss_legendre_nodes_integrate_without_a_matrix(steps: int) -> None:
    nodes, weights = GaussLegendre()(steps)
    assert nodes.shape == (steps,)
    assert bool((nodes.diff() > 0).all())
    assert bool(((nodes > 0) & (nodes < 1)).all())
    for degree in (0, 1, 7, 200):
        assert float((weights * nodes**degree).sum()) == pytest.approx(1 / (degree + 1), rel=1e-13)
    oscillating = float((weights * (steps * nodes).cos()).sum())  # resolved by nothing coarser
    assert oscillating == pytest.approx(math.sin(steps) / steps, abs=1e-13)

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rightreasons.core._errors import InputError
from rightreasons.priors import Gini, gini_coefficient
from tests.priors import oracles

TIED = [0.0, 2.0, 0.5, 2.0, 0.0, 0.5, 0.5, 3.0]
magnitudes = st.lists(st.floats(0, 1e3, allow_subnormal=False), min_size=1, max_size=30)


def value_and_gradient(function, values: list[float]) -> tuple[float, torch.Tensor]:
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    value = function(x)
    return float(value.detach()), torch.autograd.grad(value, x)[0]


@pytest.mark.parametrize("values", [TIED, [1.0], [1.0, 1.0], [0.0, 5.0], torch.rand(118).double().tolist()])
def test_value_and_gradient_equal_the_pairwise_form_also_at_ties(values: list[float]):
    value, gradient = value_and_gradient(gini_coefficient, values)
    naive, naive_gradient = value_and_gradient(oracles.gini, values)
    assert value == pytest.approx(naive, abs=1e-14)
    torch.testing.assert_close(gradient, naive_gradient, rtol=1e-12, atol=1e-15)


def test_prior_gradient_equals_the_pairwise_form():
    maps = torch.randn(5, 40, dtype=torch.float64, requires_grad=True)
    fast = torch.autograd.grad(Gini()(maps), maps)[0]
    slow = torch.autograd.grad(-oracles.gini(maps.abs().mean(0)), maps)[0]
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-15)


def test_known_values():
    one_hot = torch.zeros(118, dtype=torch.float64).index_fill(0, torch.tensor([40]), 3.0)
    assert float(gini_coefficient(one_hot)) == pytest.approx(1 - 1 / 118)
    assert float(gini_coefficient(torch.full((7,), 0.1))) == 0.0
    assert float(gini_coefficient(torch.tensor([1.0, 3.0]))) == pytest.approx(0.25)


def test_leading_dimensions_are_kept():
    values = torch.rand(2, 3, 5)
    coefficients = gini_coefficient(values)
    assert coefficients.shape == (2, 3)
    torch.testing.assert_close(coefficients[1, 2], gini_coefficient(values[1, 2]))


def test_zero_maps_have_no_sparsity_and_no_gradient():
    for prior in (Gini(), Gini("sample")):
        maps = torch.zeros(3, 4, requires_grad=True)
        penalty = prior(maps)
        assert float(penalty.detach()) == 0.0
        assert not torch.autograd.grad(penalty, maps)[0].any()


def test_global_is_not_the_mean_of_halves():
    # Each row is one-hot, on its own feature: sparse in each sample, not at all over the data.
    maps = torch.eye(4)
    assert float(Gini()(maps)) == 0.0
    assert float(Gini("sample")(maps)) == -0.75


def test_large_maps_cost_no_pairwise_memory():
    maps = torch.rand(2, 1_000_000, requires_grad=True)  # pairs would take 4 TB
    penalty = Gini()(maps)
    penalty.backward()
    assert -1 < float(penalty.detach()) < 0


@given(magnitudes)
def test_between_zero_and_one_minus_one_over_p(values: list[float]):
    coefficient = float(gini_coefficient(torch.tensor(values, dtype=torch.float64)))
    assert -1e-12 <= coefficient <= 1 - 1 / len(values) + 1e-12


@given(magnitudes, st.randoms(use_true_random=False), st.floats(1e-6, 1e6))
def test_order_and_scale_do_not_matter(values: list[float], random, scale: float):
    shuffled = [scale * v for v in random.sample(values, len(values))]
    torch.testing.assert_close(
        gini_coefficient(torch.tensor(shuffled, dtype=torch.float64)),
        gini_coefficient(torch.tensor(values, dtype=torch.float64)),
        rtol=1e-9,
        atol=1e-12,
    )


@given(magnitudes, st.floats(1e-3, 10))
def test_giving_everyone_the_same_makes_it_more_even(values: list[float], gift: float):
    x = torch.tensor(values, dtype=torch.float64)
    assert float(gini_coefficient(x + gift)) <= float(gini_coefficient(x)) + 1e-12 or not x.any()


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_values_must_be_magnitudes(bad: float):
    with pytest.raises(InputError, match=r"non-negative, finite values; got .* pass maps.abs\(\)"):
        gini_coefficient(torch.tensor([1.0, bad]))

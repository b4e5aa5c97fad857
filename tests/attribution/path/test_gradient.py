"""Gradient and gradient times input, one row at a time."""

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.core._score import OUTPUTS, Score
from tests import oracles
from tests.attribution.helpers import relative
from tests.networks import NETWORKS, Network, as_args, labels

ON_INPUTS = [network for network in NETWORKS.values() if not network.tokens]


@pytest.mark.parametrize("network", ON_INPUTS, ids=lambda network: network.name)
def test_maps_of_every_network_against_one_row_at_a_time(network: Network) -> None:
    model, inputs, y = network.make(), network.inputs(4), labels(4)
    parts = as_args(inputs)
    maps = as_args(rr.Gradient()(model, inputs, y))
    times = as_args(rr.InputTimesGradient()(model, inputs, y))
    assert isinstance(rr.Gradient()(model, inputs, y), tuple) == isinstance(inputs, tuple)
    model.eval()
    for i, part in enumerate(parts):

        def score(row: Tensor, b: int, i: int = i) -> Tensor:
            args = [p[b : b + 1] for p in parts]
            args[i] = row[None]
            return model(*args)[0, y[b]]

        assert relative(maps[i], oracles.gradient(score, part)) < 1e-12
        assert relative(times[i], oracles.input_times_gradient(score, part)) < 1e-12


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output(output: str, model: nn.Module, x: Tensor, y: Tensor) -> None:
    wanted = oracles.gradient(lambda row, b: Score(y[b : b + 1], output)(model(row[None]))[0], x)
    assert relative(rr.Gradient(output=output)(model, x, y), wanted) < 1e-12


def test_sum_of_log_probabilities_differs_from_the_log_probability_of_the_label(
    model: nn.Module, x: Tensor, y: Tensor
) -> None:
    """Ross et al. explain all classes at once; a target changes nothing."""
    maps = rr.Gradient(output="sum_log_probability")(model, x)
    assert torch.equal(maps, rr.Gradient(output="sum_log_probability")(model, x, y))
    assert relative(maps, rr.Gradient(output="log_probability")(model, x, y)) > 0.1


def test_the_explanation_of_a_gradient_has_no_gap(model: nn.Module, x: Tensor, y: Tensor) -> None:
    explanation = rr.Gradient().explain(model, x, y)
    assert explanation.gap is None
    assert explanation.standard_error is None
    assert torch.equal(explanation.outputs, model(x))
    assert explanation.evaluations == (10, 5)


def test_input_times_gradient_is_complete_on_homogeneous_networks(x: Tensor) -> None:
    model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 1, bias=False)).double()
    maps = rr.InputTimesGradient()(model, x)
    torch.testing.assert_close(maps.sum(1), model(x)[:, 0])

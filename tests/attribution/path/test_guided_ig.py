"""Guided integrated gradients."""

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from tests import oracles
from tests.attribution.helpers import relative
from tests.networks import NETWORKS, as_args, labels


@pytest.mark.parametrize("fraction", [0.01, 0.25, 0.6, 1])
@pytest.mark.parametrize("max_distance", [0.02, 0.3, 1])
def test_against_one_feature_at_a_time(
    fraction: float, max_distance: float, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    baselines = torch.linspace(-1, 1, 4, dtype=torch.float64).expand_as(x)
    wanted = oracles.guided_integrated_gradients(
        lambda row, b: model(row[None])[0, y[b]], x, baselines, 7, fraction, max_distance
    )
    method = rr.GuidedIG(baselines[0], steps=7, fraction=fraction, max_distance=max_distance)
    assert relative(method(model, x, y), wanted) < 1e-9


def test_all_features_at_a_time_is_the_straight_line(model: nn.Module, x: Tensor, y: Tensor) -> None:
    straight = rr.IntegratedGradients(steps=21, rule=rr.Trapezoid())(model, x, y)
    assert relative(rr.GuidedIG(steps=20, fraction=1)(model, x, y), straight) < 1e-10
    assert relative(rr.GuidedIG(steps=20, fraction=0.25)(model, x, y), straight) > 1e-3


def test_the_gap_is_what_is_missing_and_falls_with_the_steps(model: nn.Module, x: Tensor, y: Tensor) -> None:
    rows, gaps = torch.arange(5), []
    with torch.no_grad():
        total = model(x)[rows, y] - model(torch.zeros_like(x))[rows, y]
    for steps in (10, 100):
        found = rr.GuidedIG(steps=steps).explain(model, x, y)
        torch.testing.assert_close(found.gap, total - found.maps.sum(1), rtol=0, atol=1e-12)
        gaps.append(float(found.gap.norm()))
    assert gaps[0] > 20 * gaps[1]


def test_on_relus_a_gap_stays_and_is_smaller_than_that_of_the_published_sum() -> None:
    """The path slides along kinks, where the gradients in front and behind differ."""
    model, x = NETWORKS["mlp relu"].make().eval(), NETWORKS["mlp relu"].inputs(8)
    with torch.no_grad():
        total = (model(x) - model(torch.zeros_like(x)))[:, 1]
    far, near = (
        float(rr.GuidedIG(steps=n, max_distance=d).explain(model, x, 1).gap.norm() / total.norm())
        for n, d in ((400, 1), (200, 0.02))
    )
    assert 0.005 < far < 0.1
    assert near < 0.02
    zero = torch.zeros_like(x)
    published = oracles.guided_integrated_gradients(
        lambda row, b: model(row[None])[0, 1], x, zero, 50, 0.25, 1, both_ends=False
    )
    ours = rr.GuidedIG(steps=50, max_distance=1).explain(model, x, 1).gap.norm()
    assert float((total - published.sum(1)).norm()) > 3 * float(ours)


def test_gradients_that_x_has_nothing_to_do_with_are_gone_round() -> None:
    """f = x0 + a bump beside the diagonal, which the straight line climbs by one feature and descends by the other."""

    def bumpy(x: Tensor) -> Tensor:
        return x[:, 0] + 3 * torch.exp(-30 * ((x[:, 0] - 0.4) ** 2 + (x[:, 1] - 0.6) ** 2))

    x = torch.tensor([[1.0, 1.0]], dtype=torch.float64)
    straight = rr.IntegratedGradients(steps=500)(bumpy, x)
    assert straight[0].tolist() == pytest.approx([-1.26, 2.26], abs=0.02)
    guided = rr.GuidedIG(steps=500, fraction=0.5, max_distance=1)(bumpy, x)
    assert guided[0].tolist() == pytest.approx([1, 0], abs=0.02)


def test_features_of_equal_gradient_move_together(model: nn.Module, x: Tensor) -> None:
    """Ties are not broken by position."""
    with torch.no_grad():
        model[0].weight[:, 1] = model[0].weight[:, 0]
    x[:, 1] = x[:, 0]
    maps = rr.GuidedIG(steps=30, max_distance=1)(model, x, 1)
    torch.testing.assert_close(maps[:, 0], maps[:, 1], rtol=1e-9, atol=1e-12)


def test_several_inputs_share_one_way() -> None:
    network = NETWORKS["two inputs"]
    model, (a, b), y = network.make().eval(), as_args(network.inputs(3)), labels(3)
    maps = as_args(rr.GuidedIG(steps=10)(model, (a, b), y))

    def joined(x: Tensor) -> Tensor:
        return model(x[:, :4], x[:, 4:].reshape(-1, 3, 2))

    together = rr.GuidedIG(steps=10)(joined, torch.cat([a, b.flatten(1)], 1), y)
    assert relative(torch.cat([maps[0], maps[1].flatten(1)], 1), together) < 1e-12


def test_at_the_embedding_of_tokens_and_at_a_layer(model: nn.Module, x: Tensor, y: Tensor) -> None:
    tokens = NETWORKS["tokens"]
    network, ids = tokens.make().eval(), tokens.inputs(3)
    start, end = (network.embedding(i).detach() for i in (torch.zeros_like(ids), ids))

    def rest(h: Tensor) -> Tensor:
        return network.head(torch.tanh(network.hidden(h)).prod(1))

    wanted = rr.GuidedIG(start, steps=8)(rest, end, 1)
    assert relative(rr.GuidedIG(0, steps=8, at="embedding")(network, ids, 1), wanted) < 1e-12


def test_what_equals_the_baseline_gets_nothing(model: nn.Module, x: Tensor, y: Tensor) -> None:
    x[:, 2] = 0.0
    assert not rr.GuidedIG(steps=5)(model, x, y)[:, 2].any()
    assert not rr.GuidedIG(steps=5)(model, torch.zeros_like(x), y).any()


def test_in_float32_every_step_ends(y: Tensor) -> None:
    network = NETWORKS["cnn"]
    x = network.inputs(3, dtype=torch.float32) * 1e3
    maps = rr.GuidedIG(steps=50, max_distance=1)(network.make(torch.float32), x, 1)
    assert maps.isfinite().all()


def test_gradients_reach_inputs_and_parameters(model: nn.Module, y: Tensor) -> None:
    x = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    weights = list(model.parameters())[:2]

    def maps(x: Tensor, *_: Tensor) -> Tensor:
        return rr.GuidedIG(steps=4, max_distance=0.5)(model, x, y[:2], create_graph=True)

    assert torch.autograd.gradcheck(maps, (x, *weights), atol=1e-6, fast_mode=True)
    assert rr.training.check_differentiable(rr.GuidedIG(steps=4), model, x.detach(), y[:2])


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("name", ["fraction", "max_distance"])
@pytest.mark.parametrize("value", [0, -0.1, 1.1, float("nan")])
def test_shares_must_be_shares(name: str, value: float) -> None:
    with pytest.raises(rr.InputError, match=f"{name} is a share, above 0 and at most 1"):
        rr.GuidedIG(**{name: value})


def test_other_bad_input(model: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(rr.InputError, match="steps must be a whole number of at least 1.*; got 0"):
        rr.GuidedIG(steps=0)
    with pytest.raises(
        rr.ShapeError, match=r"baseline of shape \(3,\) does not fit inputs of shape \(5, 4\)"
    ):
        rr.GuidedIG(torch.zeros(3))(model, x, y)

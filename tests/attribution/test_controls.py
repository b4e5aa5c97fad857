"""Controls know nothing of the model."""

import pytest
import torch

import rightreasons as rr
from tests.attribution.helpers import relative, seeded


def model(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1)[:, :3]


def test_random_maps_are_standard_normal_and_different_in_every_row() -> None:
    maps = rr.RandomMap()(model, torch.zeros(4, 1, 50, 50, dtype=torch.float64), 0, generator=seeded())
    assert maps.mean().item() == pytest.approx(0, abs=0.05)
    assert maps.std().item() == pytest.approx(1, abs=0.05)
    assert float(torch.corrcoef(maps.flatten(1)).fill_diagonal_(0).abs().max()) < 0.1


def test_edges_against_differences_by_hand() -> None:
    x = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    maps = rr.EdgeMap()(model, x, 0)
    b, c, i, j = 1, 2, 3, 0  # at a border, which is repeated
    at = lambda p, q: float(x[b, c, min(max(p, 0), 4), min(max(q, 0), 5)])  # noqa: E731
    gx = sum(w * (at(i + d, j + 1) - at(i + d, j - 1)) for d, w in ((-1, 1), (0, 2), (1, 1)))
    gy = sum(w * (at(i + 1, j + d) - at(i - 1, j + d)) for d, w in ((-1, 1), (0, 2), (1, 1)))
    assert float(maps[b, c, i, j]) == pytest.approx((gx**2 + gy**2) ** 0.5)
    assert not rr.EdgeMap()(model, torch.ones(1, 1, 4, 4), 0).any()


def test_constant_maps_of_several_inputs() -> None:
    a, b = rr.ConstantMap(2)(lambda a, b: a.sum(1), (torch.zeros(2, 3), torch.zeros(2, 1)))
    assert torch.equal(a, torch.full((2, 3), 2.0))
    assert torch.equal(b, torch.full((2, 1), 2.0))


def test_explaining_runs_the_model_once_for_its_outputs() -> None:
    x = torch.randn(5, 1, 4, 4)
    explanation = rr.RandomMap().explain(model, x, 0, generator=seeded(), chunk=2)
    assert explanation.evaluations == (5, 0)
    assert torch.equal(explanation.outputs, model(x))
    assert relative(explanation.maps, rr.RandomMap()(model, x, 0, generator=seeded())) == 0


def test_refusals() -> None:
    with pytest.raises(rr.ShapeError, match=r"edges are those of pictures \(B, C, H, W\); got \(2, 3\)"):
        rr.EdgeMap()(model, torch.zeros(2, 3), 0)
    with pytest.raises(rr.InputError, match="value must be finite; got inf"):
        rr.ConstantMap(float("inf"))
    with pytest.raises(
        rr.DifferentiabilityError, match=r"RandomMap is not differentiable.*No parameter moves a control"
    ):
        rr.RandomMap()(model, torch.zeros(2, 3), 0, create_graph=True)

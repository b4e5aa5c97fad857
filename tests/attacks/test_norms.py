import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rightreasons.attacks import L1, L2, Linf, Norm
from rightreasons.core._errors import InputError
from tests.attacks.networks import NORMS, generator

SIZES = {Linf: lambda u: u.abs().max(), L2: lambda u: u.square().sum().sqrt(), L1: lambda u: u.abs().sum()}


def points(scale: float, seed: int = 0, rows: int = 5, dtype: torch.dtype = torch.float64) -> Tensor:
    return (scale * torch.randn(rows, 2, 4, generator=generator(seed), dtype=torch.float64)).to(dtype)


@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_size_is_the_norm_of_each_row(norm: Norm) -> None:
    u = points(2.0)
    expected = torch.stack([SIZES[type(norm)](row) for row in u])
    torch.testing.assert_close(norm.size(u), expected)


@pytest.mark.parametrize("norm", NORMS, ids=repr)
@given(
    scale=st.floats(1e-3, 1e4), seed=st.integers(0, 99), dtype=st.sampled_from([torch.float32, torch.float64])
)
def test_projection_lies_in_the_ball_and_is_idempotent(
    norm: Norm, scale: float, seed: int, dtype: torch.dtype
) -> None:
    projected = norm.project(points(scale, seed, dtype=dtype))
    assert bool((norm.size(projected) <= 1).all())
    torch.testing.assert_close(norm.project(projected), projected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_projection_is_the_nearest_point(norm: Norm) -> None:
    u = points(2.0, rows=1)
    distance = (norm.project(u) - u).norm()
    inside = norm.random((4000, 2, 4), [generator(7)] * 4000)
    assert bool(((inside - u).flatten(1).norm(dim=1) >= distance - 1e-9).all())


@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_points_inside_are_left_alone(norm: Norm) -> None:
    u = points(1e-3)
    torch.testing.assert_close(norm.project(u), u, rtol=1e-9, atol=0)


@pytest.mark.parametrize("norm", [Linf(), L2(), L1(share=1e-9)], ids=repr)
def test_steepest_step_climbs_most_of_all_points_of_the_ball(norm: Norm) -> None:
    gradient = points(1.0, rows=1)
    climbed = (norm.steepest(gradient) * gradient).sum()
    torch.testing.assert_close(norm.size(norm.steepest(gradient)), torch.ones(1, dtype=torch.float64))
    others = norm.random((4000, 2, 4), [generator(7)] * 4000)
    assert bool(((others * gradient).flatten(1).sum(1) <= climbed + 1e-9).all())


def test_l1_steps_move_their_share_of_the_features() -> None:
    step = L1(share=0.5).steepest(points(1.0))
    assert ((step != 0).flatten(1).sum(1) == 4).all()
    torch.testing.assert_close(step.abs().flatten(1).sum(1), torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_zero_gradients_give_no_step(norm: Norm) -> None:
    assert not bool(norm.steepest(torch.zeros(2, 3)).any())


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_tiny_and_huge_gradients_give_a_whole_l2_step(scale: float) -> None:
    step = L2().steepest(points(scale, dtype=torch.float32))
    torch.testing.assert_close(L2().size(step), torch.ones(5, dtype=torch.float64), rtol=1e-5, atol=0)


@pytest.mark.parametrize("norm", NORMS, ids=repr)
def test_random_points_fill_the_ball_uniformly(norm: Norm) -> None:
    # In d dimensions a share q^d of the volume lies within radius q.
    drawn = norm.random((6000, 3), [generator(1)] * 6000)
    sizes = norm.size(drawn)
    assert bool((sizes <= 1).all())
    for q in (0.5, 0.8):
        assert abs(float((sizes <= q).double().mean()) - q**3) < 0.02
    assert float(drawn.mean(0).abs().max()) < 0.03


def test_rows_draw_from_their_own_generator() -> None:
    both = Linf().random((2, 3), [generator(1), generator(2)])
    assert torch.equal(both[1:], Linf().random((1, 3), [generator(2)]))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_share_of_l1_steps_is_a_fraction(share: float) -> None:
    with pytest.raises(InputError, match=r"the part of the features that a step moves, in \(0, 1\]; got"):
        L1(share)

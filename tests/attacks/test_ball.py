import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rightreasons.attacks import L2, PGD, Linf, Norm
from rightreasons.attacks._ball import row_generators
from rightreasons.core._errors import InputError, ShapeError
from tests.attacks.networks import NORMS, generator


@given(
    norm=st.sampled_from(NORMS),
    eps=st.floats(0, 10),
    offset=st.floats(-100, 100, width=32),
    bounded=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 999),
    size=st.floats(0.01, 5),
)
def test_ball_and_bounds_hold_to_the_last_bit(
    norm: Norm, eps: float, offset: float, bounded: bool, dtype: torch.dtype, seed: int, size: float
) -> None:
    x = (torch.randn(3, 5, generator=generator(seed), dtype=torch.float64) + offset).to(dtype)
    bounds = (float(x.min()), float(x.max())) if bounded and x.min() < x.max() else None
    ball = PGD(eps=eps, norm=norm, bounds=bounds).ball(x)
    draws = [generator(seed + i) for i in range(3)]
    point = ball.random(draws)
    for _ in range(3):
        check_inside(point, x, eps, norm, bounds)
        point = ball.step(point, ball.random_direction(draws), size)
    check_inside(point, x, eps, norm, bounds)


def check_inside(
    point: Tensor, x: Tensor, eps: float, norm: Norm, bounds: tuple[float, float] | None
) -> None:
    # Differences of float32 numbers are exact in float64; of float64 numbers they round to nearest.
    difference = point.double() - x.double()
    assert bool((norm.size(difference) <= eps).all())
    assert point.dtype == x.dtype
    if bounds is not None:
        assert bounds[0] <= float(point.min())
        assert float(point.max()) <= bounds[1]


def test_every_feature_may_have_a_radius_and_none_is_left_alone() -> None:
    x, eps = torch.rand(4, 3), torch.tensor([0.0, 0.1, 0.5])
    ball = PGD(eps=eps).ball(x)
    moved = ball.step(x, torch.ones(4, 3), 5.0)
    assert torch.equal(moved[:, 0], x[:, 0])
    torch.testing.assert_close(moved - x, eps.expand(4, 3))
    assert bool(((moved - x).double() <= eps.double()).all())


def test_a_radius_for_each_feature_is_an_ellipsoid_under_l2() -> None:
    x, eps = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([1.0, 2.0])
    moved = PGD(eps=eps, norm=L2()).ball(x).step(x, torch.tensor([[1.0, 1.0]]), 9.0)
    torch.testing.assert_close((moved / eps).square().sum(), torch.tensor(1.0, dtype=torch.float64))


def test_mask_broadcasts_and_says_what_may_change() -> None:
    x, mask = torch.rand(2, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[..., :2] = True
    moved = PGD(eps=0.1, mask=mask).ball(x).step(x, torch.ones_like(x), 1.0)
    assert torch.equal(moved[..., 2:], x[..., 2:])
    assert bool((moved[..., :2] > x[..., :2]).all())


def test_step_size_is_in_units_of_the_inputs() -> None:
    assert PGD(eps=0.3, step_size=0.01).step_share() == pytest.approx(1 / 30)
    assert PGD(eps=0.3, steps=10).step_share() == 0.25
    assert PGD(eps=torch.tensor([0.1, 0.5]), step_size=0.1).step_share() == pytest.approx(0.2)
    assert PGD(eps=0.0, step_size=0.1, steps=5).step_share() == 0.5


def test_offset_and_place_are_inverse() -> None:
    x = torch.rand(2, 3, dtype=torch.float64)
    ball = PGD(eps=0.5).ball(x)
    u = torch.rand(2, 3, dtype=torch.float64)
    torch.testing.assert_close(ball.offset(ball.place(u)), u)


def test_rows_have_their_own_generators_whatever_the_global_state() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = [g.initial_seed() for g in row_generators(3, generator())]
    assert torch.equal(torch.get_rng_state(), state)
    assert first == [g.initial_seed() for g in row_generators(3, generator())]
    row_generators(3, None)
    assert not torch.equal(torch.get_rng_state(), state)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"eps": -0.1}, "eps is the radius of a ball, finite and at least 0; got -0.1"),
        ({"eps": float("nan")}, "finite and at least 0"),
        ({"eps": torch.tensor([0.1, -1.0])}, "finite and at least 0; got -1"),
        ({"steps": 0}, "steps must be a positive integer; got 0"),
        ({"restarts": 0}, "restarts must be a positive integer; got 0"),
        ({"step_size": 0.0}, "step_size is the length of a step, positive; got 0.0"),
        ({"restarts": 2, "random_start": False}, "repeat one and the same search"),
        ({"bounds": (1.0, 0.0)}, r"bounds are \(smallest, largest\) valid value; got \(1, 0\)"),
        ({"bounds": (0.0, None)}, r"got \(0.0, None\). Use float\('inf'\) for no end"),
        ({"bounds": (0.0,)}, r"smallest, largest\) valid value; got \(0.0,\)"),
        ({"mask": [False, False]}, "mask lets no feature change"),
        ({"mask": torch.zeros(3)}, "mask lets no feature change.*Was it inverted"),
    ],
)
def test_bad_fields(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PGD(**{"eps": 0.1, **fields})  # pyright: ignore[reportArgumentType]


@pytest.mark.usefixtures("without_type_checks")
def test_norm_and_inputs_must_be_what_they_are_called() -> None:
    with pytest.raises(InputError, match=r"norm must be Linf\(\), L2\(\) or L1\(\); got 'inf'"):
        PGD(eps=0.1, norm="inf")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="attacks take one input tensor; got tuple"):
        PGD(eps=0.1).ball((torch.rand(2, 3), torch.rand(2, 3)))  # pyright: ignore[reportArgumentType]


def test_inputs_outside_the_bounds_are_an_error_and_not_clamped() -> None:
    x = torch.tensor([[0.5, 1.2], [0.1, 0.2]])
    with pytest.raises(
        InputError, match=r"1 of 2 rows have values outside bounds=\(0.0, 1.0\).*\[0.1, 1.2\]"
    ):
        PGD(eps=0.1, bounds=(0.0, 1.0)).ball(x)


def test_half_precision_is_refused() -> None:
    with pytest.raises(InputError, match=r"float32 or float64 inputs; got torch.float16. Pass x.float\(\)"):
        PGD(eps=0.1).ball(torch.rand(2, 3).half())


@pytest.mark.parametrize("field", ["eps", "mask", "bounds"])
def test_tensors_must_fit_a_row(field: str) -> None:
    bad = torch.ones(2)
    fields = {"eps": 0.1, field: (bad - 1, bad) if field == "bounds" else bad}
    with pytest.raises(ShapeError, match=rf"{field} of shape \(2,\) does not fit a row of shape \(3,\)"):
        PGD(**fields).ball(torch.rand(4, 3))  # pyright: ignore[reportArgumentType]


@pytest.mark.usefixtures("without_type_checks")
def test_generators_live_on_the_cpu() -> None:
    class Elsewhere:
        device = torch.device("meta")

    with pytest.raises(InputError, match="draws are made on the CPU.*got a generator on meta"):
        row_generators(2, Elsewhere())  # pyright: ignore[reportArgumentType]


def test_repr_shows_what_differs_from_the_defaults() -> None:
    assert repr(PGD(eps=0.1)) == "PGD(eps=0.1)"
    assert (
        repr(PGD(eps=torch.ones(3), norm=L2(), bounds=(0.0, 1.0)))
        == "PGD(eps=<3>, norm=L2(), bounds=(0.0, 1.0))"
    )
    assert repr(PGD(eps=0.1, norm=Linf(), steps=7, loss="margin")) == "PGD(eps=0.1, steps=7, loss='margin')"


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.3), (-0.3, -0.1), (1e-3, 1 / 3)])
def test_bounds_that_float32_cannot_hold_are_not_passed_by_its_rounding(low: float, high: float) -> None:
    x = torch.full((1, 3), (low + high) / 2)
    for sign in (1.0, -1.0):
        point = PGD(eps=1.0, bounds=(low, high)).ball(x).place(torch.full_like(x, sign))
        assert low <= float(point.min())
        assert float(point.max()) <= high
    # What lies on the rounded bound already is inside, and may stay there, but goes no further.
    edge = torch.tensor([[low, high]])
    ball = PGD(eps=1e-6, bounds=(low, high)).ball(edge)
    assert torch.equal(ball.place(torch.zeros_like(edge)), edge)
    out = ball.place(torch.tensor([[-1.0, 1.0]]))
    assert bool((out[:, 0] >= edge[:, 0]).all() & (out[:, 1] <= edge[:, 1]).all())

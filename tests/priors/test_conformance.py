"""What every prior promises, over the case table."""

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from torch import Tensor

import rightreasons.priors
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors import Grouped
from tests.priors.cases import CASES, Case

pytestmark = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)

DEGENERATE: dict[str, Callable[[Tensor], Tensor]] = {
    "all zero": torch.zeros_like,
    "constant": torch.ones_like,
    "constant but for rounding": lambda maps: 0.1 + 1e-8 * maps,
    "one row zero": lambda maps: maps * (torch.arange(len(maps)) > 0).reshape(-1, *[1] * (maps.ndim - 1)),
    "one entry": lambda maps: (
        torch.zeros_like(maps).flatten(1).index_fill(1, torch.tensor([1]), 2.0).reshape(maps.shape)
    ),
    "subnormal": lambda maps: maps * 1e-42,
    "tiny": lambda maps: maps * 1e-30,
    "huge": lambda maps: maps * 1e15,
}


def penalty_and_gradient(case: Case, maps: Tensor) -> tuple[Tensor, Tensor]:
    maps = maps.detach().requires_grad_()
    penalty = case.prior(maps, case.guidance)
    return penalty.detach(), torch.autograd.grad(penalty, maps)[0]


def halves(case: Case) -> list[Tensor]:
    guidance = [None, None] if case.guidance is None else case.guidance.split(2)
    return [case.prior(maps, side) for maps, side in zip(case.maps().split(2), guidance, strict=True)]


def test_equals_its_oracle(case: Case):
    value = case.prior(case.maps(), case.guidance)
    assert value.shape == ()
    assert float(value.detach()) == pytest.approx(
        case.oracle(case.maps(), case.guidance), rel=1e-12, abs=1e-14
    )


def test_gradient_equals_finite_differences(case: Case):
    torch.autograd.gradcheck(lambda maps: case.prior(maps, case.guidance), case.maps().requires_grad_())


@pytest.mark.parametrize("kind", DEGENERATE)
def test_degenerate_maps_give_finite_value_and_gradient(case: Case, kind: str):
    maps = DEGENERATE[kind](case.maps(dtype=torch.float32))
    value, gradient = penalty_and_gradient(case, maps)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()
    if kind == "all zero" and case.rests:
        assert not gradient.any()


def test_dtype(case: Case):
    exact, exact_gradient = penalty_and_gradient(case, case.maps())
    single, gradient = penalty_and_gradient(case, case.maps(dtype=torch.float32))
    assert exact.dtype == torch.float64
    assert single.dtype == gradient.dtype == torch.float32
    assert float(single) == pytest.approx(float(exact), rel=1e-5)
    assert (gradient - exact_gradient).norm() <= 1e-5 * exact_gradient.norm()
    for half in (torch.bfloat16, torch.float16):
        assert case.prior(case.maps(dtype=half), case.guidance).dtype == torch.float32


def test_autocast_changes_nothing(case: Case):
    maps = case.maps(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = case.prior(maps, case.guidance)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, case.prior(maps, case.guidance))


def test_coupled_says_whether_halves_add_up(case: Case):
    assert case.prior.coupled is case.coupled
    whole, parts = case.prior(case.maps(), case.guidance), torch.stack(halves(case)).mean()
    assert bool(torch.isclose(whole, parts, rtol=1e-10)) is case.additive
    assert case.additive or case.coupled


@pytest.mark.parametrize("factor", [1e-6, 1e-3])
def test_scale_free_is_exactly_what_it_says(case: Case, factor: float):
    value, gradient = penalty_and_gradient(case, case.maps())
    scaled, scaled_gradient = penalty_and_gradient(case, case.maps() * factor)
    assert bool(torch.isclose(value, scaled, rtol=1e-10)) is case.scale_free
    if case.scale_free:
        torch.testing.assert_close(scaled_gradient * factor, gradient, rtol=1e-9, atol=1e-12)
        single = case.maps(dtype=torch.float32)
        # A sum over columns has to be finite, as it is the map that the inner prior is told of.
        most = (1e38 if isinstance(case.prior, Grouped) else 3e38) / float(single.abs().max())
        for extreme in (1e-30, 1e-15, 1e30, most):  # their squares, or sums, leave the range of float32
            at_the_end, slope = penalty_and_gradient(case, single * extreme)
            torch.testing.assert_close(at_the_end, value.float(), rtol=1e-5, atol=0)
            torch.testing.assert_close(slope.double() * extreme, gradient, rtol=1e-4, atol=1e-6)


def test_order_of_rows_does_not_matter(case: Case):
    order = torch.tensor([2, 0, 3, 1])
    guidance = None if case.guidance is None else case.guidance[order]
    torch.testing.assert_close(
        case.prior(case.maps()[order], guidance), case.prior(case.maps(), case.guidance)
    )


def test_layout_in_memory_does_not_matter(case: Case):
    maps = case.maps()
    strided = maps.transpose(0, -1).contiguous().transpose(0, -1)
    torch.testing.assert_close(case.prior(strided, case.guidance), case.prior(maps, case.guidance))


def test_leaves_maps_and_global_rng_alone(case: Case):
    maps, state = case.maps(), torch.get_rng_state()
    case.prior(maps, case.guidance)
    assert torch.equal(maps, case.maps())
    assert torch.equal(state, torch.get_rng_state())


def test_unused_guidance_is_ignored(case: Case):
    if case.guidance is None:
        value = case.prior(case.maps(), torch.ones(1, 2, 3))
        assert torch.equal(value, case.prior(case.maps()))


def test_bilinear_where_it_is_claimed(case: Case):
    assert hasattr(case.prior, "bilinear") is case.bilinear
    if not case.bilinear:
        return
    draws = [case.maps(seed) for seed in range(3)]
    own = case.prior.bilinear(draws[0], draws[0], case.guidance)
    torch.testing.assert_close(own, case.prior(draws[0], case.guidance))
    # If a map is one of the draws with equal chance, independent pairs average to the penalty of the mean map.
    pairs = torch.stack([case.prior.bilinear(a, b, case.guidance) for a in draws for b in draws])
    torch.testing.assert_close(pairs.mean(), case.prior(torch.stack(draws).mean(0), case.guidance))


def test_repr_builds_the_prior_again(case: Case):
    if not case.plain:
        assert "tensor(" not in repr(case.prior)
        return
    again = eval(repr(case.prior), vars(rightreasons.priors).copy())
    assert repr(again) == repr(case.prior)
    assert torch.equal(again(case.maps(), case.guidance), case.prior(case.maps(), case.guidance))


def test_pickling_keeps_the_value(case: Case):
    again = pickle.loads(pickle.dumps(case.prior))
    assert repr(again) == repr(case.prior)
    assert torch.equal(again(case.maps(), case.guidance), case.prior(case.maps(), case.guidance))


def test_is_frozen(case: Case):
    if not case.frozen:
        assert list(case.prior.parameters())
        return
    with pytest.raises(FrozenInstanceError):
        setattr(case.prior, fields(case.prior)[0].name, None)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_non_finite_maps_are_refused_by_row(case: Case, bad: float):
    maps = case.maps()
    maps.flatten(1)[2, 1] = bad
    with pytest.raises(InputError, match=r"1 NaN or infinite entries in 1 of 4 rows, first in row 2"):
        case.prior(maps, case.guidance)


def test_maps_of_the_wrong_kind_are_refused(case: Case):
    with pytest.raises(ShapeError, match=r"at least one row and one feature; got \(3,\)"):
        case.prior(torch.ones(3), case.guidance)
    with pytest.raises(ShapeError, match=r"got \(0, 5\)"):
        case.prior(torch.ones(0, 5), case.guidance)
    with pytest.raises(InputError, match=r"got dtype torch.int64. Pass maps.float\(\)"):
        case.prior(torch.ones(4, 5, dtype=torch.int64), case.guidance)

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors import Alignment


def test_zero_when_proportional_one_when_apart():
    human = torch.tensor([[0.0, 1.0, 2.0]])
    assert float(Alignment()(torch.tensor([[0.0, -3.0, 6.0]]), human)) == pytest.approx(0, abs=1e-6)
    assert float(Alignment()(torch.tensor([[5.0, 0.0, 0.0]]), human)) == 1.0
    assert float(Alignment(signed=True)(-human, human)) == pytest.approx(2)


def test_rows_without_human_map_count_in_the_mean_and_get_no_gradient():
    maps = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    human = torch.rand(4, 5, dtype=torch.float64)
    human[1], human[3] = torch.nan, 0
    penalty = Alignment()(maps, human)
    known = [Alignment()(maps[b : b + 1], human[b : b + 1]) for b in (0, 2)]
    torch.testing.assert_close(penalty, sum(known) / 4)
    gradient = torch.autograd.grad(penalty, maps)[0]
    assert not gradient[[1, 3]].any()
    assert gradient[[0, 2]].all()


def test_no_human_map_at_all():
    maps = torch.randn(2, 5, requires_grad=True)
    penalty = Alignment()(maps, torch.full((2, 5), torch.nan))
    assert float(penalty.detach()) == 0.0
    assert not torch.autograd.grad(penalty, maps)[0].any()


def test_one_heat_map_serves_all_channels():
    red = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    maps = torch.stack([red, -red, torch.zeros(2, 2)])[None]
    assert float(Alignment()(maps, red[None, None])) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8, torch.float64])
def test_human_maps_of_any_real_dtype(dtype: torch.dtype):
    human = torch.tensor([[0, 1, 1]], dtype=dtype)
    penalty = Alignment()(torch.tensor([[0.0, 1.0, 1.0]]), human)
    assert penalty.dtype == torch.float32
    assert float(penalty) == pytest.approx(0, abs=1e-6)


@given(seed=st.integers(0, 10**6), mine=st.floats(1e-6, 1e6), theirs=st.floats(1e-6, 1e6))
def test_scale_of_either_map_does_not_matter_and_bounds_hold(seed: int, mine: float, theirs: float):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 6, dtype=torch.float64, generator=generator)
    human = torch.rand(2, 6, dtype=torch.float64, generator=generator)
    penalty = Alignment()(maps, human)
    torch.testing.assert_close(Alignment()(mine * maps, theirs * human), penalty)
    assert -1e-12 <= float(penalty) <= 1
    assert 0 <= float(Alignment(signed=True)(maps, human - 0.5)) <= 2


def test_one_value_is_not_a_map():
    with pytest.raises(ShapeError, match=r"guidance must vary within a map; got \(2, 1\) for maps \(2, 5\)"):
        Alignment()(torch.ones(2, 5), torch.ones(2, 1))


def test_partly_unknown_maps_are_refused():
    with pytest.raises(
        InputError, match=r"may be all NaN, not partly; row 1 is. Fill it, e.g. guidance.nan_to_num"
    ):
        Alignment()(torch.ones(2, 2), torch.tensor([[1.0, 2.0], [torch.nan, 1.0]]))


def test_infinite_or_complex_human_maps_are_refused():
    with pytest.raises(
        InputError, match=r"finite real human maps; got infinite entries or dtype torch\.float32"
    ):
        Alignment()(torch.ones(1, 2), torch.tensor([[1.0, torch.inf]]))
    with pytest.raises(InputError, match=r"got torch\.complex64"):
        Alignment()(torch.ones(1, 2), torch.ones(1, 2, dtype=torch.complex64))


def test_negative_human_maps_need_signed():
    with pytest.raises(
        InputError, match=r"must be non-negative; got values down to -2.*Alignment\(signed=True\)"
    ):
        Alignment()(torch.ones(1, 2), torch.tensor([[1.0, -2.0]]))

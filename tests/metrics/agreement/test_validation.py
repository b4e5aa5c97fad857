from functools import partial

import pytest
import torch
from torch import Tensor

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.metrics import channel_sum, spearman, topk_intersection, topk_mask
from rightreasons.metrics.agreement._validation import varies


def test_channel_sum_of_images_and_volumes():
    for shape in [(2, 3, 4, 5), (2, 3, 4, 5, 6)]:
        maps = torch.randn(shape)
        torch.testing.assert_close(channel_sum(maps), sum(maps[:, c].abs() for c in range(3)))


def test_maps_without_channels_stay_as_they_are():
    for shape in [(2, 7), (2, 4, 5)]:
        maps = torch.randn(shape)
        assert channel_sum(maps) is maps


@pytest.mark.parametrize("shape", [(7,), (1, 1, 1, 1, 1, 1)])
def test_channel_sum_knows_no_other_shapes(shape: tuple[int, ...]):
    with pytest.raises(ShapeError, match=r"channel_sum takes maps \(B, n\), .* Pass reduce="):
        channel_sum(torch.ones(shape))


def test_magnitudes_of_signed_maps_by_reduce():
    maps = torch.tensor([[-9.0, 1.0, 2.0]])
    assert topk_mask(maps, 1).tolist() == [[False, False, True]]
    assert topk_mask(maps, 1, reduce=torch.abs).tolist() == [[True, False, False]]


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    "reduce", [lambda maps: maps.sum(), lambda maps: maps[0], lambda maps: maps.tolist()]
)
def test_what_reduce_returns_has_rows_and_positions(reduce):
    with pytest.raises(
        ShapeError, match=r"reduce= must return one value for each position, \(B, \*space\) with B = 3"
    ):
        spearman(torch.rand(3, 4, 5), torch.rand(3, 4, 5), reduce=reduce)


@pytest.mark.usefixtures("without_type_checks")
def test_what_reduce_returns_has_an_order():
    blank = torch.zeros(3, 2, 4, 4)
    blank[1:] = 1

    def shares(maps: Tensor) -> Tensor:
        return maps.sum(1) / maps.flatten(1).sum(1).reshape(-1, 1, 1)

    for metric in (spearman, partial(topk_intersection, k=2)):
        with pytest.raises(
            InputError, match="NaN or infinite entries after reduce= in 1 of 3 rows, first in row 0"
        ):
            metric(blank, torch.rand(3, 2, 4, 4), reduce=shares)
        with pytest.raises(InputError, match="after reduce= in 3 of 3 rows"):
            metric(torch.full((3, 2, 4, 4), 3e38), torch.rand(3, 2, 4, 4))  # the sum over channels overflows
        for reduce, dtype in ((lambda maps: maps.argmax(1), "int64"), (lambda maps: maps.sum(1) > 1, "bool")):
            with pytest.raises(
                InputError, match=rf"reduce= must return floating-point values; got torch.{dtype}"
            ):
                metric(blank, blank, reduce=reduce)


def test_a_large_sum_is_not_taken_for_an_infinite_entry():
    huge = torch.tensor([[3e38, 3e38, 0.0]])
    assert topk_mask(huge, 1).tolist() == [[True, False, False]]


def test_one_other_value_anywhere_makes_a_map_vary():
    maps = torch.ones(6, 2000)
    maps[torch.arange(5), torch.tensor([0, 1, 3, 700, 1999])] = 2
    assert varies(maps).tolist() == [True] * 5 + [False]
    assert varies(maps[:, ::2]).tolist() == [True, False, False, True, False, False]

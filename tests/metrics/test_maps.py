import pytest
import torch

from rightreasons.core._errors import ShapeError
from rightreasons.metrics import channel_sum, spearman, topk_mask


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


def test_a_large_sum_is_not_taken_for_an_infinite_entry():
    huge = torch.tensor([[3e38, 3e38, 0.0]])
    assert topk_mask(huge, 1).tolist() == [[True, False, False]]

import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors import Mask

MAPS = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))


def test_only_masked_features_are_penalised():
    left = torch.zeros(1, 4, 4)
    left[..., :2] = 1
    expected = MAPS[..., :2].square().sum() / 3
    torch.testing.assert_close(Mask(left)(MAPS), expected)
    torch.testing.assert_close(Mask()(MAPS, left.expand(3, 1, 4, 4)), expected)
    torch.testing.assert_close(Mask()(MAPS, left[None].bool()), expected)


def test_rows_without_belief_are_zeros():
    guidance = torch.zeros(3, 1, 1, 1)
    guidance[2] = 1
    torch.testing.assert_close(Mask()(MAPS, guidance), MAPS[2].square().sum() / 3)
    assert float(Mask()(MAPS, torch.zeros(3, 1, 1, 1))) == 0.0


def test_weights_are_squared_with_the_map():
    torch.testing.assert_close(Mask(torch.full((1, 1, 1), 3))(MAPS), 9 * MAPS.square().sum() / 3)


def test_a_fixed_mask_is_the_whole_belief():
    mask = torch.ones(2, 4, 4)
    assert torch.equal(Mask(mask)(MAPS, torch.zeros(3, 2, 4, 4)), Mask(mask)(MAPS))


def test_repr_is_short():
    assert repr(Mask(torch.eye(3))) == "Mask(mask=<(3, 3), 3 nonzero>)"


def test_mask_must_fit_one_map():
    with pytest.raises(
        ShapeError, match=r"shape of one map, \(2, 4, 4\), 1 where it is shared; got \(4, 4\)"
    ):
        Mask(torch.ones(4, 4))(MAPS)
    with pytest.raises(ShapeError, match=r"got \(3, 2, 4, 4\). A mask for each sample is passed as guidance"):
        Mask(torch.ones(3, 2, 4, 4))(MAPS)


def test_mask_must_be_finite():
    with pytest.raises(InputError, match=r"finite numbers.*got dtype torch.float32 with 1 NaN or infinite"):
        Mask(torch.tensor([1.0, torch.nan]))
    with pytest.raises(InputError, match="Mark a sample without belief by zeros"):
        Mask()(MAPS, torch.full((3, 1, 4, 4), torch.nan))


def test_mask_must_select_something():
    with pytest.raises(InputError, match=r"selects no feature, so the penalty would always be 0.*inverted"):
        Mask(torch.zeros(5))


@pytest.mark.usefixtures("without_type_checks")
def test_mask_must_be_a_tensor():
    with pytest.raises(InputError, match=r"got ndarray. Use torch.as_tensor\(mask\)"):
        Mask(torch.ones(3).numpy())

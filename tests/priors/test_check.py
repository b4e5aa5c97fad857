import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors import (
    L1,
    L2,
    Alignment,
    FourierSmoothness,
    Gini,
    GraphLaplacian,
    GroupSparsity,
    Mask,
    Monotone,
    TotalVariation,
)
from rightreasons.priors._check import checked_guidance, checked_maps, unit_scaled

pytestmark = pytest.mark.usefixtures("without_type_checks")


def test_several_maps_are_refused():
    with pytest.raises(
        InputError, match=r"got tuple. With several inputs say which one .* prior\(maps\[0\]\)"
    ):
        checked_maps((torch.ones(2, 3), torch.ones(2, 3)), L1())


def test_finite_maps_whose_sum_overflows_are_accepted():
    maps = torch.full((2, 3), 3e38)
    assert checked_maps(maps, L1()) is maps


@pytest.mark.parametrize(
    "prior",
    [
        Gini,
        L1,
        L2,
        lambda level: GraphLaplacian([[0, 1], [1, 0]], level=level),
        lambda level: GroupSparsity([(0,)], level=level),
    ],
)
def test_unknown_level(prior):
    with pytest.raises(InputError, match="level must be one of 'sample', 'global'; got 'local'"):
        prior("local")


def test_unknown_normalisation():
    with pytest.raises(InputError, match="normalise must be one of 'std', 'published', 'l1', None; got 'l2'"):
        TotalVariation("l2")
    with pytest.raises(InputError, match="normalise must be one of 'l2', None; got 'std'"):
        GraphLaplacian([[0, 1], [1, 0]], normalise="std")
    with pytest.raises(InputError, match="penalty must be one of 'gini', 'lasso'; got 'l1'"):
        GroupSparsity([(0,)], penalty="l1")
    with pytest.raises(InputError, match="constant must be one of 'penalised', 'free'; got 'kept'"):
        FourierSmoothness(3, constant="kept")


@pytest.mark.parametrize("prior", [Mask(), Alignment(), Monotone()])
def test_guidance_must_come_and_fit(prior):
    maps = torch.ones(4, 3, 5, 5)
    with pytest.raises(InputError, match=r"needs guidance for each sample and got none. Pass a"):
        prior(maps)
    with pytest.raises(
        ShapeError, match=r"shape of the maps \(4, 3, 5, 5\), 1 where it is shared; got \(4, 5, 5\)"
    ):
        prior(maps, torch.ones(4, 5, 5))
    with pytest.raises(ShapeError, match=r"got \(2, 3, 5, 5\)"):
        prior(maps, torch.ones(2, 3, 5, 5))
    with pytest.raises(InputError, match="takes guidance as a tensor; got list"):
        checked_guidance([1.0], maps, prior, "")


def test_unit_scaled_has_largest_value_one_and_zero_for_negligible_rows():
    rows = torch.tensor([[2.0, -8.0], [0.0, 0.0], [1e-39, 0.0], [-3e38, 1e38], [1e-37, 5e-38]])
    expected = torch.tensor([[0.25, -1.0], [0.0, 0.0], [0.0, 0.0], [-1.0, 1 / 3], [1.0, 0.5]])
    torch.testing.assert_close(unit_scaled(rows), expected)

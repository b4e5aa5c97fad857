"""The formulas of each attack, written out."""

import pytest
import torch
from torch import Tensor

from rightreasons.attacks import Manipulate, MassCentre, RankCorrelation, TargetRegion, TopK
from rightreasons.metrics import lens_recall, mass_centre_shift, spearman, topk_intersection
from tests.attacks.oracles import centre, top, window

CLEAN = torch.randn(4, 3, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
OTHER = torch.randn(4, 3, 6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
ROWS = torch.tensor([2, 0, 0, 3])


def naive_share(maps: Tensor) -> Tensor:
    a = maps.abs().sum(1)
    return torch.stack([each / each.sum() for each in a])


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_top_k_climbs_mass_out_of_the_dilated_set(radius: int) -> None:
    goal = TopK(k=4, window=radius, eps=0.1).goal(CLEAN)
    assert goal.climb is not None
    expected = []
    for row, share in zip(ROWS.tolist(), naive_share(OTHER), strict=True):
        near = window(top(CLEAN[row].abs().sum(0), 4), radius, 5, 6)
        expected.append(-sum(float(share.flatten()[p]) for p in near))
    torch.testing.assert_close(goal.climb(OTHER, ROWS), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(goal.measure(OTHER, ROWS), lens_recall(CLEAN[ROWS], OTHER, 4, radius))


def test_without_a_window_the_measure_is_top_k_intersection() -> None:
    goal = TopK(k=0.2, eps=0.1).goal(CLEAN)
    torch.testing.assert_close(goal.measure(OTHER, ROWS), topk_intersection(CLEAN[ROWS], OTHER, 6))


def test_mass_centre() -> None:
    goal = MassCentre(eps=0.1).goal(CLEAN)
    assert goal.climb is not None
    shifts = torch.stack(
        [
            (centre(a.abs().sum(0)) - centre(CLEAN[row].abs().sum(0))).norm()
            for a, row in zip(OTHER, ROWS.tolist(), strict=True)
        ]
    )
    torch.testing.assert_close(goal.climb(OTHER, ROWS), shifts**2)
    torch.testing.assert_close(goal.measure(OTHER, ROWS), shifts)
    torch.testing.assert_close(goal.measure(OTHER, ROWS), mass_centre_shift(CLEAN[ROWS], OTHER))


def test_target_region_shared_and_for_each_row() -> None:
    region = torch.rand(4, 6, 5, generator=torch.Generator().manual_seed(2)) > 0.5
    expected = (naive_share(OTHER) * region[ROWS]).sum((1, 2))
    goal = TargetRegion(region=region, eps=0.1).goal(CLEAN)
    torch.testing.assert_close(goal.measure(OTHER, ROWS), expected)
    shared = TargetRegion(region=region[1], eps=0.1).goal(CLEAN)
    torch.testing.assert_close(shared.measure(OTHER, ROWS), (naive_share(OTHER) * region[1]).sum((1, 2)))


def test_manipulate_is_the_distance_left_whatever_the_scale_of_the_target() -> None:
    target = torch.rand(6, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    goal = Manipulate(towards=7 * target, eps=0.1).goal(CLEAN)
    assert goal.climb is not None
    wanted, now, clean = target / target.sum(), naive_share(OTHER), naive_share(CLEAN)
    left = (now - wanted).flatten(1).norm(dim=1) / (clean[ROWS] - wanted).flatten(1).norm(dim=1)
    torch.testing.assert_close(goal.measure(OTHER, ROWS), left)
    torch.testing.assert_close(goal.climb(OTHER, ROWS), -(left**2))
    torch.testing.assert_close(goal.measure(CLEAN, torch.arange(4)), torch.ones(4, dtype=torch.float64))
    reached = target.expand(4, 3, 6, 5)
    torch.testing.assert_close(
        goal.measure(reached, ROWS), torch.zeros(4, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_rank_correlation_falls_with_its_surrogate() -> None:
    goal = RankCorrelation(eps=0.1).goal(CLEAN)
    assert goal.climb is not None
    everything = torch.arange(4)
    torch.testing.assert_close(goal.measure(OTHER, ROWS), spearman(CLEAN[ROWS], OTHER))
    blends = [CLEAN.abs() * (1 - t) + OTHER.abs() * t for t in (0.0, 0.3, 0.6, 1.0)]
    climbed = [float(goal.climb(b, everything).mean()) for b in blends]
    measured = [float(goal.measure(b, everything).mean()) for b in blends]
    assert climbed == sorted(climbed)
    assert measured == sorted(measured, reverse=True)


def test_maps_without_mass_have_no_share_and_no_nan() -> None:
    goal = TargetRegion(region=torch.eye(5)[0].expand(6, 5), eps=0.1).goal(torch.zeros(2, 3, 6, 5))
    assert torch.equal(goal.measure(torch.zeros(2, 3, 6, 5), torch.arange(2)), torch.zeros(2))


def test_blank_positions_share_a_rank_in_the_rank_correlation() -> None:
    clean = CLEAN.clone()
    clean[..., 2:] = 0
    climb = RankCorrelation(eps=0.1).goal(clean).climb
    assert climb is not None
    swapped = torch.cat([OTHER[..., :2], OTHER[..., 2:].flip(2, 3)], 3)
    torch.testing.assert_close(climb(swapped, torch.arange(4)), climb(OTHER, torch.arange(4)))

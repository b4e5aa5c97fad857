import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.metrics import diverse_topk, topk_mask
from rightreasons.metrics.agreement._topk import _by_numpy, _by_torch
from rightreasons.priors import feature_graph
from tests.metrics import oracles


def marked(mask: torch.Tensor) -> set[tuple[int, ...]]:
    return {tuple(place) for place in mask.nonzero().tolist()}


TIED = arrays("float64", (2, 4, 6), elements=st.integers(-1, 2).map(float))


@given(values=TIED, k=st.integers(1, 24))
def test_topk_is_exactly_k_by_value_then_index(values, k: int):
    maps = torch.tensor(values)
    mask = topk_mask(maps, k)
    assert mask.flatten(1).sum(1).tolist() == [k, k]
    for row in range(2):
        assert marked(mask[row]) == oracles.topk(maps[row], k)


@given(values=TIED, k=st.integers(1, 24), window=st.integers(0, 6))
def test_diverse_topk_is_greedy_suppression(values, k: int, window: int):
    maps = torch.tensor(values)
    mask, achieved = diverse_topk(maps, k, window)
    for row in range(2):
        picks = oracles.diverse(maps[row], k, window)
        assert marked(mask[row]) == set(picks)
        assert int(achieved[row]) == len(picks)


@pytest.mark.parametrize("shape", [(17,), (1, 9), (9, 1), (6, 7), (3, 4, 5), (2, 2, 9)])
@pytest.mark.parametrize("window", [1, 2, 4])
def test_diverse_topk_on_every_grid(shape: tuple[int, ...], window: int):
    maps = torch.rand(5, *shape).mul(20).round()
    mask, achieved = diverse_topk(maps, 0.5, window, reduce=None)
    for row in range(5):
        picks = oracles.diverse(maps[row], max(1, round(0.5 * maps[row].numel())), window)
        assert marked(mask[row]) == set(picks)
        assert int(achieved[row]) == len(picks)


def test_diverse_topk_on_a_slope():
    # Every pick is the next one along the slope: nothing can be picked in parallel.
    slope = torch.arange(64.0).reshape(1, 8, 8)
    mask, achieved = diverse_topk(slope, 16, 1)
    assert marked(mask[0]) == set(oracles.diverse(slope[0], 16, 1))
    assert int(achieved) == 16


def test_diverse_topk_over_a_graph():
    ring = feature_graph(torch.eye(8).roll(1, 0) + torch.eye(8).roll(-1, 0))
    maps = torch.tensor([[8.0, 7.0, 1.0, 2.0, 6.0, 5.0, 3.0, 4.0]])
    assert diverse_topk(maps, 3, 1, graph=ring).mask.int().tolist() == [[1, 0, 0, 0, 1, 0, 1, 0]]
    mask, achieved = diverse_topk(maps, 3, 3, graph=ring)
    assert mask.int().tolist() == [[1, 0, 0, 0, 1, 0, 0, 0]]
    assert int(achieved) == 2


def test_picks_of_a_constant_map_follow_the_index():
    mask, achieved = diverse_topk(torch.zeros(1, 4, 4), 16, 1)
    assert marked(mask[0]) == {(0, 0), (0, 2), (2, 0), (2, 2)}
    assert int(achieved) == 4


@given(values=TIED, k=st.integers(1, 24))
def test_both_ways_to_find_the_largest_agree(values, k: int):
    rows = torch.tensor(values).flatten(1)
    found = _by_numpy(rows, k)
    assert torch.equal(found, _by_torch(rows, k))
    assert found.sum(1).tolist() == [k] * len(rows)


def test_negative_zero_ties_with_zero():
    assert topk_mask(torch.tensor([[-0.0, 0.0, -1.0]]), 1).tolist() == [[True, False, False]]


def test_channels_are_summed_in_absolute_value():
    maps = torch.tensor([[[[1.0, 0.0, 3.0]], [[-4.0, 1.0, -1.0]]]])
    assert topk_mask(maps, 1).tolist() == [[[True, False, False]]]
    assert topk_mask(maps, 1, reduce=lambda m: m.sum(1)).tolist() == [[[False, False, True]]]
    assert topk_mask(maps, 1, reduce=None).tolist() == [[[[False, False, True]], [[False, False, False]]]]


@pytest.mark.parametrize(("k", "expected"), [(0.25, 5), (0.124, 2), (0.126, 3), (1e-9, 1), (20, 20)])
def test_k_is_a_count_or_a_fraction(k: int | float, expected: int):
    assert int(topk_mask(torch.rand(1, 4, 5), k).sum()) == expected


@pytest.mark.usefixtures("without_type_checks")
def test_bad_k():
    maps = torch.rand(1, 4, 5)
    for k in (0, -3, 21):
        with pytest.raises(InputError, match=f"between 1 and the 20 positions of a map; got {k}"):
            topk_mask(maps, k)
    for k in (0.0, 1.0, 100.0, float("nan")):
        with pytest.raises(
            InputError, match="fraction k must lie strictly between 0 and 1|k must be a number; got nan"
        ):
            diverse_topk(maps, k, 1)
    for k in (True, "5", None):
        with pytest.raises(InputError, match="k must be a number; got"):
            topk_mask(maps, k)


@pytest.mark.usefixtures("without_type_checks")
def test_bad_window_and_shape():
    maps = torch.rand(1, 4, 5)
    for window in (-1, 1.0, True):
        with pytest.raises(InputError, match="window (is a radius in positions|must be a whole number; got)"):
            diverse_topk(maps, 3, window)
    with pytest.raises(ShapeError, match=r"diverse_topk takes maps over 1, 2 or 3 dimensions"):
        diverse_topk(torch.rand(1, 2, 2, 2, 2), 3, 1, reduce=None)

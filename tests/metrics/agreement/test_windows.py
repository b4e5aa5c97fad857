import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.metrics import dilate
from rightreasons.metrics.agreement._windows import window_mean
from rightreasons.priors import feature_graph
from tests.metrics import oracles


@given(
    seed=st.integers(0, 10**6),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    window=st.integers(0, 5),
)
def test_dilation_is_the_union_of_windows(seed: int, shape: list[int], window: int):
    mask = torch.rand(2, *shape, generator=torch.Generator().manual_seed(seed)) < 0.15
    near = dilate(mask, window)
    for row in range(2):
        marked = {tuple(place) for place in mask[row].nonzero().tolist()}
        expected = oracles.windows(marked, window, shape)
        assert {tuple(place) for place in near[row].nonzero().tolist()} == expected


def test_dilation_equals_max_pooling():
    mask = torch.rand(2, 30, 40) < 0.02
    for window in (1, 2, 3):
        pooled = torch.nn.functional.max_pool2d(mask.float(), 2 * window + 1, 1, window)
        assert torch.equal(dilate(mask, window), pooled.bool())


def test_dilation_over_a_graph_is_what_can_be_reached():
    adjacency = (torch.rand(12, 12) < 0.12).float().triu(1)
    adjacency = adjacency + adjacency.T
    mask = torch.eye(12).bool()
    steps = adjacency + torch.eye(12)
    for window in range(13):
        expected = torch.linalg.matrix_power(steps, window) > 0
        assert torch.equal(dilate(mask, window, feature_graph(adjacency)), expected)


@pytest.mark.parametrize("border", ["zero", "clip"])
@pytest.mark.parametrize("shape", [(7,), (4, 5), (3, 2, 4)])
@pytest.mark.parametrize("window", [0, 1, 3])
def test_window_mean(border, shape: tuple[int, ...], window: int):
    maps = torch.rand(2, *shape, dtype=torch.float64)
    means = window_mean(maps, window, border, None)
    for row in range(2):
        expected = torch.tensor(oracles.window_mean(maps[row], window, border), dtype=torch.float64)
        torch.testing.assert_close(means[row].flatten(), expected)


def test_equal_windows_stay_tied():
    blank = torch.zeros(1, 9, 9)
    blank[0, 0, 0] = 0.1
    means = window_mean(blank, 1, "zero", None)
    assert int((means == 0).sum()) == 81 - 4


def test_window_mean_over_a_graph_counts_every_node_once():
    triangle = feature_graph([[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    maps = torch.tensor([[3.0, 6.0, 0.0, 5.0]])
    assert window_mean(maps, 2, "zero", triangle).tolist() == [[3.0, 3.0, 3.0, 5.0]]


@pytest.mark.usefixtures("without_type_checks")
def test_bad_arguments():
    mask = torch.ones(1, 4).bool()
    with pytest.raises(InputError, match="dilate: window is a radius in positions, an int of at least 0"):
        dilate(mask, -1)
    with pytest.raises(InputError, match=r"boolean mask; got dtype torch.float32. Pass topk_mask\(maps, k\)"):
        dilate(mask.float(), 1)
    with pytest.raises(ShapeError, match=r"dilate takes a mask \(B, \*space\); got \(4,\)"):
        dilate(mask[0], 1)
    with pytest.raises(ShapeError, match=r"dilate: windows over a graph of 3 nodes need maps \(B, 3\)"):
        dilate(mask, 1, feature_graph(1 - torch.eye(3)))


@pytest.mark.usefixtures("without_type_checks")
def test_graphs_are_made_before():
    with pytest.raises(InputError, match="graph must be a FeatureGraph or None; got torch's Tensor"):
        dilate(torch.ones(1, 3).bool(), 1, torch.ones(3, 3))

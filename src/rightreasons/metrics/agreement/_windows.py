"""Windows around positions: dilation and window means, on axes or on a feature graph.

N_w(i) are the positions at most w away from i along every axis (the (2w + 1)^d square or cube, cut at the border), or
the nodes at most w edges away. Legend: B rows, S shape of the space, n positions, p nodes.
"""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._graph import FeatureGraph
from rightreasons.metrics.agreement._validation import checked_space, checked_window

Border: TypeAlias = Literal["zero", "clip"]
_NODES_AT_ONCE = 1024
_IN_CACHE = 2**18  # marks dilated at once: their copies stay in the cache


@checked
def dilate(
    mask: Bool[Tensor, "B *S"], window: int, graph: FeatureGraph | None = None
) -> Bool[Tensor, "B *S"]:
    """The union of the windows around the marked positions, N_w(S), cut at the border [kamath2024].

    Cost: O(B n d log w) time for d dimensions, a few passes over one byte a position; O(B w E) over a graph of E edges.

    Args:
        mask: marked positions, (B, *space), 1 to 3 dimensions of space.
        window: radius w in positions, or in edges of the graph.
        graph: neighbourhoods for maps (B, p) of features; made by `rightreasons.priors.feature_graph`.

    Returns:
        (B, *space).

    Raises:
        InputError: a window that is not an int of at least 0; a mask that is not boolean.
        ShapeError: no space, more than 3 dimensions of it, or another number of features than nodes.

    Example:
        >>> import torch
        >>> dilate(torch.tensor([[True, False, False, False, True]]), window=1).int()
        tensor([[1, 1, 0, 1, 1]], dtype=torch.int32)
    """
    checked_window(window, "dilate")
    if mask.dtype != torch.bool:
        raise InputError(f"dilate takes a boolean mask; got dtype {mask.dtype}. Pass topk_mask(maps, k).")
    if mask.ndim < 2:
        raise ShapeError(f"dilate takes a mask (B, *space); got {tuple(mask.shape)}. Pass mask[None].")
    checked_space(mask, "dilate", graph)
    return dilated(mask, window, graph)


def dilated(mask: Tensor, window: int, graph: FeatureGraph | None) -> Tensor:
    """`dilate` of what has been checked."""
    if graph is not None:
        return _dilated_over_graph(mask, window, graph)
    rows_at_once = max(1, _IN_CACHE // mask[0].numel())
    return torch.cat([_dilated_over_axes(part, window) for part in mask.split(rows_at_once)])


def _dilated_over_axes(mask: Tensor, window: int) -> Tensor:
    for axis in range(1, mask.ndim):
        mask = _dilated_along(mask, min(window, mask.shape[axis] - 1), axis)
    return mask


def _dilated_along(mask: Tensor, window: int, axis: int) -> Tensor:
    """Or-ing the padded mask with itself shifted: the width covered doubles at every pass until it is 2 w + 1."""
    wide, covered, width = _padded(mask, window, axis), 1, 2 * window + 1
    while covered < width:
        shift = min(covered, width - covered)
        rest = wide.shape[axis] - shift
        wide = wide.narrow(axis, 0, rest) | wide.narrow(axis, shift, rest)
        covered += shift
    return wide


def _padded(values: Tensor, window: int, axis: int) -> Tensor:
    shape = list(values.shape)
    shape[axis] += 2 * window
    wide = values.new_zeros(shape)
    wide.narrow(axis, window, values.shape[axis]).copy_(values)
    return wide


def _dilated_over_graph(mask: Bool[Tensor, "B p"], window: int, graph: FeatureGraph) -> Bool[Tensor, "B p"]:
    i_E, j_E = graph.edges.to(mask.device)
    reached = mask.int()
    for _ in range(min(window, graph.nodes - 1)):
        before = reached
        reached = before.index_add(1, i_E, before[:, j_E]).index_add(1, j_E, before[:, i_E]).clamp(max=1)
        if torch.equal(before, reached):
            break
    return reached.bool()


def graph_windows(graph: FeatureGraph, window: int, nodes: Int64[Tensor, "m"]) -> Bool[Tensor, "m p"]:
    """N_w of each of the nodes, as a row of marks."""
    single = torch.zeros(len(nodes), graph.nodes, dtype=torch.bool, device=nodes.device)
    return _dilated_over_graph(single.scatter(1, nodes[:, None], True), window, graph)


def checked_border(border: Border, metric: str) -> None:
    """Raise unless the border rule is known."""
    if border not in ("zero", "clip"):
        raise InputError(f"{metric}: border must be one of 'zero', 'clip'; got {border!r}.")


def window_mean(
    maps: Float[Tensor, "B *S"], window: int, border: Border, graph: FeatureGraph | None
) -> Float[Tensor, "B *S"]:
    """The mean over N_w of every position; see `lens_spearman` for the border rules.

    Windows are added up entry by entry, never as differences of running sums: equal windows must stay tied.
    """
    if graph is not None:
        return _graph_mean(maps, window, graph)
    total, count = _window_sum(maps, window), (2 * window + 1) ** (maps.ndim - 1)
    return total / count if border == "zero" else total / _window_sum(torch.ones_like(maps[:1]), window)


def _window_sum(maps: Tensor, window: int) -> Tensor:
    for axis in range(1, maps.ndim):
        size = maps.shape[axis]
        reach = min(window, size - 1)
        wide = _padded(maps, reach, axis)
        total = wide.narrow(axis, 0, size).clone()
        for shift in range(1, 2 * reach + 1):
            total += wide.narrow(axis, shift, size)
        maps = total
    return maps


def _graph_mean(maps: Float[Tensor, "B p"], window: int, graph: FeatureGraph) -> Float[Tensor, "B p"]:
    means = []
    for nodes in torch.arange(graph.nodes, device=maps.device).split(_NODES_AT_ONCE):
        near_mp = graph_windows(graph, window, nodes).to(maps.dtype)
        means.append(maps @ near_mp.T / near_mp.sum(1))
    return torch.cat(means, 1)

"""Top-k positions of a map, plain or diverse, and their overlap.

Legend: B rows, S shape of the space, n positions, R lines of the space (all axes but the last), L length of a line,
m lines touched by one window, k picks.
"""

from math import prod
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._graph import FeatureGraph
from rightreasons.metrics.agreement._validation import (
    Reduce,
    channel_sum,
    checked_count,
    checked_maps,
    checked_space,
    checked_window,
)
from rightreasons.metrics.agreement._windows import graph_windows

_IN_CACHE = 2**16  # values partitioned at once: their copy stays in the cache


class DiverseTopK(NamedTuple):
    """Picks that keep their distance.

    Attributes:
        mask: the picks, (B, *space).
        achieved: how many there are, (B,); fewer than k where no position was left.
    """

    mask: Bool[Tensor, "B *S"]
    achieved: Int64[Tensor, "B"]


@checked
def topk_mask(
    maps: Shaped[Tensor, "B *F"], k: int | float, *, reduce: Reduce = channel_sum
) -> Bool[Tensor, "B *S"]:
    """Mark the k largest values of each map, exactly k also where values tie.

    Order is by (-value, index in row-major order): among equal values the first positions are taken.

    Cost: one selection of the k-th value, O(B n), by numpy on the CPU and `torch.topk` elsewhere; two passes over the
    maps, a few more over rows whose k-th value is tied.

    Args:
        maps: maps (B, *F).
        k: a count (int), or a fraction of the positions (float in (0, 1)) rounded to the nearest count, at least 1.
        reduce: maps to one value for each position; see `channel_sum`. None takes them as they are.

    Returns:
        (B, *space).

    Raises:
        InputError: k of the wrong type or beyond the number of positions; maps that are not finite floating point.
        ShapeError: maps without a batch or a position; what `reduce` returns is not (B, *space).

    Example:
        >>> import torch
        >>> topk_mask(torch.tensor([[0.0, 2.0, 2.0, 3.0]]), k=2)
        tensor([[False,  True, False,  True]])
    """
    values = checked_maps(maps, "topk_mask", reduce).detach()
    return largest(values, checked_count(k, values[0].numel(), "topk_mask"))


def largest(values: Float[Tensor, "B *S"], k: int) -> Bool[Tensor, "B *S"]:
    """`topk_mask` of what has been checked."""
    rows_Bn = values.flatten(1)
    mask_Bn = (_by_numpy if rows_Bn.device.type == "cpu" else _by_torch)(rows_Bn, k)
    return mask_Bn.reshape(values.shape)


def _by_numpy(rows: Float[Tensor, "B n"], k: int) -> Bool[Tensor, "B n"]:
    """Where a row reaches its k-th largest value, less the last of ties; a fraction of the time `_by_torch` takes."""
    values, place = rows.numpy(), rows.shape[1] - k
    reached = np.empty(values.shape, bool)
    at_once = max(1, _IN_CACHE // values.shape[1])
    for start in range(0, len(values), at_once):
        part = slice(start, start + at_once)
        kth = np.partition(values[part], place, axis=1)[:, place, None]
        np.greater_equal(values[part], kth, out=reached[part])
        for row, least, marked in zip(values[part], kth, reached[part], strict=True):
            surplus = np.count_nonzero(marked) - k
            if surplus:
                marked[np.flatnonzero(row == least)[-surplus:]] = False
    return torch.from_numpy(reached)


def _by_torch(rows: Float[Tensor, "B n"], k: int) -> Bool[Tensor, "B n"]:
    """The same on any device."""
    kth_B1 = rows.topk(k, sorted=False).values.amin(1, keepdim=True)
    mask_Bn = rows >= kth_B1
    tied = (mask_Bn.sum(1) > k).nonzero()[:, 0]
    above, equal = rows[tied] > kth_B1[tied], rows[tied] == kth_B1[tied]
    room = k - above.sum(1, keepdim=True)
    mask_Bn[tied] = above | (equal & (equal.cumsum(1) <= room))
    return mask_Bn


@checked
def diverse_topk(
    maps: Shaped[Tensor, "B *F"],
    k: int | float,
    window: int,
    *,
    graph: FeatureGraph | None = None,
    reduce: Reduce = channel_sum,
) -> DiverseTopK:
    """The k largest values none of which lies in another's window: greedy non-maximum suppression [kamath2024].

    Repeat k times: take the first position by (-value, index) that is not blocked, and block its window N_w.

    Two picks are at least w + 1 apart along some axis (or in edges of the graph). The published code looks at the
    largest M values only and skips the second pick; this is the greedy set itself.

    Cost: k steps, each over the whole batch. The largest value of every line (row of pixels) is kept, so a step costs
    O(B (R + m L)) for R lines of length L, of which a window touches m = (2w + 1)^(d - 1); O(B (p + w E)) on a graph.

    Args:
        maps: maps (B, *F).
        k: count or fraction, as in `topk_mask`.
        window: radius w of the window that a pick blocks, in positions or edges; 0 is plain top-k.
        graph: neighbourhoods for maps (B, p) of features; made by `rightreasons.priors.feature_graph`.
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        The picks and how many of the k there are: windows may cover the map before.

    Raises:
        InputError: bad k, window or maps, as in `topk_mask`.
        ShapeError: bad shape of maps, also more than 3 dimensions of space, or not the nodes of the graph.

    Example:
        >>> import torch
        >>> mask, achieved = diverse_topk(torch.tensor([[1.0, 5.0, 4.0, 2.0, 3.0]]), k=3, window=1)
        >>> mask.int(), achieved
        (tensor([[0, 1, 0, 0, 1]], dtype=torch.int32), tensor([2]))
    """
    checked_window(window, "diverse_topk")
    values = checked_maps(maps, "diverse_topk", reduce).detach()
    checked_space(values, "diverse_topk", graph)
    return spread_out(values, checked_count(k, values[0].numel(), "diverse_topk"), window, graph)


def spread_out(values: Float[Tensor, "B *S"], k: int, window: int, graph: FeatureGraph | None) -> DiverseTopK:
    """`diverse_topk` of what has been checked."""
    if window == 0:
        return DiverseTopK(largest(values, k), torch.full((len(values),), k, device=values.device))
    picks_kB = (
        _picks_on_grid(values, k, window) if graph is None else _picks_on_graph(values, k, window, graph)
    )
    found_kB = picks_kB >= 0
    # Picks that do not exist are written to a position behind the last one, which is then cut off.
    marks = torch.zeros(len(values), values[0].numel() + 1, dtype=torch.bool, device=values.device)
    marks.scatter_(1, picks_kB.where(found_kB, marks.shape[1] - 1).T, True)
    return DiverseTopK(marks[:, :-1].reshape(values.shape), found_kB.sum(0))


def _picks_on_grid(values: Float[Tensor, "B *S"], k: int, window: int) -> Int64[Tensor, "k B"]:
    """Flat positions of the picks in order, -1 where none is left.

    `_first_largest` is the first of equal values, and lines follow each other in row-major order: ties go to the
    smallest index.
    """
    *lead, length = values.shape[1:]
    left_NL = values.reshape(-1, length).clone()  # the lines of all maps, N = B R
    left, best_N = left_NL.view(-1), left_NL.amax(1)
    best_BR = best_N.view(len(values), -1)
    first_B = torch.arange(len(values), device=values.device) * best_BR.shape[1]
    lines_Nm = (first_B[:, None, None] + _places_in_window(lead, window, values.device)).flatten(0, 1)
    columns_Lc = _places_in_window([length], window, values.device)
    picks, worth = [], []
    for _ in range(k):
        line_B = first_B + _first_largest(best_BR)
        column_B = _first_largest(left_NL.index_select(0, line_B))
        picks.append(line_B * length + column_B)
        worth.append(best_N.index_select(0, line_B))
        touched_Bm = lines_Nm.index_select(0, line_B)
        blocked = (touched_Bm * length)[:, :, None] + columns_Lc.index_select(0, column_B)[:, None]
        left.scatter_(0, blocked.flatten(), -torch.inf)
        touched = touched_Bm.flatten()
        best_N.scatter_(0, touched, left_NL.index_select(0, touched).amax(1))
    return (torch.stack(picks) - first_B * length).masked_fill(torch.stack(worth) == -torch.inf, -1)


def _first_largest(rows: Float[Tensor, "B n"]) -> Int64[Tensor, "B"]:
    """The first index of the largest value of each row; on the CPU numpy finds it six times faster than torch."""
    return torch.from_numpy(rows.numpy().argmax(1)) if rows.device.type == "cpu" else rows.max(1).indices


def _places_in_window(sizes: list[int], window: int, device: torch.device) -> Int64[Tensor, "R m"]:
    """For each place of a row-major grid those in its window; beyond the border, the one at the border once more."""
    places_R = torch.arange(prod(sizes), device=device)
    window_Rm = torch.zeros(len(places_R), 1, dtype=torch.int64, device=device)
    stride = 1
    for size in reversed(sizes):
        reach = min(window, size - 1)
        steps = torch.arange(-reach, reach + 1, device=device)
        axis_Rs = ((places_R // stride % size)[:, None] + steps).clamp(0, size - 1) * stride
        window_Rm = (axis_Rs[:, :, None] + window_Rm[:, None]).flatten(1)
        stride *= size
    return window_Rm


def _picks_on_graph(
    values: Float[Tensor, "B p"], k: int, window: int, graph: FeatureGraph
) -> Int64[Tensor, "k B"]:
    left_Bp, picks = values.clone(), []
    for _ in range(k):
        best_B, where_B = left_Bp.max(1)
        picks.append(where_B.masked_fill(best_B == -torch.inf, -1))
        left_Bp.masked_fill_(graph_windows(graph, window, where_B), -torch.inf)
    return torch.stack(picks)

"""Rank correlations of maps, plain and of window means.

Legend: B rows, S shape of the space, n positions.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import MissingExtraError
from rightreasons.core._graph import FeatureGraph
from rightreasons.metrics.agreement._validation import (
    Reduce,
    channel_sum,
    checked_pair,
    checked_space,
    checked_window,
    in_unit_range,
    nan_unless,
    varies,
)
from rightreasons.metrics.agreement._windows import Border, checked_border, window_mean


@checked
def spearman(
    a: Shaped[Tensor, "B *F"], b: Shaped[Tensor, "B *F"], *, reduce: Reduce = channel_sum
) -> Float[Tensor, "B"]:
    """Spearman's rank correlation over all positions of two maps [spearman1904].

    The correlation of the ranks, equal values sharing the mean of theirs.

    Cost: two sorts, O(B n log n).

    Args:
        a: maps (B, *F).
        b: maps (B, *F).
        reduce: maps to one value for each position; see `channel_sum`. `lambda maps: maps.flatten(1)` ranks the entries
            of all channels with their sign.

    Returns:
        (B,), in [-1, 1]; NaN where a map is constant.

    Raises:
        InputError: non-finite maps.
        ShapeError: maps of different shape, or without positions.

    Example:
        >>> import torch
        >>> spearman(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 4.0, 9.0]]))
        tensor([1.])
    """
    return _compared(_spearman, *checked_pair(a, b, "spearman", reduce))


@checked
def lens_spearman(
    a: Shaped[Tensor, "B *F"],
    b: Shaped[Tensor, "B *F"],
    window: int = 1,
    *,
    border: Border = "zero",
    graph: FeatureGraph | None = None,
    reduce: Reduce = channel_sum,
) -> Float[Tensor, "B"]:
    """Spearman's rank correlation of the window means of two maps: w-LENS-Spearman [kamath2024].

    abar_i = mean of a over the window of radius w around i; then `spearman(abar, bbar)`.

    The paper's code has no such metric and its border rule is not known. "zero": pixels outside count as 0, the divisor
    is (2w + 1)^d everywhere, what the formula says; "clip": the mean over the pixels that exist. Means over a graph are
    always over the nodes that exist.

    Cost: O(B n d w), then two sorts. Over a graph O(B p^2) time and O(1024 p) memory.

    Args:
        a: maps (B, *F).
        b: maps (B, *F).
        window: radius w in positions, or edges of the graph; 0 is `spearman`.
        border: "zero" or "clip".
        graph: neighbourhoods for maps (B, p) of features; made by `rightreasons.priors.feature_graph`.
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        (B,), in [-1, 1]; NaN where a map of means is constant.

    Raises:
        InputError: bad window or border; non-finite maps.
        ShapeError: maps of different shape, more than 3 dimensions of space, or not the nodes of the graph.

    Example:
        >>> import torch
        >>> a = torch.tensor([[0.0, 0.0, 9.0, 1.0, 0.0, 2.0, 0.0]])
        >>> spearman(a, a.roll(1, 1)).round(decimals=2), lens_spearman(a, a.roll(1, 1)).round(decimals=2)
        (tensor([-0.2000]), tensor([0.5600]))
    """
    return _compared(_spearman, *_means("lens_spearman", a, b, window, border, graph, reduce))


@checked
def kendall(
    a: Shaped[Tensor, "B *F"], b: Shaped[Tensor, "B *F"], *, reduce: Reduce = channel_sum
) -> Float[Tensor, "B"]:
    """Kendall's tau-b over all positions of two maps, corrected for ties [kendall1945].

    (concordant - discordant pairs) / sqrt(pairs untied in a * pairs untied in b)

    Cost: scipy's O(n log n) algorithm, row by row on the CPU, about 20 ms for 227 x 227 pixels; maps are copied there.

    Args:
        a: maps (B, *F).
        b: maps (B, *F).
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        (B,), in [-1, 1]; NaN where a map is constant.

    Raises:
        MissingExtraError: scipy is not installed.
        InputError: non-finite maps.
        ShapeError: maps of different shape, or without positions.

    Example:
        >>> import torch
        >>> kendall(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 3.0, 2.0]]))
        tensor([0.3333])
    """
    return _compared(_kendall, *checked_pair(a, b, "kendall", reduce))


@checked
def lens_kendall(
    a: Shaped[Tensor, "B *F"],
    b: Shaped[Tensor, "B *F"],
    window: int = 1,
    *,
    border: Border = "zero",
    graph: FeatureGraph | None = None,
    reduce: Reduce = channel_sum,
) -> Float[Tensor, "B"]:
    """Kendall's tau-b of the window means of two maps: w-LENS-Kendall [kamath2024].

    abar_i = mean of a over the window of radius w around i; then `kendall(abar, bbar)`. Border rules and windows over
    graphs as in `lens_spearman`.

    Cost: O(B n d w), then that of `kendall`.

    Args:
        a: maps (B, *F).
        b: maps (B, *F).
        window: radius w in positions, or edges of the graph; 0 is `kendall`.
        border: "zero" or "clip".
        graph: neighbourhoods for maps (B, p) of features; made by `rightreasons.priors.feature_graph`.
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        (B,), in [-1, 1]; NaN where a map of means is constant.

    Raises:
        MissingExtraError: scipy is not installed.
        InputError: bad window or border; non-finite maps.
        ShapeError: maps of different shape, more than 3 dimensions of space, or not the nodes of the graph.

    Example:
        >>> import torch
        >>> a = torch.tensor([[0.0, 0.0, 9.0, 1.0, 0.0, 2.0, 0.0]])
        >>> kendall(a, a.roll(1, 1)).round(decimals=2), lens_kendall(a, a.roll(1, 1)).round(decimals=2)
        (tensor([-0.1300]), tensor([0.4700]))
    """
    return _compared(_kendall, *_means("lens_kendall", a, b, window, border, graph, reduce))


def _means(
    metric: str,
    a: Tensor,
    b: Tensor,
    window: int,
    border: Border,
    graph: FeatureGraph | None,
    reduce: Reduce,
) -> tuple[Float[Tensor, "B *S"], Float[Tensor, "B *S"]]:
    checked_window(window, metric)
    checked_border(border, metric)
    a, b = checked_pair(a, b, metric, reduce)
    checked_space(a, metric, graph)
    a, b = in_unit_range(a.detach()), in_unit_range(b.detach())
    return window_mean(a, window, border, graph), window_mean(b, window, border, graph)


def _compared(
    statistic: Callable[[Tensor, Tensor], Tensor], a: Float[Tensor, "B *S"], b: Float[Tensor, "B *S"]
) -> Float[Tensor, "B"]:
    """The statistic of each pair of rows (B, n); NaN where a row is constant."""
    a, b = a.detach().flatten(1), b.detach().flatten(1)
    return nan_unless(varies(a) & varies(b), statistic(a, b))


def _spearman(a: Float[Tensor, "B n"], b: Float[Tensor, "B n"]) -> Float[Tensor, "B"]:
    ranks_a, ranks_b = centred_ranks(a), centred_ranks(b)
    # One root of the product: equal maps give exactly 1.
    spread_B = (ranks_a.square().sum(1) * ranks_b.square().sum(1)).sqrt()
    return ((ranks_a * ranks_b).sum(1) / spread_B).clamp(-1, 1)


def centred_ranks(values: Float[Tensor, "B n"]) -> Float[Tensor, "B n"]:
    """Ranks over n, less their mean, equal values sharing the mean of theirs."""
    ordered, order = values.sort(1)
    run = torch.zeros_like(order)  # which run of equal values a place belongs to
    run[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).cumsum(1)
    length = torch.zeros_like(order).scatter_add_(1, run, torch.ones_like(order))
    # Twice the mean place of a run, counted from the middle of all: whole numbers, so nothing is rounded.
    places = 2 * length.cumsum(1) - length - values.shape[1]
    return torch.zeros_like(values).scatter_(1, order, places.gather(1, run).to(values) / values.shape[1])


def _kendall(a: Float[Tensor, "B n"], b: Float[Tensor, "B n"]) -> Float[Tensor, "B"]:
    try:
        from scipy.stats import kendalltau
    except ImportError as error:
        raise MissingExtraError("kendall needs scipy: pip install 'rightreasons[train]'") from error
    if a.shape[1] == 1:  # no pair to compare, of which scipy would warn
        return torch.full_like(a[:, 0], torch.nan)
    taus = [kendalltau(*rows)[0] for rows in zip(a.cpu().numpy(), b.cpu().numpy(), strict=True)]
    return torch.tensor(taus, dtype=a.dtype, device=a.device)

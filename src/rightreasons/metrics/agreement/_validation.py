"""Validation of maps, and their reduction to one value per position.

Legend: B rows, S shape of the space (1, 2 or 3 dimensions), n positions, k selected positions.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._graph import FeatureGraph

Reduce: TypeAlias = Callable[[Tensor], Tensor] | None
_WITH_CHANNELS = (4, 5)
_GLANCE = 256


@checked
def channel_sum(maps: Shaped[Tensor, "B *F"]) -> Shaped[Tensor, "B *S"]:
    """The sum over channels of absolute values: one value for each pixel, as published [ghorbani2019], [kamath2024].

    a_bs = sum_c |maps_bcs|

    for images (B, C, H, W) and volumes (B, C, D, H, W). Maps without channels, (B, n) and (B, H, W), are returned as
    they are, sign included: there, `reduce=torch.abs` compares magnitudes. Other reductions are passed to the
    metrics the same way: `reduce=lambda maps: maps.sum(1)` for the signed sum, `reduce=None` for maps that are all
    space, such as volumes (B, D, H, W), `reduce=lambda maps: maps.abs().sum(-1)` for sequences (B, T, C).

    Cost: one pass over the maps.

    Args:
        maps: (B, n), (B, H, W), (B, C, H, W) or (B, C, D, H, W).

    Returns:
        (B, n), (B, H, W) or (B, D, H, W).

    Raises:
        ShapeError: another number of dimensions.

    Example:
        >>> import torch
        >>> channel_sum(torch.tensor([[[[1.0, 0.0]], [[-2.0, 3.0]]]]))
        tensor([[[3., 3.]]])
    """
    if not 2 <= maps.ndim <= max(_WITH_CHANNELS):
        raise ShapeError(
            "channel_sum takes maps (B, n), (B, H, W), (B, C, H, W) or (B, C, D, H, W); got "
            f"{tuple(maps.shape)}. Pass reduce= with a function that returns (B, *space)."
        )
    return maps.abs().sum(1) if maps.ndim in _WITH_CHANNELS else maps


def checked_maps(maps: Shaped[Tensor, "..."], metric: str, reduce: Reduce) -> Float[Tensor, "B *S"]:
    """One value for each position, half precision raised to float32; an error unless finite with 1 to 3 dimensions."""
    if not isinstance(maps, Tensor) or not maps.is_floating_point():
        got = f"dtype {maps.dtype}" if isinstance(maps, Tensor) else type(maps).__name__
        raise InputError(f"{metric} takes floating-point tensors of maps; got {got}. Pass maps.float().")
    if maps.ndim < 2 or maps.numel() == 0:
        raise ShapeError(
            f"{metric} takes maps (B, ...) with at least one row and one position; got {tuple(maps.shape)}. A single "
            "map needs a batch dimension: maps[None]."
        )
    _refuse_non_finite(maps, metric)
    maps = maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps
    return maps if reduce is None else _reduced(maps, metric, reduce)


def _refuse_non_finite(maps: Tensor, metric: str, after: str = "") -> None:
    maps = maps.detach()
    # The sum is finite only if every entry is; the entries are looked at one by one only if it is not.
    if torch.isfinite(maps.sum()):
        return
    bad_B = (~torch.isfinite(maps)).flatten(1).any(1)
    if bad_B.any():
        raise InputError(
            f"{metric} got maps with NaN or infinite entries{after} in {int(bad_B.sum())} of {len(maps)} rows, "
            f"first in row {int(bad_B.nonzero()[0])}; they have no order. Look for NaN in the inputs, a diverged "
            "model, or an overflow in half precision, or leave those rows out and count them."
        )


def _reduced(maps: Tensor, metric: str, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    reduced = reduce(maps)
    if not isinstance(reduced, Tensor) or reduced.ndim < 2 or len(reduced) != len(maps):
        got = tuple(reduced.shape) if isinstance(reduced, Tensor) else type(reduced).__name__
        raise ShapeError(
            f"{metric}: reduce= must return one value for each position, (B, *space) with B = {len(maps)}; got {got}."
        )
    if not reduced.is_floating_point():
        raise InputError(
            f"{metric}: reduce= must return floating-point values; got {reduced.dtype}. Add .float()."
        )
    if reduced is not maps:
        _refuse_non_finite(reduced, metric, " after reduce=")
    return reduced


def checked_space(maps: Shaped[Tensor, "..."], metric: str, graph: FeatureGraph | None = None) -> None:
    """Raise unless windows make sense: 1 to 3 dimensions, or the nodes of the graph."""
    if graph is not None:
        if not isinstance(graph, FeatureGraph):
            raise InputError(
                f"{metric}: graph= is made by rightreasons.priors.feature_graph(adjacency); got {type(graph).__name__}."
            )
        if maps.ndim != 2 or maps.shape[1] != graph.nodes:
            raise ShapeError(
                f"{metric}: windows over a graph of {graph.nodes} nodes need maps (B, {graph.nodes}); got "
                f"{tuple(maps.shape)} after channels are reduced."
            )
    elif maps.ndim > 4:
        raise ShapeError(
            f"{metric} takes maps over 1, 2 or 3 dimensions; got {tuple(maps.shape)} after channels are reduced. "
            "Reduce channels with reduce=, or flatten the space: maps.flatten(1)."
        )


def checked_pair(
    a: Shaped[Tensor, "..."], b: Shaped[Tensor, "..."], metric: str, reduce: Reduce
) -> tuple[Float[Tensor, "B *S"], Float[Tensor, "B *S"]]:
    """Both maps, checked and reduced; an error unless they have one shape."""
    if isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape != b.shape:
        raise ShapeError(
            f"{metric} compares maps of one shape, row by row; got {tuple(a.shape)} and {tuple(b.shape)}. Resize one "
            "of them before, e.g. with torch.nn.functional.interpolate, and say so: it smooths."
        )
    a, b = checked_maps(a, metric, reduce), checked_maps(b, metric, reduce)
    return (a, b) if a.dtype == b.dtype else (a.double(), b.double())


def checked_count(k: int | float, positions: int, metric: str) -> int:
    """How many positions `k` asks for: a count, or a fraction of the positions to the nearest count, at least 1."""
    if isinstance(k, bool) or not isinstance(k, int | float):
        raise InputError(
            f"{metric}: k must be a count (int) or a fraction of the positions (float in (0, 1)); got {k!r}."
        )
    if isinstance(k, float):
        if not 0 < k < 1:
            raise InputError(
                f"{metric}: a fraction k must lie strictly between 0 and 1; got {k!r}. A count is an int, e.g. k=100."
            )
        return max(1, round(k * positions))
    if not 1 <= k <= positions:
        raise InputError(
            f"{metric}: k must lie between 1 and the {positions} positions of a map; got {k}. Maps of different sizes "
            "are compared at the same fraction, e.g. k=0.02."
        )
    return k


def checked_window(window: int, metric: str, name: str = "window") -> int:
    """A window radius in positions (or steps of a graph), at least 0."""
    if isinstance(window, bool) or not isinstance(window, int) or window < 0:
        raise InputError(
            f"{metric}: {name} is a radius in positions, an int of at least 0 (1 is 3x3 pixels, 2 is 5x5); got "
            f"{window!r}."
        )
    return window


def varies(maps: Float[Tensor, "B *S"]) -> Bool[Tensor, "B"]:
    """Whether a row has two different values. One that has not, all zero above all, ranks no position above another."""
    rows_Bn = maps.detach().flatten(1)
    if rows_Bn.device.type != "cpu":
        return (rows_Bn != rows_Bn[:, :1]).any(1)
    rows = rows_Bn.numpy()  # several times faster there than in torch
    # A few positions tell of nearly every map; only of the others all are looked at.
    found = (rows[:, :: max(1, rows.shape[1] // _GLANCE)] != rows[:, :1]).any(1)
    (left,) = np.nonzero(~found)
    found[left] = (rows[left] != rows[left, :1]).any(1)
    return torch.from_numpy(found)


def in_unit_range(maps: Float[Tensor, "B *S"]) -> Float[Tensor, "B *S"]:
    """Each row times a power of two, exactly, so that its largest magnitude lies in [1/2, 1) and no sum overflows."""
    largest_B = maps.detach().flatten(1).abs().amax(1)
    exponent_B = torch.frexp(largest_B).exponent.clamp(min=-100)  # 2^100 and more could itself overflow
    return torch.ldexp(maps, -exponent_B.reshape(-1, *(1,) * (maps.ndim - 1)))


def marks(mask: Bool[Tensor, "B n"]) -> Int64[Tensor, "B"]:
    """How many positions of each row are marked; on the CPU numpy counts many times faster than torch adds up."""
    if mask.device.type != "cpu":
        return mask.sum(1)
    return torch.tensor([np.count_nonzero(row) for row in mask.numpy()])


def nan_unless(valid: Bool[Tensor, "B"], values: Float[Tensor, "B"]) -> Float[Tensor, "B"]:
    """The values, NaN where they are not defined."""
    return values.masked_fill(~valid, torch.nan)

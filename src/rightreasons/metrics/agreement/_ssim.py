"""Structural similarity (SSIM) of maps.

Legend: B rows, S shape of the space, m moments.
"""

from math import inf

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
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

_K1, _K2 = 0.01, 0.03


@checked
def ssim(
    a: Shaped[Tensor, "B *F"],
    b: Shaped[Tensor, "B *F"],
    *,
    window: int = 5,
    sigma: float = 1.5,
    data_range: float | None = None,
    reduce: Reduce = channel_sum,
) -> Float[Tensor, "B"]:
    """Structural similarity: means, variances and covariance in Gaussian windows, averaged over positions [wang2004].

    (2 m_a m_b + c1) (2 v_ab + c2) / ((m_a^2 + m_b^2 + c1) (v_a + v_b + c2)), c1 = (.01 L)^2, c2 = (.03 L)^2,

    averaged over the windows that lie inside the map. By default each map is first brought to [0, 1] by its own minimum
    and maximum, L = 1, as in the randomisation tests of [adebayo2018]; so scale and offset do not matter.

    Cost: O(B n d w). Differentiable.

    Args:
        a: maps (B, *F).
        b: maps (B, *F).
        window: radius in positions; 5 is the published 11 x 11.
        sigma: width of the Gaussian in positions.
        data_range: None as above; a number L > 0 compares the maps as they are.
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        (B,), at most 1; without `data_range` NaN where a map is constant.

    Raises:
        InputError: bad window; sigma or data_range that is not positive; non-finite maps.
        ShapeError: maps of different shape, more than 3 dimensions of space, or smaller than a window.

    Example:
        >>> import torch
        >>> a = torch.arange(144.0).reshape(1, 12, 12)
        >>> ssim(a, 2 * a), ssim(a, -a) < 0
        (tensor([1.]), tensor([True]))
    """
    checked_window(window, "ssim")
    for name, value in (("sigma", sigma), ("data_range", data_range)):
        if value is not None and not 0 < value < inf:
            raise InputError(f"ssim: {name} must be positive and finite; got {value!r}.")
    a, b = checked_pair(a, b, "ssim", reduce)
    checked_space(a, "ssim")
    if min(a.shape[1:]) < 2 * window + 1:
        raise ShapeError(
            f"ssim with window={window} needs at least {2 * window + 1} positions along every axis; got "
            f"{tuple(a.shape[1:])}. Pass window={(min(a.shape[1:]) - 1) // 2} or less."
        )
    if data_range is not None:
        return _similarity(a / data_range, b / data_range, window, sigma)
    return nan_unless(varies(a) & varies(b), _similarity(_unit_range(a), _unit_range(b), window, sigma))


def _unit_range(maps: Float[Tensor, "B *S"]) -> Float[Tensor, "B *S"]:
    space, maps = tuple(range(1, maps.ndim)), in_unit_range(maps)
    low = maps.amin(space, keepdim=True)
    return (maps - low) / (maps.amax(space, keepdim=True) - low)


def _similarity(a: Tensor, b: Tensor, window: int, sigma: float) -> Float[Tensor, "B"]:
    """In units of the range L."""
    c1, c2 = _K1**2, _K2**2
    # Variances are of maps around their own level: far from 0, differences of squares would be rounding.
    space = tuple(range(1, a.ndim))
    level_a, level_b = (maps.detach().mean(space, keepdim=True) for maps in (a, b))
    a, b = a - level_a, b - level_b
    mean_a, mean_b, square_a, square_b, both = _gaussian(
        torch.stack([a, b, a * a, b * b, a * b]), window, sigma
    )
    spread = (square_a - mean_a**2) + (square_b - mean_b**2)
    structure = (2 * (both - mean_a * mean_b) + c2) / (spread + c2)
    mean_a, mean_b = mean_a + level_a, mean_b + level_b
    means = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (means * structure).flatten(1).mean(1)


def _gaussian(values: Float[Tensor, "m B *S"], window: int, sigma: float) -> Float[Tensor, "m B *T"]:
    """Gaussian means over the windows inside the space, axis by axis."""
    offsets = torch.arange(-window, window + 1, dtype=torch.float64)
    weights = (-0.5 * (offsets / sigma).square()).exp()
    weights = (weights / weights.sum()).tolist()
    for axis in range(2, values.ndim):
        inside = values.shape[axis] - 2 * window
        total = weights[0] * values.narrow(axis, 0, inside)
        for at, weight in enumerate(weights[1:], start=1):
            total = total + weight * values.narrow(axis, at, inside)
        values = total
    return values

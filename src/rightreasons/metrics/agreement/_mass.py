"""Centre of mass of a map, and its shift.

Legend: B rows, S shape of the space, d its dimensions.
"""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.metrics.agreement._validation import Reduce, channel_sum, checked_maps, checked_pair


@checked
def mass_centre(maps: Shaped[Tensor, "B *F"], *, reduce: Reduce = channel_sum) -> Float[Tensor, "B d"]:
    """The centre of mass of each map, in positions from the first one [ghorbani2019].

    C_b = sum_s |a_bs| s / sum_s |a_bs|, s = (row, column) for images.

    The published code cuts the clean map's centre to whole pixels; this does not. Differentiable.

    Cost: O(B n).

    Args:
        maps: maps (B, *F).
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        (B, d), d the dimensions of the space; NaN where a map is all zero.

    Raises:
        InputError: non-finite maps.
        ShapeError: maps without positions.

    Example:
        >>> import torch
        >>> mass_centre(torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, 3.0]]]))
        tensor([[0.7500, 2.0000]])
    """
    return _centre(checked_maps(maps, "mass_centre", reduce))


@checked
def mass_centre_shift(
    a: Shaped[Tensor, "B *F"], b: Shaped[Tensor, "B *F"], *, reduce: Reduce = channel_sum
) -> Float[Tensor, "B"]:
    """The Euclidean distance between two maps' centres of mass, in positions (pixels) [ghorbani2019].

    |C(a) - C(b)|, see `mass_centre`. The one metric here that is 0 for equal maps. Its gradient at equal centres is 0.

    Cost: O(B n).

    Args:
        a: maps (B, *F).
        b: maps (B, *F).
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        (B,), at least 0; NaN where a map is all zero.

    Raises:
        InputError: non-finite maps.
        ShapeError: maps of different shape, or without positions.

    Example:
        >>> import torch
        >>> corner = torch.zeros(1, 5, 5).index_put((torch.tensor(0),) * 3, torch.tensor(1.0))
        >>> mass_centre_shift(corner, corner.roll((3, 4), (1, 2)))
        tensor([5.])
    """
    a, b = checked_pair(a, b, "mass_centre_shift", reduce)
    return torch.linalg.vector_norm(_centre(a) - _centre(b), dim=1)


def _centre(maps: Float[Tensor, "B *S"]) -> Float[Tensor, "B d"]:
    largest = maps.detach().abs().flatten(1).amax(1)  # scaled by it, tiny maps keep their centre
    mass = maps.abs() / largest.reshape(-1, *[1] * (maps.ndim - 1))
    total_B = mass.flatten(1).sum(1)
    centres = []
    for axis in range(1, maps.ndim):
        along = mass.sum([other for other in range(1, maps.ndim) if other != axis]) if maps.ndim > 2 else mass
        place = torch.arange(maps.shape[axis], dtype=maps.dtype, device=maps.device)
        centres.append(along @ place / total_B)
    return torch.stack(centres, 1)

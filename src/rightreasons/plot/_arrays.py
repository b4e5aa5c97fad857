"""Validation of the arrays that figures are drawn from."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._suggest import names_in


def array(values: Tensor, what: str, dimensions: tuple[int, ...]) -> np.ndarray:
    """Float64 numbers of a tensor or array.

    Raises:
        InputError: neither, or not finite.
        ShapeError: another number of dimensions.
    """
    if not isinstance(values, Tensor | np.ndarray):
        raise InputError(f"{what} must be a tensor; got {type(values).__name__}.")
    found = (
        values.detach().cpu().double().numpy() if isinstance(values, Tensor) else values.astype(np.float64)
    )
    if found.ndim not in dimensions:
        expected = " or ".join(map(str, dimensions))
        raise ShapeError(f"{what} must have {expected} dimensions; got shape {tuple(found.shape)}.")
    if found.size == 0:
        raise InputError(f"{what} of shape {tuple(found.shape)} hold nothing to draw.")
    if not np.isfinite(found).all():
        raise InputError(
            f"{what} hold {int((~np.isfinite(found)).sum())} values that are NaN or infinite, which have no colour. "
            "Look at the model's outputs first."
        )
    return found


def names_of(names: Sequence[str], count: int, what: str) -> list[str]:
    """The names, one for each of `count`.

    Raises: ShapeError if there are more or fewer.
    """
    if isinstance(names, str):
        names = names_in(what, names)
    if len(names) != count:
        raise ShapeError(f"{len(names)} {what} for {count} to be named: pass one for each.")
    return [str(name) for name in names]

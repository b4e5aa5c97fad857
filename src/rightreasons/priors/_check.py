"""Validation and helpers shared by the priors.

Legend: B rows, F shape of one map, p features of a flattened map.
"""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._distributed import batch_mean
from rightreasons.core._errors import InputError, ShapeError

Level: TypeAlias = Literal["sample", "global"]


class NoBilinearForm(InputError, AttributeError):
    """The prior, as configured, is not quadratic in signed maps; an `AttributeError`, so that `hasattr` says no."""


def checked_maps(maps: Shaped[Tensor, "..."], prior: object) -> Float[Tensor, "B *F"]:
    """The maps, half precision raised to float32; an error unless they are finite, floating and have rows and features.

    The check costs one sum: it is finite only if every entry is.
    """
    name = type(prior).__name__
    if not isinstance(maps, Tensor):
        raise InputError(
            f"{name} takes one tensor of maps; got {type(maps).__name__}. With several inputs say which one is "
            "penalised, e.g. prior(maps[0])."
        )
    if not maps.is_floating_point():
        raise InputError(f"{name} takes floating-point maps; got dtype {maps.dtype}. Pass maps.float().")
    if maps.ndim < 2 or maps.numel() == 0:
        raise ShapeError(
            f"{name} takes maps of shape (B, *F) with at least one row and one feature; got {tuple(maps.shape)}. "
            "The map of a single sample needs a batch dimension: maps[None]."
        )
    if not torch.isfinite(maps.detach().sum()):
        _refuse_non_finite(maps.detach(), name)
    return maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps


def _refuse_non_finite(maps: Tensor, name: str) -> None:
    """Raise if an entry, not merely the sum, is NaN or infinite."""
    bad = ~torch.isfinite(maps)
    if bad.any():
        rows = bad.flatten(1).any(1)
        raise InputError(
            f"{name} got maps with {int(bad.sum())} NaN or infinite entries in {int(rows.sum())} of {len(rows)} rows, "
            f"first in row {int(rows.nonzero()[0])}; their penalty would make every parameter NaN. Look for NaN in the "
            "inputs or references, a diverged model, or an overflow in half precision."
        )


def checked_guidance(guidance: Tensor | None, maps: Tensor, prior: object, fix: str) -> Tensor:
    """The guidance on the device of the maps; an error unless it is a tensor that broadcasts to them."""
    name = type(prior).__name__
    if guidance is None:
        raise InputError(f"{name} needs guidance for each sample and got none. {fix}")
    if not isinstance(guidance, Tensor):
        raise InputError(f"{name} takes guidance as a tensor; got {type(guidance).__name__}.")
    if not broadcasts(guidance.shape, maps.shape):
        raise ShapeError(
            f"{name} takes guidance of the shape of the maps {tuple(maps.shape)}, 1 where it is shared; got "
            f"{tuple(guidance.shape)}. {fix}"
        )
    return guidance.to(maps.device)


def broadcasts(shape: torch.Size, to: torch.Size) -> bool:
    """Whether a tensor of `shape` has as many dimensions as `to`, each equal or 1."""
    return len(shape) == len(to) and all(size in (1, wanted) for size, wanted in zip(shape, to, strict=True))


def magnitudes(maps: Float[Tensor, "B *F"], level: Level) -> Float[Tensor, "rows p"]:
    """What is penalised: |phi_b| of each row (sample), or the one row phibar = mean_b |phi_b| (global)."""
    sizes = maps.flatten(1).abs()
    return sizes if level == "sample" else batch_mean(sizes)[None]


def unit_scaled(rows: Float[Tensor, "*rows p"]) -> Float[Tensor, "*rows p"]:
    """Each row divided by its largest absolute value, which is held constant.

    For a penalty with f(c phi) = f(phi) this changes neither value nor gradient, and it keeps squares from under-
    and overflowing. A row whose largest value is below the smallest normal number (1e-38 in float32), where the
    gradient would overflow, counts as all zero: it becomes 0 with gradient 0.
    """
    largest = rows.detach().abs().amax(-1, keepdim=True)
    negligible = largest < torch.finfo(rows.dtype).tiny
    return rows / largest.masked_fill(negligible, torch.inf)

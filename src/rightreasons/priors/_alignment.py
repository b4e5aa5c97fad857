"""Alignment prior: agreement with a human's map."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors._check import checked_guidance, checked_maps, unit_scaled

_FIX = (
    "Pass a human map for each sample as guidance, e.g. (B, 1, H, W) for images; a row without one is all NaN or all "
    "zero."
)


@checked
@dataclass(frozen=True)
class Alignment:
    """Cosine distance between each map and a human's map of what matters, given as guidance.

    Omega = (1/B) sum_{b with a human map} (1 - cos(|phi_b|, h_b)),  cos(u, v) = u'v / (||u|| ||v||).

    Scale-free in both maps: only *where* the attribution lies counts. 0 when they are proportional, 1 when they do not
    overlap (at most 2 with signs). Where the guidance has size 1, |phi| is summed over that dimension, so one heat map
    serves all colour channels.

    A row whose guidance is all NaN or all zero has no human map: it contributes 0 but is counted in B, so the penalty
    is a mean over rows whatever subset of rows it is computed on. With few annotated rows, raise the weight by
    B / annotated. An all-zero attribution has distance 1 and gradient 0.

    Bias: with k draws of expected gradients for each row, |phi| is noisy and its cosine with any fixed map usually
    smaller: at k = 1 the penalty of a perfectly aligned exact map is well above 0.

    Cost: O(B p).

    Args:
        signed: compare phi and h with their signs instead of magnitudes; human maps may then be negative.

    Raises:
        InputError: guidance missing, not a real tensor, infinite or partly NaN in a row, or negative with
            signed=False; maps that are not a finite floating-point tensor.
        ShapeError: guidance that does not broadcast to the maps, or has a single value for a whole map.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[3.0, -4.0], [1.0, 0.0]])
        >>> Alignment()(maps, guidance=torch.tensor([[0.0, 1.0], [torch.nan, torch.nan]]))
        tensor(0.1000)
    """

    signed: bool = False

    coupled: ClassVar[bool] = False

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *F) against human maps `guidance` (B, *F), 1 where shared."""
        maps = checked_maps(maps, self)
        human = checked_guidance(guidance, maps, self, _FIX)
        if human[0].numel() == 1 and maps[0].numel() > 1:
            raise ShapeError(
                f"Alignment compares where maps lie, so guidance must vary within a map; got {tuple(human.shape)} for "
                f"maps {tuple(maps.shape)}. {_FIX}"
            )
        human, known_B = self._known(human)
        shared = [d for d in range(1, maps.ndim) if human.shape[d] == 1 and maps.shape[d] > 1]
        sizes = maps if self.signed else maps.abs()
        # A mean in place of the sum: the same direction, and it does not overflow.
        count = prod(maps.shape[d] for d in shared)
        reduced = (sizes / count).sum(shared, keepdim=True) if shared else sizes
        cosine_B = (_unit(reduced.flatten(1)) * _unit(human.to(maps).flatten(1))).sum(1)
        return torch.where(known_B, 1 - cosine_B, 0.0).mean()

    def _known(self, human: Tensor) -> tuple[Tensor, Bool[Tensor, "B"]]:
        """Human maps with missing rows set to zero, and which rows have one."""
        if human.is_complex() or human.isinf().any():
            raise InputError(
                f"Alignment takes finite real human maps; got infinite entries or dtype {human.dtype}."
            )
        flat = human.flatten(1)
        nan_B, missing_B = flat.isnan().any(1), flat.isnan().all(1)
        if (nan_B & ~missing_B).any():
            raise InputError(
                "a human map is known or missing as a whole: a row of guidance may be all NaN, not partly; row "
                f"{int((nan_B & ~missing_B).nonzero()[0])} is. Fill it, e.g. guidance.nan_to_num(0)."
            )
        if not self.signed and (flat < 0).any():
            raise InputError(
                f"human maps must be non-negative; got values down to {float(flat.nan_to_num().min()):.3g}. They say "
                "where, not which sign: undo a standardisation, or use Alignment(signed=True)."
            )
        human = human.nan_to_num(0.0)
        return human, (human.flatten(1) != 0).any(1)


def _unit(rows: Float[Tensor, "B p"]) -> Float[Tensor, "B p"]:
    """Rows of length one; zero rows stay zero, with gradient 0."""
    scaled = unit_scaled(rows)
    return scaled / scaled.square().sum(1, keepdim=True).clamp(min=1).sqrt()  # below 1 only in a row of zeros

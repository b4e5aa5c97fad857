"""Mask prior (right for the right reasons): no attribution where the mask says irrelevant."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors._check import broadcasts, checked_guidance, checked_maps

_FIX = (
    "Pass a mask for each sample as guidance, 1 where the feature should be irrelevant (an all-zero row penalises "
    "nothing), or one mask for all samples as Mask(mask=...)."
)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Mask:
    """Squared attribution where a mask says the model must not look [ross2017].

    Omega = mean_b sum_i (A_bi phi_bi)^2,  A = 1 where a feature should be irrelevant, 0 where it is free.

    Published for phi = gradient of sum_c log p_c, `Gradient(output="sum_log_probability")`, and summed over the rows,
    i.e. B times this. Not scale-free, and meant not to be: masked attributions should become zero, not relatively
    small.

    Bias: with k draws of expected gradients for each row the square adds the variance of the draws,
    sum_i A_i^2 Var(phi_ki); `bilinear` of two independent draws does not.

    Cost: O(B p).

    Args:
        mask: one mask for all samples, of the shape of one map (*F), 1 where it is shared (e.g. over channels); bool,
            integer or real weights. None: `guidance` brings a mask for each sample, (B, *F), 1 where shared.
            A given mask is the whole belief; guidance is then not used.

    Raises:
        InputError: a mask that is not a finite tensor or selects nothing; no mask at all; maps that are not a finite
            floating-point tensor.
        ShapeError: a mask that does not fit the maps.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[3.0, 1.0], [-2.0, 5.0]])
        >>> Mask(mask=torch.tensor([1, 0]))(maps)
        tensor(6.5000)
        >>> Mask()(maps, guidance=torch.tensor([[False, True], [False, False]]))
        tensor(0.5000)
    """

    mask: Shaped[Tensor, "..."] | None = None

    coupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.mask is None:
            return
        if not isinstance(self.mask, Tensor):
            raise InputError(
                f"Mask takes the mask as a tensor; got {type(self.mask).__name__}. Use torch.as_tensor(mask)."
            )
        _check_values(self.mask)
        if not self.mask.any():
            raise InputError(
                "Mask(mask=...) selects no feature, so the penalty would always be 0. The mask is 1 where a feature "
                "should be irrelevant; was it inverted?"
            )

    def __repr__(self) -> str:
        if self.mask is None:
            return "Mask(mask=None)"
        return f"Mask(mask=<{tuple(self.mask.shape)}, {int(self.mask.count_nonzero())} nonzero>)"

    def bilinear(
        self,
        a: Shaped[Tensor, "B *F"],
        b: Shaped[Tensor, "B *F"],
        guidance: Shaped[Tensor, "..."] | None = None,
    ) -> Float[Tensor, ""]:
        """mean_b sum_i A_bi^2 a_bi b_bi for two independent draws of the maps.

        Its mean over draws is the penalty of the expected maps; a single value may be negative.
        """
        a, b = checked_maps(a, self), checked_maps(b, self)
        weights = self._weights(a, guidance)
        return ((weights * a) * (weights * b)).flatten(1).sum(1).mean()

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *F); `guidance` (B, *F), 1 where shared, is the mask unless the field is."""
        maps = checked_maps(maps, self)
        return (self._weights(maps, guidance) * maps).square().flatten(1).sum(1).mean()

    def _weights(self, maps: Tensor, guidance: Tensor | None) -> Tensor:
        """The mask, broadcastable to the maps and of their dtype."""
        if self.mask is None:
            mask = checked_guidance(guidance, maps, self, _FIX)
            _check_values(mask)
            return mask.to(maps)
        if not broadcasts(self.mask.shape, maps.shape[1:]):
            raise ShapeError(
                f"Mask needs a mask of the shape of one map, {tuple(maps.shape[1:])}, 1 where it is shared; got "
                f"{tuple(self.mask.shape)}. A mask for each sample is passed as guidance to Mask()."
            )
        return self.mask[None].to(maps)


def _check_values(mask: Tensor) -> None:
    if mask.is_complex() or not torch.isfinite(mask).all():
        raise InputError(
            f"a mask holds finite numbers, 1 where a feature should be irrelevant; got dtype {mask.dtype} with "
            f"{int((~torch.isfinite(mask)).sum())} NaN or infinite entries. Mark a sample without belief by zeros."
        )

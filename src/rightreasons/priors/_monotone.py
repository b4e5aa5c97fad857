"""Monotonicity prior: which features should raise, and which lower, the output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors._check import broadcasts, checked_guidance, checked_maps

_FIX = (
    "Pass a sign for each feature of each sample as guidance, +1, -1 or 0 where nothing is believed, or one set "
    "for all samples as "
    "Monotone(signs=...)."
)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Monotone:
    """Attribution of the wrong sign: features that should raise, or lower, what is explained [sill1996].

    Omega = mean_b sum_i max(0, -s_i phi_bi),  s_i = +1 (raises), -1 (lowers) or 0 (no belief).

    With `Gradient()` the maps are slopes, and a model with penalty 0 is monotone at the rows where it was evaluated.
    With `ExpectedGradients` or `InputTimesGradient` a map is a contribution, whose sign is that of slope times
    deviation: then believe in signs of contributions, such as "a good word speaks for a good review". Other sizes of
    s_i weigh features. Not scale-free, and meant not to be: maps of the right sign are not touched.

    Bias: with k draws of expected gradients for each row, E max(0, -s phi_k) >= max(0, -s E phi_k): noise around a
    small contribution of the right sign is penalised.

    Cost: O(B p).

    Args:
        signs: of the shape of one map (*F), 1 where shared; a tensor or a sequence. None: `guidance` brings signs for
            each sample, (B, *F), 1 where shared. Given signs are the whole belief; guidance is then not used.

    Raises:
        InputError: signs that are not finite numbers or all zero; no signs at all; maps that are not a finite
            floating-point tensor.
        ShapeError: signs that do not fit the maps.

    Example:
        >>> import torch
        >>> maps = torch.tensor([[-3.0, 1.0, 9.0], [2.0, 5.0, -9.0]])
        >>> Monotone(signs=[1, -1, 0])(maps)
        tensor(4.5000)
    """

    signs: Shaped[Tensor, "..."] | Sequence[float | int] | None = None

    coupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.signs is None:
            return
        try:
            signs = torch.as_tensor(self.signs)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"Monotone takes signs as numbers, +1, -1 or 0; got {self.signs!r}.") from error
        _check_values(signs)
        if not signs.any():
            raise InputError(
                "Monotone(signs=...) believes nothing: all signs are 0, so the penalty would always be 0."
            )
        object.__setattr__(self, "signs", signs)

    def __repr__(self) -> str:
        if not isinstance(self.signs, Tensor):
            return "Monotone(signs=None)"
        up, down = int((self.signs > 0).sum()), int((self.signs < 0).sum())
        return f"Monotone(signs=<{tuple(self.signs.shape)}, {up} up, {down} down>)"

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *F); `guidance` (B, *F), 1 where shared, holds the signs unless the field does."""
        maps = checked_maps(maps, self)
        return (-self._signs(maps, guidance) * maps).relu().flatten(1).sum(1).mean()

    def _signs(self, maps: Tensor, guidance: Tensor | None) -> Tensor:
        """The signs, broadcastable to the maps and of their dtype."""
        if not isinstance(self.signs, Tensor):
            signs = checked_guidance(guidance, maps, self, _FIX)
            _check_values(signs)
            return signs.to(maps)
        if not broadcasts(self.signs.shape, maps.shape[1:]):
            raise ShapeError(
                f"Monotone needs signs of the shape of one map, {tuple(maps.shape[1:])}, 1 where shared; got "
                f"{tuple(self.signs.shape)}. Signs for each sample are passed as guidance to Monotone()."
            )
        return self.signs[None].to(maps)


def _check_values(signs: Tensor) -> None:
    if signs.is_complex() or signs.dtype == torch.bool or not torch.isfinite(signs).all():
        raise InputError(
            f"signs are finite numbers, +1, -1 or 0; got dtype {signs.dtype} with "
            f"{int((~torch.isfinite(signs)).sum())} NaN or infinite entries. Mark a feature without belief by 0."
        )

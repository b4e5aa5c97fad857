"""Total variation prior: neighbouring positions should matter alike."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors._check import checked_maps, unit_scaled

Normalise: TypeAlias = Literal["std", "published", "l1"] | None
_NORMALISATIONS = Literal["std", "published", "l1", None]
_CHANNELS = Literal["sum", "keep"]
_SMALLEST_RELATIVE_SPREAD = 1e-6  # above what rounding makes of a constant map in float32


@checked
@dataclass(frozen=True)
class TotalVariation:
    """Anisotropic total variation of each map, summed over positions, averaged over the batch [erion2021], [rudin1992].

    Omega = mean_b sum_d sum_x |psi_b(x + e_d) - psi_b(x)|, psi_b = normalised phi_b,

    over the last `dims` dimensions: 1 for sequences, 2 for images, 3 for volumes. Dimensions between the batch and
    those are channels. Normalisation is for each sample, over all its positions and channels, with s the standard
    deviation (divisor: number of entries n) of phi_b:

    | normalise     | psi                             | scale-free                                        |
    |---------------|---------------------------------|---------------------------------------------------|
    | `"std"`       | phi / max(s, 1e-6 max abs(phi)) | yes; only maps constant up to rounding are floored |
    | `"published"` | phi / max(s, 1/sqrt(n))         | only where s > 1/sqrt(n)                          |
    | `"l1"`        | phi / sum abs(phi)              | yes                                               |
    | `None`        | phi                             | no: lowered by shrinking every attribution        |

    "published" is the standardisation of the paper's example code, whose floor was made for images; maps of
    probabilities usually lie below it, and the penalty then shrinks them instead of smoothing them. Subtracting the
    mean, as standardisation does, changes no difference and is left out. All-zero and constant maps give 0 with
    gradient 0.

    Bias: with k draws of expected gradients for each row, E|d phi_k| >= |E d phi_k|: without normalisation the penalty
    is biased upward (|.| of a linear model's map by 42 % at k = 1). The noise raises s too, so with "std" either sign
    occurs.

    Cost: O(B n dims) time, O(B n) memory.

    Args:
        normalise: see the table.
        dims: number of trailing spatial dimensions.
        channels: "sum" adds the channels, with sign, before anything else, as published; "keep" penalises each
            channel's own variation, summed over channels.

    Raises:
        InputError: unknown field value; maps that are not a finite floating-point tensor.
        ShapeError: maps with fewer than `dims` dimensions after the batch.

    Example:
        >>> import torch
        >>> stripes = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
        >>> TotalVariation(normalise=None)(stripes), TotalVariation()(100 * stripes)
        (tensor(2.), tensor(4.))
    """

    normalise: Normalise = "std"
    dims: int = 2
    channels: Literal["sum", "keep"] = "sum"

    coupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.dims, bool) or not isinstance(self.dims, int) or self.dims < 1:
            raise InputError(
                f"TotalVariation: dims counts spatial dimensions and must be at least 1; got {self.dims!r}."
            )

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *channels, *space); `guidance` is not used."""
        maps = checked_maps(maps, self)
        if maps.ndim < self.dims + 1:
            raise ShapeError(
                f"TotalVariation(dims={self.dims}) takes maps (B, *channels, *space), {self.dims} of them spatial; "
                f"got {tuple(maps.shape)}. Say how many there are, e.g. TotalVariation(dims={maps.ndim - 1})."
            )
        space = maps.shape[maps.ndim - self.dims :]
        images_BCS = maps.reshape(len(maps), -1, *space)
        if self.channels == "sum":
            # Where the scale is divided out, a mean serves: a sum may overflow.
            count = images_BCS.shape[1] if self.normalise in ("std", "l1") else 1
            images_BCS = (images_BCS / count).sum(1, keepdim=True)
        psi_BCS = _normalised(images_BCS.flatten(1), self.normalise).reshape(images_BCS.shape)
        jumps = [psi_BCS.diff(dim=d).abs().flatten(1).sum(1) for d in range(2, psi_BCS.ndim)]
        return sum(jumps[1:], jumps[0]).mean()


def _normalised(rows: Float[Tensor, "B n"], normalise: Normalise) -> Float[Tensor, "B n"]:
    if normalise is None:
        return rows
    if normalise == "published":
        # Squares of large numbers overflow, those of small ones do not matter here.
        unit = rows.detach().abs().amax(1, keepdim=True).clamp(min=1)
        return rows / unit / _spread(rows / unit, smallest=rows.shape[1] ** -0.5 / unit)
    scaled = unit_scaled(rows)
    if normalise == "l1":
        # The largest scaled value is 1, so the sum falls below 1 only in a row of zeros.
        return scaled / scaled.abs().sum(1, keepdim=True).clamp(min=1)
    return scaled / _spread(scaled, smallest=_SMALLEST_RELATIVE_SPREAD)


def _spread(rows: Float[Tensor, "B n"], smallest: float | Float[Tensor, "B 1"]) -> Float[Tensor, "B 1"]:
    """Standard deviation, at least `smallest`; clamped before the root, whose slope at 0 is infinite."""
    variance = (rows - rows.mean(1, keepdim=True)).square().mean(1, keepdim=True)
    least = torch.as_tensor(smallest, dtype=rows.dtype, device=rows.device).square()
    return torch.maximum(variance, least.clamp(min=torch.finfo(rows.dtype).tiny)).sqrt()

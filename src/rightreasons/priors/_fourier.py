"""Fourier smoothness prior: maps along a sequence should have low frequencies."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors._check import checked_maps, unit_scaled

_CONSTANT = Literal["penalised", "free"]


@checked
@dataclass(frozen=True)
class FourierSmoothness:
    """Share of a map's spectrum that is not of low frequency, along sequences [tseng2020].

    a_b(x) = sum over channels |phi_b(x)|, smoothed by a Gaussian;  A_b(k) = |DFT a_b|(k), k = 0 ... L/2;

    Omega = mean_b (1 - sum_{k >= 1} w_k A_b(k) / sum_{k >= 0} A_b(k)),
    w_k = 1 for k <= limit, and 1 / (1 + (k - limit)^softness) beyond.

    As published the constant part A(0) is in the denominator, so that an even map, which never tells one place from
    another, is penalised as rough ones are. `constant="free"` leaves k = 0 out: then only roughness is. Frequency k has
    k periods in the sequence: motifs of about w positions need limit >= L / w. Published for positive rows,
    `InputTimesGradient`, one-hot DNA of 1,000 or more positions, limit 150 to 200, softness 0.2, smoothing 3.

    Scale-free: only the shape of the map counts. Values lie in [0, 1]; an all-zero map has 1 and gradient 0.

    Bias: with k draws of expected gradients for each row |phi| is noisier, and noise has all frequencies: the penalty
    of the exact map is usually lower.

    Cost: O(B L (channels + log L + smoothing)).

    Args:
        limit: frequencies 1 ... limit are free.
        softness: how slowly the weights fall beyond the limit; None: to 0 at once.
        smoothing: standard deviation of the Gaussian in positions, cut there on both sides; 0: none.
        constant: "penalised", as published, or "free".

    Raises:
        InputError: an unknown field value; maps that are not a finite floating-point tensor.
        ShapeError: maps that are not (B, L) or (B, channels, L), or too short to have a frequency beyond the limit.

    Example:
        >>> import torch
        >>> x = torch.arange(16) * 2 * torch.pi / 16
        >>> slow, fast = 1 + torch.cos(2 * x), 1 + torch.cos(7 * x)
        >>> prior = FourierSmoothness(limit=3, softness=None, smoothing=0, constant="free")
        >>> round(float(prior(slow[None])), 3), round(float(prior(fast[None])), 3)
        (0.0, 1.0)
    """

    limit: int
    softness: float | None = 0.2
    smoothing: int = 3
    constant: Literal["penalised", "free"] = "penalised"

    coupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field, least in (("limit", 1), ("smoothing", 0)):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(
                    f"FourierSmoothness: {field} must be a whole number of at least {least}; got {value!r}."
                )
        if self.softness is not None and not 0 <= self.softness < math.inf:
            raise InputError(
                f"FourierSmoothness: softness must be finite and at least 0, or None; got {self.softness!r}."
            )

    def __call__(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, L) or (B, channels, L); `guidance` is not used."""
        maps = checked_maps(maps, self)
        if maps.ndim > 3 or maps.shape[-1] // 2 <= self.limit:
            raise ShapeError(
                f"FourierSmoothness(limit={self.limit}) takes maps (B, L) or (B, channels, L) of at least "
                f"L = {2 * self.limit + 2} positions, whose frequencies go up to L / 2; got {tuple(maps.shape)}. "
                "Lower the "
                "limit; for images use TotalVariation."
            )
        sizes_BL = unit_scaled(maps.flatten(1)).reshape(maps.shape).abs()
        sizes_BL = sizes_BL.sum(1) if maps.ndim == 3 else sizes_BL
        spectrum_BK = torch.fft.rfft(self._smoothed(sizes_BL), dim=1).abs()
        first = 1 if self.constant == "free" else 0
        total_B = spectrum_BK[:, first:].sum(1)
        low_B = (spectrum_BK[:, 1:] * self._weights(spectrum_BK)).sum(1)
        known_B = total_B > _NEGLIGIBLE * maps.shape[-1]
        share_B = low_B / torch.where(known_B, total_B, torch.inf)
        nothing = 0.0 if self.constant == "free" else 1.0
        return torch.where(known_B, 1 - share_B, nothing).mean()

    def _smoothed(self, sizes: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Convolved with a Gaussian of the given width, zero beyond the ends; the weights add up to 1."""
        reach = self.smoothing
        if reach == 0:
            return sizes
        kernel = [math.exp(-0.5 * (j / reach) ** 2) for j in range(-reach, reach + 1)]
        padded = torch.nn.functional.pad(sizes, (reach, reach))
        shifted = [
            weight / sum(kernel) * padded[:, j : j + sizes.shape[1]] for j, weight in enumerate(kernel)
        ]
        return sum(shifted[1:], shifted[0])

    def _weights(self, spectrum: Float[Tensor, "B K"]) -> Float[Tensor, " k"]:
        """w_k of the frequencies from 1."""
        beyond = torch.arange(1, spectrum.shape[1], device=spectrum.device).to(spectrum.dtype) - self.limit
        fall = (
            torch.zeros_like(beyond)
            if self.softness is None
            else 1 / (1 + beyond.clamp(min=1) ** self.softness)
        )
        return torch.where(beyond <= 0, 1.0, fall)


_NEGLIGIBLE = 1e-6  # of the largest entry: above what rounding leaves of a constant map's spectrum in float32

"""Gaussian blur as diffusion on the pixel grid with reflecting borders [lindeberg1990].

Legend: b rows, m blurs, c channels, h by w places.
"""

from math import pi

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def blurred(pictures: Float[Tensor, "b c h w"], sigmas: Float[Tensor, "m"]) -> Float[Tensor, "b m c h w"]:
    """Every picture at every blur: exp(sigma^2 / 2 * laplacian) applied to it.

    The discrete Gaussian of variance sigma^2, which tends to the sampled one where sigma is large against a pixel; the
    sum over places is kept. Cost: two products with (h, h) and (w, w) matrices for each picture and blur.

    Args:
        pictures: any numbers.
        sigmas: standard deviations in pixels, >= 0; 0 leaves the picture as it is.
    """
    down, across = (_diffusion(n, sigmas).to(pictures) for n in pictures.shape[2:])
    return down[:, None] @ pictures.unsqueeze(1) @ across[:, None]


def _diffusion(n: int, sigmas: Tensor) -> Tensor:
    """(m, n, n) symmetric matrices, in float64: the cosine transform, each frequency damped, and back."""
    frequency = torch.arange(n, dtype=torch.float64) * pi / n
    basis = torch.cos(frequency[:, None] * (torch.arange(n, dtype=torch.float64) + 0.5))
    basis = basis * (2 / n) ** 0.5
    basis[0] /= 2**0.5
    damped = torch.exp(-(sigmas.double().cpu()[:, None] ** 2) * (1 - torch.cos(frequency)))
    return (basis.T * damped[:, None]) @ basis


def laplacian(pictures: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
    """Sum of the differences to the four neighbours; outside lies what is on the border."""
    flat = pictures.reshape(-1, 1, *pictures.shape[-2:])
    padded = F.pad(flat, (1, 1, 1, 1), mode="replicate")
    beside = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:] + padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    return (beside - 4 * flat).reshape(pictures.shape)

"""Maps overlaid on images, as arrays."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from rightreasons.core._errors import InputError
from rightreasons.plot._colours import diverging

Channels = Literal["sum", "absolute"]


def reduced(phi: np.ndarray, channels: Channels) -> Float[np.ndarray, "H W"]:
    """One number for each pixel: the signed sum over channels, or the sum of magnitudes."""
    if channels not in get_args(Channels):
        raise InputError(f"channels must be one of {', '.join(get_args(Channels))}; got {channels!r}.")
    if phi.ndim == 2:
        phi = phi[None]
    return phi.sum(0) if channels == "sum" else np.abs(phi).sum(0)


def overlaid(
    phi: Float[np.ndarray, "H W"], below: Float[np.ndarray, "H W 3"] | None = None, scale: float | None = None
) -> Float[np.ndarray, "H W 3"]:
    """A map in colour, symmetric about zero; where it is weak, what is `below` shows through.

    Args:
        phi: one number for each pixel.
        below: a picture as RGB in [0, 1], best pale; None: white.
        scale: the magnitude with the full colour; None: the largest one of this map.
    """
    most = scale or float(np.abs(phi).max(initial=0)) or 1.0
    shares = np.clip(phi / most, -1, 1)
    strength = np.abs(shares)[..., None] ** 0.7
    return (1 - strength) * (1.0 if below is None else below) + strength * diverging(shares)


def pale(picture: Float[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W 3"]:
    """The picture in light greys, to lie below a map."""
    grey = picture @ np.array([0.299, 0.587, 0.114])
    return np.repeat((0.6 + 0.4 * grey)[..., None], 3, axis=-1)

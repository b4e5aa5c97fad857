"""Maps as pictures: red for, blue against, the input faintly below."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import colormaps, image

_DIVERGING = "RdBu_r"


def of_input(x: np.ndarray) -> str:
    """The input itself as dark ink on white: an image (channels, height, width), or rows of a sequence."""
    return png(_grey(x, darkest=0.0))


def of_map(phi: np.ndarray, x: np.ndarray | None = None, scale: float | None = None) -> str:
    """A map, symmetric about zero, on the input it belongs to.

    Args:
        phi: (channels, height, width) is added up over channels; else (height, width).
        x: the input; left out if a map of a layer has another resolution.
        scale: what the darkest colour stands for; None: the largest magnitude of this map.
    """
    total = phi.sum(0) if phi.ndim == 3 else phi
    most = scale or float(np.abs(total).max()) or 1.0
    strength = np.clip(np.abs(total) / most, 0, 1)[..., None] ** 0.7
    colour = colormaps[_DIVERGING](0.5 + 0.5 * np.clip(total / most, -1, 1))[..., :3]
    fits = x is not None and x.shape[-2:] == total.shape
    below: Any = _grey(x, darkest=0.72) if x is not None and fits else 1.0
    return png((1 - strength) * below + strength * colour)


def _grey(x: np.ndarray, darkest: float) -> np.ndarray:
    """An image (channels, height, width) as RGB, bright background, ink no darker than `darkest`."""
    ink = x.mean(0) if x.ndim == 3 else x
    low, high = float(ink.min()), float(ink.max())
    ink = (ink - low) / ((high - low) or 1.0)
    return np.repeat((1 - (1 - darkest) * ink)[..., None], 3, axis=-1)


def png(picture: np.ndarray) -> str:
    """A picture (height, width, 3) in [0, 1] as a data URI."""
    buffer = BytesIO()
    nothing: dict[str, Any] = {"Software": None}
    image.imsave(buffer, np.clip(picture, 0, 1), format="png", metadata=nothing)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
